#include "verify/proof/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <functional>

#include "verify/proof/geometry.h"
#include "verify/proof/post_processing.h"
#include "verify/proof/reach.h"
#include "verify/semantics/index.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

using WeightName = std::function<std::string(std::int64_t output, std::int64_t k)>;

// found == expected * 2^finer.
bool is_scaled(std::int64_t expected, std::int64_t found, int finer) {
  if (expected == 0 || found == 0) return expected == found;
  Int128 a = expected, b = found;
  (finer > 0 ? a : b) *= Int128{1} << std::abs(finer);
  return a == b;
}

// By how many bits the channel's grid is finer than the canonical one: 0 unless all its numbers
// agree on another.
int grid_change(const std::vector<std::int64_t>& expected, const std::vector<std::int64_t>& found) {
  const auto agree = [&](int finer) {
    for (std::size_t k = 0; k < expected.size(); ++k)
      if (!is_scaled(expected[k], found[k], finer)) return false;
    return true;
  };
  for (std::size_t k = 0; k < expected.size(); ++k) {
    if (expected[k] == 0 || found[k] == 0) continue;
    const int finer = std::countr_zero(static_cast<std::uint64_t>(found[k])) -
                      std::countr_zero(static_cast<std::uint64_t>(expected[k]));
    return agree(finer) ? finer : 0;
  }
  return 0;
}

// The weights of one channel and, last, its bias, or 0.
using Row = std::vector<std::int64_t>;

// Per weight of the channel: whether it ever meets an input element that can be other than 0.
std::vector<bool> find_live(const Reach& reach, const ElementFacts& input, std::int64_t output,
                            std::int64_t plane) {
  std::vector<bool> live(at(reach.fan_in), false);
  for (std::int64_t position = 0; position < plane; ++position)
    reach.each(output, position, [&](std::int64_t k, std::int64_t element) {
      if (input.lo[at(element)] != 0 || input.hi[at(element)] != 0) live[at(k)] = true;
    });
  return live;
}

// Weights and bias of every channel, then what is done with the sums.
void check_weighted(PlanCheck& check, const PlanOp& op, const Chain& chain,
                    const VisibleTensor& input, const VisibleTensor& output, const Reach& reach,
                    const WeightName& weight_name) {
  const LinearConstants& constants = *check.network.constants(chain.front()->name);
  if (check.network.format(input.name).bits == 0)
    throw NotUnderstood{fmt::format("layer '{}' reads accumulators ('{}')", op.node, input.name)};
  const ElementFacts& facts = check.held[op.inputs[0]];
  const std::int64_t plane = output.element_count() / constants.outputs;
  Arguments before;
  std::vector<bool> live;
  for (std::int64_t o = 0; o < constants.outputs; ++o) {
    if (o % reach.group_outputs == 0) live = find_live(reach, facts, o, plane);
    Row expected, found;
    for (std::int64_t k = 0; k < constants.fan_in; ++k) {
      const bool counts = live[at(k)];  // a weight that meets only zeros may be anything
      expected.push_back(counts ? constants.aligned_weights[at(o * constants.fan_in + k)] : 0);
      found.push_back(counts ? op.weights.at(at(weight_index(op, input, o, k))) : 0);
    }
    expected.push_back(constants.aligned_bias.empty() ? 0 : constants.aligned_bias[at(o)]);
    found.push_back(op.bias.empty() ? 0 : op.bias.at(at(o)));
    check.checked += constants.fan_in + 1;

    const int finer = grid_change(expected, found);
    std::string difference;
    for (std::int64_t k = 0; k <= constants.fan_in && difference.empty(); ++k)
      if (!is_scaled(expected[at(k)], found[at(k)], finer))
        difference = fmt::format(
            "layer '{}': {}: expected {}, found {}", op.node,
            k == constants.fan_in ? fmt::format("bias of channel {}", o) : weight_name(o, k),
            expected[at(k)], found[at(k)]);
    const int decimal = constants.accumulator_decimals[at(o)] + finer;
    for (std::int64_t position = 0; position < plane; ++position) {
      const SumRange sum = sum_range(found, reach, facts, o, position);
      if (sum.partial_lo < INT32_MIN || sum.partial_hi > INT32_MAX)
        throw Difference{
            op.node,
            fmt::format("layer '{}': the accumulator of channel {} can leave 32 bits", op.node, o)};
      before.found.push_back(decimal, sum.lo, sum.hi);
      const SumRange wanted =
          difference.empty() ? sum : sum_range(expected, reach, facts, o, position);
      before.expected.push_back(decimal, wanted.lo, wanted.hi);
    }
    before.differences.push_back(std::move(difference));
  }
  check_post(check, op, chain, 1, before, output);
}

}  // namespace

void check_conv2d(PlanCheck& check, const PlanOp& op, const Chain& chain,
                  const VisibleTensor& input, const VisibleTensor& output) {
  expect_first_op(check, op, chain, "conv2d");
  expect_map(check, op, chain, input);
  const Node& node = *chain.front();
  check_window(check, op, node, sliding_window(node).padding);
  check.expect(op.node, "groups", node.integer("groups"), op.groups);
  const LinearConstants& constants = *check.network.constants(node.name);
  check.expect<std::int64_t>(op.node, "output channels", constants.outputs, output.channels);
  const std::int64_t taps = op.window.kernel_h * op.window.kernel_w;
  const auto weight_name = [&](std::int64_t o, std::int64_t k) {
    return fmt::format("weight of channel {}, input channel {}, position ({}, {})", o, k / taps,
                       k % taps / op.window.kernel_w, k % op.window.kernel_w);
  };
  const Reach reach = reach_of(op, input, output);
  check_weighted(check, op, chain, input, output, reach, weight_name);
}

void check_linear(PlanCheck& check, const PlanOp& op, const Chain& chain,
                  const VisibleTensor& input, const VisibleTensor& output) {
  expect_first_op(check, op, chain, "linear");
  const LinearConstants& constants = *check.network.constants(chain.front()->name);
  check.expect(op.node, "number of inputs", constants.fan_in, input.element_count());
  check.expect(op.node, "number of outputs", constants.outputs, output.element_count());
  check.expect<std::int64_t>(op.node, "output channels", constants.outputs, output.channels);
  const auto weight_name = [&](std::int64_t o, std::int64_t k) {
    return fmt::format("weight of channel {}, input {}", o, k);
  };
  const Reach reach = reach_of(op, input, output);
  check_weighted(check, op, chain, input, output, reach, weight_name);
}

}  // namespace lockstep::verify
