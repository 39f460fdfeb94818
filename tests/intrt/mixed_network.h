// A small network with two inputs, two outputs and the operators that small_network() lacks, for
// tests that damage plans.
#pragma once

#include "tests/intrt/small_network.h"

namespace lockstep::testing {

// Tensors and operators of mixed_network(), by position.
enum : std::uint32_t {
  kMixedBytes,
  kMixedInput,
  kMixedDecoded,
  kMixedSquashed,
  kMixedSum,
  kMixedMean,
  kMixedGated,
  kMixedUp,
  kMixedJoined,
  kMixedBest,
  kMixedRaw,
  kMixedTensors
};
enum : std::uint32_t {
  kMixedDecode,
  kMixedSquash,
  kMixedAdd,
  kMixedAverage,
  kMixedMul,
  kMixedTransposed,
  kMixedJoin,
  kMixedArgmax,
  kMixedCopy,
  kMixedOps
};

// bytes -> table; codes -> two tables, masked; their sum in place (scaled in one channel, steps in
// the other); times its own mean; conv_transpose2d of two groups; cropped and joined with the
// codes; argmax over that, and the joined codes again as accumulators with float offsets.
inline std::vector<std::uint8_t> mixed_network() {
  std::mt19937 random(11);
  const auto codes = [&](std::size_t count, int bits) {
    std::vector<std::int64_t> values(count);
    const int size = 1 << bits;
    for (std::int64_t& value : values)
      value = static_cast<int>(random() % static_cast<unsigned>(size)) - size / 2;
    return values;
  };
  const TensorSpec map = {.channels = 2, .height = 4, .width = 4};
  const auto like = [&](TensorSpec spec, const std::string& name, std::uint8_t bits) {
    spec.name = name;
    spec.bits = bits;
    return spec;
  };
  PlanBuilder b;
  TensorSpec bytes = like(map, "bytes", 8), wide = like(map, "gated", 15);
  bytes.type = INTRT_UINT8;
  wide.type = INTRT_INT16;
  b.input(bytes);
  b.input(like(map, "codes", 5));
  b.tensor(like(map, "decoded", 7));
  b.tensor(like(map, "squashed", 8));
  TensorSpec sum = like(map, "sum", 8);
  sum.arena_offset = 64;  // on `decoded`
  b.tensor(sum);
  b.tensor({.channels = 2, .bits = 6, .name = "mean"});
  b.tensor(wide);
  b.tensor({.channels = 2, .height = 5, .width = 5, .bits = 7, .name = "up"});
  b.tensor({.channels = 4, .height = 4, .width = 4, .bits = 7, .name = "joined"});
  b.output({.height = 4, .width = 4, .type = INTRT_INT32, .bits = 3, .name = "best"});
  b.output({.channels = 4,
            .height = 4,
            .width = 4,
            .type = INTRT_INT32,
            .bits = 20,
            .name = "raw",
            .decimals = {1, 2, 3, 4},
            .offsets = {0.5F, -1.25F, 3.0F, 0.0F}});

  intrt_table_params decode{};
  decode.table_count = 1;
  decode.entries_offset = b.weights(codes(256, 7), INTRT_INT8);
  b.op(k_table, kMixedBytes, kMixedDecoded, decode);

  intrt_table_params squash{};
  squash.table_count = 2;
  squash.tables_offset = b.array(std::vector<std::uint16_t>{1, 0});
  squash.entries_offset = b.weights(codes(64, 8), INTRT_INT8);
  squash.mask_offset = b.array(std::vector<std::uint8_t>{0xF7, 0xFF, 0x3C, 0xA5});
  b.op(k_table, kMixedInput, kMixedSquashed, squash);

  intrt_add_params add{};
  add.multipliers_offset = b.array(std::vector<std::int32_t>{4, -3, 1, 1 << 20});
  add.post =
      b.scale_post({{.multiplier = 77777, .addend = -123456789, .shift = 17, .lo = -128, .hi = 127},
                    {.thresholds = {-90000000, -5, 0, 40000000}, .codes = {-128, -1, 0, 5, 127}}},
                   INTRT_ROUND_TOWARD_ZERO);
  add.post.mask_offset = b.array(std::vector<std::uint8_t>{0xFF, 0x7F, 0xFF, 0xDB});
  b.op(k_add, {kMixedDecoded, kMixedSquashed}, kMixedSum, add);

  intrt_avg_pool2d_params average{};
  average.rows_offset = b.array(std::vector<intrt_pool_span>{{0, 4, 3}});
  average.columns_offset = b.array(std::vector<intrt_pool_span>{{1, 4, 1}});
  average.post = b.shift_post({6}, INTRT_ROUND_HALF_EVEN, -32, 31);
  b.op(k_avg_pool2d, kMixedSum, kMixedMean, average);

  intrt_mul_params mul{};
  mul.post = b.shift_post({-2, 0}, INTRT_ROUND_FLOOR, -16384, 16383);
  b.op(k_mul, {kMixedSum, kMixedMean}, kMixedGated, mul);

  intrt_conv_transpose2d_params up{};
  up.kernel_h = 3;
  up.kernel_w = 2;
  up.stride_h = 2;
  up.stride_w = up.dilation_h = up.dilation_w = 1;
  up.pad_top = 1;
  up.groups = 2;
  up.weight_type = INTRT_INT16;
  up.weights_offset = b.weights(codes(12, 12), INTRT_INT16);
  up.bias_offset = b.array(std::vector<std::int32_t>{-1000, 2000}, 16);
  up.post = b.scale_post({{.multiplier = 3, .addend = 1 << 19, .shift = 20, .lo = -64, .hi = 63},
                          {.multiplier = -5, .shift = 21, .lo = 0, .hi = 63}},
                         INTRT_ROUND_FLOOR);
  b.op(k_conv_transpose2d, kMixedGated, kMixedUp, up);

  b.op(k_move, {kMixedUp, kMixedInput}, kMixedJoined,
       b.move({{0, 0, 0, {1, 4, 4, 2}, {0, 10, 2, 1}, {0, 16, 4, 1}},
               {1, 31, 2, {1, 1, 16, 2}, {0, 0, -2, -1}, {0, 0, 4, 1}}}));
  b.op(k_argmax, kMixedJoined, kMixedBest);
  b.op(k_requantize, kMixedJoined, kMixedRaw, intrt_requantize_params{});
  return b.finish("mixed");
}

}  // namespace lockstep::testing
