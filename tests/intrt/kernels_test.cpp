// The multiplying kernels of every variant against loops over PyTorch's (C,H,W) order in 64 bits:
// many random geometries, element types, widths, post records and masks. A failure prints the seed.
#include "tests/intrt/stored_weights.h"

using namespace lockstep::testing;

TEST_CASE("conv2d equals the definition for random geometries, storage, types and post records") {
  for (std::uint64_t seed = 1; seed <= 4000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Axis down = random_axis(random), across = random_axis(random);
    const std::int64_t groups = random.one_in(2) ? 1 : random.between(2, 5);
    const std::int64_t group_inputs =
        random.one_in(4) ? random.pick({8, 16, 32}) : random.between(1, groups == 1 ? 17 : 4);
    const std::int64_t group_outputs = random.between(1, groups == 1 ? 9 : 3);
    const std::int64_t outputs = groups * group_outputs;
    const Format in_format = random_format(random, false), out_format = random_format(random, true);
    const auto weight_type = static_cast<std::uint32_t>(random.between(1, 3));
    const Logical input =
        random_codes(random, groups * group_inputs, down.input, across.input, in_format.bits);

    const std::int64_t largest_bias = random.one_in(3) ? 0 : random.between(1, 1 << 20);
    const StoredWeights weights = random_weights(random, random_storage(random, weight_type),
                                                 {weight_type, outputs, down.kernel * across.kernel,
                                                  group_inputs, in_format.bits, largest_bias});
    std::vector<std::int32_t> bias;
    for (std::int64_t o = 0; largest_bias != 0 && o < outputs; ++o)
      bias.push_back(static_cast<std::int32_t>(random.between(-largest_bias, largest_bias)));

    Logical expected(outputs, down.slack() / down.stride + 1, across.slack() / across.stride + 1);
    const Post post = random_post_behind(weight_type, random, out_format, outputs, expected.height,
                                         expected.width);
    for (std::int64_t o = 0; o < outputs; ++o)
      for (std::int64_t y = 0; y < expected.height; ++y)
        for (std::int64_t x = 0; x < expected.width; ++x) {
          std::int64_t acc = bias.empty() ? 0 : bias[static_cast<std::size_t>(o)];
          for (std::int64_t i = 0; i < group_inputs; ++i)
            for (std::int64_t ky = 0; ky < down.kernel; ++ky)
              for (std::int64_t kx = 0; kx < across.kernel; ++kx) {
                const std::int64_t iy = y * down.stride - down.pad_before + ky * down.dilation;
                const std::int64_t ix =
                    x * across.stride - across.pad_before + kx * across.dilation;
                if (!input.holds(iy, ix)) continue;
                acc += weights.effective[weights.at(o, ky * across.kernel + kx, i)] *
                       input.at(o / group_outputs * group_inputs + i, iy, ix);
              }
          expected.at(o, y, x) = acc;
        }
    apply_post(post, expected);

    PlanBuilder builder;
    const std::uint32_t from = builder.input(spec_of(input, in_format));
    const std::uint32_t to = builder.output(spec_of(expected, out_format));
    intrt_conv2d_params p{};
    set_window(p, down, across);
    p.pad_bottom = static_cast<std::uint32_t>(down.pad_after);
    p.pad_right = static_cast<std::uint32_t>(across.pad_after);
    p.groups = static_cast<std::uint32_t>(groups);
    p.weight_type = weight_type;
    store_weights(builder, p, weights);
    if (!bias.empty()) p.bias_offset = builder.array(bias, 16);
    p.post = post_record(builder, post, expected);
    builder.op(k_conv2d, from, to, p);
    check_plan(builder.finish(), {input}, expected);
  }
}

TEST_CASE("conv_transpose2d equals the transpose of a convolution, for outputs of any size") {
  for (std::uint64_t seed = 1; seed <= 4000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    struct Side {
      std::int64_t input, output, kernel, stride, dilation, pad;
    };
    const auto random_side = [&] {
      return Side{random.between(1, 6), random.between(1, 12), random.between(1, 5),
                  random.between(1, 4), random.between(1, 4),  random.between(0, 5)};
    };
    const Side down = random_side(), across = random_side();
    const std::int64_t groups = random.one_in(2) ? 1 : random.between(2, 4);
    const std::int64_t group_inputs = random.between(1, groups == 1 ? 9 : 3);
    const std::int64_t group_outputs = random.between(1, groups == 1 ? 6 : 3);
    const std::int64_t outputs = groups * group_outputs;
    const Format in_format = random_format(random, false), out_format = random_format(random, true);
    const auto weight_type = static_cast<std::uint32_t>(random.between(1, 3));
    const Logical input =
        random_codes(random, groups * group_inputs, down.input, across.input, in_format.bits);

    const std::int64_t terms = group_inputs * down.kernel * across.kernel;
    const std::int64_t largest_bias = random.one_in(3) ? 0 : random.between(1, 1 << 20);
    const std::int64_t w_max = largest_weight(weight_type, in_format.bits, terms, largest_bias);
    std::vector<std::int64_t> weights(static_cast<std::size_t>(outputs * terms));  // [O][kh][kw][I]
    for (std::int64_t& w : weights) w = random.between(-w_max, w_max);
    std::vector<std::int32_t> bias;
    for (std::int64_t o = 0; largest_bias != 0 && o < outputs; ++o)
      bias.push_back(static_cast<std::int32_t>(random.between(-largest_bias, largest_bias)));

    // Scattered, as the operator is defined: each input position adds to the outputs it reaches.
    Logical expected(outputs, down.output, across.output);
    for (std::int64_t o = 0; o < outputs; ++o) {
      for (std::int64_t y = 0; y < down.output; ++y)
        for (std::int64_t x = 0; x < across.output; ++x)
          expected.at(o, y, x) = bias.empty() ? 0 : bias[static_cast<std::size_t>(o)];
      for (std::int64_t i = 0; i < group_inputs; ++i)
        for (std::int64_t iy = 0; iy < down.input; ++iy)
          for (std::int64_t ix = 0; ix < across.input; ++ix)
            for (std::int64_t ky = 0; ky < down.kernel; ++ky)
              for (std::int64_t kx = 0; kx < across.kernel; ++kx) {
                const std::int64_t y = iy * down.stride - down.pad + ky * down.dilation;
                const std::int64_t x = ix * across.stride - across.pad + kx * across.dilation;
                if (!expected.holds(y, x)) continue;
                const std::int64_t w =
                    ((o * down.kernel + ky) * across.kernel + kx) * group_inputs + i;
                expected.at(o, y, x) += weights[static_cast<std::size_t>(w)] *
                                        input.at(o / group_outputs * group_inputs + i, iy, ix);
              }
    }
    const Post post = random_post_behind(weight_type, random, out_format, outputs, expected.height,
                                         expected.width);
    apply_post(post, expected);

    PlanBuilder builder;
    const std::uint32_t from = builder.input(spec_of(input, in_format));
    const std::uint32_t to = builder.output(spec_of(expected, out_format));
    intrt_conv_transpose2d_params p{};
    p.kernel_h = static_cast<std::uint32_t>(down.kernel);
    p.kernel_w = static_cast<std::uint32_t>(across.kernel);
    p.stride_h = static_cast<std::uint32_t>(down.stride);
    p.stride_w = static_cast<std::uint32_t>(across.stride);
    p.dilation_h = static_cast<std::uint32_t>(down.dilation);
    p.dilation_w = static_cast<std::uint32_t>(across.dilation);
    p.pad_top = static_cast<std::uint32_t>(down.pad);
    p.pad_left = static_cast<std::uint32_t>(across.pad);
    p.groups = static_cast<std::uint32_t>(groups);
    p.weight_type = weight_type;
    p.weights_offset = builder.weights(weights, weight_type);
    if (!bias.empty()) p.bias_offset = builder.array(bias, 16);
    p.post = post_record(builder, post, expected);
    builder.op(k_conv_transpose2d, from, to, p);
    check_plan(builder.finish(), {input}, expected);
  }
}

TEST_CASE("conv_transpose2d with the largest strides, dilations and paddings stays in bounds") {
  for (const std::uint32_t pad : {0u, 65535u, 65536u})
    for (const std::uint32_t stride : {1u, 65536u})
      for (const std::uint32_t dilation : {1u, 65535u, 65536u}) {
        CAPTURE(pad);
        CAPTURE(stride);
        CAPTURE(dilation);
        Logical input(1, 3, 2), expected(1, 5, 4);
        for (std::size_t i = 0; i < 6; ++i) input.codes[i] = static_cast<std::int64_t>(i) + 1;
        for (std::int64_t iy = 0; iy < 3; ++iy)
          for (std::int64_t ix = 0; ix < 2; ++ix)
            for (std::int64_t ky = 0; ky < 2; ++ky)
              for (std::int64_t kx = 0; kx < 3; ++kx) {
                const std::int64_t y = iy * stride + ky * dilation - pad;
                const std::int64_t x = ix * stride + kx * dilation - pad;
                if (expected.holds(y, x))
                  expected.at(0, y, x) += input.at(0, iy, ix) * (1 + ky * 3 + kx);
              }
        PlanBuilder builder;
        const std::uint32_t from = builder.input(spec_of(input, {INTRT_INT8, 8}));
        const std::uint32_t to = builder.output(spec_of(expected, {INTRT_INT32, 32}));
        intrt_conv_transpose2d_params p{};
        p.kernel_h = 2;
        p.kernel_w = 3;
        p.stride_h = p.stride_w = stride;
        p.dilation_h = p.dilation_w = dilation;
        p.pad_top = p.pad_left = pad;
        p.groups = 1;
        p.weight_type = INTRT_INT8;
        p.weights_offset = builder.weights({1, 2, 3, 4, 5, 6}, INTRT_INT8);
        builder.op(k_conv_transpose2d, from, to, p);
        check_plan(builder.finish(), {input}, expected);
      }
}
TEST_CASE("linear equals the definition for random sizes, storage, types and post records") {
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Format in_format = random_format(random, false), out_format = random_format(random, true);
    const auto weight_type = static_cast<std::uint32_t>(random.between(1, 3));
    const Logical input = random_codes(random, random.between(1, 17), random.between(1, 5),
                                       random.between(1, 5), in_format.bits);
    const auto terms = static_cast<std::int64_t>(input.codes.size());
    const std::int64_t outputs = random.between(1, 20);
    const std::int64_t largest_bias = random.one_in(3) ? 0 : random.between(1, 1 << 20);
    const Storage storage = random_storage(random, weight_type);
    const std::int64_t taps = storage == Storage::kSparse ? 1 : input.height * input.width;
    const StoredWeights weights = random_weights(
        random, storage, {weight_type, outputs, taps, terms / taps, in_format.bits, largest_bias});
    std::vector<std::int32_t> bias;
    for (std::int64_t o = 0; largest_bias != 0 && o < outputs; ++o)
      bias.push_back(static_cast<std::int32_t>(random.between(-largest_bias, largest_bias)));

    Logical expected(outputs, 1, 1);
    const Post post = random_post_behind(weight_type, random, out_format, outputs, 1, 1);
    for (std::int64_t o = 0; o < outputs; ++o) {
      std::int64_t acc = bias.empty() ? 0 : bias[static_cast<std::size_t>(o)];
      for (std::int64_t c = 0; c < input.channels; ++c)
        for (std::int64_t y = 0; y < input.height; ++y)
          for (std::int64_t x = 0; x < input.width; ++x)
            acc += input.at(c, y, x) * weights.effective[static_cast<std::size_t>(
                                           o * terms + (y * input.width + x) * input.channels + c)];
      expected.at(o, 0, 0) = acc;
    }
    apply_post(post, expected);

    PlanBuilder builder;
    const std::uint32_t from = builder.input(spec_of(input, in_format));
    const std::uint32_t to = builder.output(spec_of(expected, out_format));
    intrt_linear_params p{};
    p.weight_type = weight_type;
    store_weights(builder, p, weights);
    if (!bias.empty()) p.bias_offset = builder.array(bias, 16);
    p.post = post_record(builder, post, expected);
    builder.op(k_linear, from, to, p);
    check_plan(builder.finish(), {input}, expected);
  }
}

TEST_CASE("the scalar variant is there, runs everywhere and comes last") {
  std::uint32_t count = 0;
  while (intrt_kernel_variant(count) != nullptr) {
    MESSAGE("kernel variant ", std::string(intrt_kernel_variant(count)), ": ",
            std::string(intrt_kernel_variant_runs_here(count) != 0 ? "compared above"
                                                                   : "not on this CPU"));
    ++count;
  }
  REQUIRE(count >= 1);
  CHECK(std::string(intrt_kernel_variant(count - 1)) == "scalar");
  CHECK(intrt_kernel_variant_runs_here(count - 1) == 1);
  CHECK(intrt_kernel_variant_runs_here(count) == 0);
}
