#include "verify/proof/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <functional>

#include "verify/proof/geometry.h"
#include "verify/proof/post_processing.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

using WeightPlace = std::function<std::int64_t(std::int64_t output, std::int64_t k)>;
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

// Weights and bias of every channel, then what is done with the sums.
void check_weighted(PlanCheck& check, const PlanOp& op, const Chain& chain,
                    const VisibleTensor& input, const VisibleTensor& output,
                    const WeightPlace& weight_place, const WeightName& weight_name) {
  const LinearConstants& constants = *check.network.constants(chain.front()->name);
  const Format& input_format = check.network.format(input.name);
  if (input_format.bits == 0)
    throw NotUnderstood{fmt::format("layer '{}' reads accumulators ('{}')", op.node, input.name)};
  ElementFacts before;
  const std::int64_t plane = output.element_count() / constants.outputs;
  for (std::int64_t o = 0; o < constants.outputs; ++o) {
    std::vector<std::int64_t> found;
    for (std::int64_t k = 0; k < constants.fan_in; ++k)
      found.push_back(op.weights.at(at(weight_place(o, k))));
    found.push_back(op.bias.empty() ? 0 : op.bias.at(at(o)));
    std::vector<std::int64_t> expected(
        constants.aligned_weights.begin() + o * constants.fan_in,
        constants.aligned_weights.begin() + (o + 1) * constants.fan_in);
    expected.push_back(constants.aligned_bias.empty() ? 0 : constants.aligned_bias[at(o)]);
    const int finer = grid_change(expected, found);
    for (std::int64_t k = 0; k <= constants.fan_in; ++k) {
      check.checked += 1;
      if (is_scaled(expected[at(k)], found[at(k)], finer)) continue;
      const std::string what =
          k == constants.fan_in ? fmt::format("bias of channel {}", o) : weight_name(o, k);
      throw Difference{op.node, fmt::format("layer '{}': {}: expected {}, found {}", op.node, what,
                                            expected[at(k)], found[at(k)])};
    }
    Int128 lo = found.back(), hi = found.back();
    for (std::int64_t k = 0; k < constants.fan_in; ++k) {
      const Int128 a = Int128{found[at(k)]} * input_format.lo,
                   b = Int128{found[at(k)]} * input_format.hi;
      lo += std::min<Int128>({a, b, 0});  // 0: positions in the padding
      hi += std::max<Int128>({a, b, 0});
    }
    if (lo < INT32_MIN || hi > INT32_MAX)
      throw Difference{
          op.node,
          fmt::format("layer '{}': the accumulator of channel {} can leave 32 bits", op.node, o)};
    for (std::int64_t i = 0; i < plane; ++i) {
      before.push_back(constants.accumulator_decimals[at(o)] + finer, static_cast<std::int64_t>(lo),
                       static_cast<std::int64_t>(hi));
    }
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
  const std::int64_t group_inputs = constants.fan_in / taps;
  const auto weight_place = [&](std::int64_t o, std::int64_t k) {
    return (o * taps + k % taps) * group_inputs + k / taps;  // [O][kh][kw][I] from [O][I][kh][kw]
  };
  const auto weight_name = [&](std::int64_t o, std::int64_t k) {
    return fmt::format("weight of channel {}, input channel {}, position ({}, {})", o, k / taps,
                       k % taps / op.window.kernel_w, k % op.window.kernel_w);
  };
  check_weighted(check, op, chain, input, output, weight_place, weight_name);
}

void check_linear(PlanCheck& check, const PlanOp& op, const Chain& chain,
                  const VisibleTensor& input, const VisibleTensor& output) {
  expect_first_op(check, op, chain, "linear");
  const LinearConstants& constants = *check.network.constants(chain.front()->name);
  check.expect(op.node, "number of inputs", constants.fan_in, input.element_count());
  check.expect(op.node, "number of outputs", constants.outputs, output.element_count());
  check.expect<std::int64_t>(op.node, "output channels", constants.outputs, output.channels);
  const auto weight_place = [&](std::int64_t o, std::int64_t k) {
    return o * constants.fan_in + physical_index(input, k);
  };
  const auto weight_name = [&](std::int64_t o, std::int64_t k) {
    return fmt::format("weight of channel {}, input {}", o, k);
  };
  check_weighted(check, op, chain, input, output, weight_place, weight_name);
}

}  // namespace lockstep::verify
