// Every kernel of every variant against loops over PyTorch's (C,H,W) order in 64 bits: many random
// geometries, element types, widths, post records and masks. A failure prints the seed.
#include <doctest/doctest.h>

#include <random>
#include <string>

#include "tests/intrt/exact.h"
#include "tests/support/plan_builder.h"

namespace {

using namespace lockstep::testing;

struct Random {
  std::mt19937_64 engine;
  explicit Random(std::uint64_t seed) : engine(seed) {}
  // Uniform enough for tests; the same on every standard library.
  std::int64_t between(std::int64_t lo, std::int64_t hi) {
    return lo + static_cast<std::int64_t>(engine() % static_cast<std::uint64_t>(hi - lo + 1));
  }
  bool one_in(std::int64_t n) { return between(1, n) == 1; }
  template <typename T>
  T pick(std::initializer_list<T> values) {
    return values.begin()[between(0, static_cast<std::int64_t>(values.size()) - 1)];
  }
};

std::int64_t code_max(int bits) { return (std::int64_t{1} << (bits - 1)) - 1; }
std::int64_t code_min(int bits) { return -code_max(bits) - 1; }

struct Format {
  std::uint8_t type, bits;
};

Format random_format(Random& random, bool allow_int32) {
  const std::uint32_t type = static_cast<std::uint32_t>(random.between(1, allow_int32 ? 3 : 2));
  const int most = type == INTRT_INT8 ? 8 : type == INTRT_INT16 ? 16 : 32;
  const std::int64_t bits = random.one_in(2) ? most : random.between(2, most);
  return {static_cast<std::uint8_t>(type), static_cast<std::uint8_t>(bits)};
}

// Codes of the whole range; often only its ends, where overflow would show.
Logical random_codes(Random& random, std::int64_t c, std::int64_t h, std::int64_t w, int bits) {
  Logical tensor(c, h, w);
  const bool ends_only = random.one_in(3);
  for (std::int64_t& code : tensor.codes)
    code = ends_only ? (random.one_in(2) ? code_min(bits) : code_max(bits))
                     : random.between(code_min(bits), code_max(bits));
  return tensor;
}

struct Post {
  bool shift_and_clamp = true;
  Rounding rounding = Rounding::kTowardZero;
  std::vector<std::int8_t> shifts;
  std::int64_t lo = 0, hi = 0;
  std::vector<bool> mask;  // in (C,H,W) order; empty: none

  std::int64_t apply(std::int64_t acc, std::int64_t channel, std::int64_t logical_index) const {
    std::int64_t code = acc;
    if (shift_and_clamp) {
      const int shift = shifts.size() == 1 ? shifts[0] : shifts[static_cast<std::size_t>(channel)];
      code = std::clamp(scale_exactly(acc, shift, rounding), lo, hi);
    }
    return mask.empty() || mask[static_cast<std::size_t>(logical_index)] ? code : 0;
  }
};

Post random_post(Random& random, const Format& format, std::int64_t c, std::int64_t h,
                 std::int64_t w) {
  Post post;
  post.shift_and_clamp = format.type != INTRT_INT32 || format.bits != 32 || random.one_in(2);
  post.rounding = static_cast<Rounding>(random.between(0, 2));
  for (std::int64_t i = random.one_in(2) ? 1 : c; i > 0; --i)
    post.shifts.push_back(static_cast<std::int8_t>(random.one_in(4) ? random.between(-31, 30)
                                                                    : random.between(-2, 20)));
  post.lo = code_min(format.bits);
  post.hi = code_max(format.bits);
  if (random.one_in(3)) post.lo = 0;
  if (random.one_in(4)) post.hi = random.between(post.lo, post.hi);
  if (random.one_in(2))
    for (std::int64_t i = 0; i < c * h * w; ++i) post.mask.push_back(random.one_in(2));
  return post;
}

intrt_post_record post_record(PlanBuilder& builder, const Post& post, const Logical& output) {
  intrt_post_record record{};
  if (post.shift_and_clamp) {
    record.kind = INTRT_POST_SHIFT;
    record.rounding = static_cast<std::uint8_t>(post.rounding);
    record.lo = static_cast<std::int32_t>(post.lo);
    record.hi = static_cast<std::int32_t>(post.hi);
    record.shifts_offset = builder.array(post.shifts);
    record.shift_count = static_cast<std::uint32_t>(post.shifts.size());
  }
  if (!post.mask.empty()) {
    std::vector<std::uint8_t> bits((output.codes.size() + 7) / 8);
    for (std::int64_t c = 0; c < output.channels; ++c)
      for (std::int64_t y = 0; y < output.height; ++y)
        for (std::int64_t x = 0; x < output.width; ++x) {
          const auto logical = static_cast<std::size_t>((c * output.height + y) * output.width + x);
          const auto physical =
              static_cast<std::size_t>((y * output.width + x) * output.channels + c);
          if (post.mask[logical])
            bits[physical / 8] |= static_cast<std::uint8_t>(1u << physical % 8);
        }
    record.mask_offset = builder.array(bits);
  }
  return record;
}

void apply_post(const Post& post, Logical& output) {
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(output.codes.size()); ++i) {
    std::int64_t& code = output.codes[static_cast<std::size_t>(i)];
    code = post.apply(code, i / (output.height * output.width), i);
  }
}

TensorSpec spec_of(const Logical& tensor, const Format& format) {
  return {.channels = static_cast<std::uint32_t>(tensor.channels),
          .height = static_cast<std::uint32_t>(tensor.height),
          .width = static_cast<std::uint32_t>(tensor.width),
          .type = format.type,
          .bits = format.bits};
}

// Runs a plan of one operator on every variant and compares; false, with the place, on a
// difference.
void check_plan(const std::vector<std::uint8_t>& bytes, const Logical& input,
                const Logical& expected) {
  const AlignedBytes plan_bytes(bytes);
  intrt_plan plan;
  std::uint32_t failed_op = 0;
  const intrt_status opened = intrt_open(&plan, plan_bytes.data(), plan_bytes.size(), &failed_op);
  INFO("opening: ", std::string(intrt_status_text(opened)));
  REQUIRE(opened == INTRT_OK);
  for (std::uint32_t v = 0; intrt_kernel_variant(v) != nullptr; ++v) {
    if (intrt_kernel_variant_runs_here(v) == 0) continue;
    AlignedBytes arena(intrt_arena_bytes(&plan));
    std::memset(arena.data(), 0x5A, arena.size());
    const intrt_tensor in = intrt_tensor_info(&plan, intrt_input(&plan, 0));
    write_tensor(input, in.type, intrt_tensor_data(&plan, arena.data(), intrt_input(&plan, 0)));
    const intrt_run_options options = {intrt_kernel_variant(v), nullptr, nullptr};
    REQUIRE(intrt_run(&plan, arena.data(), arena.size(), &options) == INTRT_OK);
    const std::uint32_t output = intrt_output(&plan, 0);
    const Logical got = read_tensor(intrt_tensor_info(&plan, output),
                                    intrt_tensor_data(&plan, arena.data(), output));
    REQUIRE(got.codes.size() == expected.codes.size());
    for (std::size_t i = 0; i < got.codes.size(); ++i) {
      if (got.codes[i] == expected.codes[i]) continue;
      INFO("variant ", std::string(intrt_kernel_variant(v)), ", element ", i);
      REQUIRE(got.codes[i] == expected.codes[i]);
    }
  }
}

// Weights as large as the accumulator's bound allows, so that sums come near 2^31.
std::int64_t largest_weight(std::uint32_t type, int input_bits, std::int64_t terms,
                            std::int64_t bias) {
  const std::int64_t bound = (2147483647 - bias) / (terms << (input_bits - 1));
  return std::min<std::int64_t>(type == INTRT_INT8 ? 127 : 32767, bound);
}

struct Axis {
  std::int64_t input, kernel, stride, dilation, pad_before, pad_after;
  std::int64_t reach() const { return dilation * (kernel - 1) + 1; }
  std::int64_t slack() const { return input + pad_before + pad_after - reach(); }
};

Axis random_axis(Random& random) {
  for (;;) {
    const Axis axis = {random.between(1, 11), random.between(1, 5), random.between(1, 3),
                       random.between(1, 3),  random.between(0, 3), random.between(0, 3)};
    if (axis.slack() >= 0) return axis;
  }
}

}  // namespace

TEST_CASE("conv2d equals the definition for random geometries, types and post records") {
  for (std::uint64_t seed = 1; seed <= 4000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Axis down = random_axis(random), across = random_axis(random);
    const std::int64_t groups = random.one_in(2) ? 1 : random.between(2, 5);
    const std::int64_t group_inputs = random.between(1, groups == 1 ? 17 : 4);
    const std::int64_t group_outputs = random.between(1, groups == 1 ? 9 : 3);
    const std::int64_t outputs = groups * group_outputs;
    const Format in_format = random_format(random, false), out_format = random_format(random, true);
    const auto weight_type = static_cast<std::uint32_t>(random.between(1, 2));
    const Logical input =
        random_codes(random, groups * group_inputs, down.input, across.input, in_format.bits);

    const std::int64_t terms = group_inputs * down.kernel * across.kernel;
    const std::int64_t largest_bias = random.one_in(3) ? 0 : random.between(1, 1 << 20);
    const std::int64_t w_max = largest_weight(weight_type, in_format.bits, terms, largest_bias);
    const bool ends_only = random.one_in(3);
    const auto weight = [&] {
      return ends_only ? random.pick({-w_max, w_max}) : random.between(-w_max, w_max);
    };
    std::vector<std::int64_t> weights(static_cast<std::size_t>(outputs * terms));  // [O][kh][kw][I]
    for (std::int64_t& w : weights) w = weight();
    std::vector<std::int32_t> bias;
    for (std::int64_t o = 0; largest_bias != 0 && o < outputs; ++o)
      bias.push_back(static_cast<std::int32_t>(random.between(-largest_bias, largest_bias)));

    Logical expected(outputs, down.slack() / down.stride + 1, across.slack() / across.stride + 1);
    const Post post = random_post(random, out_format, outputs, expected.height, expected.width);
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
                const std::int64_t w =
                    ((o * down.kernel + ky) * across.kernel + kx) * group_inputs + i;
                acc += weights[static_cast<std::size_t>(w)] *
                       input.at(o / group_outputs * group_inputs + i, iy, ix);
              }
          expected.at(o, y, x) = acc;
        }
    apply_post(post, expected);

    PlanBuilder builder;
    const std::uint32_t from = builder.input(spec_of(input, in_format));
    const std::uint32_t to = builder.output(spec_of(expected, out_format));
    intrt_conv2d_params p{};
    p.kernel_h = static_cast<std::uint32_t>(down.kernel);
    p.kernel_w = static_cast<std::uint32_t>(across.kernel);
    p.stride_h = static_cast<std::uint32_t>(down.stride);
    p.stride_w = static_cast<std::uint32_t>(across.stride);
    p.dilation_h = static_cast<std::uint32_t>(down.dilation);
    p.dilation_w = static_cast<std::uint32_t>(across.dilation);
    p.pad_top = static_cast<std::uint32_t>(down.pad_before);
    p.pad_bottom = static_cast<std::uint32_t>(down.pad_after);
    p.pad_left = static_cast<std::uint32_t>(across.pad_before);
    p.pad_right = static_cast<std::uint32_t>(across.pad_after);
    p.groups = static_cast<std::uint32_t>(groups);
    p.weight_type = weight_type;
    p.weights_offset = builder.weights(weights, weight_type);
    if (!bias.empty()) p.bias_offset = builder.array(bias, 16);
    p.post = post_record(builder, post, expected);
    builder.op(k_conv2d, from, to, p);
    check_plan(builder.finish(), input, expected);
  }
}

TEST_CASE("linear equals the definition for random sizes, types and post records") {
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Format in_format = random_format(random, false), out_format = random_format(random, true);
    const auto weight_type = static_cast<std::uint32_t>(random.between(1, 2));
    const Logical input = random_codes(random, random.between(1, 17), random.between(1, 5),
                                       random.between(1, 5), in_format.bits);
    const auto terms = static_cast<std::int64_t>(input.codes.size());
    const std::int64_t outputs = random.between(1, 20);
    const std::int64_t largest_bias = random.one_in(3) ? 0 : random.between(1, 1 << 20);
    const std::int64_t w_max = largest_weight(weight_type, in_format.bits, terms, largest_bias);
    std::vector<std::int64_t> weights(static_cast<std::size_t>(outputs * terms));  // physical order
    for (std::int64_t& w : weights) w = random.one_in(2) ? w_max : random.between(-w_max, w_max);
    std::vector<std::int32_t> bias;
    for (std::int64_t o = 0; largest_bias != 0 && o < outputs; ++o)
      bias.push_back(static_cast<std::int32_t>(random.between(-largest_bias, largest_bias)));

    Logical expected(outputs, 1, 1);
    const Post post = random_post(random, out_format, outputs, 1, 1);
    for (std::int64_t o = 0; o < outputs; ++o) {
      std::int64_t acc = bias.empty() ? 0 : bias[static_cast<std::size_t>(o)];
      for (std::int64_t c = 0; c < input.channels; ++c)
        for (std::int64_t y = 0; y < input.height; ++y)
          for (std::int64_t x = 0; x < input.width; ++x)
            acc += input.at(c, y, x) * weights[static_cast<std::size_t>(
                                           o * terms + (y * input.width + x) * input.channels + c)];
      expected.at(o, 0, 0) = acc;
    }
    apply_post(post, expected);

    PlanBuilder builder;
    const std::uint32_t from = builder.input(spec_of(input, in_format));
    const std::uint32_t to = builder.output(spec_of(expected, out_format));
    intrt_linear_params p{};
    p.weight_type = weight_type;
    p.weights_offset = builder.weights(weights, weight_type);
    if (!bias.empty()) p.bias_offset = builder.array(bias, 16);
    p.post = post_record(builder, post, expected);
    builder.op(k_linear, from, to, p);
    check_plan(builder.finish(), input, expected);
  }
}

TEST_CASE("max_pool2d equals the definition for random geometries, floor and ceil") {
  int ran = 0, refused = 0;
  for (std::uint64_t seed = 1; seed <= 4000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Axis down = random_axis(random), across = random_axis(random);
    const Format format = random_format(random, true);
    const bool ceil = random.one_in(2);
    const auto windows = [&](const Axis& axis) {
      return (axis.slack() + (ceil ? axis.stride - 1 : 0)) / axis.stride + 1;
    };
    const Logical input =
        random_codes(random, random.between(1, 9), down.input, across.input, format.bits);
    Logical expected(input.channels, windows(down), windows(across));
    bool every_window_holds_a_position = true;
    for (std::int64_t c = 0; c < input.channels; ++c)
      for (std::int64_t y = 0; y < expected.height; ++y)
        for (std::int64_t x = 0; x < expected.width; ++x) {
          bool found = false;
          for (std::int64_t ky = 0; ky < down.kernel; ++ky)
            for (std::int64_t kx = 0; kx < across.kernel; ++kx) {
              const std::int64_t iy = y * down.stride - down.pad_before + ky * down.dilation;
              const std::int64_t ix = x * across.stride - across.pad_before + kx * across.dilation;
              if (!input.holds(iy, ix)) continue;
              std::int64_t& best = expected.at(c, y, x);
              best = found ? std::max(best, input.at(c, iy, ix)) : input.at(c, iy, ix);
              found = true;
            }
          every_window_holds_a_position &= found;
        }

    PlanBuilder builder;
    const std::uint32_t from = builder.input(spec_of(input, format));
    const std::uint32_t to = builder.output(spec_of(expected, format));
    intrt_max_pool2d_params p{};
    p.kernel_h = static_cast<std::uint32_t>(down.kernel);
    p.kernel_w = static_cast<std::uint32_t>(across.kernel);
    p.stride_h = static_cast<std::uint32_t>(down.stride);
    p.stride_w = static_cast<std::uint32_t>(across.stride);
    p.dilation_h = static_cast<std::uint32_t>(down.dilation);
    p.dilation_w = static_cast<std::uint32_t>(across.dilation);
    p.pad_top = static_cast<std::uint32_t>(down.pad_before);
    p.pad_bottom = static_cast<std::uint32_t>(down.pad_after);
    p.pad_left = static_cast<std::uint32_t>(across.pad_before);
    p.pad_right = static_cast<std::uint32_t>(across.pad_after);
    builder.op(k_max_pool2d, from, to, p);
    const std::vector<std::uint8_t> bytes = builder.finish();

    // docs/ops/max_pool2d.md: taps must not be further apart than the input is long where there is
    // padding.
    const auto steps_over = [](const Axis& axis) {
      return axis.pad_before > 0 && axis.dilation > axis.input;
    };
    if (!every_window_holds_a_position) {
      const AlignedBytes plan_bytes(bytes);
      intrt_plan plan;
      CHECK(intrt_open(&plan, plan_bytes.data(), plan_bytes.size(), nullptr) == INTRT_ERROR_SHAPE);
      ++refused;
    } else if (!steps_over(down) && !steps_over(across)) {
      check_plan(bytes, input, expected);
      ++ran;
    }
  }
  CHECK(ran > 1000);
  CHECK(refused > 100);
}

TEST_CASE(
    "requantize equals the definition for random shapes, types and post records, also in place") {
  for (std::uint64_t seed = 1; seed <= 4000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Format in_format = random_format(random, true), out_format = random_format(random, true);
    const Logical input = random_codes(random, random.between(1, 9), random.between(1, 6),
                                       random.between(1, 6), in_format.bits);
    Logical expected = input;
    const Post post = random_post(random, out_format, input.channels, input.height, input.width);
    apply_post(post, expected);

    PlanBuilder builder;
    const std::uint32_t from = builder.input(spec_of(input, in_format));
    TensorSpec to_spec = spec_of(expected, out_format);
    if (in_format.type == out_format.type && random.one_in(2)) to_spec.arena_offset = 0;
    const std::uint32_t to = builder.output(to_spec);
    intrt_requantize_params p{};
    p.post = post_record(builder, post, expected);
    builder.op(k_requantize, from, to, p);
    check_plan(builder.finish(), input, expected);
  }
}

TEST_CASE("transpose gives the order of PyTorch's flatten") {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Format format = random_format(random, true);
    const Logical input = random_codes(random, random.between(1, 17), random.between(1, 9),
                                       random.between(1, 9), format.bits);
    Logical expected(static_cast<std::int64_t>(input.codes.size()), 1, 1);
    expected.codes = input.codes;

    PlanBuilder builder;
    TensorSpec from_spec = spec_of(input, format), to_spec = spec_of(expected, format);
    to_spec.logical_rank = 1;
    if (random.one_in(2)) {  // decimals per channel follow their elements
      from_spec.decimals.clear();
      to_spec.decimals.clear();
      for (std::int64_t c = 0; c < input.channels; ++c) {
        from_spec.decimals.push_back(static_cast<std::int8_t>(c));
        for (std::int64_t i = 0; i < input.height * input.width; ++i)
          to_spec.decimals.push_back(static_cast<std::int8_t>(c));
      }
    }
    const std::uint32_t from = builder.input(from_spec);
    const std::uint32_t to = builder.output(to_spec);
    builder.op(k_transpose, from, to);
    check_plan(builder.finish(), input, expected);
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
