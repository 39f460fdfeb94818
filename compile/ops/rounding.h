// Real numbers to integer codes, exactly as training computes them.
#pragma once

#include <cstdint>
#include <optional>

#include "compile/graph/graph.h"

namespace lockstep::ops {

// clamp(round(x * 2^decimal)) to `bits` bits, where the product is a float32 product. Empty when
// the product is NaN or has magnitude 2^31 or more: there the float path's conversion to int32 is
// undefined.
std::optional<std::int64_t> quantize_code(float x, int decimal, int bits, Rounding rounding);

// round(x * 2^-shift) for any shift from -192 to 192, without overflow; used to prove what lies
// outside the shifts that plans can hold. |x| <= 2^31; the result saturates at +-2^62.
std::int64_t shift_exactly(std::int64_t x, int shift, Rounding rounding);

}  // namespace lockstep::ops
