#include "verify/proof/moving.h"

#include <fmt/format.h>

#include <algorithm>

#include "verify/proof/geometry.h"
#include "verify/proof/tensors.h"

namespace lockstep::verify {
namespace {

std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

// What a pooling passes on: the decimal that the whole channel shares, and the range over it.
void pass_on_pooled(PlanCheck& check, const PlanOp& op, const VisibleTensor& input,
                    const VisibleTensor& output) {
  if (!check.held[op.output].decimals.empty()) return;  // codes: check_tensor has compared them
  const ElementFacts& facts = check.held[op.inputs[0]];
  const std::int64_t in_plane = input.height * input.width;
  const std::int64_t out_plane = output.height * output.width;
  for (std::int64_t c = 0; c < output.channels; ++c) {
    const std::int64_t first = c * in_plane;
    const int decimal = facts.decimals[at(first)];
    std::int64_t lo = facts.lo[at(first)], hi = facts.hi[at(first)];
    for (std::int64_t e = first; e < first + in_plane; ++e) {
      if (facts.decimals[at(e)] != decimal)
        throw NotUnderstood{fmt::format(
            "operator '{}' of the plan pools accumulators of different decimals", op.node)};
      lo = std::min(lo, facts.lo[at(e)]);
      hi = std::max(hi, facts.hi[at(e)]);
    }
    for (std::int64_t e = c * out_plane; e < (c + 1) * out_plane; ++e) {
      check.checked += 1;
      expect_decimal(output, e, decimal);
      check.held[op.output].push_back(decimal, lo, hi);
    }
  }
}

// What a flatten passes on: everything, because an element keeps its place in (C,H,W) order.
void pass_on_moved(PlanCheck& check, const PlanOp& op, const VisibleTensor& output) {
  if (!check.held[op.output].decimals.empty()) return;  // codes: check_tensor has compared them
  const ElementFacts& facts = check.held[op.inputs[0]];
  for (std::int64_t e = 0; e < output.element_count(); ++e) {
    check.checked += 1;
    expect_decimal(output, e, facts.decimals[at(e)]);
  }
  check.held[op.output] = facts;
}

}  // namespace

void check_max_pool2d(PlanCheck& check, const PlanOp& op, const Chain& chain,
                      const VisibleTensor& input, const VisibleTensor& output) {
  expect_first_op(check, op, chain, "max_pool2d");
  if (!only_identities(chain, 1))
    throw Difference{
        op.node, fmt::format("layer '{}': its operator writes '{}', which is more than a pooling",
                             op.node, output.name)};
  expect_map(check, op, chain, input);
  const Node& node = *chain.front();
  const SlidingWindow window = sliding_window(node);
  const std::vector<std::int64_t>& shape = check.network.format(node.name).shape;
  const auto reach = [](std::int64_t extent, std::int64_t stride, std::int64_t kernel,
                        std::int64_t dilation, std::int64_t pad, std::int64_t size) {
    return std::max(pad, (extent - 1) * stride + dilation * (kernel - 1) + 1 - size - pad);
  };
  check_window(check, op, node,
               {reach(shape[1], window.stride.height, window.kernel.height, window.dilation.height,
                      window.padding.height, input.height),
                reach(shape[2], window.stride.width, window.kernel.width, window.dilation.width,
                      window.padding.width, input.width)});
  check.expect<std::int64_t>(op.node, "output channels", shape[0], output.channels);
  check.expect<std::int64_t>(op.node, "output height", shape[1], output.height);
  check.expect<std::int64_t>(op.node, "output width", shape[2], output.width);
  pass_on_pooled(check, op, input, output);
}

void check_transpose(PlanCheck& check, const PlanOp& op, const Chain& chain,
                     const VisibleTensor& input, const VisibleTensor& output) {
  expect_first_op(check, op, chain, "flatten");
  if (!only_identities(chain, 1))
    throw Difference{
        op.node, fmt::format("layer '{}': its operator writes '{}', which is more than a flatten",
                             op.node, output.name)};
  check.expect(op.node, "number of elements", input.element_count(), output.element_count());
  check.expect<std::int64_t>(op.node, "output channels", input.element_count(), output.channels);
  pass_on_moved(check, op, output);
}

}  // namespace lockstep::verify
