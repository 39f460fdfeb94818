// Post-op synthesis: the integer form of a function that is defined in float32.
//
// Between the accumulator of a channel and the code that a quantize node makes of it lies one
// function from integers to integers, a staircase. Where it never falls (or never rises), bisection
// finds every step. A shift and clamp, or a multiplication and a shift, is accepted only when it
// has the same value on both sides of every step; else the steps themselves are stored. So nothing
// is approximated, whatever is chosen.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "compile/ir/ir.h"

namespace lockstep::ops {

// One channel: from an accumulator in `range` to a code.
struct ChannelFunction {
  ir::Range range;
  bool monotone = true;  // on all of `range`
  std::function<std::int32_t(std::int64_t acc)> code;
};

// The widest range over which a function that is not monotone is looked at value by value.
inline constexpr std::int64_t kWidestSearch = std::int64_t{1} << 22;

// Codes have `bits` bits; `rounding` is that of the quantize node and merely a hint. Requires that
// functions which are not monotone have ranges of at most kWidestSearch values.
ir::PostFunction synthesize(const std::vector<ChannelFunction>& channels, int bits,
                            Rounding rounding);

}  // namespace lockstep::ops
