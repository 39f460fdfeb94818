// Codes and weights of 16 bits, and of 8 and 16, on the variants that need prepared memory, against
// the scalar kernels.
#include "tests/intrt/fast_plans.h"

using namespace lockstep::testing;

TEST_CASE("fast wide conv2d equals scalar for 1 to 130 inputs or outputs") {
  for (std::int64_t channels = 1; channels <= 130; ++channels) {
    const auto seed = static_cast<std::uint64_t>(channels);
    CAPTURE(seed);
    Random random(seed);
    const std::int64_t kernel = random.pick({1, 1, 3, 3, 2, 5});
    const Axis down = axis_of(random.between(kernel, 9), kernel, random.between(1, 2), kernel / 2);
    const Axis across =
        axis_of(random.between(kernel, 40), kernel, random.between(1, 2), kernel / 2);
    const std::int64_t other = random.between(1, 130);
    const Convolution c = random.one_in(2) ? Convolution{1, channels, other, down, across}
                                           : Convolution{1, other, channels, down, across};
    compare_variants(plan_of(random, c, wide_types(seed)), seed, true);
  }
}

TEST_CASE("fast wide depthwise conv2d equals scalar for 2 to 130 channels") {
  for (std::int64_t channels = 2; channels <= 130; ++channels) {
    const auto seed = static_cast<std::uint64_t>(channels);
    CAPTURE(seed);
    Random random(seed);
    const bool usual = random.one_in(2);
    const std::int64_t kernel_h = usual ? 3 : random.between(1, 9),
                       kernel_w = usual ? 3 : random.between(1, 9);
    const Axis down =
        axis_of(random.between(kernel_h, 12), kernel_h, random.between(1, 3), random.between(0, 2));
    const Axis across =
        axis_of(random.between(kernel_w, 45), kernel_w, random.between(1, 3), random.between(0, 2));
    compare_variants(plan_of(random, {channels, 1, 1, down, across}, wide_types(seed)), seed, true);
  }
}

TEST_CASE("fast wide conv2d equals scalar for random geometries") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::int64_t groups = random.pick({1, 1, 2, 3, 20});
    const std::int64_t inputs = random.between(1, groups == 1 ? 130 : 5);
    const std::int64_t outputs = random.between(1, groups == 1 ? 130 : 20);
    compare_variants(
        plan_of(random, {groups, inputs, outputs, random_axis(random), random_axis(random)},
                wide_types(seed)),
        seed, false);
  }
}

TEST_CASE("fast wide linear equals scalar for 1 to 130 outputs") {
  for (std::int64_t outputs = 1; outputs <= 130; ++outputs) {
    const auto seed = static_cast<std::uint64_t>(outputs);
    CAPTURE(seed);
    Random random(seed);
    compare_variants(linear_plan(random, outputs, wide_types(seed)), seed, true);
  }
}

// Of each channel none, one, or up to 5,000 thresholds, from one end of the accumulators to the
// other.
TEST_CASE("steps of codes of 16 bits") {
  Random random(1);
  const Logical expected(37, 20, 20);
  PlanBuilder builder;
  TensorSpec input;
  input.type = INTRT_INT16;
  input.bits = 16;
  input.height = input.width = 20;
  const std::uint32_t from = builder.input(input);
  const std::uint32_t to = builder.output(spec_of(expected, {INTRT_INT16, 16}));
  intrt_conv2d_params p{};
  p.kernel_h = p.kernel_w = p.stride_h = p.stride_w = p.dilation_h = p.dilation_w = p.groups = 1;
  p.weight_type = INTRT_INT16;
  p.weights_offset = builder.weights(std::vector<std::int64_t>(37, 32767), INTRT_INT16);
  std::vector<PlanBuilder::ScaleChannel> scales(37);
  for (PlanBuilder::ScaleChannel& scale : scales) {
    const std::int64_t count =
        random.one_in(2) ? random.between(4, 5000) : random.pick({0, 1, 2, 3, 7, 8, 255, 4095});
    if (count == 0) {
      scale.multiplier = static_cast<std::int32_t>(random.between(1, 1000));
      scale.shift = 20;
      scale.lo = -32768;
      scale.hi = 32767;
      continue;
    }
    for (std::int64_t i = 0; i < count; ++i)
      scale.thresholds.push_back(static_cast<std::int32_t>(
          -(std::int64_t{1} << 30) + (std::int64_t{1} << 31) / count * i + random.between(0, 99)));
    for (std::int64_t i = 0; i <= count; ++i)
      scale.codes.push_back(static_cast<std::int16_t>(random.between(-32768, 32767)));
  }
  p.post = builder.scale_post(scales, INTRT_ROUND_FLOOR);
  builder.op(k_conv2d, from, to, p);
  const std::vector<std::uint8_t> plan = builder.finish();
  for (const Codes codes : {Codes::kAll, Codes::kExtremes}) compare_variants(plan, 5, true, codes);
}

TEST_CASE("products of codes and weights of 16 bits up to 2^31 - 2^15 together") {
  PlanBuilder builder;
  TensorSpec input, output;
  input.type = INTRT_INT16;
  input.bits = 16;
  input.channels = 4;
  output.type = INTRT_INT32;
  output.bits = 32;
  output.channels = 3;
  const std::uint32_t from = builder.input(input), to = builder.output(output);
  intrt_linear_params p{};
  p.weight_type = INTRT_INT16;
  p.weights_offset = builder.weights(
      {-32768, -32767, 0, 0, -32767, -32768, 0, 0, 0, 0, -32768, -32767}, INTRT_INT16);
  builder.op(k_linear, from, to, p);
  const std::vector<std::uint8_t> plan = builder.finish();
  for (const Codes codes : {Codes::kLeast, Codes::kGreatest, Codes::kExtremes})
    compare_variants(plan, 1, true, codes);
}

TEST_CASE("weights of 32 bits are left to the scalar kernels") {
  PlanBuilder builder;
  TensorSpec input, output;
  input.channels = output.channels = 20;
  const std::uint32_t from = builder.input(input), to = builder.output(output);
  intrt_linear_params p{};
  p.weight_type = INTRT_INT32;
  p.weights_offset = builder.weights(std::vector<std::int64_t>(400, 100000), INTRT_INT32);
  p.post = builder.shift_post({20}, INTRT_ROUND_FLOOR, -128, 127);
  builder.op(k_linear, from, to, p);
  const std::vector<std::uint8_t> bytes = builder.finish();
  const GuardedPlan plan(bytes, true);
  for (std::uint32_t v = 0; intrt_kernel_variant(v) != nullptr; ++v)
    if (intrt_kernel_variant_runs_here(v) != 0)
      CHECK_FALSE(plan.is_taken_by(intrt_kernel_variant(v)));
  compare_variants(bytes, 1, false);
}
