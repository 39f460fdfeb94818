// The variants' kernels that prepare nothing against the scalar ones. A failure prints the seed.
#include "tests/intrt/fast_plans.h"

using namespace lockstep::testing;

TEST_CASE("fast add equals scalar for 1 to 130 channels, in place, too") {
  for (std::int64_t channels = 1; channels <= 130; ++channels)
    for (const bool in_place : {false, true}) {
      const auto seed = static_cast<std::uint64_t>(2 * channels + (in_place ? 1 : 0));
      CAPTURE(seed);
      Random random(seed);
      const bool wide_a = random.one_in(3), wide_b = random.one_in(3);
      const Format out_format = !in_place ? random_format(random, true)
                                : wide_a  ? Format{INTRT_INT16, 16}
                                          : Format{INTRT_INT8, 8};
      Logical expected(channels, random.between(1, 9), random.between(1, 9));
      const auto input = [&](bool wide) {
        return spec_of(expected, wide ? Format{INTRT_INT16, 16} : Format{INTRT_INT8, 8});
      };
      PlanBuilder builder;
      const std::uint32_t a = builder.input(input(wide_a)), b = builder.input(input(wide_b));
      TensorSpec output = spec_of(expected, out_format);
      if (in_place) output.arena_offset = 0;
      const std::uint32_t to = builder.output(output);
      const bool alike = random.one_in(2);
      const std::int64_t most = wide_a || wide_b ? 32000 : 8000000;
      std::vector<std::int32_t> multipliers;
      for (std::int64_t i = 0; i < 2 * channels; ++i)
        multipliers.push_back(alike && i % channels != 0
                                  ? multipliers.back()
                                  : static_cast<std::int32_t>(random.between(-most, most)));
      intrt_add_params p{};
      p.multipliers_offset = builder.array(multipliers);
      Post post = random_post(random, out_format, channels, expected.height, expected.width);
      p.post = post_record(builder, post, expected);
      builder.op(k_add, std::vector<std::uint32_t>{a, b}, to, p);
      compare_variants(builder.finish(), seed, true);
    }
}

// Where avx512vnni may add in 16 bits, up to the most that these hold, and just beyond.
TEST_CASE("fast add of bytes equals scalar, whatever small multipliers, shift and rounding") {
  struct Pair {
    std::int32_t a, b;
  };
  std::uint64_t seed = 0;
  for (const Pair of : {Pair{1, 1},
                        {0, 255},
                        {255, 0},
                        {128, 127},
                        {127, 128},
                        {3, 64},
                        {128, 128},
                        {129, 128},
                        {256, 0},
                        {0, 256},
                        {-1, 4},
                        {4, -1},
                        {0, 0}})
    for (const std::int32_t shift : {-1, 0, 1, 4, 7, 8, 13, 14, 15, 16})
      for (const Rounding rounding : {Rounding::kTowardZero, Rounding::kFloor, Rounding::kHalfEven})
        for (const std::int64_t lo : {-128, -5, 0}) {
          ++seed;
          CAPTURE(of.a);
          CAPTURE(of.b);
          CAPTURE(shift);
          CAPTURE(lo);
          Random random(seed);
          const std::int64_t channels = random.between(1, 70);
          const Logical image(channels, random.between(1, 3), random.between(1, 9));
          PlanBuilder builder;
          const Format bytes = {INTRT_INT8, 8};
          const std::uint32_t a = builder.input(spec_of(image, bytes)),
                              b = builder.input(spec_of(image, bytes));
          TensorSpec output = spec_of(image, bytes);
          if (random.one_in(2)) output.arena_offset = 0;  // in place
          const std::uint32_t to = builder.output(output);
          std::vector<std::int32_t> multipliers(static_cast<std::size_t>(channels), of.a);
          multipliers.resize(2 * multipliers.size(), of.b);
          intrt_add_params p{};
          p.multipliers_offset = builder.array(multipliers);
          Post post;
          post.kind = INTRT_POST_SHIFT;
          post.rounding = rounding;
          post.shifts = {static_cast<std::int8_t>(shift)};
          post.lo = lo;
          post.hi = random.one_in(2) ? 127 : 9;
          p.post = post_record(builder, post, image);
          builder.op(k_add, std::vector<std::uint32_t>{a, b}, to, p);
          const std::vector<std::uint8_t> plan = builder.finish();
          for (const Codes codes : {Codes::kAll, Codes::kLeast, Codes::kGreatest})
            compare_variants(plan, seed, true, codes);
        }
}

TEST_CASE("fast pools equal scalar for 1 to 130 channels") {
  for (std::int64_t channels = 1; channels <= 130; ++channels) {
    const auto seed = static_cast<std::uint64_t>(channels);
    CAPTURE(seed);
    Random random(seed);
    const std::int64_t height = random.between(2, 9), width = random.between(2, 9);
    const Logical image(channels, height, width), halves(channels, height / 2, width / 2);
    {
      PlanBuilder builder;
      const Tensors tensors = add_tensors(builder, random, spec_of(image, {INTRT_INT8, 8}),
                                          spec_of(halves, {INTRT_INT8, 8}));
      intrt_max_pool2d_params p{};
      p.kernel_h = p.kernel_w = p.stride_h = p.stride_w = 2;
      p.dilation_h = p.dilation_w = 1;
      builder.op(k_max_pool2d, tensors.from, tensors.to, p);
      compare_variants(builder.finish(), seed, true);
    }
    const Format out_format = random_format(random, true);
    PlanBuilder builder;
    const Tensors tensors =
        add_tensors(builder, random, spec_of(image, {INTRT_INT8, 8}), spec_of(halves, out_format));
    const auto spans = [&](std::int64_t inputs) {
      std::vector<intrt_pool_span> found;
      for (std::int64_t i = 0; i < inputs / 2; ++i) {
        const auto end = static_cast<std::uint32_t>(random.between(2 * i + 1, inputs));
        found.push_back({static_cast<std::uint32_t>(2 * i), end,
                         static_cast<std::uint32_t>(random.between(1, 400))});
      }
      return builder.array(found);
    };
    intrt_avg_pool2d_params p{};
    p.rows_offset = spans(height);
    p.columns_offset = spans(width);
    p.post = post_record(
        builder, random_post(random, out_format, channels, halves.height, halves.width), halves);
    builder.op(k_avg_pool2d, tensors.from, tensors.to, p);
    compare_variants(builder.finish(), seed, true);
  }
}

TEST_CASE("fast max_pool2d equals scalar for few channels, whatever the window") {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::int64_t channels = random.between(1, 17);
    // Rows that are put aside in parts, and windows of which not one can be.
    const bool is_long = random.one_in(8);
    const auto axis = [&](std::int64_t shortest, std::int64_t longest, bool is_wide) {
      Axis of{};
      of.kernel = random.between(1, is_wide ? 9 : 4);
      of.dilation = random.between(1, is_wide ? 150 : 3);
      of.stride = random.between(1, 4);
      of.input = random.between(std::max(shortest, of.reach()), std::max(longest, of.reach() + 20));
      of.pad_before = random.between(0, of.kernel / 2);
      of.pad_after = random.between(0, of.pad_before);
      return of;
    };
    const Axis down = axis(1, 9, false), across = axis(1, is_long ? 3000 : 40, is_long);
    const Logical image(channels, down.input, across.input),
        pooled(channels, down.slack() / down.stride + 1, across.slack() / across.stride + 1);
    PlanBuilder builder;
    const Tensors tensors = add_tensors(builder, random, spec_of(image, {INTRT_INT8, 8}),
                                        spec_of(pooled, {INTRT_INT8, 8}));
    intrt_max_pool2d_params p{};
    set_window(p, down, across);
    p.pad_bottom = static_cast<std::uint32_t>(down.pad_after);
    p.pad_right = static_cast<std::uint32_t>(across.pad_after);
    builder.op(k_max_pool2d, tensors.from, tensors.to, p);
    compare_variants(builder.finish(), seed, true);
  }
}

TEST_CASE("fast requantize equals scalar for 1 to 130 channels of any type, in place, too") {
  for (std::int64_t channels = 1; channels <= 130; ++channels)
    for (const std::uint8_t type : {INTRT_INT8, INTRT_INT16, INTRT_INT32})
      for (const bool in_place : {false, true}) {
        const auto seed = static_cast<std::uint64_t>(8 * channels + 2 * type + (in_place ? 1 : 0));
        CAPTURE(seed);
        Random random(seed);
        const auto bits = static_cast<std::uint8_t>(type == INTRT_INT8    ? 8
                                                    : type == INTRT_INT16 ? 16
                                                                          : 32);
        const Format from = {type, bits};
        const Format to = in_place ? from : random_format(random, true);
        const std::int64_t height = random.pick({1, 1, 2, 9});
        const Logical image(channels, height, random.between(1, 90 / height));
        PlanBuilder builder;
        const std::uint32_t input = builder.input(spec_of(image, from));
        TensorSpec spec = spec_of(image, to);
        if (in_place) spec.arena_offset = builder.arena_offset_of(input);
        const std::uint32_t output = builder.output(spec);
        intrt_requantize_params p{};
        p.post = post_record(builder, random_post(random, to, channels, image.height, image.width),
                             image);
        builder.op(k_requantize, input, output, p);
        compare_variants(builder.finish(), seed, true);
      }
}

TEST_CASE("a clamp of bytes equals scalar, and what is more than a clamp is not taken for one") {
  for (std::int64_t elements = 1; elements <= 130; ++elements)
    for (const std::int64_t height : {1, 3})
      for (const bool is_clamp : {true, false}) {
        const auto seed = static_cast<std::uint64_t>(4 * elements + height + (is_clamp ? 1 : 0));
        CAPTURE(seed);
        Random random(seed);
        const std::int64_t width = elements % 5 == 0 ? 5 : 1;
        const Logical image(elements / width, height, width);
        Post post;
        post.kind = INTRT_POST_SHIFT;
        post.rounding = Rounding::kFloor;
        post.shifts = {static_cast<std::int8_t>(is_clamp ? 0 : random.pick({-1, 0, 1}))};
        const bool has_mask = !is_clamp && post.shifts[0] == 0 && random.one_in(2);
        if (!is_clamp && post.shifts[0] == 0 && !has_mask) {
          post.shifts.resize(static_cast<std::size_t>(image.channels), 1);
          post.shifts.back() = 1;
        }
        post.lo = random.pick({-128, -7, 0, 5});
        post.hi = random.pick({5, 100, 127});
        if (has_mask)
          for (std::int64_t i = 0; i < elements * height; ++i)
            post.mask.push_back(random.one_in(2));
        PlanBuilder builder;
        const Format bytes = {INTRT_INT8, 8};
        const std::uint32_t input = builder.input(spec_of(image, bytes));
        TensorSpec spec = spec_of(image, bytes);
        if (random.one_in(2)) spec.arena_offset = builder.arena_offset_of(input);
        const std::uint32_t output = builder.output(spec);
        intrt_requantize_params p{};
        p.post = post_record(builder, post, image);
        builder.op(k_requantize, input, output, p);
        compare_variants(builder.finish(), seed, true);
      }
}
