// Means over listed windows, for kLanes channels at a time. Include the variant's vector.h before.
#pragma once

#include "intrt/kernels/vector/post.h"

namespace intrt {
namespace {

bool takes(const OpToPrepare& op) { return op.input.type == INTRT_INT8; }

// One for each kLanes channels: most means are of the whole input.
uint32_t slices(const OpToPrepare& op) {
  return (op.output.channels + static_cast<uint32_t>(kLanes) - 1) / static_cast<uint32_t>(kLanes);
}

Vector sum_of(const int8_t* codes, const OpToRun& op, const intrt_pool_span& rows,
              const intrt_pool_span& columns, size_t count) {
  const size_t channels = op.input.channels;
  Vector sum = all(0);
  for (size_t y = rows.begin; y < rows.end; ++y) {
    const int8_t* row = codes + y * op.input.width * channels;
    for (size_t x = columns.begin; x < columns.end; ++x)
      sum = add(sum, load_widened(row + x * channels, count));
  }
  return sum;
}

void run(const OpToRun& op) {
  const intrt_avg_pool2d_params& p = params_of<intrt_avg_pool2d_params>(op.record);
  const intrt_pool_span* rows = object_at<intrt_pool_span>(op.plan, p.rows_offset);
  const intrt_pool_span* columns = object_at<intrt_pool_span>(op.plan, p.columns_offset);
  const uint32_t channels = op.output.channels;
  const int8_t* input = static_cast<const int8_t*>(op.input_data);
  const Target target(op, p.post);
  for (uint32_t slice = op.slices.begin; slice < op.slices.end; ++slice) {
    const uint32_t first = slice * static_cast<uint32_t>(kLanes);
    const uint32_t count = lanes_from(first, channels);
    const PostLanes post(op, p.post, first, count);
    size_t element = first;
    for (uint32_t y = 0; y < op.output.height; ++y)
      for (uint32_t x = 0; x < op.output.width; ++x, element += channels) {
        const uint32_t multiplier = rows[y].multiplier * columns[x].multiplier;
        const Vector sum = count == kLanes ? sum_of(input + first, op, rows[y], columns[x], kLanes)
                                           : sum_of(input + first, op, rows[y], columns[x], count);
        int32_t sums[kLanes];
        store(sums, multiply(sum, all(static_cast<int32_t>(multiplier))));
        post.store(target, sums, 1, element, 0);
      }
  }
}

}  // namespace
}  // namespace intrt
