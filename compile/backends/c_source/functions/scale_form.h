// A scale (INTRT_POST_SCALE) written in the form that cores compute with the fewest instructions.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "compile/ir/ir.h"

namespace lockstep::backends {

struct ScaleForm {
  enum class Function : std::uint8_t {
    kScale,  // intrt_scale
    kHigh,   // intrt_scale_high: every shift is 32
    kTop     // intrt_scale_top: so is it here, and addends are in steps of 2^32
  };
  Function function = Function::kScale;
  Rounding rounding = Rounding::kTowardZero;
  std::vector<ir::ChannelScale> channels;  // one entry where all are alike
  // kTop: what must be added to each channel's accumulator before the function.
  std::vector<std::int64_t> offsets;
};

// The same codes for every accumulator that can occur. `accumulators`: one for each channel, or
// none where they are not known. kTop only where `may_offset`, and where sums with the offset still
// fit 32 bits in any order.
ScaleForm scale_form(const ir::Scale& scale, const std::vector<ir::Accumulator>& accumulators,
                     bool may_offset);

// floor((x * multiplier + addend) / 2^shift) as floor((x + offset) * scale.multiplier / 2^32) +
// scale.addend, for every sum of `accumulator`. The clamps stay; with steps the offset is 0 and the
// rest has no meaning. Nothing where a number would not fit.
struct TopScale {
  ir::ChannelScale scale;
  std::int64_t offset = 0;
};
std::optional<TopScale> top_form(ir::ChannelScale c, const ir::Accumulator& accumulator);

}  // namespace lockstep::backends
