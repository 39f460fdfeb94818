// The variants that need prepared memory against the scalar kernels, which kernels_test.cpp holds
// against the definition: every channel count from 1 to 130, and memory that ends where it ends. A
// failure prints the seed.
#include "tests/intrt/fast_plans.h"

using namespace lockstep::testing;

TEST_CASE("fast conv2d equals scalar for 1 to 130 inputs and outputs") {
  for (std::int64_t channels = 1; channels <= 130; ++channels) {
    const auto seed = static_cast<std::uint64_t>(channels);
    CAPTURE(seed);
    Random random(seed);
    const std::int64_t kernel = random.pick({1, 1, 3, 3, 2, 5});
    const Axis down = axis_of(random.between(kernel, 9), kernel, random.between(1, 2), kernel / 2);
    const Axis across =
        axis_of(random.between(kernel, 40), kernel, random.between(1, 2), kernel / 2);
    const std::int64_t other = random.between(1, 130);
    compare_variants(plan_of(random, {1, channels, other, down, across}), seed, true);
    compare_variants(plan_of(random, {1, other, channels, down, across}), seed, true);
  }
}

// Rows that fall into tiles of the numbers of windows that have kernels of their own.
TEST_CASE("fast conv2d equals scalar for usual widths") {
  for (const std::int64_t width : {4, 5, 6, 7, 8, 12, 14, 16, 27, 28, 32, 41, 48})
    for (const std::int64_t inputs : {3, 4, 8, 20})
      for (const std::int64_t outputs : {5, 16, 24, 32, 64, 128})
        for (const std::int64_t kernel : {1, 3}) {
          const auto seed =
              static_cast<std::uint64_t>(((width * 100 + inputs) * 1000 + outputs) * 10 + kernel);
          CAPTURE(seed);
          Random random(seed);
          const Axis down = axis_of(random.between(3, 6), kernel, 1, kernel / 2);
          const Axis across = axis_of(width, kernel, 1, kernel / 2);
          compare_variants(plan_of(random, {1, inputs, outputs, down, across}), seed, true);
        }
}

// Of one row, sums of 128 windows are put aside at once.
TEST_CASE("fast conv2d equals scalar for rows of more windows than are put aside") {
  for (const std::int64_t width : {125, 126, 127, 128, 129, 131, 252, 256, 257, 390})
    for (const std::int64_t outputs : {5, 8, 16, 24, 64})
      for (const std::int64_t kernel : {1, 3}) {
        const auto seed = static_cast<std::uint64_t>((width * 1000 + outputs) * 10 + kernel);
        CAPTURE(seed);
        Random random(seed);
        const Axis down = axis_of(kernel + 1, kernel, 1, 0);
        const Axis across = axis_of(width, kernel, 1, kernel / 2);
        compare_variants(plan_of(random, {1, random.between(1, 9), outputs, down, across}), seed,
                         true);
      }
}

// avx512vnni keeps all weights of such windows in registers.
TEST_CASE("fast conv2d equals scalar for short windows") {
  struct Window {
    std::int64_t inputs, kernel;
  };
  for (const Window& window :
       {Window{8, 1}, Window{16, 1}, Window{24, 1}, Window{32, 1}, Window{3, 3}, Window{4, 3}})
    for (const std::int64_t outputs : {8, 16, 24, 32, 40})
      for (const std::int64_t width : {3, 8, 9, 13, 21, 48})
        for (const std::int64_t stride : {1, 2}) {
          const auto seed = static_cast<std::uint64_t>(
              (((width * 10 + stride) * 100 + window.inputs) * 100 + outputs) * 10 + window.kernel);
          CAPTURE(seed);
          Random random(seed);
          const std::int64_t padding = random.between(0, window.kernel - 1);
          const Axis down = axis_of(random.between(3, 6), window.kernel, stride, padding);
          const Axis across = axis_of(width, window.kernel, stride, padding);
          compare_variants(plan_of(random, {1, window.inputs, outputs, down, across}), seed, true);
        }
}

// In avx512vnni two windows share a register, and so the constants of posts, of any kind.
TEST_CASE("fast conv2d of 3 inputs and 8 outputs equals scalar") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::int64_t stride = random.between(1, 2), padding = random.between(0, 2);
    const Axis down = axis_of(random.between(3, 6), 3, stride, padding);
    const Axis across = axis_of(random.between(16, 40), 3, stride, padding);
    compare_variants(plan_of(random, {1, 3, 8, down, across}), seed, true);
  }
}

// In avx512vnni two windows share a register of up to 8 outputs behind 16.
TEST_CASE("fast conv2d of 17, 24 and 25 outputs equals scalar") {
  for (const std::int64_t outputs : {17, 24, 25})
    for (std::uint64_t i = 1; i <= 150; ++i) {
      const std::uint64_t seed = 1000 * static_cast<std::uint64_t>(outputs) + i;
      CAPTURE(seed);
      Random random(seed);
      const std::int64_t kernel = random.pick({1, 1, 3});
      const Axis down = axis_of(random.between(kernel, 5), kernel, 1, 0);
      const Axis across = axis_of(random.between(6, 15) + kernel, kernel, 1, 0);
      compare_variants(plan_of(random, {1, random.between(33, 70), outputs, down, across}), seed,
                       true);
    }
}

TEST_CASE("fast depthwise conv2d equals scalar for 2 to 130 channels") {
  for (std::int64_t channels = 2; channels <= 130; ++channels)
    for (const std::int64_t kernel : {3, 0}) {
      const auto seed = static_cast<std::uint64_t>(channels * 2 + (kernel == 0 ? 1 : 0));
      CAPTURE(seed);
      Random random(seed);
      const std::int64_t kernel_h = kernel != 0 ? kernel : random.between(1, 9),
                         kernel_w = kernel != 0 ? kernel : random.between(1, 9);
      const Axis down = axis_of(random.between(kernel_h, 12), kernel_h, random.between(1, 3),
                                random.between(0, 2));
      const Axis across = axis_of(random.between(kernel_w, 45), kernel_w, random.between(1, 3),
                                  random.between(0, 2));
      compare_variants(plan_of(random, {channels, 1, 1, down, across}), seed, true);
    }
}

// With as many channels as avx512vnni takes from registers, by 64.
TEST_CASE("fast depthwise conv2d of 3x3 windows equals scalar, whatever the padding") {
  for (std::int64_t channels = 33; channels <= 200; ++channels)
    for (const std::int64_t stride : {1, 2}) {
      const auto seed = static_cast<std::uint64_t>(channels * 2 + stride);
      CAPTURE(seed);
      Random random(seed);
      const Axis down = axis_of(random.between(3, 9), 3, stride, random.between(0, 3));
      const Axis across = axis_of(random.between(3, 12), 3, stride, random.between(0, 3));
      compare_variants(plan_of(random, {channels, 1, 1, down, across}), seed, true);
    }
}

// Several rows at a time of narrow images, parts of a row of wide ones. Of 8 channels twice as many
// columns fit.
TEST_CASE("fast depthwise conv2d of 3x3 windows equals scalar for narrow and for wide images") {
  for (const std::int64_t channels : {8, 16, 17, 32, 33, 65})
    for (const std::int64_t stride : {1, 2})
      for (const std::int64_t width : {2,  3,  4,  5,  9,  20, 31,  32,  33,  34,  63,  64,
                                       65, 66, 67, 68, 97, 98, 131, 132, 133, 134, 265, 266})
        for (const std::int64_t height : {3, 4, 7, 30}) {
          if (width > 30 && height > 7) continue;
          const auto seed =
              static_cast<std::uint64_t>(((channels * 10 + stride) * 1000 + width) * 100 + height);
          CAPTURE(seed);
          Random random(seed);
          const Axis down = axis_of(height, 3, stride, random.between(0, 2));
          const Axis across = axis_of(width, 3, stride, width < 3 ? 1 : random.between(0, 2));
          const std::int64_t divisor = random.pick({1, 4, 8});
          compare_variants(plan_of(random, {channels, 1, 1, down, across}, {}, divisor), seed,
                           true);
        }
}

// Padding behind may leave one pixel of the input, or none, under two windows that are computed
// together.
TEST_CASE(
    "fast depthwise conv2d of 3x3 windows equals scalar where wide images are padded behind") {
  for (const std::int64_t channels : {8, 16})
    for (const std::int64_t stride : {1, 2})
      for (std::int64_t width = 120; width <= 138; ++width)
        for (const std::int64_t padding : {2, 3, 4, 5}) {
          const auto seed =
              static_cast<std::uint64_t>(((channels * 10 + stride) * 1000 + width) * 10 + padding);
          CAPTURE(seed);
          Random random(seed);
          const Axis down = axis_of(4, 3, stride, 1);
          const Axis across = {width, 3, stride, 1, random.between(0, 2), padding};
          compare_variants(plan_of(random, {channels, 1, 1, down, across}), seed, true);
        }
}

// Images of one or two columns, under windows of which some lie in the padding as a whole.
TEST_CASE("fast depthwise conv2d of 3x3 windows equals scalar for one or two columns") {
  for (const std::int64_t channels : {8, 16, 24, 40})
    for (const std::int64_t width : {1, 2})
      for (const std::int64_t stride : {1, 2})
        for (const std::int64_t before : {0, 1, 2, 3, 4})
          for (const std::int64_t behind : {0, 1, 2, 3, 4}) {
            if (width + before + behind < 3) continue;
            const auto seed = static_cast<std::uint64_t>(
                (((channels * 10 + width) * 10 + stride) * 10 + before) * 10 + behind);
            CAPTURE(seed);
            Random random(seed);
            const Axis down = axis_of(5, 3, stride, 1);
            const Axis across = {width, 3, stride, 1, before, behind};
            compare_variants(plan_of(random, {channels, 1, 1, down, across}), seed, true);
          }
}

// avx512vnni takes the last 16 or 32 channels of several pixels at a time, the others 8 channels of
// two pixels.
TEST_CASE("fast depthwise conv2d of 3x3 windows equals scalar, whatever the width") {
  for (const std::int64_t channels : {8, 16, 24, 32, 80, 96})
    for (const std::int64_t stride : {1, 2})
      for (std::int64_t width = 3; width <= 20; ++width)
        for (const std::int64_t padding : {0, 1, 2, 6}) {
          const auto seed =
              static_cast<std::uint64_t>(((channels * 10 + stride) * 100 + width) * 10 + padding);
          CAPTURE(seed);
          Random random(seed);
          const Axis down = axis_of(random.between(3, 6), 3, stride, random.between(0, 3));
          const Axis across = axis_of(width, 3, stride, padding);
          compare_variants(plan_of(random, {channels, 1, 1, down, across}), seed, true);
        }
}

TEST_CASE("fast conv2d equals scalar for random geometries") {
  for (std::uint64_t seed = 1; seed <= 1500; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::int64_t groups = random.pick({1, 1, 2, 3, 20});
    const std::int64_t inputs = random.between(1, groups == 1 ? 130 : 5);
    const std::int64_t outputs = random.between(1, groups == 1 ? 130 : 20);
    const Axis down = random_axis(random), across = random_axis(random);
    const std::int64_t divisor = random.pick({1, 1, 8, 40});
    compare_variants(plan_of(random, {groups, inputs, outputs, down, across}, {}, divisor), seed,
                     false);
  }
}

// Several bands: rows do not fit at once, or not even one row does.
TEST_CASE("fast conv2d equals scalar where the input does not fit a band") {
  Random random(1);
  const auto check = [&](const Convolution& c, bool must_be_taken) {
    compare_variants(plan_of(random, c), 1, must_be_taken);
  };
  check({1, 130, 20, axis_of(20, 3, 1, 1), axis_of(37, 3, 1, 1)}, true);
  check({1, 3, 8, axis_of(5, 5, 2, 2), axis_of(9000, 5, 2, 2)}, true);
  check({1, 8200, 17, axis_of(2, 1, 1, 0), axis_of(5, 1, 1, 0)}, true);
  check({130, 1, 1, axis_of(7, 3, 1, 1), axis_of(200, 3, 1, 1)}, true);
  check({1500, 1, 1, axis_of(5, 3, 2, 1), axis_of(9, 3, 2, 1)}, true);
  check({2100, 1, 1, axis_of(5, 3, 2, 1), axis_of(9, 3, 2, 1)}, false);  // with codes of 8 bits
  check({24, 1, 1, axis_of(9, 5, 1, 2), axis_of(700, 5, 1, 2)}, true);
  // Not one window fits: the scalar kernels take it.
  check({1, 8200, 3, axis_of(4, 3, 1, 1), axis_of(4, 3, 1, 1)}, false);
  check({5000, 1, 1, axis_of(4, 3, 1, 1), axis_of(4, 3, 1, 1)}, false);
}

// Outputs are the sums themselves.
template <typename Draw>
std::vector<std::uint8_t> sums_plan(const Convolution& c, bool clamped, const Draw& draw_weight) {
  const std::int64_t outputs = c.groups * c.group_outputs;
  const Logical expected(outputs, c.down.slack() / c.down.stride + 1,
                         c.across.slack() / c.across.stride + 1);
  TensorSpec input;
  input.channels = static_cast<std::uint32_t>(c.groups * c.group_inputs);
  input.height = static_cast<std::uint32_t>(c.down.input);
  input.width = static_cast<std::uint32_t>(c.across.input);
  PlanBuilder builder;
  const Tensors tensors = add_tensors_of_sums(builder, input, clamped, expected);
  std::vector<std::int64_t> weights;
  for (std::int64_t i = 0; i < outputs * c.down.kernel * c.across.kernel * c.group_inputs; ++i)
    weights.push_back(draw_weight());
  intrt_conv2d_params p{};
  p.kernel_h = static_cast<std::uint32_t>(c.down.kernel);
  p.kernel_w = static_cast<std::uint32_t>(c.across.kernel);
  p.stride_h = static_cast<std::uint32_t>(c.down.stride);
  p.stride_w = static_cast<std::uint32_t>(c.across.stride);
  p.dilation_h = static_cast<std::uint32_t>(c.down.dilation);
  p.dilation_w = static_cast<std::uint32_t>(c.across.dilation);
  p.groups = static_cast<std::uint32_t>(c.groups);
  p.weight_type = INTRT_INT8;
  p.weights_offset = builder.weights(weights, INTRT_INT8);
  builder.op(k_conv2d, tensors.from, tensors.to, p);
  return builder.finish();
}

// Bands of rows, and of columns, in their place: codes that are never negative, no window outside.
TEST_CASE("fast conv2d equals scalar where several bands are read in place") {
  const Axis by_two = axis_of(41, 3, 2, 0);
  const Axis dilated = {40, 3, 1, 2, 0, 0};
  for (const bool clamped : {true, false})
    for (const Convolution& c :
         {Convolution{1, 128, 20, axis_of(20, 1, 1, 0), axis_of(40, 1, 2, 0)},
          {1, 128, 20, axis_of(20, 3, 1, 0), axis_of(40, 3, 1, 0)},
          {1, 64, 20, axis_of(4, 3, 1, 0), axis_of(400, 3, 1, 0)},
          {1, 128, 9, by_two, by_two},
          {2, 64, 8, by_two, by_two},
          {1, 128, 9, dilated, dilated}}) {
      CAPTURE(clamped);
      CAPTURE(c.down.input);
      CAPTURE(c.groups);
      Random random(1);
      const auto weight = [&] { return random.between(-128, 127); };
      const std::vector<std::uint8_t> plan = sums_plan(c, clamped, weight);
      compare_variants(plan, 3, true);
      if (variant_runs_here("avx2")) CHECK(GuardedPlan(plan, true).is_read_in_place() == clamped);
    }
}

TEST_CASE("extreme codes and weights: no sum of products saturates") {
  const Axis one = axis_of(1, 1, 1, 0), three = axis_of(5, 3, 1, 0), five = axis_of(9, 5, 1, 0),
             by_two = axis_of(5, 3, 2, 0);
  Random random(1);
  for (const Codes weights : {Codes::kExtremes, Codes::kLeast, Codes::kGreatest})
    for (const Codes codes : {Codes::kExtremes, Codes::kLeast, Codes::kGreatest})
      for (const Convolution& c : {Convolution{1, 2000, 17, one, one},
                                   {1, 64, 40, three, five},
                                   {31, 1, 1, three, three},
                                   {33, 1, 1, three, three},
                                   {33, 1, 1, by_two, by_two},
                                   {33, 1, 1, five, five}})
        for (const bool clamped : {false, true}) {
          CAPTURE(static_cast<int>(weights));
          CAPTURE(static_cast<int>(codes));
          CAPTURE(clamped);
          const auto weight = [&] { return draw(random, weights, INTRT_INT8); };
          compare_variants(sums_plan(c, clamped, weight), 3, true, codes);
        }
}

// avx2 sums products in 16 bits, as long as the weights of a sign add up to at most 128 or, with
// codes that are not negative, 258.
TEST_CASE("weights that add up to what sums of 16 bits hold, and to a little more") {
  const Axis one = axis_of(1, 1, 1, 0), three = axis_of(4, 3, 1, 0), by_two = axis_of(5, 3, 2, 0);
  for (std::uint64_t seed = 1; seed <= 60; ++seed)
    for (const bool clamped : {false, true})
      for (const Convolution& c : {Convolution{1, 64, 17, one, one},
                                   {1, 6, 8, three, three},
                                   {17, 1, 1, three, three},
                                   {33, 1, 1, three, three},
                                   {33, 1, 1, by_two, by_two}}) {
        CAPTURE(seed);
        CAPTURE(clamped);
        Random random(seed);
        const int sign = random.one_in(2) ? 1 : -1;
        const auto weight = [&] {
          return sign * random.pick({0, 1, 2, 3, 4, 63, 64, 65, 66, 124, 125, 126, 127, 127});
        };
        compare_variants(sums_plan(c, clamped, weight), seed, true, Codes::kGreatest);
      }
}

// avx2 lets up to eight steps share sums of 16 bits, so many that their weights fill these: here
// just so, or but for a few. Of windows of one row they may stay in order, others are listed.
TEST_CASE("weights with which sums of 16 bits hold those of one to nine steps, and a little more") {
  const Axis one = axis_of(1, 1, 1, 0), three = axis_of(4, 3, 1, 0), wide = axis_of(9, 3, 1, 0),
             many = axis_of(13, 1, 1, 0);
  std::set<std::uint32_t> in_order, listed;
  std::set<std::pair<std::uint32_t, std::uint32_t>> of_few;  // sizes and steps
  const bool has_avx2 = variant_runs_here("avx2");
  for (const std::int64_t steps : {1, 2, 3, 4, 5, 6, 7, 8, 9})
    for (const std::int64_t all : {128, 258})
      for (const bool clamped : {false, true})
        for (const Codes codes : {Codes::kGreatest, Codes::kLeast, Codes::kExtremes})
          for (const Convolution& c : {Convolution{1, 96, 17, one, one},
                                       {1, 100, 40, one, one},
                                       {1, 33, 9, one, wide},
                                       {1, 20, 5, three, three},
                                       {1, 8, 24, three, wide},
                                       {1, 8, 9, one, many},
                                       {1, 16, 8, one, many},
                                       {1, 24, 9, one, many}}) {
            CAPTURE(steps);
            CAPTURE(all);
            CAPTURE(clamped);
            CAPTURE(static_cast<int>(codes));
            Random random(static_cast<std::uint64_t>(steps));
            const std::int64_t even = all / (2 * steps), sign = random.pick({-1, 1});
            const std::int64_t most = sign > 0 ? 127 : 128;
            const int excess_in = random.pick({20, 200, 2000});
            std::int64_t place = -1;  // in steps of four, of two sums; the last of each fills it
            const auto weight = [&] {
              place = (place + 1) % (4 * steps);
              const bool fills = place == 4 * steps - 3 || place == 4 * steps - 1;
              const std::int64_t size = fills ? all - even * (2 * steps - 1) : even;
              return sign * std::min(size + (random.one_in(excess_in) ? 1 : 0), most);
            };
            const std::vector<std::uint8_t> plan = sums_plan(c, clamped, weight);
            compare_variants(plan, 3, true, codes);
            if (!has_avx2) continue;
            const auto sharing = GuardedPlan(plan, true).sharing_steps();
            in_order.insert(sharing.in_order);
            if (sharing.all <= 6) of_few.insert({sharing.in_order, sharing.all});
            listed.insert(sharing.listed.begin(), sharing.listed.end());
          }
  if (!has_avx2) return;
  CHECK(in_order == std::set<std::uint32_t>{0, 1, 2, 3, 4, 6, 8});
  CHECK(listed == std::set<std::uint32_t>{2, 4, 6, 8});
  for (const std::pair<std::uint32_t, std::uint32_t> of : {std::pair{2, 2}, {2, 4}, {3, 6}})
    CHECK(of_few.contains(of));
}

// Of avx2: groups, steps alone and rests in the sums of the same outputs.
TEST_CASE("small weights of which some are too much for sums of 16 bits") {
  bool has_all = false;
  for (std::uint64_t seed = 1; seed <= 60; ++seed)
    for (const std::int64_t outputs : {7, 16, 41})
      for (const std::int64_t width : {1, 2, 7, 13}) {
        CAPTURE(seed);
        CAPTURE(outputs);
        CAPTURE(width);
        Random random(seed);
        const std::int64_t kernel = random.pick({1, 3}), inputs = random.between(9, 70);
        const Convolution c = {1, inputs, outputs, axis_of(kernel, kernel, 1, 0),
                               axis_of(width + kernel - 1, kernel, 1, 0)};
        const int heavy_in = random.pick({300, 1000, 4000});
        const auto weight = [&]() -> std::int64_t {
          return random.one_in(heavy_in) ? random.pick({-128, 127}) : random.between(-12, 12);
        };
        const std::vector<std::uint8_t> plan = sums_plan(c, false, weight);
        compare_variants(plan, seed, true, random.pick({Codes::kGreatest, Codes::kExtremes}));
        if (!variant_runs_here("avx2")) continue;
        const auto sharing = GuardedPlan(plan, true).sharing_steps();
        const auto steps = static_cast<std::uint32_t>(kernel * ((kernel * inputs + 3) / 4));
        has_all = has_all || (sharing.listed.size() > 2 && sharing.all > steps);
      }
  CHECK(has_all == variant_runs_here("avx2"));
}

// Steps whose weights are 0 are left out, and on avx2 rests may come where they lay.
TEST_CASE("steps without weights beside steps whose weights are too much for sums of 16 bits") {
  const Axis three = axis_of(4, 3, 1, 0);
  const Convolution c = {1, 16, 20, three, three};
  for (std::uint64_t seed = 1; seed <= 20; ++seed)
    for (const Codes codes : {Codes::kGreatest, Codes::kExtremes}) {
      CAPTURE(seed);
      CAPTURE(static_cast<int>(codes));
      Random random(seed);
      std::array<bool, 9 * 4> is_left_out;  // of four inputs of a tap
      for (bool& one : is_left_out) one = random.one_in(3);
      std::size_t weights = 0;
      const auto weight = [&]() -> std::int64_t {
        const std::size_t step = weights++ / 4 % is_left_out.size();
        return is_left_out[step] ? 0 : random.pick({-128, -3, 2, 100, 127});
      };
      compare_variants(sums_plan(c, false, weight), seed, true, codes);
    }
}

// avx2 lets the three columns of a depthwise window share sums of 16 bits, too: here the weights of
// two rows fill these, but for a few channels that have a little more.
TEST_CASE("weights with which sums of 16 bits hold those of a 3x3 window, and a little more") {
  const Axis one = axis_of(6, 3, 1, 0), two = axis_of(7, 3, 2, 0);
  for (const std::int64_t all : {128, 258})
    for (const std::int64_t excess : {0, 1, 20})
      for (const bool clamped : {false, true})
        for (const Codes codes : {Codes::kGreatest, Codes::kLeast, Codes::kExtremes})
          for (const Convolution& c : {Convolution{32, 1, 1, one, one},
                                       {8, 1, 1, one, one},
                                       {8, 1, 1, two, two},
                                       {20, 1, 1, one, one},
                                       {20, 1, 1, two, two},
                                       {70, 1, 1, one, one},
                                       {70, 1, 1, two, two},
                                       {130, 1, 1, two, one}}) {
            CAPTURE(all);
            CAPTURE(excess);
            CAPTURE(clamped);
            CAPTURE(static_cast<int>(codes));
            Random random(static_cast<std::uint64_t>(all + excess));
            const std::int64_t sign = random.pick({-1, 1});
            // Rows of 22, 21, 21 or 43, 43, 43: any two make 128 or 258.
            std::int64_t place = -1;
            const auto weight = [&] {
              place = (place + 1) % 9;
              const std::int64_t even = all / 6, size = even + (place % 3 == 0 ? all / 2 % 3 : 0);
              return sign * (size + (random.one_in(200) ? excess : 0));
            };
            compare_variants(sums_plan(c, clamped, weight), 3, true, codes);
          }
}

#ifdef EXPECTED_VARIANT
TEST_CASE("this program has run the kernels that it was built for") {
  CHECK_MESSAGE(variant_runs_here(EXPECTED_VARIANT), "this CPU does not run " EXPECTED_VARIANT);
}
#endif

TEST_CASE("prepared memory is refused where it does not belong") {
  Random random(1);
  const std::vector<std::uint8_t> bytes =
      plan_of(random, {1, 4, 20, axis_of(5, 3, 1, 1), axis_of(5, 3, 1, 1)});
  const std::vector<std::uint8_t> others =
      plan_of(random, {1, 4, 20, axis_of(5, 3, 1, 1), axis_of(5, 3, 1, 1)});
  const AlignedBytes plan_bytes(bytes), other_bytes(others);
  intrt_plan plan, other;
  REQUIRE(intrt_open(&plan, plan_bytes.data(), plan_bytes.size(), nullptr) == INTRT_OK);
  REQUIRE(intrt_open(&other, other_bytes.data(), other_bytes.size(), nullptr) == INTRT_OK);
  AlignedBytes arena(intrt_arena_bytes(&plan));
  const auto run = [&](const intrt_plan& which, const void* prepared,
                       const intrt_run_options* options = nullptr) {
    return intrt_run_prepared(&which, prepared, arena.data(), arena.size(), options);
  };
  for (std::uint32_t v = 0; intrt_kernel_variant(v) != nullptr; ++v) {
    if (intrt_kernel_variant_runs_here(v) == 0) continue;
    const char* const variant = intrt_kernel_variant(v);
    CAPTURE(v);
    const std::size_t size = intrt_prepared_bytes(&plan, variant);
    const GuardedBytes memory(size, false);
    CHECK(intrt_prepare(&plan, variant, nullptr, size) == INTRT_ERROR_NULL);
    CHECK(intrt_prepare(&plan, variant, memory.data() + 16, size) == INTRT_ERROR_ALIGNMENT);
    CHECK(intrt_prepare(&plan, variant, memory.data(), size - 1) == INTRT_ERROR_PREPARED);
    CHECK(run(plan, memory.data()) == INTRT_ERROR_PREPARED);
    // What was prepared before is no longer there.
    for (const std::size_t less : {sizeof(intrt::PreparedHeader), size / 4, size / 2, size - 1}) {
      REQUIRE(intrt_prepare(&plan, variant, memory.data(), size) == INTRT_OK);
      CHECK(run(plan, memory.data()) == INTRT_OK);
      CHECK(intrt_prepare(&plan, variant, memory.data(), less) == INTRT_ERROR_PREPARED);
      CHECK(run(plan, memory.data()) == INTRT_ERROR_PREPARED);
    }
    REQUIRE(intrt_prepare(&plan, variant, memory.data(), size) == INTRT_OK);
    CHECK(run(plan, memory.data()) == INTRT_OK);
    CHECK(run(other, memory.data()) == INTRT_ERROR_PREPARED);
    CHECK(run(plan, nullptr) == INTRT_ERROR_NULL);
    CHECK(run(plan, memory.data() + 16) == INTRT_ERROR_ALIGNMENT);
    const intrt_run_options same = {variant, nullptr, nullptr, nullptr},
                            unknown = {"sclar", nullptr, nullptr, nullptr};
    CHECK(run(plan, memory.data(), &same) == INTRT_OK);
    CHECK(run(plan, memory.data(), &unknown) == INTRT_ERROR_KERNELS);
    // Without the memory a program gets what it asked for, or is told.
    const bool is_scalar = std::string(variant) == "scalar";
    CHECK(intrt_run(&plan, arena.data(), arena.size(), &same) ==
          (is_scalar ? INTRT_OK : INTRT_ERROR_PREPARED));
  }
  CHECK(intrt_prepared_bytes(&plan, "sclar") == 0);
  CHECK(intrt_prepare(&plan, "sclar", arena.data(), 0) != INTRT_OK);
}
