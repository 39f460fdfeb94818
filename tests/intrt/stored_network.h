// A small network whose convolutions and linear operators keep their weights sparsely or have
// segments, for tests that damage plans.
#pragma once

#include "tests/intrt/small_network.h"
#include "tests/intrt/stored_weights.h"

namespace lockstep::testing {

// Operators of stored_network(), by position.
enum : std::uint32_t { kStoredSparseConv, kStoredSegmentConv, kStoredSparse, kStoredSegments };

// conv2d (sparse, 10 inputs: 6 unused bits per tap) -> conv2d (segments 1:0 4:3) -> linear (sparse,
// 96 inputs) -> linear (segments 2:0 5:2).
inline std::vector<std::uint8_t> stored_network() {
  Random random(13);
  PlanBuilder b;
  b.input({.channels = 10, .height = 4, .width = 4, .name = "input"});
  b.tensor({.channels = 4, .height = 4, .width = 4, .name = "a"});
  b.tensor({.channels = 6, .height = 4, .width = 4, .name = "b"});
  b.tensor({.channels = 5, .name = "c", .logical_rank = 1});
  b.output({.channels = 3, .type = INTRT_INT32, .bits = 32, .name = "d", .logical_rank = 1});
  const auto weights = [&](Storage storage, std::int64_t rows, std::int64_t taps,
                           std::int64_t inputs, std::vector<intrt_segment> segments) {
    StoredWeights w{storage, rows, taps, inputs, {}, {}, std::move(segments)};
    for (std::int64_t k = 0; k < rows * taps * inputs; ++k)
      w.stored.push_back(
          storage == Storage::kSparse && !random.one_in(5) ? 0 : random.between(-50, 50));
    return w;
  };
  intrt_conv2d_params conv{};
  conv.kernel_h = conv.kernel_w = 3;
  conv.stride_h = conv.stride_w = conv.dilation_h = conv.dilation_w = 1;
  conv.pad_top = conv.pad_left = conv.pad_bottom = conv.pad_right = 1;
  conv.groups = 1;
  conv.weight_type = INTRT_INT8;
  conv.post = b.shift_post({6}, INTRT_ROUND_FLOOR, -128, 127);
  intrt_conv2d_params narrow = conv;
  store_weights(b, conv, weights(Storage::kSparse, 4, 9, 10, {}));
  b.op(k_conv2d, 0, 1, conv);
  narrow.kernel_h = narrow.kernel_w = 1;
  narrow.pad_top = narrow.pad_left = narrow.pad_bottom = narrow.pad_right = 0;
  narrow.weight_type = INTRT_INT16;
  store_weights(b, narrow, weights(Storage::kSegments, 6, 1, 4, {{1, 0}, {4, 3}}));
  narrow.bias_offset = b.array(std::vector<std::int32_t>{1, -2, 3, -4, 5, -6}, 16);
  b.op(k_conv2d, 1, 2, narrow);
  intrt_linear_params linear{};
  linear.weight_type = INTRT_INT8;
  linear.post = b.shift_post({5}, INTRT_ROUND_HALF_EVEN, -128, 127);
  intrt_linear_params last{};
  store_weights(b, linear, weights(Storage::kSparse, 5, 1, 96, {}));
  b.op(k_linear, 2, 3, linear);
  last.weight_type = INTRT_INT8;
  store_weights(b, last, weights(Storage::kSegments, 3, 1, 5, {{2, 0}, {5, 2}}));
  b.op(k_linear, 3, 4, last);
  return b.finish("stored");
}

}  // namespace lockstep::testing
