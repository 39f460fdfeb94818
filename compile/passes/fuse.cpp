#include "compile/passes/fuse.h"

#include <algorithm>

#include "compile/passes/rewrite.h"
#include "compile/support/error.h"
#include "intrt/arith.h"

namespace lockstep::passes {
namespace {

using namespace ir;

std::vector<std::uint8_t> both(const std::vector<std::uint8_t>& a,
                               const std::vector<std::uint8_t>& b) {
  if (a.empty()) return b;
  std::vector<std::uint8_t> result = a;
  for (std::size_t i = 0; i < b.size(); ++i) result[i] &= b[i];
  return result;
}

// Clamping what comes out is clamping the limits and the codes.
Scale clamp_scale(Scale scale, const Requantize& clamp) {
  for (ChannelScale& c : scale.channels) {
    c.lo = intrt_clamp(c.lo, clamp.lo, clamp.hi);
    c.hi = intrt_clamp(c.hi, clamp.lo, clamp.hi);
    for (std::int16_t& code : c.codes)
      code = static_cast<std::int16_t>(intrt_clamp(code, clamp.lo, clamp.hi));
  }
  return scale;
}

// Nothing that can come in is outside the limits of `clamp`.
bool changes_nothing(const Requantize& clamp, const std::vector<Range>& before) {
  return std::all_of(before.begin(), before.end(), [&](const Range& range) {
    return clamp.lo <= range.lo && range.hi <= clamp.hi;
  });
}

// `clamp` rounds nothing, `second` may: clamp first at [lo, hi], then requantize. By monotony that
// is to requantize first and then clamp at the images of lo and hi. All channels must share these
// images; a limit that a channel never reaches asks for nothing but to stay out of the way. A lower
// limit of zero stays even where nothing reaches it: it is its own image, costs nothing, and makes
// the result right for every accumulator rather than for those that the range analysis allows.
std::optional<Requantize> clamp_then(const Requantize& clamp, const Requantize& second,
                                     const std::vector<Range>& before) {
  std::optional<std::int32_t> lo, hi;
  if (clamp.lo == 0) lo = 0;
  for (std::size_t c = 0; c < before.size(); ++c) {
    const auto channel = static_cast<std::int64_t>(c);
    if (before[c].lo < clamp.lo) {
      const std::int32_t image = apply(second, channel, clamp.lo);
      if (lo && *lo != image) return std::nullopt;
      lo = image;
    }
    if (before[c].hi > clamp.hi) {
      const std::int32_t image = apply(second, channel, clamp.hi);
      if (hi && *hi != image) return std::nullopt;
      hi = image;
    }
  }
  for (std::size_t c = 0; c < before.size(); ++c) {
    const auto channel = static_cast<std::int64_t>(c);
    if (lo && apply(second, channel, apply(clamp, channel, before[c].lo)) < *lo)
      return std::nullopt;
    if (hi && apply(second, channel, apply(clamp, channel, before[c].hi)) > *hi)
      return std::nullopt;
  }
  Requantize result = second;
  result.lo = lo.value_or(second.lo);
  result.hi = hi.value_or(second.hi);
  return result;
}

std::vector<Range> ranges_before_post(const Program& program, const Op& op) {
  const std::vector<Accumulator>* accumulators = accumulators_of(op.kind);
  if (accumulators == nullptr) return program.values[op.input()].ranges;
  std::vector<Range> ranges;
  for (const Accumulator& acc : *accumulators) ranges.push_back(acc.range);
  return ranges;
}

// A scale makes codes, of accumulators of 32 bits. Wide ones are only shifted right.
bool can_hold(const OpKind& kind, const Post& post, const Value& output) {
  const bool wide = std::visit(
      [](const auto& op) {
        if constexpr (requires { op.wide; })
          return op.wide;
        else
          return false;
      },
      kind);
  if (post.scale() != nullptr) return !wide && output.bits <= 16;
  const Requantize* shift = post.requantize();
  return !wide || shift == nullptr ||
         std::all_of(shift->shifts.begin(), shift->shifts.end(), [](int s) { return s >= 0; });
}

bool try_fuse(Program& program, std::size_t consumer_index) {
  const Op& consumer = program.ops[consumer_index];
  const Value& between = program.values[consumer.input()];
  const Value& result = program.values[consumer.output];
  if (between.keep || reader_counts(program)[consumer.input()] != 1) return false;
  const auto maker = std::find_if(program.ops.begin(), program.ops.end(),
                                  [&](const Op& op) { return op.output == consumer.input(); });
  if (maker == program.ops.end()) return false;  // a network input
  Post* post = post_of(maker->kind);
  if (post == nullptr) return false;
  LOCKSTEP_ASSERT(between.shape.c == result.shape.c &&
                  between.shape.count() == result.shape.count());
  auto composed = compose(*post, std::get<RequantizeOp>(consumer.kind).post,
                          ranges_before_post(program, *maker));
  if (!composed) return false;
  if (!can_hold(maker->kind, *composed, result)) return false;
  *post = std::move(*composed);
  maker->output = consumer.output;
  program.ops.erase(program.ops.begin() + static_cast<std::ptrdiff_t>(consumer_index));
  return true;
}

}  // namespace

bool is_clamp(const Post& post) {
  const Requantize* r = post.requantize();
  return r != nullptr &&
         std::all_of(r->shifts.begin(), r->shifts.end(), [](int s) { return s == 0; });
}

std::optional<Post> compose(const Post& first, const Post& second,
                            const std::vector<Range>& before) {
  // A mask may move to the end past any shift, because zero becomes zero (lo <= 0 <= hi); past a
  // scale it may not.
  if (!first.mask.empty() && second.scale() != nullptr) return std::nullopt;
  Post result{.function = {}, .mask = both(first.mask, second.mask)};
  if (first.is_none() || second.is_none()) {
    result.function = first.is_none() ? second.function : first.function;
    return result;
  }
  if (is_clamp(second)) {
    const Requantize& clamp = *second.requantize();
    result.function = first.function;
    if (Scale* scale = result.scale()) *scale = clamp_scale(std::move(*scale), clamp);
    if (Requantize* r = result.requantize()) {
      r->lo = intrt_clamp(r->lo, clamp.lo, clamp.hi);
      r->hi = intrt_clamp(r->hi, clamp.lo, clamp.hi);
    }
    return result;
  }
  if (!is_clamp(first)) return std::nullopt;  // two roundings are not one
  if (changes_nothing(*first.requantize(), before)) {
    result.function = second.function;
    return result;
  }
  if (second.scale() != nullptr) return std::nullopt;
  const auto clamped = clamp_then(*first.requantize(), *second.requantize(), before);
  if (!clamped) return std::nullopt;
  result.function = *clamped;
  return result;
}

Program fuse_into_maker(Program program,
                        const std::function<bool(const Program&, const Op&)>& wanted) {
  bool changed = true;
  while (changed) {
    changed = false;
    for (std::size_t i = 0; i < program.ops.size() && !changed; ++i)
      changed = std::holds_alternative<RequantizeOp>(program.ops[i].kind) &&
                wanted(program, program.ops[i]) && try_fuse(program, i);
  }
  drop_unmade_values(program);
  derive_ranges(program);
  return program;
}

}  // namespace lockstep::passes
