// The variants that need prepared memory against the scalar kernels, which kernels_test.cpp holds
// against the definition: every channel count from 1 to 130, and memory that ends where it ends. A
// failure prints the seed.
#include "intrt/prepared.h"
#include "tests/intrt/guarded_bytes.h"
#include "tests/intrt/kernel_cases.h"

using namespace lockstep::testing;

namespace {

// Each slice on its own, the last one first: a slice that wrote what is another's would spoil it.
void run_by_slices(const intrt::FastKernel& kernel, intrt::OpToRun& call, std::uint32_t,
                   const intrt_run_options*) {
  const std::uint32_t slices =
      kernel.slices == nullptr ? 1
                               : kernel.slices({call.plan, call.record, call.input, call.output});
  REQUIRE(slices >= 1);
  for (std::uint32_t slice = slices; slice-- > 0;) {
    call.slices = {slice, slice + 1};
    kernel.run(call);
  }
}

struct Outcome {
  intrt_status status = INTRT_OK;
  std::vector<std::uint8_t> output;
};

// Input codes are drawn from all, from the least and the greatest, or are all one of these.
enum class Codes : std::uint8_t { kAll, kExtremes, kLeast, kGreatest };

std::int64_t draw(Random& random, Codes codes) {
  if (codes == Codes::kAll) return random.between(-128, 127);
  if (codes == Codes::kExtremes) return random.pick({-128, 127});
  return codes == Codes::kLeast ? -128 : 127;
}

__attribute__((noinline)) void fill_stack(std::uint8_t byte) {
  volatile std::uint8_t bytes[1 << 14];
  for (volatile std::uint8_t& place : bytes) place = byte;
}

// All memory lies between guards, with its end or its begin at one.
class GuardedPlan {
 public:
  GuardedPlan(const std::vector<std::uint8_t>& bytes, bool at_end)
      : at_end_(at_end), bytes_((bytes.size() + 15) / 16 * 16, at_end), size_(bytes.size()) {
    std::memcpy(bytes_.data(), bytes.data(), bytes.size());
    REQUIRE(intrt_open(&plan_, bytes_.data(), size_, nullptr) == INTRT_OK);
  }

  Outcome run(const char* variant, std::uint64_t seed, bool by_slices,
              Codes input_codes = Codes::kAll) const {
    const GuardedBytes arena(intrt_arena_bytes(&plan_), at_end_);
    std::memset(arena.data(), 0x5A, arena.size());
    Random random(seed);
    for (std::uint32_t input = 0; input < intrt_input_count(&plan_); ++input) {
      const std::uint32_t tensor = intrt_input(&plan_, input);
      auto* const codes =
          static_cast<std::int8_t*>(intrt_tensor_data(&plan_, arena.data(), tensor));
      for (std::uint32_t i = 0; i < intrt_tensor_info(&plan_, tensor).element_count; ++i)
        codes[i] = static_cast<std::int8_t>(draw(random, input_codes));
    }

    const GuardedBytes memory(intrt_prepared_bytes(&plan_, variant), at_end_);
    REQUIRE(memory.size() % INTRT_PREPARED_ALIGNMENT == 0);
    std::memset(memory.data(), 0x3C, memory.size());
    REQUIRE(intrt_prepare(&plan_, variant, memory.data(), memory.size()) == INTRT_OK);
    const std::vector<std::uint8_t> before(arena.data(), arena.data() + arena.size());
    Outcome outcome;
    if (by_slices) {
      const intrt::Prepared prepared{
          *static_cast<const intrt::PreparedHeader*>(static_cast<const void*>(memory.data())),
          run_by_slices};
      outcome.status = intrt::run_operators(&plan_, &prepared, arena.data(), arena.size(), nullptr);
    } else {
      outcome.status =
          intrt_run_prepared(&plan_, memory.data(), arena.data(), arena.size(), nullptr);
    }
    const std::uint32_t output = intrt_output(&plan_, 0);
    const intrt_tensor to = intrt_tensor_info(&plan_, output);
    const auto* const result =
        static_cast<const std::uint8_t*>(intrt_tensor_data(&plan_, arena.data(), output));
    outcome.output.assign(result, result + std::size_t{to.element_count} * to.element_bytes);
    // Nothing is written but the output, and the input where it is clamped in place.
    std::vector<bool> may_change(before.size(), false);
    const auto allow = [&](std::uint32_t tensor) {
      const intrt_tensor info = intrt_tensor_info(&plan_, tensor);
      const auto* const data =
          static_cast<const std::uint8_t*>(intrt_tensor_data(&plan_, arena.data(), tensor));
      std::fill_n(may_change.begin() + (data - arena.data()),
                  std::size_t{info.element_count} * info.element_bytes, true);
    };
    allow(output);
    if (intrt_op_count(&plan_) > 1) allow(intrt_input(&plan_, 0));
    for (std::size_t i = 0; i < before.size(); ++i)
      if (!may_change[i] && arena.data()[i] != before[i])
        FAIL("byte " << i << " of the arena is written, which is not the output's");
    return outcome;
  }

  // What intrt_prepare writes into memory, and the stack below, that hold this byte everywhere.
  std::vector<std::uint8_t> prepared_over(const char* variant, std::uint8_t byte) const {
    const GuardedBytes memory(intrt_prepared_bytes(&plan_, variant), at_end_);
    std::memset(memory.data(), byte, memory.size());
    fill_stack(byte);
    REQUIRE(intrt_prepare(&plan_, variant, memory.data(), memory.size()) == INTRT_OK);
    return {memory.data(), memory.data() + memory.size()};
  }

  // Whether the variant prepares weights.
  bool is_taken_by(const char* variant) const {
    return intrt_prepared_bytes(&plan_, variant) > intrt_prepared_bytes(&plan_, "scalar");
  }

 private:
  bool at_end_;
  GuardedBytes bytes_;
  std::size_t size_;
  intrt_plan plan_{};
};

void compare_variants(const std::vector<std::uint8_t>& bytes, std::uint64_t seed,
                      bool must_be_taken, Codes codes = Codes::kAll) {
  for (const bool at_end : {true, false}) {
    const GuardedPlan plan(bytes, at_end);
    const Outcome expected = plan.run("scalar", seed, false, codes);
    REQUIRE(expected.status == INTRT_OK);
    for (std::uint32_t v = 0; intrt_kernel_variant(v) != nullptr; ++v) {
      if (intrt_kernel_variant_runs_here(v) == 0) continue;
      const char* const variant = intrt_kernel_variant(v);
      if (std::string(variant) == "scalar") continue;
      if (must_be_taken) REQUIRE(plan.is_taken_by(variant));
      if (at_end) REQUIRE(plan.prepared_over(variant, 0x3C) == plan.prepared_over(variant, 0xC3));
      for (const bool by_slices : {false, true}) {
        const Outcome found = plan.run(variant, seed, by_slices, codes);
        INFO("variant ", std::string(variant), at_end ? ", at the end" : ", at the begin",
             by_slices ? ", slice by slice" : "");
        REQUIRE(found.status == INTRT_OK);
        REQUIRE(found.output == expected.output);
      }
    }
  }
}

std::vector<std::int64_t> random_bytes(Random& random, std::int64_t count) {
  std::vector<std::int64_t> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(random.between(-128, 127));
  return values;
}

std::vector<std::int32_t> random_bias(Random& random, std::int64_t count) {
  std::vector<std::int32_t> values;
  for (std::int64_t i = 0; i < count; ++i)
    values.push_back(static_cast<std::int32_t>(random.between(-(1 << 20), 1 << 20)));
  return values;
}

// Most blocks of a random height x 4 weights of rows [outputs][count] become 0.
void clear_blocks(Random& random, std::vector<std::int64_t>& weights, std::int64_t outputs,
                  std::int64_t count) {
  const std::int64_t height = random.pick({1, 16, 64, 200});
  for (std::int64_t o = 0; o < outputs; o += height)
    for (std::int64_t i = 0; i < count; i += 4) {
      if (random.one_in(3)) continue;
      for (std::int64_t row = o; row < std::min(o + height, outputs); ++row)
        for (std::int64_t k = i; k < std::min(i + 4, count); ++k)
          weights[static_cast<std::size_t>(row * count + k)] = 0;
    }
}

// Weights [rows][inputs] without their zeros; the same number of rows for each output.
template <typename Params>
void store_sparse(PlanBuilder& builder, const std::vector<std::int64_t>& weights, std::int64_t rows,
                  std::int64_t inputs, std::int64_t outputs, Params& p) {
  std::vector<std::uint8_t> bits;
  std::vector<std::int64_t> kept;
  std::vector<std::uint32_t> starts;
  for (std::int64_t row = 0; row < rows; ++row) {
    if (row % (rows / outputs) == 0) starts.push_back(static_cast<std::uint32_t>(kept.size()));
    for (std::int64_t i = 0; i < inputs; ++i) {
      if (i % 8 == 0) bits.push_back(0);
      const std::int64_t weight = weights[static_cast<std::size_t>(row * inputs + i)];
      if (weight == 0) continue;
      bits.back() |= static_cast<std::uint8_t>(1u << i % 8);
      kept.push_back(weight);
    }
  }
  starts.push_back(static_cast<std::uint32_t>(kept.size()));
  p.weights_offset =
      builder.weights(kept.empty() ? std::vector<std::int64_t>{0} : kept, INTRT_INT8);
  p.nonzero_offset = builder.array(bits);
  p.starts_offset = builder.array(starts);
}

// Codes stay as they are, but for a clamp to 0 or more or, sometimes in one channel alone, to -7 or
// more.
intrt_post_record clamp_of(PlanBuilder& builder, Random& random, std::int64_t channels) {
  const std::int16_t lo = random.one_in(3) ? -7 : 0;
  if (random.one_in(2)) return builder.shift_post({0}, INTRT_ROUND_FLOOR, lo, 127);
  std::vector<PlanBuilder::ScaleChannel> scales(static_cast<std::size_t>(channels));
  const auto special = static_cast<std::size_t>(random.between(0, channels - 1));
  const bool in_steps = random.one_in(2);
  for (std::size_t c = 0; c < scales.size(); ++c) {
    const std::int16_t least = c == special ? lo : std::int16_t{0};
    PlanBuilder::ScaleChannel& scale = scales[c];
    scale.multiplier = 1;
    scale.hi = 127;
    scale.lo = in_steps ? std::int16_t{0} : least;
    if (!in_steps) continue;
    scale.thresholds = {-100, 0, 60};
    scale.codes = {least, 0, 3, 127};
  }
  return builder.scale_post(scales, INTRT_ROUND_FLOOR);
}

// The tensors of an operator in the arena, the input behind or before the output. Often another
// operator clamps the input before, in place: kernels may rely on codes that are never negative.
struct Tensors {
  std::uint32_t from, to;
};
Tensors add_tensors(PlanBuilder& builder, Random& random, const TensorSpec& input,
                    const TensorSpec& output) {
  Tensors tensors{};
  if (random.one_in(2)) {
    tensors.from = builder.input(input);
    tensors.to = builder.output(output);
  } else {
    tensors.to = builder.output(output);
    tensors.from = builder.input(input);
  }
  if (random.one_in(2)) return tensors;
  TensorSpec clamped = input;
  clamped.arena_offset = builder.arena_offset_of(tensors.from);
  const std::uint32_t to = builder.tensor(clamped);
  intrt_requantize_params p{};
  p.post = clamp_of(builder, random, input.channels);
  builder.op(k_requantize, tensors.from, to, p);
  return {to, tensors.to};
}

struct Convolution {
  std::int64_t groups, group_inputs, group_outputs;
  Axis down, across;
};

std::vector<std::uint8_t> plan_of(Random& random, const Convolution& c) {
  const std::int64_t outputs = c.groups * c.group_outputs;
  const Format out_format = random_format(random, true);
  const Logical expected(outputs, c.down.slack() / c.down.stride + 1,
                         c.across.slack() / c.across.stride + 1);
  PlanBuilder builder;
  TensorSpec input;
  input.channels = static_cast<std::uint32_t>(c.groups * c.group_inputs);
  input.height = static_cast<std::uint32_t>(c.down.input);
  input.width = static_cast<std::uint32_t>(c.across.input);
  const Tensors tensors = add_tensors(builder, random, input, spec_of(expected, out_format));
  intrt_conv2d_params p{};
  p.kernel_h = static_cast<std::uint32_t>(c.down.kernel);
  p.kernel_w = static_cast<std::uint32_t>(c.across.kernel);
  p.stride_h = static_cast<std::uint32_t>(c.down.stride);
  p.stride_w = static_cast<std::uint32_t>(c.across.stride);
  p.dilation_h = static_cast<std::uint32_t>(c.down.dilation);
  p.dilation_w = static_cast<std::uint32_t>(c.across.dilation);
  p.pad_top = static_cast<std::uint32_t>(c.down.pad_before);
  p.pad_left = static_cast<std::uint32_t>(c.across.pad_before);
  p.pad_bottom = static_cast<std::uint32_t>(c.down.pad_after);
  p.pad_right = static_cast<std::uint32_t>(c.across.pad_after);
  p.groups = static_cast<std::uint32_t>(c.groups);
  p.weight_type = INTRT_INT8;
  const std::int64_t taps = c.down.kernel * c.across.kernel;
  std::vector<std::int64_t> weights = random_bytes(random, outputs * taps * c.group_inputs);
  if (random.one_in(2)) clear_blocks(random, weights, outputs, taps * c.group_inputs);
  if (random.one_in(3))
    store_sparse(builder, weights, outputs * taps, c.group_inputs, outputs, p);
  else
    p.weights_offset = builder.weights(weights, INTRT_INT8);
  if (!random.one_in(3)) p.bias_offset = builder.array(random_bias(random, outputs), 16);
  p.post = post_record(
      builder, random_post(random, out_format, outputs, expected.height, expected.width), expected);
  builder.op(k_conv2d, tensors.from, tensors.to, p);
  return builder.finish();
}

Axis axis_of(std::int64_t input, std::int64_t kernel, std::int64_t stride, std::int64_t padding) {
  return {input, kernel, stride, 1, padding, padding};
}

}  // namespace

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
  for (const std::int64_t width : {4, 5, 6, 7, 8, 12, 14, 16, 28, 32, 48})
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

TEST_CASE("fast conv2d equals scalar for random geometries") {
  for (std::uint64_t seed = 1; seed <= 1500; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::int64_t groups = random.pick({1, 1, 2, 3, 20});
    const std::int64_t inputs = random.between(1, groups == 1 ? 130 : 5);
    const std::int64_t outputs = random.between(1, groups == 1 ? 130 : 20);
    compare_variants(
        plan_of(random, {groups, inputs, outputs, random_axis(random), random_axis(random)}), seed,
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

TEST_CASE("fast linear equals scalar for 1 to 130 outputs") {
  for (std::int64_t outputs = 1; outputs <= 130; ++outputs) {
    const auto seed = static_cast<std::uint64_t>(outputs);
    CAPTURE(seed);
    Random random(seed);
    const Format out_format = random_format(random, true);
    const Logical expected(outputs, 1, 1);
    TensorSpec input;
    input.channels = static_cast<std::uint32_t>(random.between(1, 300));
    input.height = static_cast<std::uint32_t>(random.between(1, 3));
    input.width = static_cast<std::uint32_t>(random.between(1, 3));
    const std::int64_t inputs = std::int64_t{input.channels} * input.height * input.width;
    PlanBuilder builder;
    const Tensors tensors = add_tensors(builder, random, input, spec_of(expected, out_format));
    intrt_linear_params p{};
    p.weight_type = INTRT_INT8;
    std::vector<std::int64_t> weights = random_bytes(random, outputs * inputs);
    if (random.one_in(2)) clear_blocks(random, weights, outputs, inputs);
    if (random.one_in(3))
      store_sparse(builder, weights, outputs, inputs, outputs, p);
    else
      p.weights_offset = builder.weights(weights, INTRT_INT8);
    if (!random.one_in(3)) p.bias_offset = builder.array(random_bias(random, outputs), 16);
    p.post = post_record(builder, random_post(random, out_format, outputs, 1, 1), expected);
    builder.op(k_linear, tensors.from, tensors.to, p);
    compare_variants(builder.finish(), seed, true);
  }
}

// The kernels that prepare nothing: nothing to see from outside whether they take an operator, but
// a fault of theirs shows.
TEST_CASE("fast add equals scalar for 1 to 130 channels, in place, too") {
  for (std::int64_t channels = 1; channels <= 130; ++channels)
    for (const bool in_place : {false, true}) {
      const auto seed = static_cast<std::uint64_t>(2 * channels + (in_place ? 1 : 0));
      CAPTURE(seed);
      Random random(seed);
      const Format out_format = in_place ? Format{INTRT_INT8, 8} : random_format(random, true);
      Logical expected(channels, random.between(1, 9), random.between(1, 9));
      TensorSpec input = spec_of(expected, {INTRT_INT8, 8});
      PlanBuilder builder;
      const std::uint32_t a = builder.input(input), b = builder.input(input);
      TensorSpec output = spec_of(expected, out_format);
      if (in_place) output.arena_offset = 0;
      const std::uint32_t to = builder.output(output);
      const bool alike = random.one_in(2);
      std::vector<std::int32_t> multipliers;
      for (std::int64_t i = 0; i < 2 * channels; ++i)
        multipliers.push_back(alike && i % channels != 0
                                  ? multipliers.back()
                                  : static_cast<std::int32_t>(random.between(-8000000, 8000000)));
      intrt_add_params p{};
      p.multipliers_offset = builder.array(multipliers);
      Post post = random_post(random, out_format, channels, expected.height, expected.width);
      p.post = post_record(builder, post, expected);
      builder.op(k_add, std::vector<std::uint32_t>{a, b}, to, p);
      compare_variants(builder.finish(), seed, false);
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
      compare_variants(builder.finish(), seed, false);
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
    compare_variants(builder.finish(), seed, false);
  }
}

// Outputs are the sums themselves.
std::vector<std::uint8_t> extreme_plan(Random& random, const Convolution& c, Codes codes) {
  const std::int64_t outputs = c.groups * c.group_outputs;
  const Logical expected(outputs, c.down.slack() / c.down.stride + 1,
                         c.across.slack() / c.across.stride + 1);
  TensorSpec input;
  input.channels = static_cast<std::uint32_t>(c.groups * c.group_inputs);
  input.height = static_cast<std::uint32_t>(c.down.input);
  input.width = static_cast<std::uint32_t>(c.across.input);
  PlanBuilder builder;
  const std::uint32_t from = builder.input(input);
  const std::uint32_t to = builder.output(spec_of(expected, {INTRT_INT32, 32}));
  std::vector<std::int64_t> weights;
  for (std::int64_t i = 0; i < outputs * c.down.kernel * c.across.kernel * c.group_inputs; ++i)
    weights.push_back(draw(random, codes));
  intrt_conv2d_params p{};
  p.kernel_h = static_cast<std::uint32_t>(c.down.kernel);
  p.kernel_w = static_cast<std::uint32_t>(c.across.kernel);
  p.stride_h = p.stride_w = p.dilation_h = p.dilation_w = 1;
  p.groups = static_cast<std::uint32_t>(c.groups);
  p.weight_type = INTRT_INT8;
  p.weights_offset = builder.weights(weights, INTRT_INT8);
  builder.op(k_conv2d, from, to, p);
  return builder.finish();
}

TEST_CASE("extreme codes and weights: no sum of products saturates") {
  const Axis one = axis_of(1, 1, 1, 0), three = axis_of(5, 3, 1, 0), five = axis_of(9, 5, 1, 0);
  Random random(1);
  for (const Codes weights : {Codes::kExtremes, Codes::kLeast, Codes::kGreatest})
    for (const Codes codes : {Codes::kExtremes, Codes::kLeast, Codes::kGreatest})
      for (const Convolution& c : {Convolution{1, 2000, 17, one, one},
                                   {1, 64, 40, three, five},
                                   {33, 1, 1, three, three},
                                   {33, 1, 1, five, five}}) {
        CAPTURE(static_cast<int>(weights));
        CAPTURE(static_cast<int>(codes));
        compare_variants(extreme_plan(random, c, weights), 3, true, codes);
      }
}

#ifdef EXPECTED_VARIANT
TEST_CASE("this program has run the kernels that it was built for") {
  bool is_there = false;
  for (std::uint32_t v = 0; intrt_kernel_variant(v) != nullptr; ++v)
    is_there = is_there || (intrt_kernel_variant(v) == std::string(EXPECTED_VARIANT) &&
                            intrt_kernel_variant_runs_here(v) != 0);
  CHECK_MESSAGE(is_there, "this CPU does not run " EXPECTED_VARIANT);
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
    CHECK(run(plan, memory.data()) == INTRT_ERROR_PREPARED);  // all 0
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
