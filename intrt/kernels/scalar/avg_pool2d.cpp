// Sums over windows; the post-op divides. The plan lists the rows and columns of each window, so
// that padding, a last window cut short and adaptive pooling are all the same here.
#include "intrt/kernels/kernel.h"

namespace {

using namespace intrt;

template <typename X>
void pool(const OpToRun& op) {
  const intrt_avg_pool2d_params& p = params_of<intrt_avg_pool2d_params>(op.record);
  const PostOp post(op, p.post);
  const X* input = static_cast<const X*>(op.input_data);
  const intrt_pool_span* rows = object_at<intrt_pool_span>(op.plan, p.rows_offset);
  const intrt_pool_span* columns = object_at<intrt_pool_span>(op.plan, p.columns_offset);
  const size_t channels = op.input.channels;

  size_t element = 0;
  for (uint32_t oy = 0; oy < op.output.height; ++oy) {
    for (uint32_t ox = 0; ox < op.output.width; ++ox) {
      const intrt_pool_span& down = rows[oy];
      const intrt_pool_span& across = columns[ox];
      const int32_t multiplier = static_cast<int32_t>(down.multiplier * across.multiplier);
      for (uint32_t c = 0; c < channels; ++c, ++element) {
        int32_t sum = 0;
        for (size_t y = down.begin; y < down.end; ++y) {
          const X* in = input + (y * op.input.width + across.begin) * channels + c;
          for (uint32_t x = across.begin; x < across.end; ++x, in += channels) sum += *in;
        }
        post.store(element, c, multiplier * sum);
      }
    }
  }
}

// What the windows along one axis come to.
struct Spans {
  uint64_t largest = 0;  // of positions times multiplier; below 2^40
  uint64_t reads = 0;
};

intrt_status check_spans(Checker& checker, uint32_t offset, uint32_t count, uint32_t input,
                         Spans* spans) {
  constexpr uint32_t kMaxMultiplier = 1u << 24;
  if (!checker.holds(offset, count, sizeof(intrt_pool_span), 4)) return INTRT_ERROR_BOUNDS;
  if (!checker.spend(static_cast<uint64_t>(count) * sizeof(intrt_pool_span)))
    return INTRT_ERROR_WORK;
  const intrt_pool_span* span = object_at<intrt_pool_span>(checker.plan(), offset);
  for (uint32_t i = 0; i < count; ++i) {
    if (span[i].begin >= span[i].end || span[i].multiplier < 1 ||
        span[i].multiplier > kMaxMultiplier)
      return INTRT_ERROR_VALUE;
    if (span[i].end > input) return INTRT_ERROR_BOUNDS;
    const uint64_t positions = span[i].end - span[i].begin;
    if (positions * span[i].multiplier > spans->largest)
      spans->largest = positions * span[i].multiplier;
    spans->reads += positions;
  }
  return INTRT_OK;
}

}  // namespace

intrt_status intrt_check_avg_pool2d(Checker& checker, const OpToCheck& op) {
  const intrt_avg_pool2d_params& p = params_of<intrt_avg_pool2d_params>(op.record);
  if (op.input.channels != op.output.channels) return INTRT_ERROR_SHAPE;
  if (intrt_status status = check_post(checker, p.post, op.output); status != INTRT_OK)
    return status;
  Spans down, across;
  if (intrt_status status =
          check_spans(checker, p.rows_offset, op.output.height, op.input.height, &down);
      status != INTRT_OK)
    return status;
  if (intrt_status status =
          check_spans(checker, p.columns_offset, op.output.width, op.input.width, &across);
      status != INTRT_OK)
    return status;
  // largest * largest * 2^(bits-1) <= limit, without leaving 64 bits.
  const uint64_t limit = accumulator_limit(p.post, op.output) >> (op.input.bits - 1);
  if (down.largest > limit || across.largest > limit || down.largest * across.largest > limit)
    return INTRT_ERROR_OVERFLOW;
  // Both tensors lie in the arena, so the product is at most (2^32 - 1)^2.
  const uint64_t input_pixels = static_cast<uint64_t>(op.input.height) * op.input.width;
  return down.reads * across.reads > kMaxReadsPerElement * input_pixels ? INTRT_ERROR_WORK
                                                                        : INTRT_OK;
}

namespace {

void run(const OpToRun& op) {
  switch (op.input.type) {
    case INTRT_INT8:
      return pool<int8_t>(op);
    case INTRT_INT16:
      return pool<int16_t>(op);
    default:
      return pool<int32_t>(op);
  }
}

}  // namespace

INTRT_DEFINE_FAST_KERNEL(avg_pool2d, avg_pool2d, run)
