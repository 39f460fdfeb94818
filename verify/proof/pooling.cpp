#include "verify/proof/pooling.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <optional>

#include "verify/differential/channel_map.h"
#include "verify/proof/geometry.h"
#include "verify/proof/post_processing.h"
#include "verify/proof/wiring.h"
#include "verify/semantics/index.h"

namespace lockstep::verify {
namespace {

[[noreturn]] void refuse_decimals(const PlanOp& op) {
  throw NotUnderstood{
      fmt::format("operator '{}' of the plan pools codes of different decimals", op.node)};
}

// Whether the operator pools what the graph pools, or the values before the relus that may as well
// follow. Throws Difference where it does neither.
enum class Pooled : std::uint8_t { kValues, kBeforeRelus };
Pooled expect_pooled(PlanCheck& check, const PlanOp& op, const Node& node) {
  const VisibleTensor& input = check.tensors[op.inputs[0]];
  const Format& format = check.network.format(node.inputs[0]);
  if (holds(check, op.inputs[0], node.inputs[0])) return Pooled::kValues;
  bool before_relus = !format.real && is_part_of(input, format);
  const std::int32_t number = check.terms.number_of(node.name);
  for (std::int64_t e = 0; e < input.element_count() && before_relus; ++e)
    before_relus = is_term(check, check.held[op.inputs[0]], at(e),
                           check.terms.before_pooled_steps(number, graph_element(input, e)));
  if (!before_relus) expect_input(check, op, 0, node, 0);
  return Pooled::kBeforeRelus;
}

// The largest of the lower and of the upper ends in each window.
void pool_largest(PlanCheck& check, const PlanOp& op, std::int32_t node, Pooled pooled,
                  Arguments& before) {
  const VisibleTensor &input = check.tensors[op.inputs[0]], &output = check.tensors[op.output];
  const ElementFacts& facts = check.held[op.inputs[0]];
  for (std::int64_t e = 0; e < output.element_count(); ++e) {
    const Place place = place_of(output, e);
    const std::int64_t plane = place.channel * input.height * input.width;
    std::optional<int> decimal;
    CodeRange range = {INT64_MIN, INT64_MIN};
    for (std::int64_t ky = 0; ky < op.window.kernel_h; ++ky)
      for (std::int64_t kx = 0; kx < op.window.kernel_w; ++kx) {
        const std::int64_t y =
            place.y * op.window.stride_h - op.window.pad_top + ky * op.window.dilation_h;
        const std::int64_t x =
            place.x * op.window.stride_w - op.window.pad_left + kx * op.window.dilation_w;
        if (y < 0 || y >= input.height || x < 0 || x >= input.width) continue;
        const std::size_t source = at(plane + y * input.width + x);
        if (decimal.value_or(facts.decimals[source]) != facts.decimals[source]) refuse_decimals(op);
        decimal = facts.decimals[source];
        range = {std::max(range.lo, facts.lo[source]), std::max(range.hi, facts.hi[source])};
      }
    if (!decimal)
      throw Difference{op.node,
                       fmt::format("layer '{}': a window lies outside its input", op.node)};
    const std::int64_t element = graph_element(output, e);
    before.expected.push_back(pooled == Pooled::kValues
                                  ? check.terms.base(check.terms.term(node, element))
                                  : Terms::combined(node, element),
                              *decimal, range);
  }
}

// Span by span; returns by which factor the plan's multipliers are larger than the graph's, one for
// all spans of the axis.
std::int64_t check_spans(PlanCheck& check, const PlanOp& op, const char* axis,
                         const std::vector<MeanSpan>& expected,
                         const std::vector<PlanSpan>& found) {
  check.expect(op.node, fmt::format("number of windows along the {}", axis), expected.size(),
               found.size());
  std::int64_t factor = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto what = [&](const char* field) {
      return fmt::format("{} of window {} along the {}", field, i, axis);
    };
    check.expect(op.node, what("begin"), expected[i].begin, found[i].begin);
    check.expect(op.node, what("end"), expected[i].end, found[i].end);
    if (factor == 0 && found[i].multiplier % expected[i].multiplier == 0)
      factor = found[i].multiplier / expected[i].multiplier;
    if (factor == 0 || !std::has_single_bit(static_cast<std::uint64_t>(factor))) factor = 1;
    check.expect(op.node, what("multiplier"), expected[i].multiplier * factor, found[i].multiplier);
  }
  return factor;
}

int log2_of(std::int64_t power) { return std::countr_zero(static_cast<std::uint64_t>(power)); }

// The range of each window's sum, times its multipliers.
void pool_sums(PlanCheck& check, const PlanOp& op, std::int32_t node, int finer,
               Arguments& before) {
  const VisibleTensor &input = check.tensors[op.inputs[0]], &output = check.tensors[op.output];
  const ElementFacts& facts = check.held[op.inputs[0]];
  for (std::int64_t e = 0; e < output.element_count(); ++e) {
    const Place place = place_of(output, e);
    const PlanSpan &rows = op.rows[at(place.y)], &columns = op.columns[at(place.x)];
    const std::int64_t plane = place.channel * input.height * input.width;
    const int decimal = facts.decimals[at(plane + rows.begin * input.width + columns.begin)];
    CodeRange sum;
    std::int64_t least = 0, most = 0;  // of every partial sum, in any order
    for (std::int64_t y = rows.begin; y < rows.end; ++y)
      for (std::int64_t x = columns.begin; x < columns.end; ++x) {
        const std::size_t source = at(plane + y * input.width + x);
        if (facts.decimals[source] != decimal) refuse_decimals(op);
        sum = {sum.lo + facts.lo[source], sum.hi + facts.hi[source]};
        least += std::min<std::int64_t>(facts.lo[source], 0);
        most += std::max<std::int64_t>(facts.hi[source], 0);
      }
    const std::int64_t factor = rows.multiplier * columns.multiplier;  // at most 2^48
    const auto limit = [&](std::int64_t bound) { return bound / factor; };
    if (least < limit(INT32_MIN) || most > limit(INT32_MAX))
      throw Difference{op.node, fmt::format("layer '{}': the accumulator of {} can leave 32 bits",
                                            op.node, place_text(output, e))};
    before.expected.push_back(Terms::combined(node, graph_element(output, e)), decimal + finer,
                              {sum.lo * factor, sum.hi * factor});
  }
}

}  // namespace

void check_max_pool2d(PlanCheck& check, const PlanOp& op) {
  const Node& node = expect_node(check, op, {"max_pool1d", "max_pool2d"}, "max_pool2d");
  const VisibleTensor &input = check.tensors[op.inputs[0]], &output = check.tensors[op.output];
  const Pooled pooled = expect_pooled(check, op, node);
  expect_map(check, op, input, node.inputs[0], "input");
  expect_map(check, op, output, node.name, "output");
  expect_same_channels(op, input, output);
  const SlidingWindow window = sliding_window(node);
  const auto reach = [](std::int64_t extent, std::int64_t stride, std::int64_t kernel,
                        std::int64_t dilation, std::int64_t pad, std::int64_t size) {
    return std::max(pad, (extent - 1) * stride + dilation * (kernel - 1) + 1 - size - pad);
  };
  check_window(check, op, node, window.padding,
               {reach(output.height, window.stride.height, window.kernel.height,
                      window.dilation.height, window.padding.height, input.height),
                reach(output.width, window.stride.width, window.kernel.width, window.dilation.width,
                      window.padding.width, input.width)});
  Arguments before;
  pool_largest(check, op, check.terms.number_of(node.name), pooled, before);
  check_post(check, op, before);
}

void check_avg_pool2d(PlanCheck& check, const PlanOp& op) {
  const Node& node = expect_node(
      check, op, {"avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d", "adaptive_avg_pool2d"},
      "avg_pool2d");
  const VisibleTensor &input = check.tensors[op.inputs[0]], &output = check.tensors[op.output];
  expect_input(check, op, 0, node, 0);
  expect_map(check, op, input, node.inputs[0], "input");
  expect_map(check, op, output, node.name, "output");
  expect_same_channels(op, input, output);
  const MeanWindows windows = mean_windows(node, {input.height, input.width});
  const std::int64_t factor = check_spans(check, op, "height", windows.rows, op.rows) *
                              check_spans(check, op, "width", windows.columns, op.columns);
  // Where the divisor is a power of two the mean is exact: the sum on a finer grid. Else the sum is
  // what float functions begin with, on the grid of the codes.
  const bool is_exact = !check.network.format(node.name).real;
  if (is_exact && !std::has_single_bit(static_cast<std::uint64_t>(windows.divisor)))
    throw NotUnderstood{fmt::format("layer '{}': an exact mean over {}", op.node, windows.divisor)};
  Arguments before;
  pool_sums(check, op, check.terms.number_of(node.name),
            log2_of(factor) + (is_exact ? log2_of(windows.divisor) : 0), before);
  check_post(check, op, before);
}

}  // namespace lockstep::verify
