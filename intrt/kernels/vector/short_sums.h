// Sums of bytes whose channels are alike, in 16 bits: codes are multiplied with unsigned
// multipliers, and pairs of products added. What add.cpp of a variant that has such an instruction
// includes.
#pragma once

#include "intrt/kernels/kernel.h"

namespace intrt {
namespace {

struct ShortSums {
  const intrt_post_record& post;
  int32_t of_a, of_b, shift;
  bool fit;  // these sums do

  ShortSums(const OpToRun& op, const int32_t* multipliers)
      : post(params_of<intrt_add_params>(op.record).post),
        of_a(multipliers[0]),
        of_b(multipliers[op.output.channels]) {
    shift = post.kind == INTRT_POST_SHIFT ? *object_at<int8_t>(op.plan, post.shifts_offset) : -1;
    // 16 bits hold -128 * 256 to 127 * 256; rounding to zero adds up to 2^15 - 1 to what is
    // negative.
    fit = op.input.type == INTRT_INT8 && op.input_at(1).type == INTRT_INT8 &&
          op.output.type == INTRT_INT8 && of_a >= 0 && of_b >= 0 && of_a <= 255 && of_b <= 255 &&
          of_a + of_b <= 256 && shift >= 0 && shift <= 15 && post.mask_offset == 0 &&
          post.rounding != INTRT_ROUND_HALF_EVEN;
  }
  // To zero comes to the same where what is negative is clamped.
  bool round_down() const { return post.rounding == INTRT_ROUND_FLOOR || post.lo >= 0; }
  // A pair of multipliers as bytes.
  int16_t multipliers() const { return static_cast<int16_t>(of_b * 256 + of_a); }
};

// Adds `count` bytes.
using AddBytes = void (*)(const ShortSums& sums, const int8_t* a, const int8_t* b, size_t count,
                          int8_t* to);
// Elements of channels that are alike; false: they are not such sums.
inline bool add_short_sums(const OpToRun& op, const int32_t* multipliers, size_t begin,
                           size_t count, AddBytes rounding_down, AddBytes rounding_to_zero) {
  const ShortSums sums(op, multipliers);
  if (!sums.fit) return false;
  (sums.round_down() ? rounding_down : rounding_to_zero)(
      sums, static_cast<const int8_t*>(op.input_data_at(0)) + begin,
      static_cast<const int8_t*>(op.input_data_at(1)) + begin, count,
      static_cast<int8_t*>(op.output_data) + begin);
  return true;
}

}  // namespace
}  // namespace intrt
