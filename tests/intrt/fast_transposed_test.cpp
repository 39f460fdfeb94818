// Transposed convolutions on the variants that need prepared memory, against the scalar kernels.
#include "tests/intrt/fast_plans.h"

using namespace lockstep::testing;

TEST_CASE("fast conv_transpose2d equals scalar for 1 to 130 inputs or outputs") {
  for (std::int64_t channels = 1; channels <= 130; ++channels) {
    const auto seed = static_cast<std::uint64_t>(channels);
    CAPTURE(seed);
    Random random(seed);
    const std::int64_t stride = random.between(1, 3), kernel = random.between(stride, 4);
    const std::int64_t padding = random.between(0, kernel / 2);
    const Axis down = axis_of(random.between(4, 6), kernel, stride, padding);
    const Axis across = axis_of(random.between(4, 25), kernel, stride, padding);
    const std::int64_t other = random.between(3, 130);
    compare_variants(transposed_plan_of(random, {1, other, channels, down, across}), seed, true);
    if (channels < 3) continue;  // few codes to a window
    compare_variants(transposed_plan_of(random, {1, channels, other, down, across}), seed, true);
    compare_variants(transposed_plan_of(random, {2, channels, 17, down, across}), seed, true);
  }
}

// Of one input row or column, or both, where each output has a window of its own; and of one output
// row, divided by columns.
TEST_CASE("fast conv_transpose2d equals scalar for few positions") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed)
    for (const bool one_row : {false, true}) {
      CAPTURE(seed);
      CAPTURE(one_row);
      Random random(seed);
      const auto axis = [&](std::int64_t input, std::int64_t stride) {
        const std::int64_t kernel = random.between(stride, 8);
        return axis_of(input, kernel, stride, random.between(0, std::min(kernel / 2, input)));
      };
      const Axis down = one_row ? axis_of(1, 1, 1, 0) : axis_of(1, random.between(1, 8), 1, 0);
      const Axis across = one_row ? axis(random.between(9, 40), random.between(1, 4))
                                  : axis_of(1, random.between(1, 6), random.between(1, 3), 0);
      if (across.kernel < across.stride) continue;
      const Convolution c = {1, random.between(16, 70), random.between(1, 40), down, across};
      compare_variants(transposed_plan_of(random, c), seed, true);
    }
}

TEST_CASE("fast conv_transpose2d equals scalar for large strides, up to 64 phases") {
  struct Strides {
    std::int64_t down, across;
  };
  for (const Strides& strides :
       {Strides{4, 4}, {8, 8}, {1, 64}, {64, 1}, {7, 9}, {5, 13}, {1, 65}, {9, 8}}) {
    CAPTURE(strides.down);
    CAPTURE(strides.across);
    Random random(1);
    const Axis down = axis_of(3, strides.down + 1, strides.down, 0),
               across = axis_of(4, strides.across + 1, strides.across, 0);
    const std::vector<std::uint8_t> plan = transposed_plan_of(random, {1, 20, 9, down, across});
    const bool is_taken = strides.down * strides.across <= 64;
    compare_variants(plan, 1, is_taken);
    const GuardedPlan guarded(plan, true);
    for (std::uint32_t v = 0; intrt_kernel_variant(v) != nullptr; ++v)
      if (intrt_kernel_variant_runs_here(v) != 0 && !is_taken)
        CHECK_FALSE(guarded.is_taken_by(intrt_kernel_variant(v)));
  }
}

namespace {

Convolution random_geometry(Random& random) {
  const std::int64_t groups = random.pick({1, 1, 2, 3});
  return {groups, random.between(1, groups == 1 ? 70 : 9), random.between(1, groups == 1 ? 70 : 20),
          random_axis(random), random_axis(random)};
}

}  // namespace

// Outputs that no tap reaches, or of padding alone, more phases than outputs, and taps of which
// few reach one phase.
TEST_CASE("fast conv_transpose2d equals scalar for random geometries and outputs of any size") {
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Convolution c = random_geometry(random);
    const std::int64_t height = random.between(1, 14), width = random.between(1, 40);
    const std::int64_t divisor = random.pick({1, 1, 8, 40});
    compare_variants(transposed_plan_of(random, c, height, width, {}, divisor), seed, false);
  }
}

TEST_CASE("fast wide conv_transpose2d equals scalar for 1 to 130 outputs") {
  for (std::int64_t outputs = 1; outputs <= 130; ++outputs) {
    const auto seed = static_cast<std::uint64_t>(outputs);
    CAPTURE(seed);
    Random random(seed);
    const std::int64_t stride = random.between(1, 3), kernel = random.between(stride, 4);
    const Axis down = axis_of(random.between(4, 6), kernel, stride, random.between(0, kernel / 2));
    const Axis across =
        axis_of(random.between(4, 25), kernel, stride, random.between(0, kernel / 2));
    const Convolution c = {1, random.between(3, 130), outputs, down, across};
    compare_variants(transposed_plan_of(random, c, wide_types(seed)), seed, true);
  }
}

TEST_CASE("fast wide conv_transpose2d equals scalar for random geometries") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Convolution c = random_geometry(random);
    compare_variants(transposed_plan_of(random, c, random.between(1, 14), random.between(1, 40),
                                        wide_types(seed)),
                     seed, false);
  }
}
