// Means over listed windows, for four blocks of kLanes channels at a time. Include the variant's
// vector.h before.
#pragma once

#include "intrt/kernels/vector/post.h"

namespace intrt {
namespace {

constexpr uint32_t kMeanBlocks = 4;  // a slice
constexpr uint32_t kMeanChannels = kMeanBlocks * kLanes;

bool takes(const OpToPrepare& op) { return op.input.type == INTRT_INT8; }

inline uint32_t blocks_of(size_t channels) {
  return static_cast<uint32_t>((channels + kLanes - 1) / kLanes);
}

// Most means are of the whole input.
uint32_t slices(const OpToPrepare& op) {
  return (op.output.channels + kMeanChannels - 1) / kMeanChannels;
}

// The posts of all blocks, then their extras.
size_t prepared_bytes(const OpToPrepare& op) {
  const intrt_avg_pool2d_params& p = params_of<intrt_avg_pool2d_params>(op.record);
  return blocks_of(op.output.channels) * (sizeof(PostLanes) + PostLanes::extras_bytes(p.post));
}

void prepare(const OpToPrepare& op, void* to) {
  const intrt_avg_pool2d_params& p = params_of<intrt_avg_pool2d_params>(op.record);
  const uint32_t blocks = blocks_of(op.output.channels);
  PostLanes* posts = static_cast<PostLanes*>(to);
  uint8_t* extras = static_cast<uint8_t*>(static_cast<void*>(posts + blocks));
  for (uint32_t i = 0; i < blocks; ++i, extras += PostLanes::extras_bytes(p.post)) {
    const auto first = static_cast<uint32_t>(i * kLanes);
    new (posts + i) PostLanes(op, p.post, first, lanes_from(first, op.output.channels), extras);
  }
}

// The sums of a window for some blocks of channels, the first of which is that of `codes`; one
// block may have `count` <= kLanes.
template <uint32_t kBlocks>
void sum_blocks(const int8_t* codes, const OpToRun& op, const intrt_pool_span& rows,
                const intrt_pool_span& columns, size_t count, int32_t* sums) {
  const size_t channels = op.input.channels;
  Vector of_block[kBlocks];
  for (Vector& sum : of_block) sum = all(0);
  for (size_t y = rows.begin; y < rows.end; ++y) {
    const int8_t* row = codes + y * op.input.width * channels;
    for (size_t x = columns.begin; x < columns.end; ++x)
      _Pragma("GCC unroll 4") for (size_t i = 0; i < kBlocks; ++i) of_block[i] =
          add(of_block[i],
              load_widened(row + x * channels + i * kLanes, kBlocks == 1 ? count : kLanes));
  }
  for (size_t i = 0; i < kBlocks; ++i) store(sums + i * kLanes, of_block[i]);
}

void run(const OpToRun& op) {
  const intrt_avg_pool2d_params& p = params_of<intrt_avg_pool2d_params>(op.record);
  const intrt_pool_span* rows = object_at<intrt_pool_span>(op.plan, p.rows_offset);
  const intrt_pool_span* columns = object_at<intrt_pool_span>(op.plan, p.columns_offset);
  const uint32_t channels = op.output.channels;
  const Target target(op, p.post);
  for (uint32_t slice = op.slices.begin; slice < op.slices.end; ++slice) {
    const uint32_t first = slice * kMeanChannels, left = channels - first;
    const uint32_t blocks = left < kMeanChannels ? blocks_of(left) : kMeanBlocks;
    const PostLanes* posts = static_cast<const PostLanes*>(op.prepared) + slice * kMeanBlocks;
    const int8_t* codes = static_cast<const int8_t*>(op.input_data) + first;
    size_t element = first;
    for (uint32_t y = 0; y < op.output.height; ++y)
      for (uint32_t x = 0; x < op.output.width; ++x, element += channels) {
        int32_t sums[kMeanChannels];
        if (left >= kMeanChannels)
          sum_blocks<kMeanBlocks>(codes, op, rows[y], columns[x], kLanes, sums);
        else
          for (size_t i = 0; i < blocks; ++i)
            sum_blocks<1>(codes + i * kLanes, op, rows[y], columns[x], lanes_from(i * kLanes, left),
                          sums + i * kLanes);
        const Vector multiplier =
            all(static_cast<int32_t>(rows[y].multiplier * columns[x].multiplier));
        for (size_t i = 0; i < blocks; ++i)
          store(sums + i * kLanes, multiply(load(sums + i * kLanes), multiplier));
        if (blocks == kMeanBlocks)
          PostLanes::store_blocks<kMeanBlocks>(posts, target, sums, 1, element, 0);
        else
          for (size_t i = 0; i < blocks; ++i)
            posts[i].store(target, sums + i * kLanes, 1, element + i * kLanes, 0);
      }
  }
}

constexpr FastKernel kAvgPool2d = {takes, run, prepared_bytes, prepare, slices};

}  // namespace
}  // namespace intrt
