// What a kernel gets and how it puts a result down. A kernel runs one operator of a plan that
// opened, so it checks nothing. Its file also holds intrt_check_<op>: what it relies on stands
// beside it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "intrt/arith.h"
#include "intrt/check.h"
#include "intrt/plan_view.h"

namespace intrt {

struct OpToRun {
  const intrt_plan& plan;
  const intrt_op_record& record;
  const intrt_tensor_record& input;
  const intrt_tensor_record& output;
  const void* input_data;
  void* output_data;
};

using Kernel = void (*)(const OpToRun& op);

inline int32_t load_code(const void* data, uint32_t type, size_t i) {
  switch (type) {
    case INTRT_INT8:
      return static_cast<const int8_t*>(data)[i];
    case INTRT_INT16:
      return static_cast<const int16_t*>(data)[i];
    default:
      return static_cast<const int32_t*>(data)[i];
  }
}

inline void store_code(void* data, uint32_t type, size_t i, int32_t code) {
  switch (type) {
    case INTRT_INT8:
      static_cast<int8_t*>(data)[i] = static_cast<int8_t>(code);
      break;
    case INTRT_INT16:
      static_cast<int16_t*>(data)[i] = static_cast<int16_t>(code);
      break;
    default:
      static_cast<int32_t*>(data)[i] = code;
  }
}

// A post record at work: requantize, mask, store.
class PostOp {
 public:
  PostOp(const OpToRun& op, const intrt_post_record& post)
      : post_(post),
        shifts_(object_at<int8_t>(op.plan, post.shifts_offset)),
        mask_(post.mask_offset == 0 ? nullptr : object_at<uint8_t>(op.plan, post.mask_offset)),
        output_(op.output_data),
        type_(op.output.type) {}

  // `element` counts in physical order; `channel` is the element's channel.
  void store(size_t element, uint32_t channel, int32_t acc) const {
    int32_t code = acc;
    if (post_.kind == INTRT_POST_SHIFT)
      code = intrt_requantize(acc, shifts_[post_.shift_count == 1 ? 0 : channel], post_.rounding,
                              post_.lo, post_.hi);
    if (mask_ != nullptr && (mask_[element / 8] >> (element % 8) & 1) == 0) code = 0;
    store_code(output_, type_, element, code);
  }

 private:
  const intrt_post_record& post_;
  const int8_t* shifts_;
  const uint8_t* mask_;
  void* output_;
  uint32_t type_;
};

// The taps of a window that lie inside the input along one axis: first, first + 1, ... below `end`;
// tap k reads position start + k * dilation. After the check all values stay far below 2^31.
struct Taps {
  int32_t first, end;

  Taps(int32_t start, int32_t dilation, int32_t kernel, int32_t input)
      : first(start >= 0 ? 0 : ceil_div(-start, dilation)), end(kernel) {
    const int32_t inside = ceil_div(input - start, dilation);  // taps below the input's end
    if (inside < end) end = inside;
  }

 private:
  static int32_t ceil_div(int32_t x, int32_t divisor) {
    return x <= 0 ? 0 : divisor == 1 ? x : (x - 1) / divisor + 1;
  }
};

// Sum of products; its order does not matter, because the check has bounded the sum of magnitudes.
template <typename X, typename W>
inline int32_t dot(const X* x, const W* w, size_t n) {
  int32_t acc = 0;
  for (size_t i = 0; i < n; ++i) acc += static_cast<int32_t>(x[i]) * w[i];
  return acc;
}

}  // namespace intrt

#define INTRT_OP(code, name) void intrt_scalar_##name(const intrt::OpToRun& op);
#include "intrt/op_list.def"
#undef INTRT_OP
