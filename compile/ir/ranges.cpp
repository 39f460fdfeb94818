// Interval arithmetic over ops: the range of each output channel follows from the ranges of the
// inputs. Sums and products are monotone in each input code, so the ends of intervals suffice;
// tables and steps are looked through.
#include <algorithm>
#include <cstdlib>
#include <limits>

#include "compile/ir/ir.h"
#include "compile/support/error.h"

namespace lockstep::ir {
namespace {

Range hull(Range a, Range b) { return {std::min(a.lo, b.lo), std::max(a.hi, b.hi)}; }

// Sums and products of more than 2^62 become 2^62, which is beyond every limit.
constexpr std::int64_t kCap = std::int64_t{1} << 62;

std::int64_t capped_product(std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return (a < 0) == (b < 0) ? kCap : -kCap;
  return std::clamp(product, -kCap, kCap);
}

std::int64_t capped_sum(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return a < 0 ? -kCap : kCap;
  return std::clamp(sum, -kCap, kCap);
}

// What a weight stands for, with its shift of weight_shifts.
std::int64_t shifted(std::int64_t weight, int shift) {
  return capped_product(weight, std::int64_t{1} << shift);
}

// Adds weight * x, for an x of `bits` bits that is proved to lie in `input`.
void add_product(Accumulator& acc, std::int64_t weight, Range input, int bits) {
  const std::int64_t a = capped_product(weight, input.lo), b = capped_product(weight, input.hi);
  acc.range.lo = capped_sum(acc.range.lo, std::min(a, b));
  acc.range.hi = capped_sum(acc.range.hi, std::max(a, b));
  acc.magnitude = capped_sum(acc.magnitude, std::abs(capped_product(weight, code_limits(bits).lo)));
}

Accumulator start(const std::vector<std::int64_t>& bias, std::size_t channel) {
  const std::int64_t b = bias.empty() ? 0 : bias.at(channel);
  return {{b, b}, std::abs(b)};
}

const Value& input_of(const Program& program, const Op& op, std::size_t k = 0) {
  return program.values.at(op.inputs.at(k));
}

// The weights of a convolution, of either direction, meet the channels of one group each.
// `shifts`: as of weight_shifts.
template <typename Conv>
std::vector<Accumulator> convolution_bounds(const Program& program, const Op& op, const Conv& conv,
                                            const std::vector<int>& shifts, bool may_miss_taps) {
  const Value& input = input_of(program, op);
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
      const std::int64_t i = logical ? k / taps : k % in_per_group;
      Range range = input.ranges.at(static_cast<std::size_t>(first_input + i));
      if (may_miss_taps) range = hull(range, {0, 0});
      add_product(acc, shifted(weights[k], shifts.at(static_cast<std::size_t>(i))), range,
                  input.bits);
    }
    result.push_back(acc);
  }
  return result;
}

std::vector<Accumulator> bounds(const Program& program, const Op& op, const Conv2d& conv) {
  const std::int64_t group_inputs = input_of(program, op).shape.c / conv.groups;
  return convolution_bounds(program, op, conv, weight_shifts(conv.segments, group_inputs),
                            conv.window.has_padding());
}

std::vector<Accumulator> bounds(const Program& program, const Op& op, const ConvTranspose2d& conv) {
  const std::int64_t group_inputs = input_of(program, op).shape.c / conv.groups;
  return convolution_bounds(program, op, conv, weight_shifts({}, group_inputs), true);
}

std::vector<Accumulator> bounds(const Program& program, const Op& op, const Linear& linear) {
  const Value& input = input_of(program, op);
  const Shape& shape = input.shape;
  const bool logical = program.layout == Layout::kLogical;
  const auto out_channels = static_cast<std::int64_t>(linear.weights.shape(0));
  const auto features = static_cast<std::int64_t>(linear.weights.shape(1));
  const std::vector<int> shifts = weight_shifts(linear.segments, shape.c);
  std::vector<Accumulator> result;
  for (std::int64_t o = 0; o < out_channels; ++o) {
    Accumulator acc = start(linear.bias, static_cast<std::size_t>(o));
    const std::int32_t* weights = linear.weights.data() + o * features;
    for (std::int64_t k = 0; k < features; ++k) {
      const std::int64_t c = logical ? k / (shape.h * shape.w) : k % shape.c;
      add_product(acc, shifted(weights[k], shifts[static_cast<std::size_t>(c)]),
                  input.ranges.at(static_cast<std::size_t>(c)), input.bits);
    }
    result.push_back(acc);
  }
  return result;
}

std::vector<Accumulator> bounds(const Program& program, const Op& op, const AvgPool2d& pool) {
  const Value& input = input_of(program, op);
  // A window's sum is at least `least` and at most `most` times a code.
  std::int64_t least = 1, most = 1;
  for (const std::vector<PoolSpan>* axis : {&pool.rows, &pool.columns}) {
    Range times = {std::numeric_limits<std::int64_t>::max(), 0};
    for (const PoolSpan& span : *axis)
      times = hull(times, {(span.end - span.begin) * span.multiplier,
                           (span.end - span.begin) * span.multiplier});
    least = capped_product(least, times.lo);
    most = capped_product(most, times.hi);
  }
  std::vector<Accumulator> result;
  for (const Range& range : input.ranges)
    result.push_back({{capped_product(range.lo, range.lo < 0 ? most : least),
                       capped_product(range.hi, range.hi < 0 ? least : most)},
                      capped_product(-code_limits(input.bits).lo, most)});
  return result;
}

// The range of an input where the output has channel c.
Range broadcast_range(const Value& input, std::int64_t c) {
  return input.ranges.at(input.shape.c == 1 ? 0 : static_cast<std::size_t>(c));
}

std::vector<Accumulator> bounds(const Program& program, const Op& op, const Add& add) {
  std::vector<Accumulator> result;
  for (std::size_t c = 0; c < add.multipliers[0].size(); ++c) {
    Accumulator acc;
    for (const std::size_t k : {0, 1}) {
      const Value& input = input_of(program, op, k);
      add_product(acc, add.multipliers[k].at(c),
                  broadcast_range(input, static_cast<std::int64_t>(c)), input.bits);
    }
    result.push_back(acc);
  }
  return result;
}

std::vector<Accumulator> bounds(const Program& program, const Op& op, const Mul&) {
  const Value &a = input_of(program, op, 0), &b = input_of(program, op, 1);
  std::vector<Accumulator> result;
  for (std::int64_t c = 0; c < std::max(a.shape.c, b.shape.c); ++c) {
    const Range x = broadcast_range(a, c), y = broadcast_range(b, c);
    const auto [lo, hi] = std::minmax({x.lo * y.lo, x.lo * y.hi, x.hi * y.lo, x.hi * y.hi});
    result.push_back({{lo, hi}, capped_product(code_limits(a.bits).lo, code_limits(b.bits).lo)});
  }
  return result;
}

template <typename Kind>
std::vector<Accumulator> bounds(const Program&, const Op&, const Kind&) {
  LOCKSTEP_ASSERT(false);  // no accumulators
}

// What `scale` makes of accumulators in `range`.
Range scaled(const Scale& scale, std::size_t channel, Range range) {
  const PostFunction function = scale;
  const auto at = [&](std::int64_t x) -> std::int64_t {
    return apply(function, static_cast<std::int64_t>(channel), x);
  };
  Range result = hull({at(range.lo), at(range.lo)}, {at(range.hi), at(range.hi)});
  const ChannelScale& c = scale.channels.at(channel);
  for (std::size_t i = 0; i < c.thresholds.size(); ++i)
    if (range.lo < c.thresholds[i] && c.thresholds[i] <= range.hi)
      result = hull(result, {c.codes[i + 1], c.codes[i + 1]});
  return result;
}

// Zero joins the range of every channel of which the mask removes something.
std::vector<Range> masked(const Program& program, const std::vector<std::uint8_t>& mask,
                          const Shape& shape, std::vector<Range> ranges) {
  if (mask.empty()) return ranges;
  std::vector<std::int64_t> kept(ranges.size(), 0);
  for (std::int64_t i = 0; i < shape.count(); ++i) {
    const std::int64_t c =
        program.layout == Layout::kLogical ? i / (shape.h * shape.w) : i % shape.c;
    kept[static_cast<std::size_t>(c)] += mask.at(static_cast<std::size_t>(i));
  }
  for (std::size_t c = 0; c < ranges.size(); ++c) {
    if (kept[c] == 0) ranges[c] = {0, 0};
    if (kept[c] != shape.h * shape.w) ranges[c] = hull(ranges[c], {0, 0});
  }
  return ranges;
}

// What becomes of accumulators or codes in `ranges`.
std::vector<Range> after_post(const Program& program, const Post& post, const Shape& shape,
                              std::vector<Range> ranges) {
  for (std::size_t c = 0; c < ranges.size(); ++c) {
    Range& range = ranges[c];
    if (const Scale* scale = post.scale()) range = scaled(*scale, c, range);
    if (post.requantize() != nullptr) {  // never decreases
      const auto at = [&](std::int64_t x) -> std::int64_t {
        return apply(post.function, static_cast<std::int64_t>(c), x);
      };
      range = {at(range.lo), at(range.hi)};
    }
  }
  return masked(program, post.mask, shape, std::move(ranges));
}

// Each channel of a feature map repeated for its positions: the ranges of the flattened vector.
std::vector<Range> per_feature(const Value& input) {
  std::vector<Range> ranges;
  for (const Range& range : input.ranges)
    ranges.insert(ranges.end(), static_cast<std::size_t>(input.shape.h * input.shape.w), range);
  return ranges;
}

std::vector<Range> ranges_of(const Program& program, const Op& op, const MaxPool2d&) {
  return input_of(program, op).ranges;
}
std::vector<Range> ranges_of(const Program& program, const Op& op, const RequantizeOp& requantize) {
  return after_post(program, requantize.post, program.values.at(op.output).shape,
                    input_of(program, op).ranges);
}
std::vector<Range> ranges_of(const Program& program, const Op& op, const Flatten&) {
  return per_feature(input_of(program, op));
}
std::vector<Range> ranges_of(const Program& program, const Op& op, const ArgMax&) {
  return {{0, input_of(program, op).shape.c - 1}};
}
std::vector<Range> ranges_of(const Program& program, const Op& op, const Table& table) {
  const Value& input = input_of(program, op);
  const std::int64_t first = input.bytes ? 0 : code_limits(input.bits).lo;
  std::vector<Range> ranges;
  for (std::size_t c = 0; c < input.ranges.size(); ++c) {
    const std::vector<std::int16_t>& entries = table.tables.at(table.table_of.at(c));
    const auto [lo, hi] = std::minmax_element(entries.begin() + (input.ranges[c].lo - first),
                                              entries.begin() + (input.ranges[c].hi - first) + 1);
    ranges.push_back({*lo, *hi});
  }
  return masked(program, table.mask, program.values.at(op.output).shape, std::move(ranges));
}
std::vector<Range> ranges_of(const Program& program, const Op& op, const Move& move) {
  const Shape& out = program.values.at(op.output).shape;
  std::vector<Range> ranges(static_cast<std::size_t>(out.c));
  std::vector<std::int64_t> copied(ranges.size(), 0);
  for_each_copy(move, [&](std::size_t k, std::int64_t from, std::int64_t to) {
    const Value& input = input_of(program, op, k);
    const auto c = static_cast<std::size_t>(to % out.c);
    const Range& range = input.ranges.at(static_cast<std::size_t>(from % input.shape.c));
    ranges[c] = copied[c]++ == 0 ? range : hull(ranges[c], range);
  });
  for (std::size_t c = 0; c < ranges.size(); ++c)
    if (copied[c] != out.h * out.w) ranges[c] = hull(ranges[c], {0, 0});
  return ranges;
}
template <typename Kind>
requires requires(Kind kind) { kind.accumulators; }
std::vector<Range> ranges_of(const Program& program, const Op& op, const Kind& kind) {
  std::vector<Range> ranges;
  for (const Accumulator& acc : kind.accumulators) ranges.push_back(acc.range);
  return after_post(program, kind.post, program.values.at(op.output).shape, std::move(ranges));
}

}  // namespace

std::vector<Accumulator> accumulator_bounds(const Program& program, const Op& op) {
  return std::visit([&](const auto& kind) { return bounds(program, op, kind); }, op.kind);
}

std::vector<Range> output_ranges(const Program& program, const Op& op) {
  return std::visit([&](const auto& kind) { return ranges_of(program, op, kind); }, op.kind);
}

void derive_ranges(Program& program) {
  for (Op& op : program.ops) {
    if (std::vector<Accumulator>* accumulators = accumulators_of(op.kind))
      *accumulators = accumulator_bounds(program, op);
    program.values[op.output].ranges = output_ranges(program, op);
  }
}

}  // namespace lockstep::ir
