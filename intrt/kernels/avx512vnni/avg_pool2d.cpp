// Means over listed windows, for 64 channels at a time.
#include "intrt/kernels/avx512vnni/packing.h"

namespace {

using namespace intrt;

constexpr uint32_t kBlocks = 4;  // of kLanes channels; a slice

bool takes(const OpToPrepare& op) { return op.input.type == INTRT_INT8; }

uint32_t blocks_of(uint32_t channels) { return (channels + kLanes - 1) / kLanes; }

// Most means are of the whole input.
uint32_t slices(const OpToPrepare& op) {
  return (blocks_of(op.output.channels) + kBlocks - 1) / kBlocks;
}

size_t prepared_bytes(const OpToPrepare& op) {
  return blocks_of(op.output.channels) * sizeof(PostLanes);
}

void prepare(const OpToPrepare& op, void* to) {
  const intrt_avg_pool2d_params& p = params_of<intrt_avg_pool2d_params>(op.record);
  PostLanes* posts = static_cast<PostLanes*>(to);
  for (uint32_t i = 0; i < blocks_of(op.output.channels); ++i)
    new (posts + i) PostLanes(op, p.post, i * kLanes, lanes_from(i * kLanes, op.output.channels));
}

struct Sums {
  __m512i of_block[kBlocks];
};

// Of `count` channels, the first of which is that of `codes`.
Sums sums_of(const int8_t* codes, const OpToRun& op, const intrt_pool_span& rows,
             const intrt_pool_span& columns, uint32_t count) {
  const size_t channels = op.input.channels;
  __mmask16 lanes[kBlocks];
  for (uint32_t i = 0; i < kBlocks; ++i)
    lanes[i] = i * kLanes < count ? first_lanes(lanes_from(i * kLanes, count)) : 0;
  Sums sums = {};
  for (size_t y = rows.begin; y < rows.end; ++y) {
    const int8_t* row = codes + y * op.input.width * channels;
    for (size_t x = columns.begin; x < columns.end; ++x)
      _Pragma("GCC unroll 4") for (uint32_t i = 0; i < kBlocks; ++i) sums.of_block[i] =
          _mm512_add_epi32(sums.of_block[i], load_codes(row + x * channels + i * kLanes, lanes[i]));
  }
  return sums;
}

void run(const OpToRun& op) {
  const intrt_avg_pool2d_params& p = params_of<intrt_avg_pool2d_params>(op.record);
  const intrt_pool_span* rows = object_at<intrt_pool_span>(op.plan, p.rows_offset);
  const intrt_pool_span* columns = object_at<intrt_pool_span>(op.plan, p.columns_offset);
  const uint32_t channels = op.output.channels;
  const int8_t* input = static_cast<const int8_t*>(op.input_data);
  const PostTarget target = {op, p.post};
  alignas(64) int32_t numbers[kBlocks * kLanes];
  for (uint32_t slice = op.slices.begin; slice < op.slices.end; ++slice) {
    const uint32_t first = slice * kBlocks * kLanes, left = channels - first;
    const uint32_t count = left < kBlocks * kLanes ? left : kBlocks * kLanes;
    const PostLanes* posts = static_cast<const PostLanes*>(op.prepared) + slice * kBlocks;
    size_t element = first;
    for (uint32_t y = 0; y < op.output.height; ++y)
      for (uint32_t x = 0; x < op.output.width; ++x, element += channels) {
        const __m512i multiplier =
            _mm512_set1_epi32(static_cast<int32_t>(rows[y].multiplier * columns[x].multiplier));
        const Sums sums = sums_of(input + first, op, rows[y], columns[x], count);
        for (uint32_t i = 0; i < kBlocks; ++i)
          _mm512_store_si512(numbers + i * kLanes,
                             _mm512_mullo_epi32(sums.of_block[i], multiplier));
        if (count > (kBlocks - 1) * kLanes)
          PostLanes::store_blocks<kBlocks>(posts, target, numbers, 1, element, 0);
        else
          for (uint32_t i = 0; i < blocks_of(count); ++i)
            posts[i].store(target, numbers + i * kLanes, 1, element + i * kLanes, 0);
      }
  }
}

}  // namespace

const FastKernel intrt_avx512vnni_avg_pool2d = {takes, run, prepared_bytes, prepare, slices};
