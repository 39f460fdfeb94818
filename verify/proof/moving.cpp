#include "verify/proof/moving.h"

#include <fmt/format.h>

#include <algorithm>

#include "verify/proof/geometry.h"
#include "verify/proof/tensors.h"
#include "verify/semantics/index.h"

namespace lockstep::verify {
namespace {

// What a pooling passes on: the decimal that the whole channel shares, and per element the largest
// of the lower and of the upper ends in its window.
void pass_on_pooled(PlanCheck& check, const PlanOp& op, const VisibleTensor& input,
                    const VisibleTensor& output) {
  const ElementFacts& facts = check.held[op.inputs[0]];
  ElementFacts& result = check.held[op.output];
  const std::int64_t in_height = input.height, in_width = input.width;
  for (std::int64_t e = 0; e < output.element_count(); ++e) {
    const Place place = place_of(output, e);
    const std::int64_t plane = place.channel * in_height * in_width;
    const int decimal = facts.decimals[at(plane)];
    std::int64_t lo = INT64_MIN, hi = INT64_MIN;
    for (std::int64_t ky = 0; ky < op.window.kernel_h; ++ky)
      for (std::int64_t kx = 0; kx < op.window.kernel_w; ++kx) {
        const std::int64_t y =
            place.y * op.window.stride_h - op.window.pad_top + ky * op.window.dilation_h;
        const std::int64_t x =
            place.x * op.window.stride_w - op.window.pad_left + kx * op.window.dilation_w;
        if (y < 0 || y >= in_height || x < 0 || x >= in_width) continue;
        const std::size_t source = at(plane + y * in_width + x);
        if (facts.decimals[source] != decimal)
          throw NotUnderstood{
              fmt::format("operator '{}' of the plan pools codes of different decimals", op.node)};
        lo = std::max(lo, facts.lo[source]);
        hi = std::max(hi, facts.hi[source]);
      }
    check.checked += 1;
    expect_decimal(output, e, decimal);
    result.push_back(decimal, lo, hi);
  }
}

// What a flatten passes on: everything, because an element keeps its place in (C,H,W) order.
void pass_on_moved(PlanCheck& check, const PlanOp& op, const VisibleTensor& output) {
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
