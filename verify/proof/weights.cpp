#include "verify/proof/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <functional>
#include <iterator>

#include "verify/differential/channel_map.h"
#include "verify/proof/bilinear.h"
#include "verify/proof/geometry.h"
#include "verify/proof/padded_input.h"
#include "verify/proof/post_processing.h"
#include "verify/proof/reach.h"
#include "verify/proof/weight_match.h"
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
// `decimals`: on which grid the graph counts what each input element is.
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

// Why what the plan leaves out of a channel is no part of a bias.
std::string left_out_text(const LinearConstants& constants, const LeftOut& left_out,
                          std::int64_t channel, const WeightName& weight_name) {
  if (left_out.varying_weight) {
    const std::int64_t k = *left_out.varying_weight;
    return fmt::format("{}: is {}, but the plan leaves out what it meets, which can be {} to {}",
                       weight_name(channel, k),
                       constants.aligned_weights[at(channel * constants.fan_in + k)],
                       left_out.varying_codes.lo, left_out.varying_codes.hi);
  }
  const auto other = std::ranges::adjacent_find(left_out.sums, std::not_equal_to<>());
  return fmt::format(
      "channel {}: the constants that the plan leaves out add {} to its sum at one position and {} "
      "at another, where padding takes their place: no bias can stand for them",
      channel, other->lo, std::next(other)->lo);
}

// The numbers of one channel, the plan's and the graph's, and whether they are the same.
struct RowCheck {
  Row expected, found;
  int finer = 0;           // by how many bits the plan's accumulators are finer
  LowBits low_bits;        // of the graph's bias, taken out of `expected`
  std::string difference;  // empty: the same
};
// Where the weights are on a coarser grid, the plan's bias may be the graph's rounded down to it.
// All sums then have the same low bits, and what is made of them is compared with that in mind.
void take_out_low_bits(RowCheck& row, const std::vector<int>& inputs) {
  constexpr int kMostBits = 30;
  Row expected = row.expected, found = row.found;
  expected.back() = found.back() = 0;
  const int bits = -grid_change(expected, found, inputs);
  if (bits <= 0 || bits > kMostBits) return;
  const Int128 low =
      row.expected.back() - static_cast<Int128>(row.found.back()) * (Int128{1} << bits);
  if (low <= 0 || low >= Int128{1} << bits) return;
  row.finer = -bits;
  row.low_bits = {bits, static_cast<std::int64_t>(low)};
  row.expected.back() -= row.low_bits.low;
}

// `o`: the plan's output channel, `channel`: the graph's.
RowCheck check_row(const PlanOp& op, const VisibleTensor& input, const LinearConstants& constants,
                   const WeightMatch& match, const std::vector<Meeting>& meetings,
                   const LeftOut& left_out, std::int64_t o, std::int64_t channel,
                   const WeightName& weight_name) {
  RowCheck row;
  std::vector<int> finer;
  const std::int64_t* weights = constants.aligned_weights.data() + channel * constants.fan_in;
  const auto fan_in = static_cast<std::int64_t>(meetings.size());
  for (std::int64_t k = 0; k < fan_in; ++k) {
    const bool counts = meetings[at(k)].live;  // a weight that meets only zeros may be anything
    row.expected.push_back(counts ? weights[match.graph_weight[at(k)]] : 0);
    row.found.push_back(counts ? op.weights.at(at(weight_index(op, input, o, k))) : 0);
    finer.push_back(meetings[at(k)].finer);
  }
  row.expected.push_back(constants.aligned_bias.empty() ? 0 : constants.aligned_bias[at(channel)]);
  if (left_out.is_constant()) row.expected.back() += left_out.constant();
  row.found.push_back(op.bias.empty() ? 0 : op.bias.at(at(o)));
  finer.push_back(0);
  row.finer = grid_change(row.expected, row.found, finer);
  if (op.weight_bits < 32) take_out_low_bits(row, finer);
  if (!left_out.is_constant())
    row.difference = fmt::format("layer '{}': {}", op.node,
                                 left_out_text(constants, left_out, channel, weight_name));
  for (std::int64_t k = 0; k <= fan_in && row.difference.empty(); ++k)
    if (!is_scaled(row.expected[at(k)], row.found[at(k)], row.finer - finer[at(k)]))
      row.difference = fmt::format("layer '{}': {}: expected {}, found {}", op.node,
                                   k == fan_in ? fmt::format("bias of channel {}", channel)
                                               : weight_name(channel, match.graph_weight[at(k)]),
                                   row.expected[at(k)], row.found[at(k)]);
  // Ranges below are on the plan's grids, where the graph's own numbers mean nothing.
  const bool same_grids = std::ranges::all_of(finer, [](int bits) { return bits == 0; }) &&
                          (left_out.is_constant() || row.finer == 0);
  if (!row.difference.empty() && !same_grids) throw Difference{op.node, row.difference};
  return row;
}

// Weights and bias of every channel, then what is done with the sums. `source`: what it reads.
void check_weighted(PlanCheck& check, const PlanOp& op, const Node& node, const std::string& source,
                    const Reach& reach, const WeightName& weight_name) {
  const LinearConstants& constants = *check.network.constants(node.name);
  const VisibleTensor &input = check.tensors[op.inputs[0]], &output = check.tensors[op.output];
  if (input.element_bytes == 4)
    throw NotUnderstood{fmt::format("layer '{}' reads accumulators ('{}')", op.node, input.name)};
  const ElementFacts& facts = check.held[op.inputs[0]];
  WeightMatcher matcher(check, op, node, source, reach);
  const std::int32_t number = check.terms.number_of(node.name);
  const std::int64_t plane = output.element_count() / output.channels;
  Arguments before;
  WeightMatch match;
  std::vector<Meeting> meetings;
  for (std::int64_t o = 0; o < output.channels; ++o) {
    if (o % reach.group_outputs == 0) {
      match = matcher.match(o);
      meetings = find_meetings(check, op, matcher.input_decimals(), reach, o, plane);
    }
    const std::int64_t channel = graph_channel(output, o);
    const LeftOut left_out = matcher.left_out(match, o);
    RowCheck row =
        check_row(op, input, constants, match, meetings, left_out, o, channel, weight_name);
    check.checked += reach.fan_in + 1;
    const int decimal = constants.accumulator_decimals[at(channel)] + row.finer;
    for (std::int64_t position = 0; position < plane; ++position) {
      const SumRange sum = sum_range(row.found, reach, facts, o, position);
      if (sum.partial_lo < -op.largest_sum() - 1 || sum.partial_hi > op.largest_sum())
        throw Difference{op.node,
                         fmt::format("layer '{}': the accumulator of channel {} can leave {} bits",
                                     op.node, channel, op.weight_bits == 32 ? 64 : 32)};
      SumRange wanted =
          row.difference.empty() ? sum : sum_range(row.expected, reach, facts, o, position);
      if (!left_out.is_constant()) {
        wanted.lo += left_out.sums[at(position)].lo;
        wanted.hi += left_out.sums[at(position)].hi;
      }
      before.found.push_back({sum.lo, sum.hi});
      before.expected.push_back(Terms::combined(number, channel * plane + position), decimal,
                                {wanted.lo, wanted.hi});
    }
    before.differences.push_back(std::move(row.difference));
    before.low_bits.push_back(row.low_bits);
  }
  check_post(check, op, before);
}

// A convolution of either kind, that reads `source`. The paddings: what the plan must say of them.
void check_convolution(PlanCheck& check, const PlanOp& op, const Node& node,
                       const std::string& source, HeightWidth pad_before, HeightWidth pad_behind) {
  const VisibleTensor &input = check.tensors[op.inputs[0]], &output = check.tensors[op.output];
  expect_map(check, op, input, source, "input");
  expect_map(check, op, output, node.name, "output");
  check_window(check, op, node, pad_before, pad_behind);
  // Else some groups may be missing.
  if (input.channel_map.empty() && output.channel_map.empty())
    check.expect(op.node, "groups", node.integer("groups"), op.groups);
  const std::int64_t taps = op.window.kernel_h * op.window.kernel_w;
  check_weighted(
      check, op, node, source, reach_of(op, input, output), [&](std::int64_t o, std::int64_t k) {
        return fmt::format("weight of channel {}, input channel {}, position ({}, {})", o, k / taps,
                           k % taps / op.window.kernel_w, k % op.window.kernel_w);
      });
}

}  // namespace

void check_conv2d(PlanCheck& check, const PlanOp& op) {
  const Node& node = expect_node(check, op, {"conv1d", "conv2d"}, "conv2d");
  const PaddedInput input = padded_input(check, op, node);
  const HeightWidth padding = sliding_window(node).padding;
  check_convolution(check, op, node, input.name,
                    {padding.height + input.before.height, padding.width + input.before.width},
                    {padding.height + input.behind.height, padding.width + input.behind.width});
}

void check_conv_transpose2d(PlanCheck& check, const PlanOp& op) {
  const Node& node = expect_node(check, op, {"conv_transpose1d", "conv_transpose2d", "upsample"},
                                 "conv_transpose2d");
  if (node.op == "upsample") return check_bilinear(check, op, node);
  expect_input(check, op, 0, node, 0);
  // The size of the output says where it ends.
  check_convolution(check, op, node, node.inputs[0], sliding_window(node).padding, {0, 0});
}

void check_linear(PlanCheck& check, const PlanOp& op) {
  const Node& node = expect_node(check, op, {"linear"}, "linear");
  const VisibleTensor &input = check.tensors[op.inputs[0]], &output = check.tensors[op.output];
  const LinearConstants& constants = *check.network.constants(node.name);
  expect_input(check, op, 0, node, 0);
  if (input.channel_map.empty())
    check.expect(op.node, "number of inputs", constants.fan_in, input.element_count());
  expect_map(check, op, output, node.name, "output");
  check_weighted(check, op, node, node.inputs[0], reach_of(op, input, output),
                 [](std::int64_t o, std::int64_t k) {
                   return fmt::format("weight of channel {}, input {}", o, k);
                 });
}

}  // namespace lockstep::verify
