// Registers of 256 bits: what variants with AVX2 have in common. A vector.h or wide.h includes
// this.
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

namespace intrt {
namespace {  // compiled for a variant's instructions, so nothing may be shared with other files

constexpr size_t kLanes = 8;
using Vector = __m256i;   // kLanes numbers of 32 bits
using Packed = uint64_t;  // as many bytes
using Bytes16 = __m128i;  // 16 codes

// The most windows of a tile with 1, 2 and 4 blocks of kLanes outputs: with weights, a code and a
// product they are to fit the 16 registers of AVX2. Four blocks pay where few windows are beside
// each other.
constexpr int kMostWindowsOf1 = 12, kMostWindowsOf2 = 6, kMostWindowsOf4 = 2;
constexpr size_t kFourBlocksUpTo = kMostWindowsOf4;

inline Vector load(const int32_t* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(static_cast<const void*>(from)));
}
inline void store(int32_t* to, Vector x) {
  _mm256_storeu_si256(static_cast<__m256i*>(static_cast<void*>(to)), x);
}
// Is worked out here: compilers would rather add up all products at the end, for which there are
// not enough registers.
inline void in_register(Vector& x) { __asm__("" : "+x"(x)); }
inline Vector all(int32_t x) { return _mm256_set1_epi32(x); }
inline Vector add(Vector a, Vector b) { return _mm256_add_epi32(a, b); }
inline Vector subtract(Vector a, Vector b) { return _mm256_sub_epi32(a, b); }
inline Vector multiply(Vector a, Vector b) { return _mm256_mullo_epi32(a, b); }
inline Vector least(Vector a, Vector b) { return _mm256_min_epi32(a, b); }
inline Vector greatest(Vector a, Vector b) { return _mm256_max_epi32(a, b); }
inline Vector bits_in_both(Vector a, Vector b) { return _mm256_and_si256(a, b); }
// -1 where a > b, else 0.
inline Vector greater(Vector a, Vector b) { return _mm256_cmpgt_epi32(a, b); }
// -1 where a == b, else 0.
inline Vector equal(Vector a, Vector b) { return _mm256_cmpeq_epi32(a, b); }
// Shifts by 0..31, and by 32 where bits are shifted in.
inline Vector shift_right(Vector x, Vector by) { return _mm256_srav_epi32(x, by); }
inline Vector shift_left(Vector x, Vector by) { return _mm256_sllv_epi32(x, by); }
inline Vector shift_right_unsigned(Vector x, Vector by) { return _mm256_srlv_epi32(x, by); }

inline Vector widen(Packed codes) {
  return _mm256_cvtepi8_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(codes)));
}

// Four vectors of codes, saturated to bytes.
using Packed4 = __m256i;
inline Packed4 load_packed4(const int8_t* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(static_cast<const void*>(from)));
}
inline void store_packed4(int8_t* to, Packed4 x) {
  _mm256_storeu_si256(static_cast<__m256i*>(static_cast<void*>(to)), x);
}
// Saturated to 16 bits, and those to bytes: with vectors in the order in which codes are stacked
// (vector/depthwise_3x3.h), for the lower halves of all four come first.
using PackedWords = __m256i;
inline PackedWords pack_words(Vector a, Vector b) { return _mm256_packs_epi32(a, b); }
inline Packed4 pack_bytes(PackedWords ab, PackedWords cd) { return _mm256_packs_epi16(ab, cd); }
inline Packed4 pack_stacked(Vector a, Vector b, Vector c, Vector d) {
  return pack_bytes(pack_words(a, b), pack_words(c, d));
}
inline Packed4 pack4(Vector a, Vector b, Vector c, Vector d) {
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  return _mm256_permutevar8x32_epi32(pack_stacked(a, b, c, d), order);
}
inline Packed4 clamped4(Packed4 x, Packed4 lo, Packed4 hi) {
  return _mm256_min_epi8(_mm256_max_epi8(x, lo), hi);
}
// To 4 / V places, `step` apart.
template <int V>
inline void store_places(int8_t* to, size_t step, Packed4 x) {
  if (V == 4) return store_packed4(to, x);
  const __m128i low = _mm256_castsi256_si128(x), high = _mm256_extracti128_si256(x, 1);
  if (V == 2) {
    _mm_storeu_si128(static_cast<__m128i*>(static_cast<void*>(to)), low);
    _mm_storeu_si128(static_cast<__m128i*>(static_cast<void*>(to + step)), high);
    return;
  }
  const int64_t places[] = {_mm_cvtsi128_si64(low), _mm_extract_epi64(low, 1),
                            _mm_cvtsi128_si64(high), _mm_extract_epi64(high, 1)};
  for (size_t i = 0; i < 4; ++i) __builtin_memcpy(to + i * step, places + i, 8);
}

inline Bytes16 load_bytes(const int8_t* from) {
  return _mm_loadu_si128(static_cast<const __m128i*>(static_cast<const void*>(from)));
}
inline void store_bytes(void* to, Bytes16 x) { _mm_storeu_si128(static_cast<__m128i*>(to), x); }
inline Bytes16 greatest_bytes(Bytes16 a, Bytes16 b) { return _mm_max_epi8(a, b); }

// Scales as float32 functions. They round as MXCSR says.
using Floats = __m256;
inline Floats load(const float* from) { return _mm256_loadu_ps(from); }
// To nearest, and inexact results raise nothing.
inline bool floats_round_to_nearest() { return (_mm_getcsr() & 0x7000) == 0x1000; }
template <bool kTowardZero>
inline Vector scaled_by_floats(Vector x, Floats multiplier, Floats addend) {
  const Floats code = _mm256_fmadd_ps(_mm256_cvtepi32_ps(x), multiplier, addend);
  return _mm256_cvttps_epi32(
      kTowardZero ? code : _mm256_round_ps(code, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
}

// intrt_scale, saturated to 32 bits instead of clamped. Products are made in 64 bits, of even and
// of odd lanes.
class Scale {
 public:
  Scale() = default;
  // shifts: 0..62.
  Scale(const int32_t (&multipliers)[kLanes], const int64_t (&addends)[kLanes],
        const int32_t (&shifts)[kLanes]) {
    // Where all shifts can be made 32 by multiplying multiplier and addend, the result is the upper
    // half of the 64 bits.
    alignas(32) int64_t multiplier[2][kLanes / 2], addend[2][kLanes / 2], shift[2][kLanes / 2];
    is_high_ = true;
    for (size_t i = 0; i < kLanes; ++i)
      is_high_ = is_high_ && fits(multipliers[i], addends[i], shifts[i]);
    for (size_t i = 0; i < kLanes; ++i) {
      const int64_t factor = is_high_ ? int64_t{1} << (32 - shifts[i]) : 1;
      multiplier[i % 2][i / 2] = multipliers[i] * factor;
      addend[i % 2][i / 2] = addends[i] * factor;
      shift[i % 2][i / 2] = shifts[i];
    }
    for (size_t half = 0; half < 2; ++half) {
      multipliers_[half] = load_wide(multiplier[half]);
      addends_[half] = load_wide(addend[half]);
      shifts_[half] = load_wide(shift[half]);
    }
  }

  template <bool kTowardZero>
  Vector of(Vector x) const {
    return is_high_ ? high<kTowardZero>(x) : any<kTowardZero>(x);
  }

 private:
  static bool fits(int64_t multiplier, int64_t addend, int32_t shift) {
    if (shift > 32) return false;
    const int64_t factor = int64_t{1} << (32 - shift);
    constexpr int64_t kMost = INT64_C(0x3FFFFFFFFFFFFFFF);  // of an addend
    const int64_t scaled = multiplier * factor;
    return scaled >= INT32_MIN && scaled <= INT32_MAX && addend <= kMost / factor &&
           addend >= -(kMost / factor);
  }
  static __m256i load_wide(const int64_t (&numbers)[kLanes / 2]) {
    return _mm256_load_si256(static_cast<const __m256i*>(static_cast<const void*>(numbers)));
  }
  static __m256i negative(__m256i x) { return _mm256_cmpgt_epi64(_mm256_setzero_si256(), x); }

  template <bool kTowardZero>
  Vector high(Vector x) const {
    __m256i even = _mm256_add_epi64(_mm256_mul_epi32(x, multipliers_[0]), addends_[0]);
    __m256i odd =
        _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(x, 32), multipliers_[1]), addends_[1]);
    if (kTowardZero) {  // 2^32 - 1 where it is negative
      even = _mm256_add_epi64(even, _mm256_srli_epi64(negative(even), 32));
      odd = _mm256_add_epi64(odd, _mm256_srli_epi64(negative(odd), 32));
    }
    return _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
  }

  template <bool kTowardZero>
  Vector any(Vector x) const {
    const __m256i even = wide<kTowardZero>(x, 0),
                  odd = wide<kTowardZero>(_mm256_srli_epi64(x, 32), 1);
    return _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
  }
  template <bool kTowardZero>
  __m256i wide(__m256i x, int half) const {
    __m256i y = _mm256_add_epi64(_mm256_mul_epi32(x, multipliers_[half]), addends_[half]);
    if (kTowardZero) {
      const __m256i ones = _mm256_set1_epi64x(1);
      const __m256i below = _mm256_sub_epi64(_mm256_sllv_epi64(ones, shifts_[half]), ones);
      y = _mm256_add_epi64(y, _mm256_and_si256(negative(y), below));
    }
    // The complement of a negative number, shifted without its sign.
    const __m256i sign = negative(y);
    y = _mm256_xor_si256(_mm256_srlv_epi64(_mm256_xor_si256(y, sign), shifts_[half]), sign);
    const __m256i most = _mm256_set1_epi64x(INT32_MAX), least = _mm256_set1_epi64x(INT32_MIN);
    y = _mm256_blendv_epi8(y, most, _mm256_cmpgt_epi64(y, most));
    return _mm256_blendv_epi8(y, least, _mm256_cmpgt_epi64(least, y));
  }

  __m256i multipliers_[2]{}, addends_[2]{}, shifts_[2]{};  // of even and of odd lanes
  bool is_high_ = false;
};

}  // namespace
}  // namespace intrt
