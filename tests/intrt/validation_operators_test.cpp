// Each way in which an operator of the small network can be wrong, by name.
#include "tests/intrt/faults.h"

namespace {

using namespace lockstep::testing;

intrt_conv2d_params& conv(P& p) { return p.params<intrt_conv2d_params>(kOpConv); }
intrt_max_pool2d_params& pool(P& p) { return p.params<intrt_max_pool2d_params>(kOpPool); }
intrt_linear_params& linear(P& p) { return p.params<intrt_linear_params>(kOpLinear); }
intrt_post_record& quantize(P& p) { return p.params<intrt_requantize_params>(kOpQuantize).post; }

}  // namespace

TEST_CASE("wrong convolutions are refused") {
  check_faults({
      {"kernel 0", kValue, kOpConv, [](P& p) { conv(p).kernel_h = 0; }},
      {"kernel beyond the limit", kValue, kOpConv,
       [](P& p) { conv(p).kernel_w = INTRT_MAX_DIM + 1; }},
      {"stride 0", kValue, kOpConv, [](P& p) { conv(p).stride_w = 0; }},
      {"dilation 0", kValue, kOpConv, [](P& p) { conv(p).dilation_h = 0; }},
      {"padding beyond the limit", kValue, kOpConv, [](P& p) { conv(p).pad_top = 0xFFFFFFFFu; }},
      {"no groups", kValue, kOpConv, [](P& p) { conv(p).groups = 0; }},
      {"groups that divide nothing", kShape, kOpConv, [](P& p) { conv(p).groups = 2; }},
      {"groups that divide the outputs only", kShape, kOpConv, [](P& p) { conv(p).groups = 3; }},
      {"output too small for the padding", kShape, kOpConv, [](P& p) { conv(p).pad_bottom = 2; }},
      {"output too large", kShape, kOpConv, [](P& p) { conv(p).pad_right = 0; }},
      {"window larger than the input", kShape, kOpConv, [](P& p) { conv(p).kernel_h = 8; }},
      {"dilated window larger than the input", kShape, kOpConv,
       [](P& p) { conv(p).dilation_w = 65536; }},
      {"input of 32 bits", kShape, kOpLinear,
       [](P& p) {
         for (const std::uint32_t tensor : {kTensorPool, kTensorFlat})
           p.tensor(tensor).type = INTRT_INT32;
         p.tensor(kTensorRelu).type = INTRT_INT32;
         p.tensor(kTensorConv).type = INTRT_INT32;
         p.header().arena_bytes = 4096;
         for (std::uint32_t tensor = kTensorConv; tensor <= kTensorCodes; ++tensor)
           p.tensor(tensor).arena_offset = 512 * tensor;
       }},
      {"weight type 0", kValue, kOpConv, [](P& p) { conv(p).weight_type = 0; }},
      {"weight type uint8", kValue, kOpConv, [](P& p) { conv(p).weight_type = INTRT_UINT8; }},
      {"shift to the left of 64-bit sums", kValue, kOpConv,
       [](P& p) {
         conv(p).weight_type = INTRT_INT32;
         p.at<std::int8_t>(conv(p).post.shifts_offset) = -1;
       }},
      {"shift of 64-bit sums beyond 62", kValue, kOpConv,
       [](P& p) {
         conv(p).weight_type = INTRT_INT32;
         p.at<std::int8_t>(conv(p).post.shifts_offset) = 63;
       }},
      {"shift of 32-bit sums beyond 30", kValue, kOpConv,
       [](P& p) { p.at<std::int8_t>(conv(p).post.shifts_offset) = 31; }},
      {"64-bit sums stored as they are", kValue, kOpConv,
       [](P& p) {
         conv(p).weight_type = INTRT_INT32;
         conv(p).post.kind = INTRT_POST_NONE;
       }},
      {"weights out", kBounds, kOpConv,
       [](P& p) { conv(p).weights_offset = p.header().total_bytes / 16 * 16 - 16; }},
      {"weights 0", kBounds, kOpConv, [](P& p) { conv(p).weights_offset = 0; }},
      {"weights misaligned", kBounds, kOpConv, [](P& p) { conv(p).weights_offset += 4; }},
      {"bias out", kBounds, kOpConv, [](P& p) { conv(p).bias_offset = 0xFFFFFFF0u; }},
      {"bias misaligned", kBounds, kOpConv, [](P& p) { conv(p).bias_offset += 4; }},
      {"bias of -2^31", INTRT_ERROR_OVERFLOW, kOpConv,
       [](P& p) { p.at<std::int32_t>(conv(p).bias_offset + 4) = INT32_MIN; }},
      {"bias of 2^31-1", INTRT_ERROR_OVERFLOW, kOpConv,
       [](P& p) { p.at<std::int32_t>(conv(p).bias_offset) = INT32_MAX; }},
  });
}

TEST_CASE("a window whose weights would wrap 64 bits is refused") {
  PlanBuilder b;
  b.input({.channels = 65536});
  b.output({.channels = 65536});
  intrt_conv2d_params p{};
  p.kernel_h = p.kernel_w = 65536;
  p.stride_h = p.stride_w = p.dilation_h = p.dilation_w = 1;
  p.pad_top = p.pad_left = 65535;
  p.groups = 1;
  p.weight_type = INTRT_INT16;
  p.weights_offset = b.weights({1, 2, 3}, INTRT_INT16);
  p.post = b.shift_post({0}, INTRT_ROUND_TOWARD_ZERO, 0, 1);
  b.op(k_conv2d, 0, 1, p);
  CHECK(open_plan(AlignedBytes(b.finish())) == Opened{INTRT_ERROR_BOUNDS, 0});
}

TEST_CASE("wrong post records are refused") {
  check_faults({
      {"reserved", kValue, kOpConv, [](P& p) { conv(p).post.reserved = 1; }},
      {"kind 3", kValue, kOpConv, [](P& p) { conv(p).post.kind = 3; }},
      {"raw accumulators into int8", kShape, kOpQuantize, [](P& p) { quantize(p) = {}; }},
      {"limits with raw accumulators", kValue, kOpLinear, [](P& p) { linear(p).post.hi = 1; }},
      {"shifts with raw accumulators", kValue, kOpLinear,
       [](P& p) { linear(p).post.shift_count = 1; }},
      {"rounding 3", kValue, kOpConv, [](P& p) { conv(p).post.rounding = 3; }},
      {"lo above hi", kValue, kOpConv,
       [](P& p) {
         conv(p).post.lo = 5;
         conv(p).post.hi = 4;
       }},
      {"lo below the bits", kValue, kOpConv, [](P& p) { conv(p).post.lo = -129; }},
      {"hi above the bits", kValue, kOpConv, [](P& p) { conv(p).post.hi = 128; }},
      {"limits above fewer bits", kValue, kOpConv, [](P& p) { p.tensor(kTensorConv).bits = 7; }},
      {"two shifts for three channels", kShape, kOpConv,
       [](P& p) { conv(p).post.shift_count = 2; }},
      {"no shifts", kShape, kOpConv, [](P& p) { conv(p).post.shift_count = 0; }},
      {"shifts out", kBounds, kOpConv,
       [](P& p) { conv(p).post.shifts_offset = p.header().total_bytes - 2; }},
      {"shift 31", kValue, kOpConv,
       [](P& p) { p.at<std::int8_t>(conv(p).post.shifts_offset + 2) = 31; }},
      {"shift -32", kValue, kOpConv,
       [](P& p) { p.at<std::int8_t>(conv(p).post.shifts_offset + 2) = -32; }},
      {"mask out", kBounds, kOpConv,
       [](P& p) { conv(p).post.mask_offset = p.header().total_bytes - 9; }},
      {"mask bit behind the last element", kValue, kOpConv,
       [](P& p) { p.at<std::uint8_t>(conv(p).post.mask_offset + 9) = 0x0F; }},
  });
}

TEST_CASE("other operators with tensors that do not fit are refused") {
  check_faults({
      {"linear onto a feature map", kShape, kOpLinear,
       [](P& p) {
         p.tensor(kTensorAcc).channels = 1;
         p.tensor(kTensorAcc).width = 2;
       }},
      {"linear onto a column", kShape, kOpLinear,
       [](P& p) {
         p.tensor(kTensorAcc).channels = 1;
         p.tensor(kTensorAcc).height = 2;
       }},
      {"linear weight type", kValue, kOpLinear, [](P& p) { linear(p).weight_type = 7; }},
      {"linear weights out", kBounds, kOpLinear,
       [](P& p) { linear(p).weights_offset = 0xFFFFFFF0u; }},
      {"raw accumulators beyond their bits", INTRT_ERROR_OVERFLOW, kOpLinear,
       [](P& p) { p.tensor(kTensorAcc).bits = 20; }},
      {"pool of another width", kShape, kOpPool, [](P& p) { p.tensor(kTensorPool).bits = 7; }},
      {"pool of another type", kShape, kOpPool,
       [](P& p) { p.tensor(kTensorPool).type = INTRT_INT16; }},
      {"pool with other decimals", kShape, kOpPool,
       [](P& p) { p.at<std::int8_t>(p.tensor(kTensorPool).decimals_offset + 2) = 9; }},
      {"pool with one decimal of several", kShape, kOpPool,
       [](P& p) { p.tensor(kTensorPool).decimal_count = 1; }},
      {"pool stride 0", kValue, kOpPool, [](P& p) { pool(p).stride_h = 0; }},
      {"pool with too few windows", kShape, kOpPool, [](P& p) { pool(p).stride_w = 1; }},
      {"pool with a window in the padding", kShape, kOpPool,
       [](P& p) {
         pool(p).pad_top = 2;
         pool(p).stride_h = 5;
       }},
      {"pool channels", kShape, kOpPool,
       [](P& p) {
         p.tensor(kTensorPool).channels = 1;
         p.tensor(kTensorPool).decimal_count = 1;
       }},
      {"requantize onto another shape", kShape, kOpQuantize,
       [](P& p) { p.tensor(kTensorCodes).channels = 1; }},
  });
}

TEST_CASE("the accumulator bound is exact: the largest sum opens and runs, one more is refused") {
  for (const std::int32_t sign : {1, -1})
    for (const std::int32_t excess : {0, 1}) {
      PlanBuilder b;
      b.input({.type = INTRT_INT16, .bits = 16});
      b.output({.type = INTRT_INT32, .bits = 32});
      intrt_linear_params p{};
      p.weight_type = INTRT_INT16;
      p.weights_offset = b.weights({sign > 0 ? -32768 : 32767}, INTRT_INT16);
      const std::int32_t product = sign > 0 ? 32768 * 32768 : 32767 * 32768;
      p.bias_offset = b.array(std::vector<std::int32_t>{sign * (INT32_MAX - product + excess)}, 16);
      b.op(k_linear, 0, 1, p);
      const AlignedBytes bytes(b.finish());
      CHECK(open_plan(bytes) ==
            (excess == 0 ? Opened{INTRT_OK, kNoOp} : Opened{INTRT_ERROR_OVERFLOW, 0}));
      if (excess != 0) continue;
      intrt_plan plan;
      REQUIRE(intrt_open(&plan, bytes.data(), bytes.size(), nullptr) == INTRT_OK);
      AlignedBytes arena(intrt_arena_bytes(&plan));
      *reinterpret_cast<std::int16_t*>(intrt_tensor_data(&plan, arena.data(), 0)) = -32768;
      REQUIRE(intrt_run(&plan, arena.data(), arena.size(), nullptr) == INTRT_OK);
      CHECK(*static_cast<std::int32_t*>(intrt_tensor_data(&plan, arena.data(), 1)) ==
            sign * INT32_MAX);
    }
}

TEST_CASE("a pooling that would run for days is refused") {
  PlanBuilder b;
  b.input({.height = 4096, .width = 4096});
  b.output({.height = 4096, .width = 4096});
  intrt_max_pool2d_params p{};
  p.kernel_h = p.kernel_w = 4095;
  p.stride_h = p.stride_w = p.dilation_h = p.dilation_w = 1;
  p.pad_top = p.pad_left = p.pad_bottom = p.pad_right = 2047;
  b.op(k_max_pool2d, 0, 1, p);
  CHECK(open_plan(AlignedBytes(b.finish())) == Opened{INTRT_ERROR_WORK, 0});
}
