// The scale of a post record as a float32 function: an FMA and a conversion instead of products of
// 64 bits. Include the variant's codes_by_floats before, and kSumsAreNearest: whether sums are
// rounded to the nearest float32, or in the direction in which they are converted.
//
// code = round(x * multiplier + addend), where x is converted to the nearest float32, the sum is
// rounded once, always alike, and the conversion rounds down or to zero. Each of the three steps
// never falls where its argument rises (and never rises, if the multiplier is negative), so the
// whole does not either. Hence, if it is at least j for the first x where the code is to be j or
// more, and less for the number before, for each code j that the clamp leaves, then its clamped
// codes are right for all 2^32 x. Exactly that is tested, with these instructions, for each
// channel; where it fails, those that are stored with the channel keep their integers. A channel
// with steps has its thresholds listed, and fares alike. There, often one threshold is not where a
// line has it: then the step one accumulator before or behind is tested, and the code of the
// accumulator between, the exception, is changed by one.
//
// Magnitudes stay below 2^31, so that the conversion has a result; all numbers are multiples of
// 2^-83, so none is denormal, and a program that flushes those gets the same codes.
#pragma once

#include "intrt/kernels/kernel.h"

namespace intrt {
namespace {

// What a channel's codes are to be, after the clamp.
struct ChannelSteps {
  static constexpr int kMost = 255;  // of codes of 8 bits

  int lo = 0, count = 0;  // codes lo .. lo + count
  int sign = 1;           // 1: codes never fall where x rises; -1: never rise
  double slope = 0;       // of the codes over sign * x, about; 0: unknown
  int64_t least[kMost];   // the least sign * x whose code is lo + 1 + i or more

  // Of a channel that is scaled; false: not in numbers of 64 bits.
  bool of_scale(int32_t multiplier, int64_t addend, int shift, bool toward_zero, int from, int to) {
    if (shift > 40 || to - from > kMost) return false;
    if (multiplier == 0) {  // one code
      const int64_t down = addend >> shift, last = (int64_t{1} << shift) - 1;
      const int64_t code = toward_zero && addend < 0 ? (addend + last) >> shift : down;
      lo = static_cast<int>(code < from ? from : code > to ? to : code);
      return true;
    }
    lo = from;
    count = to - from;
    sign = multiplier < 0 ? -1 : 1;
    const int64_t magnitude = multiplier < 0 ? -int64_t{multiplier} : multiplier;
    slope = static_cast<double>(magnitude) / static_cast<double>(int64_t{1} << shift);
    for (int i = 0; i < count; ++i) {
      const int code = lo + 1 + i;
      // The product is to be at least this.
      const int64_t product =
          (toward_zero && code <= 0 ? int64_t{code - 1} * (int64_t{1} << shift) + 1
                                    : int64_t{code} * (int64_t{1} << shift)) -
          addend;
      least[i] = product > 0 ? (product - 1) / magnitude + 1 : -(-product / magnitude);
    }
    return true;
  }

  // Of a channel with `n` thresholds; false: its codes rise and fall.
  bool of_thresholds(const int32_t* thresholds, uint32_t n, const int16_t* codes) {
    bool rises = true, falls = true;
    for (uint32_t k = 0; k < n; ++k) {
      rises = rises && codes[k] <= codes[k + 1];
      falls = falls && codes[k] >= codes[k + 1];
    }
    if (!rises && !falls) return false;
    sign = rises ? 1 : -1;
    lo = rises ? codes[0] : codes[n];
    count = (rises ? codes[n] : codes[0]) - lo;
    if (count > kMost) return false;
    for (int i = 0; i < count; ++i) {
      uint32_t k = 0;  // the first threshold behind which the code is lo + 1 + i or more, or less
      while ((codes[k + 1] > lo + i) != rises) ++k;
      least[i] = rises ? int64_t{thresholds[k]} : 1 - int64_t{thresholds[k]};
    }
    return true;
  }
};

// The least power of two that is not below x >= 1.
inline double power_from(int x) {
  double power = 1;
  while (power < x) power *= 2;
  return power;
}
// The number from which on a sum, once rounded, has at least `code` or, to zero and not above 0,
// behind which it has. To the nearest, half of what lies between two float32 numbers counts, too.
inline double begin_of(int code, bool toward_zero) {
  const bool is_behind = toward_zero && code <= 0;
  const int begin = is_behind ? code - 1 : code;
  if (!kSumsAreNearest || begin == 0) return begin;
  if (is_behind) return begin + power_from(-begin) * 0x1p-25;
  return begin - power_from(begin > 0 ? begin : 1 - begin) * 0x1p-25;
}

struct FloatScale {
  float multiplier, addend;
  int32_t exception, change;  // the code of one accumulator is so much more
};

inline int64_t between(int64_t lo, int64_t hi, int64_t x) { return x < lo ? lo : x > hi ? hi : x; }

// The addends with which slope * x + addend has all steps where they are to be: at least `least`,
// and below `below`; none if that is not above.
struct Addends {
  double least = -1e30, below = 1e30;
  int of_least = 0, of_below = 0;  // the steps that ask for these

  Addends(const ChannelSteps& steps, bool toward_zero, double slope) {
    for (int i = 0; i < steps.count; ++i) {
      const int code = steps.lo + 1 + i;
      const double from = begin_of(code, toward_zero);
      const auto addend_at = [&](int64_t x) {
        return from - slope * static_cast<double>(static_cast<float>(x));
      };
      if (steps.least[i] <= INT32_MAX) {
        const double a = addend_at(between(INT32_MIN, INT32_MAX, steps.least[i]));
        if (a > least) least = a, of_least = i;
      }
      if (steps.least[i] > INT32_MIN) {
        const double a = addend_at(between(INT32_MIN, INT32_MAX, steps.least[i] - 1));
        if (a < below) below = a, of_below = i;
      }
    }
  }
  double width() const { return below - least; }
};

// All steps are where they are to be: see above.
template <bool kTowardZero>
inline bool steps_are_right(const ChannelSteps& steps, const FloatScale& scale) {
  // Of sign * x. Steps outside are never reached, or always were.
  const int64_t begin = steps.sign > 0 ? INT32_MIN : -int64_t{INT32_MAX};
  const int64_t end = steps.sign > 0 ? INT32_MAX : -int64_t{INT32_MIN};
  const auto x_at = [&](int64_t place) {
    return static_cast<int32_t>(steps.sign * between(begin, end, place));
  };
  for (int first = 0; first < steps.count; first += kFloatsAtOnce) {
    const int left = steps.count - first, count = left < kFloatsAtOnce ? left : kFloatsAtOnce;
    int32_t at[kFloatsAtOnce] = {}, before[kFloatsAtOnce] = {};
    for (int i = 0; i < count; ++i) {
      at[i] = x_at(steps.least[first + i]);
      before[i] = x_at(steps.least[first + i] - 1);
    }
    int32_t found[kFloatsAtOnce], found_before[kFloatsAtOnce];
    codes_by_floats<kTowardZero>(at, scale.multiplier, scale.addend, found);
    codes_by_floats<kTowardZero>(before, scale.multiplier, scale.addend, found_before);
    for (int i = 0; i < count; ++i) {
      const int64_t least = steps.least[first + i];
      const int wanted = steps.lo + 1 + first + i;
      if ((least <= end && found[i] < wanted) || (least > begin && found_before[i] >= wanted))
        return false;
    }
  }
  return true;
}

// Float32 numbers next to each other: `places` behind x > 0.
inline float float_behind(float x, int places) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  bits += static_cast<uint32_t>(places);
  __builtin_memcpy(&x, &bits, 4);
  return x;
}

// Slopes are at most this: from one change of codes to the next it is three x or more.
constexpr double kMostSlope = 0.25;

// The slope that leaves most room for the addend, of a channel of which only the steps are known;
// 0: none.
inline double widest_slope(const ChannelSteps& steps, bool toward_zero) {
  const int64_t first = between(INT32_MIN, INT32_MAX, steps.least[0]),
                last = between(INT32_MIN, INT32_MAX, steps.least[steps.count - 1]);
  if (steps.count < 3 || last - first < 2) return 0;
  for (int i = 1; i < steps.count; ++i)
    if (steps.least[i] < steps.least[i - 1] + 3) return 0;
  const double codes =
      begin_of(steps.lo + steps.count, toward_zero) - begin_of(steps.lo + 1, toward_zero);
  double from = codes / static_cast<double>(last - first + 1),
         to = codes / static_cast<double>(last - first - 1);
  for (int i = 0; i < 40; ++i) {  // the room is a concave function of the slope
    const double a = from + (to - from) / 3, b = to - (to - from) / 3;
    if (Addends(steps, toward_zero, a).width() < Addends(steps, toward_zero, b).width())
      from = a;
    else
      to = b;
  }
  return (from + to) / 2;
}

// Without an exception. False: there is none, or it was not found.
template <bool kTowardZero>
inline bool find_line(const ChannelSteps& steps, FloatScale& found) {
  constexpr double kLeast = 0x1p-60, kMostAddend = 0x1p29;
  if (steps.count == 0) {
    found = {0, static_cast<float>(steps.lo), 0, 0};
    return true;
  }
  const double slope = steps.slope != 0 ? steps.slope : widest_slope(steps, kTowardZero);
  if (!(slope >= kLeast && slope <= kMostSlope)) return false;
  constexpr int kPlaces[] = {0, -1, 1, -2, 2};
  for (const int places : kPlaces) {
    const float multiplier = float_behind(static_cast<float>(slope), places);
    const Addends addends(steps, kTowardZero, static_cast<double>(multiplier));
    if (!(addends.width() > 0)) continue;
    const float addend = static_cast<float>(addends.least + addends.width() / 2);
    const float magnitude = addend < 0 ? -addend : addend;
    if ((addend != 0 && magnitude < static_cast<float>(kLeast)) ||
        magnitude > static_cast<float>(kMostAddend))
      continue;
    found = {steps.sign < 0 ? -multiplier : multiplier, addend, 0, 0};
    if (steps_are_right<kTowardZero>(steps, found)) return true;
  }
  return false;
}

// The same with at most one exception, for a channel of which only the steps are known.
template <bool kTowardZero>
inline bool find_float_scale(const ChannelSteps& steps, FloatScale& found) {
  if (find_line<kTowardZero>(steps, found)) return true;
  if (steps.count == 0 || steps.slope != 0) return false;
  const Addends addends(steps, kTowardZero, widest_slope(steps, kTowardZero));
  // The two steps that are in each other's way: of one that comes too late for the line, the line's
  // is one later; of the other, one earlier.
  for (int way = 0; way < 2; ++way) {
    const bool is_later = way == 0;
    ChannelSteps moved = steps;
    int64_t& step = moved.least[is_later ? addends.of_least : addends.of_below];
    const int64_t exception = is_later ? step : step - 1;
    const int wanted = steps.lo + (is_later ? addends.of_least + 1 : addends.of_below);
    if (exception <= INT32_MIN || exception > INT32_MAX) continue;
    step += is_later ? 1 : -1;
    if (!find_line<kTowardZero>(moved, found)) continue;
    found.exception = static_cast<int32_t>(steps.sign * exception);
    found.change = is_later ? 1 : -1;
    const int32_t x[kFloatsAtOnce] = {found.exception};
    int32_t codes[kFloatsAtOnce];
    codes_by_floats<kTowardZero>(x, found.multiplier, found.addend, codes);
    if (codes[0] + found.change == wanted) return true;
  }
  return false;
}

// Of channel c of a post record, for accumulators less `start`. False: there is none, or it was not
// found. The clamp's limits become the least and the greatest code, where the channel has steps.
template <bool kTowardZero>
inline bool find_float_scale_of(const intrt_plan& plan, const intrt_post_record& post, uint32_t c,
                                int64_t start, int32_t& lo, int32_t& hi, FloatScale& found) {
  ChannelSteps steps;
  const uint32_t* starts =
      post.starts_offset == 0 ? nullptr : object_at<uint32_t>(plan, post.starts_offset);
  if (starts != nullptr && starts[c] != starts[c + 1]) {
    if (!steps.of_thresholds(object_at<int32_t>(plan, post.thresholds_offset) + starts[c],
                             starts[c + 1] - starts[c],
                             object_at<int16_t>(plan, post.codes_offset) + starts[c] + c))
      return false;
    lo = steps.lo;
    hi = steps.lo + steps.count;
  } else if (!steps.of_scale(object_at<int32_t>(plan, post.multipliers_offset)[c],
                             object_at<int64_t>(plan, post.addends_offset)[c],
                             object_at<int8_t>(plan, post.shifts_offset)[c], kTowardZero, lo, hi)) {
    return false;
  }
  for (int i = 0; i < steps.count; ++i) steps.least[i] -= steps.sign * start;
  return find_float_scale<kTowardZero>(steps, found);
}

}  // namespace
}  // namespace intrt
