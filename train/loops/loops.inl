// The bodies of loops.h. A file that includes this is compiled for one instruction set; everything
// here is local to it and nothing inline of the standard library is used, so that no code for a
// newer CPU can get into the others.
#include <cstdint>

#include "train/loops/loops.h"

namespace lockstep::train {
namespace {

constexpr float kInt32End = 2147483648.0f;  // 2^31, the first float that does not fit
constexpr std::int64_t kBlock = 512;
constexpr int kLanes = 16;

// The product within the limits. Clamping before rounding gives the same code (rounding is monotone
// and keeps integers) and makes the conversion to int32 defined for every input.
inline float clamped(float product, CodeLimits limits) {
  float v = product < kInt32End ? product : limits.lo;
  v = v < limits.lo ? limits.lo : v;
  return v > limits.hi ? limits.hi : v;
}

// A clamped product as a code.
template <Rounding rounding>
inline float rounded(float v) {
  const auto truncated = static_cast<std::int32_t>(v);
  if constexpr (rounding == Rounding::kTowardZero) return static_cast<float>(truncated);
  const std::int32_t below = truncated - (static_cast<float>(truncated) > v ? 1 : 0);
  if constexpr (rounding == Rounding::kFloor) return static_cast<float>(below);
  const float dropped = v - static_cast<float>(below);
  const bool up = dropped > 0.5f || (dropped == 0.5f && (below & 1) != 0);
  return static_cast<float>(below + (up ? 1 : 0));
}

template <Rounding rounding, bool kOneForAll, bool kMasked>
bool quantize_as(const ElementFormats& formats, CodeLimits limits, const float* x,
                 const std::uint8_t* keep, float* y, std::int64_t count) {
  const float *scales = formats.scale, *inverses = formats.inverse;
  const float scale = scales[0], inverse = inverses[0];
  std::int32_t outside = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const float from = x[i] < limits.input_lo ? limits.input_lo : x[i];
    const float kept =
        kMasked ? from * static_cast<float>(static_cast<std::int32_t>(keep[i])) : from;
    const float product = kept * (kOneForAll ? scale : scales[i]);
    outside |= (product < kInt32End ? 0 : 1) | (product >= -kInt32End ? 0 : 1);
    y[i] = rounded<rounding>(clamped(product, limits)) * (kOneForAll ? inverse : inverses[i]);
  }
  return outside == 0;
}

template <Rounding rounding>
bool quantize_rounding(const ElementFormats& formats, CodeLimits limits, const float* x,
                       const std::uint8_t* keep, float* y, std::int64_t count) {
  if (formats.one_for_all)
    return keep != nullptr ? quantize_as<rounding, true, true>(formats, limits, x, keep, y, count)
                           : quantize_as<rounding, true, false>(formats, limits, x, keep, y, count);
  return keep != nullptr ? quantize_as<rounding, false, true>(formats, limits, x, keep, y, count)
                         : quantize_as<rounding, false, false>(formats, limits, x, keep, y, count);
}

bool quantize(Rounding rounding, const ElementFormats& formats, CodeLimits limits, const float* x,
              const std::uint8_t* keep, float* y, std::int64_t count) {
  switch (rounding) {
    case Rounding::kTowardZero:
      return quantize_rounding<Rounding::kTowardZero>(formats, limits, x, keep, y, count);
    case Rounding::kFloor:
      return quantize_rounding<Rounding::kFloor>(formats, limits, x, keep, y, count);
    case Rounding::kHalfEven:
      return quantize_rounding<Rounding::kHalfEven>(formats, limits, x, keep, y, count);
  }
  __builtin_unreachable();
}

template <bool kOneForAll, bool kGated, bool kMasked>
void gradient_as(const ElementFormats& formats, const float* gy, const float* gate,
                 const std::uint8_t* keep, float* gx, std::int64_t count) {
  const float *los = formats.value_lo, *his = formats.value_hi;
  const float first_lo = los[0], first_hi = his[0];
  for (std::int64_t i = 0; i < count; ++i) {
    const float lo = kOneForAll ? first_lo : los[i], hi = kOneForAll ? first_hi : his[i];
    float g = gy[i];
    if constexpr (kGated) g = gate[i] <= 0.0f ? 0.0f : g;
    g = g < lo ? lo : g;  // comparisons with NaN are false, so NaN passes
    g = g > hi ? hi : g;
    gx[i] = kMasked ? g * static_cast<float>(static_cast<std::int32_t>(keep[i])) : g;
  }
}

template <bool kOneForAll>
void gradient_of(const ElementFormats& formats, const float* gy, const float* gate,
                 const std::uint8_t* keep, float* gx, std::int64_t count) {
  if (gate != nullptr)
    return keep != nullptr
               ? gradient_as<kOneForAll, true, true>(formats, gy, gate, keep, gx, count)
               : gradient_as<kOneForAll, true, false>(formats, gy, gate, keep, gx, count);
  return keep != nullptr
             ? gradient_as<kOneForAll, false, true>(formats, gy, gate, keep, gx, count)
             : gradient_as<kOneForAll, false, false>(formats, gy, gate, keep, gx, count);
}

void quantize_gradient(const ElementFormats& formats, const float* gy, const float* gate,
                       const std::uint8_t* keep, float* gx, std::int64_t count) {
  if (formats.one_for_all) return gradient_of<true>(formats, gy, gate, keep, gx, count);
  gradient_of<false>(formats, gy, gate, keep, gx, count);
}

void mask(const float* x, const std::uint8_t* keep, float* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i)
    y[i] = x[i] * static_cast<float>(static_cast<std::int32_t>(keep[i]));
}

float largest_magnitude(const float* x, std::int64_t count) {
  float largest[kLanes] = {}, found = 0;
  std::int32_t nans[kLanes] = {}, any_nan = 0;
  const std::int64_t whole = count - count % kLanes;
  const auto look = [&](float value, int lane) {
    const float magnitude = value < 0 ? -value : value;
    largest[lane] = magnitude > largest[lane] ? magnitude : largest[lane];
    nans[lane] |= value != value ? 1 : 0;
  };
  for (std::int64_t i = 0; i < whole; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) look(x[i + lane], lane);
  for (std::int64_t i = whole; i < count; ++i) look(x[i], static_cast<int>(i - whole));
  for (int lane = 0; lane < kLanes; ++lane) {
    found = largest[lane] > found ? largest[lane] : found;
    any_nan |= nans[lane];
  }
  return any_nan != 0 ? __builtin_nanf("") : found;
}

template <Rounding rounding>
void add_errors(const ElementFormats& formats, int candidates, CodeLimits limits, const float* x,
                std::int64_t count, double* sums, double* saturated) {
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    const std::int64_t end = begin + kBlock < count ? begin + kBlock : count;
    const std::int64_t whole = end - (end - begin) % kLanes;
    for (int k = 0; k < candidates; ++k) {
      const float scale = formats.scale[k], inverse = formats.inverse[k];
      float all[kLanes] = {}, beyond[kLanes] = {};
      const auto add = [&](float value, int lane) {
        const float product = value * scale, v = clamped(product, limits);
        const float error = value - rounded<rounding>(v) * inverse;
        all[lane] += error * error;
        beyond[lane] += v != product ? error * error : 0.0f;
      };
      for (std::int64_t i = begin; i < whole; i += kLanes)
        for (int lane = 0; lane < kLanes; ++lane) add(x[i + lane], lane);
      for (std::int64_t i = whole; i < end; ++i) add(x[i], static_cast<int>(i - whole));
      for (int lane = 0; lane < kLanes; ++lane) {
        sums[k] += static_cast<double>(all[lane]);
        saturated[k] += static_cast<double>(beyond[lane]);
      }
    }
  }
}

void add_squared_errors(Rounding rounding, const ElementFormats& formats, int candidates,
                        CodeLimits limits, const float* x, std::int64_t count, double* sums,
                        double* saturated) {
  const auto add = [&](auto of_rounding) {
    of_rounding(formats, candidates, limits, x, count, sums, saturated);
  };
  switch (rounding) {
    case Rounding::kTowardZero:
      return add(add_errors<Rounding::kTowardZero>);
    case Rounding::kFloor:
      return add(add_errors<Rounding::kFloor>);
    case Rounding::kHalfEven:
      return add(add_errors<Rounding::kHalfEven>);
  }
  __builtin_unreachable();
}

constexpr Loops loops_named(const char* instruction_set) {
  return {instruction_set,   quantize,          quantize_gradient, mask,
          largest_magnitude, add_squared_errors};
}

}  // namespace
}  // namespace lockstep::train
