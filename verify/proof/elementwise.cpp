#include "verify/proof/elementwise.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <optional>

#include "verify/differential/channel_map.h"
#include "verify/proof/geometry.h"
#include "verify/proof/post_processing.h"
#include "verify/proof/wiring.h"
#include "verify/semantics/index.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

void expect_same_shape(PlanCheck& check, const PlanOp& op) {
  const VisibleTensor &input = check.tensors[op.inputs[0]], &output = check.tensors[op.output];
  check.expect<std::int64_t>(op.node, "channels of its input", output.channels, input.channels);
  check.expect<std::int64_t>(op.node, "height of its input", output.height, input.height);
  check.expect<std::int64_t>(op.node, "width of its input", output.width, input.width);
}

// The element of an input that meets element `e` of the output; where the input has size 1, its
// element serves all.
std::int64_t plan_source(const VisibleTensor& input, const VisibleTensor& output, std::int64_t e) {
  const Place place = place_of(output, e);
  const std::int64_t channel = input.channels == 1 ? 0 : place.channel;
  const std::int64_t y = input.height == 1 ? 0 : place.y, x = input.width == 1 ? 0 : place.x;
  return (channel * input.height + y) * input.width + x;
}

// The same by PyTorch's shapes.
std::int64_t graph_source(std::span<const std::int64_t> input, std::span<const std::int64_t> output,
                          std::int64_t e) {
  std::int64_t source = 0, stride = 1;
  for (std::size_t d = output.size(); d-- > 0;) {
    const std::int64_t index = e % output[d];
    e /= output[d];
    if (input[d] != 1) source += index * stride;
    stride *= input[d];
  }
  return source;
}

// Which input of the graph's node each input of the operator is: they may be swapped.
std::array<std::size_t, 2> expect_inputs(PlanCheck& check, const PlanOp& op, const Node& node) {
  const bool in_order =
      holds(check, op.inputs[0], node.inputs[0]) && holds(check, op.inputs[1], node.inputs[1]);
  if (!in_order && holds(check, op.inputs[0], node.inputs[1]) &&
      holds(check, op.inputs[1], node.inputs[0]))
    return {1, 0};
  expect_input(check, op, 0, node, 0);
  expect_input(check, op, 1, node, 1);
  return {0, 1};
}

// An element of an operator with two inputs: which elements it combines.
struct Pair {
  std::array<std::size_t, 2> element;
};
std::vector<Pair> pairs_of(PlanCheck& check, const PlanOp& op, const Node& node,
                           const std::array<std::size_t, 2>& sources) {
  const VisibleTensor& output = check.tensors[op.output];
  const Format& format = check.network.format(node.name);
  if (output.channel_map.empty())
    check.expect(op.node, "number of elements", format.element_count(), output.element_count());
  else if (!is_part_of(output, format))
    throw Difference{op.node, fmt::format("layer '{}': its output '{}' holds no channels of it",
                                          op.node, output.name)};
  std::vector<Pair> pairs;
  for (std::int64_t e = 0; e < output.element_count(); ++e) {
    Pair pair{};
    for (std::size_t i = 0; i < 2; ++i) {
      const VisibleTensor& input = check.tensors[op.inputs[i]];
      const std::int64_t source = plan_source(input, output, e);
      const std::int64_t found = graph_element(input, source);
      const std::int64_t expected =
          graph_source(check.network.format(node.inputs[sources[i]]).shape, format.shape,
                       graph_element(output, e));
      if (found != expected)
        throw Difference{
            op.node, fmt::format("layer '{}': {} takes element {} of '{}', expected {}", op.node,
                                 place_text(output, e), found, input.name, expected)};
      pair.element[i] = at(source);
    }
    pairs.push_back(pair);
  }
  return pairs;
}

CodeRange product(CodeRange a, CodeRange b) {
  const std::array<std::int64_t, 4> corners = {a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi};
  return {*std::ranges::min_element(corners), *std::ranges::max_element(corners)};
}

void expect_32_bits(const PlanOp& op, const VisibleTensor& output, std::int64_t e,
                    CodeRange range) {
  if (range.lo < INT32_MIN || range.hi > INT32_MAX)
    throw Difference{op.node, fmt::format("layer '{}': the accumulator of {} can leave 32 bits",
                                          op.node, place_text(output, e))};
}

// The exponent of a power of two with this sign; nothing for any other number.
std::optional<int> exponent_of(std::int64_t multiplier, bool negative) {
  const auto magnitude = static_cast<std::uint64_t>(std::abs(multiplier));
  if (!std::has_single_bit(magnitude) || (multiplier < 0) != negative) return std::nullopt;
  return std::countr_zero(magnitude);
}

}  // namespace

void check_requantize(PlanCheck& check, const PlanOp& op) {
  expect_same_shape(check, op);
  check_post(check, op, {check.held[op.inputs[0]], {}, {}});
}

void check_table(PlanCheck& check, const PlanOp& op) {
  expect_same_shape(check, op);
  const VisibleTensor& input = check.tensors[op.inputs[0]];
  const std::int64_t first = input.bytes ? 0 : lowest_code(static_cast<int>(input.bits));
  for (const std::vector<std::int64_t>& entries : op.table.entries)
    check.checked += static_cast<std::int64_t>(entries.size());
  check.checked += static_cast<std::int64_t>(op.table.table_of.size());
  check_post(check, op, {check.held[op.inputs[0]], {}, {}}, [&](std::int64_t channel) {
    const std::size_t table = op.table.table_of.at(at(channel));
    return PlanFunction::table(op.table.entries.at(table), first);
  });
}

void check_add(PlanCheck& check, const PlanOp& op) {
  const Node& node = expect_node(check, op, {"add", "sub"}, "add");
  const VisibleTensor& output = check.tensors[op.output];
  const std::array<std::size_t, 2> sources = expect_inputs(check, op, node);
  const std::vector<Pair> pairs = pairs_of(check, op, node, sources);
  const std::int32_t number = check.terms.number_of(node.name);
  check.checked += 2 * static_cast<std::int64_t>(output.channels);
  Arguments before;
  for (std::int64_t e = 0; e < output.element_count(); ++e) {
    const std::size_t channel = at(place_of(output, e).channel);
    std::optional<int> decimal;
    CodeRange sum;
    for (std::size_t i = 0; i < 2; ++i) {
      const ElementFacts& facts = check.held[op.inputs[i]];
      const std::size_t element = pairs[at(e)].element[i];
      const std::int64_t multiplier = op.multipliers[i][channel];
      const CodeRange codes = facts.range(element);
      const CodeRange addend = product({multiplier, multiplier}, codes);
      expect_32_bits(op, output, e, addend);
      sum = {sum.lo + addend.lo, sum.hi + addend.hi};
      if (codes == CodeRange{0, 0}) continue;  // may be multiplied by anything
      const std::optional<int> exponent =
          exponent_of(multiplier, node.op == "sub" && sources[i] == 1);
      const int grid = facts.decimals[element] + exponent.value_or(0);
      if (!exponent || decimal.value_or(grid) != grid)
        throw Difference{
            op.node,
            fmt::format("layer '{}': multiplier {} of channel {}: found {}, which does not bring "
                        "both inputs to one grid",
                        op.node, i, channel, multiplier)};
      decimal = grid;
    }
    expect_32_bits(op, output, e, sum);
    before.expected.push_back(Terms::combined(number, graph_element(output, e)),
                              decimal.value_or(output.decimal(e)), sum);
  }
  check_post(check, op, before);
}

void check_mul(PlanCheck& check, const PlanOp& op) {
  const Node& node = expect_node(check, op, {"mul"}, "mul");
  const VisibleTensor& output = check.tensors[op.output];
  const std::array<std::size_t, 2> sources = expect_inputs(check, op, node);
  const std::vector<Pair> pairs = pairs_of(check, op, node, sources);
  const std::int32_t number = check.terms.number_of(node.name);
  const ElementFacts &a = check.held[op.inputs[0]], &b = check.held[op.inputs[1]];
  Arguments before;
  for (std::int64_t e = 0; e < output.element_count(); ++e) {
    const auto [of_a, of_b] = pairs[at(e)].element;
    const CodeRange range = product(a.range(of_a), b.range(of_b));
    expect_32_bits(op, output, e, range);
    before.expected.push_back(Terms::combined(number, graph_element(output, e)),
                              a.decimals[of_a] + b.decimals[of_b], range);
  }
  check_post(check, op, before);
}

void check_argmax(PlanCheck& check, const PlanOp& op) {
  const Node& node = expect_node(check, op, {"argmax"}, "argmax");
  const VisibleTensor &input = check.tensors[op.inputs[0]], &output = check.tensors[op.output];
  expect_input(check, op, 0, node, 0);
  expect_map(check, op, input, node.inputs[0], "input");
  expect_map(check, op, output, node.name, "output");
  // The result is the number of a channel.
  check.expect<std::int64_t>(op.node, "channels of its input",
                             check.network.format(node.inputs[0]).shape[0], input.channels);
  for (std::int64_t c = 0; c < input.channels; ++c)
    check.expect(op.node, fmt::format("channel {} of its input", c), c, graph_channel(input, c));
  const ElementFacts& facts = check.held[op.inputs[0]];
  const std::int32_t number = check.terms.number_of(node.name);
  const std::int64_t plane = output.element_count();
  Arguments before;
  for (std::int64_t e = 0; e < plane; ++e) {
    for (std::int64_t c = 0; c < input.channels; ++c)
      if (input.decimal(c * plane + e) != input.decimal(e) ||
          facts.decimals[at(c * plane + e)] != input.decimal(e))
        throw Difference{op.node,
                         fmt::format("layer '{}': compares codes of different decimals", op.node)};
    before.expected.push_back(Terms::combined(number, e), 0, {0, std::int64_t{input.channels} - 1});
  }
  check_post(check, op, before);
}

}  // namespace lockstep::verify
