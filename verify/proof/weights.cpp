#include "verify/proof/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <functional>

#include "verify/proof/bilinear.h"
#include "verify/proof/geometry.h"
#include "verify/proof/post_processing.h"
#include "verify/proof/reach.h"
#include "verify/proof/wiring.h"
#include "verify/semantics/index.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

using WeightName = std::function<std::string(std::int64_t output, std::int64_t k)>;

// By how many bits the channel's accumulators are finer than the canonical grid: 0 unless all its
// numbers agree on another. `inputs`: by how many bits what each number meets is finer.
int grid_change(const std::vector<std::int64_t>& expected, const std::vector<std::int64_t>& found,
                const std::vector<int>& inputs) {
  const auto agree = [&](int finer) {
    for (std::size_t k = 0; k < expected.size(); ++k)
      if (!is_scaled(expected[k], found[k], finer - inputs[k])) return false;
    return true;
  };
  for (std::size_t k = 0; k < expected.size(); ++k) {
    if (expected[k] == 0 || found[k] == 0) continue;
    const int finer = std::countr_zero(static_cast<std::uint64_t>(found[k])) -
                      std::countr_zero(static_cast<std::uint64_t>(expected[k])) + inputs[k];
    return agree(finer) ? finer : 0;
  }
  return 0;
}

// The weights of one channel and, last, its bias, or 0.
using Row = std::vector<std::int64_t>;

// What each weight of a channel meets.
struct Meeting {
  bool live = false;  // an element that can be other than 0
  int finer = 0;      // by how many bits the plan keeps that on a finer grid than the graph
};
// `decimals`: on which grid the graph counts each input element.
std::vector<Meeting> find_meetings(const PlanCheck& check, const PlanOp& op,
                                   const std::vector<int>& decimals, const Reach& reach,
                                   std::int64_t output, std::int64_t plane) {
  const ElementFacts& input = check.held[op.inputs[0]];
  std::vector<Meeting> meetings(at(reach.fan_in));
  for (std::int64_t position = 0; position < plane; ++position)
    reach.each(output, position, [&](std::int64_t k, std::int64_t element) {
      if (input.lo[at(element)] == 0 && input.hi[at(element)] == 0) return;
      const int finer = input.decimals[at(element)] - decimals[at(element)];
      if (meetings[at(k)].live && meetings[at(k)].finer != finer)
        throw NotUnderstood{
            fmt::format("layer '{}' reads codes of different decimals by one weight", op.node)};
      meetings[at(k)] = {true, finer};
    });
  return meetings;
}

// A linear layer has a grid for every input, convolutions the finest of each channel.
std::vector<int> input_decimals(const PlanOp& op, const Format& format) {
  std::vector<int> decimals;
  if (op.code == PlanOp::kLinear) {
    for (std::int64_t e = 0; e < format.element_count(); ++e) decimals.push_back(format.decimal(e));
    return decimals;
  }
  const std::int64_t plane = format.element_count() / format.shape[0];
  for (const int decimal : finest_channel_decimals(format))
    decimals.insert(decimals.end(), at(plane), decimal);
  return decimals;
}

// The numbers of one channel, the plan's and the graph's, and whether they are the same.
struct RowCheck {
  Row expected, found;
  int finer = 0;           // by how many bits the plan's accumulators are finer
  std::string difference;  // empty: the same
};
RowCheck check_row(const PlanOp& op, const VisibleTensor& input, const LinearConstants& constants,
                   const std::vector<Meeting>& meetings, std::int64_t o,
                   const WeightName& weight_name) {
  RowCheck row;
  std::vector<int> finer;
  for (std::int64_t k = 0; k < constants.fan_in; ++k) {
    const bool counts = meetings[at(k)].live;  // a weight that meets only zeros may be anything
    row.expected.push_back(counts ? constants.aligned_weights[at(o * constants.fan_in + k)] : 0);
    row.found.push_back(counts ? op.weights.at(at(weight_index(op, input, o, k))) : 0);
    finer.push_back(meetings[at(k)].finer);
  }
  row.expected.push_back(constants.aligned_bias.empty() ? 0 : constants.aligned_bias[at(o)]);
  row.found.push_back(op.bias.empty() ? 0 : op.bias.at(at(o)));
  finer.push_back(0);
  row.finer = grid_change(row.expected, row.found, finer);
  for (std::int64_t k = 0; k <= constants.fan_in && row.difference.empty(); ++k)
    if (!is_scaled(row.expected[at(k)], row.found[at(k)], row.finer - finer[at(k)]))
      row.difference = fmt::format(
          "layer '{}': {}: expected {}, found {}", op.node,
          k == constants.fan_in ? fmt::format("bias of channel {}", o) : weight_name(o, k),
          row.expected[at(k)], row.found[at(k)]);
  // Ranges below are on the plan's grids, where the graph's own numbers mean nothing.
  const bool same_grids = std::ranges::all_of(finer, [](int bits) { return bits == 0; });
  if (!row.difference.empty() && !same_grids) throw Difference{op.node, row.difference};
  return row;
}

// Weights and bias of every channel, then what is done with the sums.
void check_weighted(PlanCheck& check, const PlanOp& op, const Node& node, const Reach& reach,
                    const WeightName& weight_name) {
  const LinearConstants& constants = *check.network.constants(node.name);
  const VisibleTensor &input = check.tensors[op.inputs[0]], &output = check.tensors[op.output];
  if (input.element_bytes == 4)
    throw NotUnderstood{fmt::format("layer '{}' reads accumulators ('{}')", op.node, input.name)};
  const ElementFacts& facts = check.held[op.inputs[0]];
  const std::vector<int> decimals = input_decimals(op, check.network.format(node.inputs[0]));
  const std::int32_t number = check.terms.number_of(node.name);
  const std::int64_t plane = output.element_count() / constants.outputs;
  Arguments before;
  std::vector<Meeting> meetings;
  for (std::int64_t o = 0; o < constants.outputs; ++o) {
    if (o % reach.group_outputs == 0)
      meetings = find_meetings(check, op, decimals, reach, o, plane);
    RowCheck row = check_row(op, input, constants, meetings, o, weight_name);
    check.checked += constants.fan_in + 1;
    const int decimal = constants.accumulator_decimals[at(o)] + row.finer;
    for (std::int64_t position = 0; position < plane; ++position) {
      const SumRange sum = sum_range(row.found, reach, facts, o, position);
      if (sum.partial_lo < -op.largest_sum() - 1 || sum.partial_hi > op.largest_sum())
        throw Difference{op.node,
                         fmt::format("layer '{}': the accumulator of channel {} can leave {} bits",
                                     op.node, o, op.weight_bits == 32 ? 64 : 32)};
      const SumRange wanted =
          row.difference.empty() ? sum : sum_range(row.expected, reach, facts, o, position);
      before.found.push_back({sum.lo, sum.hi});
      before.expected.push_back(Terms::combined(number, o * plane + position), decimal,
                                {wanted.lo, wanted.hi});
    }
    before.differences.push_back(std::move(row.difference));
  }
  check_post(check, op, before);
}

// A convolution of either kind. `pad_end`: what the plan says of the padding behind the input.
void check_convolution(PlanCheck& check, const PlanOp& op, const Node& node, HeightWidth pad_end) {
  const VisibleTensor &input = check.tensors[op.inputs[0]], &output = check.tensors[op.output];
  expect_input(check, op, 0, node, 0);
  expect_map(check, op, input, node.inputs[0], "input");
  expect_map(check, op, output, node.name, "output");
  check_window(check, op, node, pad_end);
  check.expect(op.node, "groups", node.integer("groups"), op.groups);
  const std::int64_t taps = op.window.kernel_h * op.window.kernel_w;
  check_weighted(check, op, node, reach_of(op, input, output), [&](std::int64_t o, std::int64_t k) {
    return fmt::format("weight of channel {}, input channel {}, position ({}, {})", o, k / taps,
                       k % taps / op.window.kernel_w, k % op.window.kernel_w);
  });
}

}  // namespace

void check_conv2d(PlanCheck& check, const PlanOp& op) {
  const Node& node = expect_node(check, op, {"conv1d", "conv2d"}, "conv2d");
  check_convolution(check, op, node, sliding_window(node).padding);
}

void check_conv_transpose2d(PlanCheck& check, const PlanOp& op) {
  const Node& node = expect_node(check, op, {"conv_transpose1d", "conv_transpose2d", "upsample"},
                                 "conv_transpose2d");
  if (node.op == "upsample") return check_bilinear(check, op, node);
  check_convolution(check, op, node, {0, 0});  // the size of the output says where it ends
}

void check_linear(PlanCheck& check, const PlanOp& op) {
  const Node& node = expect_node(check, op, {"linear"}, "linear");
  const VisibleTensor &input = check.tensors[op.inputs[0]], &output = check.tensors[op.output];
  const LinearConstants& constants = *check.network.constants(node.name);
  expect_input(check, op, 0, node, 0);
  check.expect(op.node, "number of inputs", constants.fan_in, input.element_count());
  check.expect(op.node, "number of outputs", constants.outputs, output.element_count());
  check.expect<std::int64_t>(op.node, "output channels", constants.outputs, output.channels);
  check_weighted(check, op, node, reach_of(op, input, output), [](std::int64_t o, std::int64_t k) {
    return fmt::format("weight of channel {}, input {}", o, k);
  });
}

}  // namespace lockstep::verify
