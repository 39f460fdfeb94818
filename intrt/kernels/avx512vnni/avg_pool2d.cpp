// Means over listed windows, for 16 channels at a time.
#include "intrt/kernels/avx512vnni/packing.h"

namespace {

using namespace intrt;

bool takes(const OpToPrepare& op) { return op.input.type == INTRT_INT8; }

// One for each 16 channels: most means are of the whole input.
uint32_t slices(const OpToPrepare& op) { return (op.output.channels + kLanes - 1) / kLanes; }

__m512i sum_of(const int8_t* codes, const OpToRun& op, const intrt_pool_span& rows,
               const intrt_pool_span& columns, __mmask16 lanes) {
  const size_t channels = op.input.channels;
  __m512i sum = _mm512_setzero_si512();
  for (size_t y = rows.begin; y < rows.end; ++y) {
    const int8_t* row = codes + y * op.input.width * channels;
    for (size_t x = columns.begin; x < columns.end; ++x)
      sum = _mm512_add_epi32(sum, load_codes(row + x * channels, lanes));
  }
  return sum;
}

void run(const OpToRun& op) {
  const intrt_avg_pool2d_params& p = params_of<intrt_avg_pool2d_params>(op.record);
  const intrt_pool_span* rows = object_at<intrt_pool_span>(op.plan, p.rows_offset);
  const intrt_pool_span* columns = object_at<intrt_pool_span>(op.plan, p.columns_offset);
  const uint32_t channels = op.output.channels;
  const int8_t* input = static_cast<const int8_t*>(op.input_data);
  alignas(64) int32_t sums[4 * kLanes];
  for (uint32_t slice = op.slices.begin; slice < op.slices.end; ++slice) {
    const uint32_t first = slice * kLanes;
    const uint32_t count = lanes_from(first, channels);
    const PostLanes post(op, p.post, first, count);
    size_t element = first;
    for (uint32_t y = 0; y < op.output.height; ++y)
      for (uint32_t x = 0; x < op.output.width; ++x, element += channels) {
        const uint32_t multiplier = rows[y].multiplier * columns[x].multiplier;
        const __m512i sum = sum_of(input + first, op, rows[y], columns[x], first_lanes(count));
        _mm512_store_si512(
            sums, _mm512_mullo_epi32(sum, _mm512_set1_epi32(static_cast<int32_t>(multiplier))));
        post.store({op, p.post}, sums, 1, element, 0);
      }
  }
}

}  // namespace

const FastKernel intrt_avx512vnni_avg_pool2d = {takes, run, nullptr, nullptr, slices};
