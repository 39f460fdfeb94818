// What a kernel gets and how it puts a result down. A kernel runs one operator of a plan that
// opened, so it checks nothing. The operator's file also holds intrt_check_<op>: what kernels rely
// on stands beside them.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "intrt/arith.h"
#include "intrt/check.h"
#include "intrt/kernel_choice.h"
#include "intrt/kernels.h"
#include "intrt/plan_view.h"
#include "intrt/step_tables.h"

namespace intrt {

// What of an operator's output to compute: its slices number begin to end - 1. Slices are rows, or
// whatever else of the output a kernel can compute on its own; those of one operator may be
// computed at the same time, so computing one writes no byte of another.
struct Slices {
  uint32_t begin, end;
};

struct OpToRun {
  const intrt_plan& plan;
  const intrt_op_record& record;
  const intrt_tensor_record& input;  // the first
  const intrt_tensor_record& output;
  const void* input_data;  // of the first
  void* output_data;
  void* arena;
  Slices slices;
  const void* prepared = nullptr;           // what FastKernel::prepare wrote for this operator
  const StepTables* step_tables = nullptr;  // with `prepared`, where the post record has steps
  const void* second_data = nullptr;        // of the second input, if not in its place in the arena

  const intrt_tensor_record& input_at(uint32_t i) const { return input_record(plan, record, i); }
  const void* input_data_at(uint32_t i) const {
    if (i == 0) return input_data;
    if (i == 1 && second_data != nullptr) return second_data;
    return intrt_tensor_data(&plan, arena, input_index(plan, record, i));
  }
};

// What kernels come in, best first; cpu_features.h says which of them this CPU can run. Variants
// differ in speed alone. INTRT_FAST_VARIANTS(F, name) is F(variant, name) for those that the
// compiler builds, without the last, scalar, which every kernel has.
#ifdef INTRT_WITH_AVX512VNNI
#define INTRT_IF_AVX512VNNI(F, name) F(avx512vnni, name)
#else
#define INTRT_IF_AVX512VNNI(F, name)
#endif
#ifdef INTRT_WITH_AVXVNNI
#define INTRT_IF_AVXVNNI(F, name) F(avxvnni, name)
#else
#define INTRT_IF_AVXVNNI(F, name)
#endif
#ifdef INTRT_WITH_AVX2
#define INTRT_IF_AVX2(F, name) F(avx2, name)
#else
#define INTRT_IF_AVX2(F, name)
#endif
#ifdef INTRT_WITH_NEONDOT
#define INTRT_IF_NEONDOT(F, name) F(neondot, name)
#else
#define INTRT_IF_NEONDOT(F, name)
#endif
#define INTRT_FAST_VARIANTS(F, name) \
  INTRT_IF_AVX512VNNI(F, name)       \
  INTRT_IF_AVXVNNI(F, name) INTRT_IF_AVX2(F, name) INTRT_IF_NEONDOT(F, name)

enum Variant : uint32_t {
#define INTRT_VARIANT_NUMBER(variant, name) kVariant_##variant,
  INTRT_FAST_VARIANTS(INTRT_VARIANT_NUMBER, )
#undef INTRT_VARIANT_NUMBER
      kScalar,
  kVariants
};

struct OpToPrepare {
  const intrt_plan& plan;
  const intrt_op_record& record;
  const intrt_tensor_record& input;  // the first
  const intrt_tensor_record& output;
  bool input_never_negative = false;        // known for `prepared_bytes` and `prepare`
  const StepTables* step_tables = nullptr;  // for `prepare`, where the post record has steps
};

// How slices follow the rows of an output: the first `slices` are its first `rows`, the next its
// next; the last may have fewer rows. 0 rows: they do not.
struct RowSlices {
  uint32_t rows, slices;
};

// A kernel in a variant other than scalar, which may have the operator's weights in its own order.
struct FastKernel {
  bool (*takes)(const OpToPrepare& op);  // no: the operator is left to the next variant
  void (*run)(const OpToRun& op);
  // How much memory it prepares; null: none.
  size_t (*prepared_bytes)(const OpToPrepare& op);
  // Fills so many bytes, aligned to INTRT_PREPARED_ALIGNMENT and 0 before, which `run` then finds.
  void (*prepare)(const OpToPrepare& op, void* memory);
  // How many slices the output has; null: `run` computes all of it, whatever slices it is given.
  uint32_t (*slices)(const OpToPrepare& op);
  // Null: they do not follow rows. Otherwise `run` may be given slices of an input of which only
  // the rows under them are there, for a conv2d 3 times the dilation behind these, too (chain.h).
  RowSlices (*row_slices)(const OpToPrepare& op) = nullptr;
};

inline int32_t load_code(const void* data, uint32_t type, size_t i) {
  switch (type) {
    case INTRT_INT8:
      return static_cast<const int8_t*>(data)[i];
    case INTRT_INT16:
      return static_cast<const int16_t*>(data)[i];
    case INTRT_UINT8:
      return static_cast<const uint8_t*>(data)[i];
    default:
      return static_cast<const int32_t*>(data)[i];
  }
}

// Calls f with a pointer to codes of 8 or 16 bits.
template <typename F>
inline void with_codes(const void* data, uint32_t type, const F& f) {
  if (type == INTRT_INT8)
    f(static_cast<const int8_t*>(data));
  else
    f(static_cast<const int16_t*>(data));
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

// One bit for each element of the output, in physical order; none: everything is kept.
class Mask {
 public:
  Mask(const intrt_plan& plan, uint32_t offset)
      : bits_(offset == 0 ? nullptr : object_at<uint8_t>(plan, offset)) {}

  bool keeps(size_t element) const {
    return bits_ == nullptr || (bits_[element / 8] >> (element % 8) & 1) != 0;
  }

 private:
  const uint8_t* bits_;
};

// A post record at work: requantize or scale, mask, store.
class PostOp {
 public:
  PostOp(const OpToRun& op, const intrt_post_record& post)
      : post_(post),
        plan_(op.plan),
        shifts_(object_at<int8_t>(op.plan, post.shifts_offset)),
        mask_(op.plan, post.mask_offset),
        output_(op.output_data),
        type_(op.output.type) {}

  // `element` counts in physical order; `channel` is the element's channel.
  void store(size_t element, uint32_t channel, int32_t acc) const {
    int32_t code = acc;
    if (post_.kind == INTRT_POST_SHIFT)
      code = intrt_requantize(acc, shifts_[post_.shift_count == 1 ? 0 : channel], post_.rounding,
                              post_.lo, post_.hi);
    else if (post_.kind == INTRT_POST_SCALE)
      code = scale(channel, acc);
    if (!mask_.keeps(element)) code = 0;
    store_code(output_, type_, element, code);
  }
  // A wide accumulator, which is always shifted.
  void store(size_t element, uint32_t channel, int64_t acc) const {
    const int shift = shifts_[post_.shift_count == 1 ? 0 : channel];
    int32_t code = intrt_requantize_wide(acc, shift, post_.rounding, post_.lo, post_.hi);
    if (!mask_.keeps(element)) code = 0;
    store_code(output_, type_, element, code);
  }

 private:
  int32_t scale(uint32_t channel, int32_t acc) const {
    if (post_.starts_offset != 0) {
      const uint32_t* starts = array<uint32_t>(post_.starts_offset);
      const uint32_t start = starts[channel], count = starts[channel + 1] - start;
      if (count != 0)
        return intrt_step(acc, array<int32_t>(post_.thresholds_offset) + start, count,
                          array<int16_t>(post_.codes_offset) + start + channel);
    }
    const int16_t* limits = array<int16_t>(post_.limits_offset) + 2 * static_cast<size_t>(channel);
    return intrt_scale(acc, array<int32_t>(post_.multipliers_offset)[channel],
                       array<int64_t>(post_.addends_offset)[channel], shifts_[channel],
                       post_.rounding, limits[0], limits[1]);
  }

  template <typename T>
  const T* array(uint32_t offset) const {
    return object_at<T>(plan_, offset);
  }

  const intrt_post_record& post_;
  const intrt_plan& plan_;
  const int8_t* shifts_;
  Mask mask_;
  void* output_;
  uint32_t type_;
};

// An operator at work and its post record, whose place differs from operator to operator.
struct PostTarget {
  const OpToRun& op;
  const intrt_post_record& post;

  int8_t* bytes() const { return static_cast<int8_t*>(op.output_data); }
};

// Whether a number may be clamped, before a shift to the left, to those that stay in 32 bits. The
// greatest of these becomes 2^31 - 2^shift, at least 2^30, the least -2^31: no limit lies beyond.
inline bool saturates(int32_t left_shift, int32_t lo, int32_t hi) {
  constexpr int32_t kMost = 1 << 30;
  return left_shift <= 30 && lo >= -kMost && hi <= kMost;
}

// Goes through an input of an element-wise operator in the order of the output's elements. Along an
// axis where the input has size 1 it stands still.
class Spread {
 public:
  Spread(const intrt_tensor_record& input, const void* data, const intrt_tensor_record& output)
      : data_(data),
        type_(input.type),
        channel_step_(input.channels == output.channels ? 1 : 0),
        column_step_(input.width == output.width ? input.channels : 0),
        row_step_(input.height == output.height ? static_cast<size_t>(input.width) * input.channels
                                                : 0) {}

  void start_pixel(size_t y, size_t x) { pixel_ = y * row_step_ + x * column_step_; }
  int32_t code(uint32_t channel) const {
    return load_code(data_, type_, pixel_ + channel * channel_step_);
  }

 private:
  const void* data_;
  uint32_t type_;
  size_t channel_step_, column_step_, row_step_, pixel_ = 0;
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

// Weights of 32 bits are summed up in 64, others in 32.
template <typename W>
struct AccumulatorOf {
  using Type = int32_t;
};
template <>
struct AccumulatorOf<int32_t> {
  using Type = int64_t;
};
template <typename W>
using Accumulator = typename AccumulatorOf<W>::Type;

// Calls f with one element of the input's and one of the weights' type, of which at least one has
// more than 8 bits; only their types matter. Weights of segments have at most 16.
template <typename F>
inline void with_wide_segment_types(uint32_t input_type, uint32_t weight_type, F f) {
  if (input_type == INTRT_INT8) return f(int8_t{}, int16_t{});
  return weight_type == INTRT_INT8 ? f(int16_t{}, int8_t{}) : f(int16_t{}, int16_t{});
}
template <typename F>
inline void with_wide_types(uint32_t input_type, uint32_t weight_type, F f) {
  if (weight_type != INTRT_INT32) return with_wide_segment_types(input_type, weight_type, f);
  return input_type == INTRT_INT8 ? f(int8_t{}, int32_t{}) : f(int16_t{}, int32_t{});
}

// Sum of products; its order does not matter, because the check has bounded the sum of magnitudes.
template <typename X, typename W>
inline Accumulator<W> dot(const X* x, const W* w, size_t n) {
  Accumulator<W> acc = 0;
  for (size_t i = 0; i < n; ++i) acc += static_cast<Accumulator<W>>(x[i]) * w[i];
  return acc;
}

}  // namespace intrt

struct intrt_kernel {
  intrt::KernelId id;
  intrt_status (*check)(intrt::Checker& checker, const intrt::OpToCheck& op);
  void (*run)(const intrt::OpToRun& op);
  const intrt::FastKernel* fast[intrt::kVariants];  // null: not in this variant; kScalar has none
};

// The kernel `name` of an operator; then what runs it. DEFINE_FAST: it also comes in the other
// variants.
#define INTRT_DEFINE_KERNEL(operator_name, name, ...) \
  const intrt_kernel intrt_kernel_##name = {          \
      intrt::kKernel_##name, intrt_check_##operator_name, __VA_ARGS__, {}};
#define INTRT_FAST_POINTER(variant, name) &intrt_##variant##_##name,
#define INTRT_DEFINE_FAST_KERNEL(operator_name, name, ...)               \
  const intrt_kernel intrt_kernel_##name = {intrt::kKernel_##name,       \
                                            intrt_check_##operator_name, \
                                            __VA_ARGS__,                 \
                                            {INTRT_FAST_VARIANTS(INTRT_FAST_POINTER, name)}};

#define INTRT_DECLARE_FAST(variant, name) extern const intrt::FastKernel intrt_##variant##_##name;
INTRT_FAST_VARIANTS(INTRT_DECLARE_FAST, add)
INTRT_FAST_VARIANTS(INTRT_DECLARE_FAST, avg_pool2d)
INTRT_FAST_VARIANTS(INTRT_DECLARE_FAST, conv2d)
INTRT_FAST_VARIANTS(INTRT_DECLARE_FAST, conv2d_sparse)
INTRT_FAST_VARIANTS(INTRT_DECLARE_FAST, conv2d_sparse_wide)
INTRT_FAST_VARIANTS(INTRT_DECLARE_FAST, conv2d_wide)
INTRT_FAST_VARIANTS(INTRT_DECLARE_FAST, conv_transpose2d)
INTRT_FAST_VARIANTS(INTRT_DECLARE_FAST, conv_transpose2d_wide)
INTRT_FAST_VARIANTS(INTRT_DECLARE_FAST, linear)
INTRT_FAST_VARIANTS(INTRT_DECLARE_FAST, linear_sparse)
INTRT_FAST_VARIANTS(INTRT_DECLARE_FAST, linear_sparse_wide)
INTRT_FAST_VARIANTS(INTRT_DECLARE_FAST, linear_wide)
INTRT_FAST_VARIANTS(INTRT_DECLARE_FAST, max_pool2d)
INTRT_FAST_VARIANTS(INTRT_DECLARE_FAST, requantize)
#undef INTRT_DECLARE_FAST
