// Interval arithmetic over ops: the range of each output channel follows from the ranges of the
// inputs. Every op is monotone in each input code, or a sum of monotone terms, so the ends of
// intervals suffice.
#include <algorithm>
#include <cstdlib>

#include "compile/ir/ir.h"
#include "compile/support/error.h"
#include "intrt/arith.h"

namespace lockstep::ir {
namespace {

Range hull(Range a, Range b) { return {std::min(a.lo, b.lo), std::max(a.hi, b.hi)}; }

// Adds weight * x, for an x of `bits` bits that is proved to lie in `input`.
void add_product(Accumulator& acc, std::int64_t weight, Range input, int bits) {
  const std::int64_t a = weight * input.lo, b = weight * input.hi;
  acc.range.lo += std::min(a, b);
  acc.range.hi += std::max(a, b);
  acc.magnitude += std::abs(weight * code_limits(bits).lo);
}

Accumulator start(const std::vector<std::int64_t>& bias, std::size_t channel) {
  const std::int64_t b = bias.empty() ? 0 : bias.at(channel);
  return {{b, b}, std::abs(b)};
}

std::vector<Accumulator> bounds(const Program& program, const Op& op, const Conv2d& conv) {
  const Value& input = program.values.at(op.input);
  const auto out_channels = static_cast<std::int64_t>(conv.weights.shape(0));
  const bool logical = program.layout == Layout::kLogical;
  const auto in_per_group = static_cast<std::int64_t>(conv.weights.shape(logical ? 1 : 3));
  const std::int64_t per_output = static_cast<std::int64_t>(conv.weights.size()) / out_channels;
  const std::int64_t taps = per_output / in_per_group;
  std::vector<Accumulator> result;
  for (std::int64_t o = 0; o < out_channels; ++o) {
    Accumulator acc = start(conv.bias, static_cast<std::size_t>(o));
    const std::int64_t first_input = o / (out_channels / conv.groups) * in_per_group;
    const std::int32_t* weights = conv.weights.data() + o * per_output;
    for (std::int64_t k = 0; k < per_output; ++k) {
      const std::int64_t i = first_input + (logical ? k / taps : k % in_per_group);
      Range range = input.ranges.at(static_cast<std::size_t>(i));
      if (conv.window.has_padding()) range = hull(range, {0, 0});
      add_product(acc, weights[k], range, input.bits);
    }
    result.push_back(acc);
  }
  return result;
}

std::vector<Accumulator> bounds(const Program& program, const Op& op, const Linear& linear) {
  const Value& input = program.values.at(op.input);
  const Shape& shape = input.shape;
  const bool logical = program.layout == Layout::kLogical;
  const auto out_channels = static_cast<std::int64_t>(linear.weights.shape(0));
  const auto features = static_cast<std::int64_t>(linear.weights.shape(1));
  std::vector<Accumulator> result;
  for (std::int64_t o = 0; o < out_channels; ++o) {
    Accumulator acc = start(linear.bias, static_cast<std::size_t>(o));
    const std::int32_t* weights = linear.weights.data() + o * features;
    for (std::int64_t k = 0; k < features; ++k) {
      const std::int64_t c = logical ? k / (shape.h * shape.w) : k % shape.c;
      add_product(acc, weights[k], input.ranges.at(static_cast<std::size_t>(c)), input.bits);
    }
    result.push_back(acc);
  }
  return result;
}

// What becomes of an accumulator or code in `before` on channel c.
std::vector<Range> apply(const Program& program, const Post& post, const Shape& shape,
                         std::vector<Range> ranges) {
  const auto channels = static_cast<std::int64_t>(ranges.size());
  if (post.requantize) {
    const Requantize& r = *post.requantize;
    const auto requantize = [&](std::int64_t x, int shift) -> std::int64_t {
      return intrt_requantize(static_cast<std::int32_t>(x), shift, static_cast<int>(r.rounding),
                              r.lo, r.hi);
    };
    for (std::int64_t c = 0; c < channels; ++c) {
      Range& range = ranges[static_cast<std::size_t>(c)];
      range = {requantize(range.lo, r.shift(c)), requantize(range.hi, r.shift(c))};
    }
  }
  if (post.mask.empty()) return ranges;
  std::vector<std::int64_t> kept(ranges.size(), 0);
  for (std::int64_t i = 0; i < shape.count(); ++i) {
    const std::int64_t c =
        program.layout == Layout::kLogical ? i / (shape.h * shape.w) : i % shape.c;
    kept[static_cast<std::size_t>(c)] += post.mask.at(static_cast<std::size_t>(i));
  }
  for (std::size_t c = 0; c < ranges.size(); ++c) {
    if (kept[c] == 0) ranges[c] = {0, 0};
    if (kept[c] != shape.h * shape.w) ranges[c] = hull(ranges[c], {0, 0});
  }
  return ranges;
}

std::vector<Range> of_accumulators(const std::vector<Accumulator>& accumulators) {
  std::vector<Range> ranges;
  for (const Accumulator& acc : accumulators) ranges.push_back(acc.range);
  return ranges;
}

// Each channel of a feature map repeated for its positions: the ranges of the flattened vector.
std::vector<Range> per_feature(const Value& input) {
  std::vector<Range> ranges;
  for (const Range& range : input.ranges)
    ranges.insert(ranges.end(), static_cast<std::size_t>(input.shape.h * input.shape.w), range);
  return ranges;
}

}  // namespace

std::vector<Accumulator> accumulator_bounds(const Program& program, const Op& op) {
  if (const auto* conv = std::get_if<Conv2d>(&op.kind)) return bounds(program, op, *conv);
  return bounds(program, op, std::get<Linear>(op.kind));
}

std::vector<Range> output_ranges(const Program& program, const Op& op) {
  const Value& input = program.values.at(op.input);
  const Shape& shape = program.values.at(op.output).shape;
  if (const auto* conv = std::get_if<Conv2d>(&op.kind))
    return apply(program, conv->post, shape, of_accumulators(conv->accumulators));
  if (const auto* linear = std::get_if<Linear>(&op.kind))
    return apply(program, linear->post, shape, of_accumulators(linear->accumulators));
  if (const auto* requantize = std::get_if<RequantizeOp>(&op.kind))
    return apply(program, requantize->post, shape, input.ranges);
  if (std::holds_alternative<MaxPool2d>(op.kind)) return input.ranges;
  return per_feature(input);  // flatten, transpose
}

void derive_ranges(Program& program) {
  for (Op& op : program.ops) {
    if (auto* conv = std::get_if<Conv2d>(&op.kind)) conv->accumulators = bounds(program, op, *conv);
    if (auto* linear = std::get_if<Linear>(&op.kind))
      linear->accumulators = bounds(program, op, *linear);
    program.values[op.output].ranges = output_ranges(program, op);
  }
}

}  // namespace lockstep::ir
