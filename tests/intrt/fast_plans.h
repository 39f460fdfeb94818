// Plans of one operator with weights, run by every variant between guards, against the scalar
// kernels.
#pragma once

#include <array>
#include <vector>

#include "intrt/prepared.h"
#include "tests/intrt/guarded_bytes.h"
#include "tests/intrt/kernel_cases.h"

namespace lockstep::testing {

inline std::uint32_t slices_of(const intrt::FastKernel& kernel, const intrt::OpToRun& call) {
  const std::uint32_t slices =
      kernel.slices == nullptr ? 1
                               : kernel.slices({call.plan, call.record, call.input, call.output});
  REQUIRE(slices >= 1);
  return slices;
}

// The rows of a conv2d's input that a kernel may read for a slice whose rows follow the output's:
// as kernel.h says, those under it and three times the dilation behind these. All rows otherwise.
struct InputRows {
  std::int64_t begin, end;

  InputRows(const intrt::FastKernel& kernel, const intrt::OpToRun& call, std::uint32_t slice)
      : begin(0), end(call.input.height) {
    if (call.record.code != k_conv2d || kernel.row_slices == nullptr) return;
    const intrt::RowSlices of =
        kernel.row_slices({call.plan, call.record, call.input, call.output});
    if (of.rows == 0) return;
    const auto& p = intrt::params_of<intrt_conv2d_params>(call.record);
    const std::int64_t first = std::int64_t{slice} / of.slices * of.rows,
                       last = std::min<std::int64_t>(first + of.rows, call.output.height) - 1,
                       top = p.pad_top, reach = std::int64_t{p.dilation_h} * (p.kernel_h - 1) + 1;
    begin = std::clamp<std::int64_t>(first * p.stride_h - top, 0, end);
    end = std::clamp<std::int64_t>(last * p.stride_h - top + reach + 3 * p.dilation_h, begin, end);
  }
};

// Each slice on its own, the last one first: a slice that wrote what is another's would spoil it.
// Of the input it has the rows alone that it may read: a guard is behind them, other codes before.
inline void run_by_slices(const intrt::FastKernel& kernel, intrt::OpToRun& call, std::uint32_t,
                          const intrt_run_options*) {
  const auto* const input = static_cast<const std::uint8_t*>(call.input_data);
  const auto row_bytes =
      static_cast<std::int64_t>(intrt::extent_bytes(call.input) / call.input.height);
  const GuardedBytes rows_alone(static_cast<std::size_t>(row_bytes * call.input.height), true);
  std::memset(rows_alone.data(), 0x77, rows_alone.size());
  for (std::uint32_t slice = slices_of(kernel, call); slice-- > 0;) {
    call.slices = {slice, slice + 1};
    const InputRows rows(kernel, call, slice);
    if (rows.end - rows.begin == call.input.height) {
      kernel.run(call);
      continue;
    }
    const std::int64_t bytes = (rows.end - rows.begin) * row_bytes;
    std::uint8_t* const first = rows_alone.data() + rows_alone.size() - bytes;
    std::memcpy(first, input + rows.begin * row_bytes, static_cast<std::size_t>(bytes));
    call.input_data = first - rows.begin * row_bytes;
    kernel.run(call);
    call.input_data = input;
  }
}

// The same, and which bytes a slice writes is seen by what it leaves as they were: no byte may be
// written by two. Where the output lies on an input, that cannot be seen.
inline void run_by_watched_slices(const intrt::FastKernel& kernel, intrt::OpToRun& call,
                                  std::uint32_t op, const intrt_run_options* options) {
  auto* const output = static_cast<std::uint8_t*>(call.output_data);
  const auto bytes_of = [](const intrt_tensor_record& tensor) {
    return static_cast<std::size_t>(intrt::element_count(tensor)) *
           intrt::element_bytes(tensor.type);
  };
  const std::size_t bytes = bytes_of(call.output);
  for (std::uint32_t i = 0; i < call.record.input_count; ++i) {
    const auto* const input = static_cast<const std::uint8_t*>(call.input_data_at(i));
    if (input < output + bytes && output < input + bytes_of(call.input_at(i)))
      return run_by_slices(kernel, call, op, options);
  }
  std::vector<std::uint8_t> result(bytes);
  std::vector<bool> is_written(bytes);
  for (std::uint32_t slice = slices_of(kernel, call); slice-- > 0;) {
    call.slices = {slice, slice + 1};
    std::memset(output, 0xA5, bytes);
    kernel.run(call);
    const std::vector<std::uint8_t> first(output, output + bytes);
    std::memset(output, 0x5A, bytes);
    kernel.run(call);
    for (std::size_t i = 0; i < bytes; ++i) {
      if (output[i] != first[i]) continue;
      if (is_written[i]) FAIL("slice " << slice << " writes byte " << i << " of another");
      is_written[i] = true;
      result[i] = first[i];
    }
  }
  std::memcpy(output, result.data(), bytes);
}

inline bool run_no_chain(const intrt_plan&, const intrt::PreparedHeader&, std::uint32_t, void*,
                         const intrt_run_options*) {
  return false;
}

struct Outcome {
  intrt_status status = INTRT_OK;
  std::vector<std::uint8_t> output;
};

// Input codes are drawn from all, from the least and the greatest, or are all one of these.
enum class Codes : std::uint8_t { kAll, kExtremes, kLeast, kGreatest };

inline std::int64_t draw(Random& random, Codes codes, std::uint32_t type) {
  const std::int64_t least = type == INTRT_INT8 ? -128 : -32768, greatest = -1 - least;
  if (codes == Codes::kAll) return random.between(least, greatest);
  if (codes == Codes::kExtremes) return random.pick({least, greatest});
  return codes == Codes::kLeast ? least : greatest;
}

inline __attribute__((noinline)) void fill_stack(std::uint8_t byte) {
  volatile std::uint8_t bytes[1 << 15];
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
      const std::uint32_t type = intrt::tensor_record(plan_, tensor).type;
      for (std::uint32_t i = 0; i < intrt_tensor_info(&plan_, tensor).element_count; ++i)
        intrt::store_code(intrt_tensor_data(&plan_, arena.data(), tensor), type, i,
                          static_cast<std::int32_t>(draw(random, input_codes, type)));
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
          at_end_ ? run_by_slices : run_by_watched_slices, run_no_chain};
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

  // f(the header of prepared memory).
  template <typename F>
  auto with_header(const char* variant, const F& f) const {
    const AlignedBytes memory(prepared_over(variant, 0));
    return f(*static_cast<const intrt::PreparedHeader*>(static_cast<const void*>(memory.data())));
  }

  // Of the last operator, a dense one, on avx2: the sizes of groups of steps of the first set of
  // outputs that share sums. Of the BlockHeader (weights.h) that follows the DenseHeader
  // (convolution.h), the fourth number, that of all steps, with rests, and those from the ninth on:
  // the size of groups in order, then how many groups of listed ones there are, largest first.
  struct SharingSteps {
    std::uint32_t all, in_order;
    std::vector<std::uint32_t> listed;
  };
  SharingSteps sharing_steps() const {
    return with_header("avx2", [&](const intrt::PreparedHeader& header) {
      const void* const memory = header.memory_of(intrt_op_count(&plan_) - 1);
      std::uint32_t numbers[13];
      std::memcpy(numbers, static_cast<const std::uint8_t*>(memory) + 64, sizeof numbers);
      SharingSteps sharing = {numbers[3], numbers[8], {}};
      for (std::size_t i = 0; i < 4; ++i)
        if (numbers[9 + i] != 0) sharing.listed.push_back(std::array{8u, 6u, 4u, 2u}[i]);
      return sharing;
    });
  }

  // Of the last operator, a dense convolution, on avx2: DenseHeader's in_place.
  bool is_read_in_place() const {
    return with_header("avx2", [&](const intrt::PreparedHeader& header) {
      const void* const memory = header.memory_of(intrt_op_count(&plan_) - 1);
      return static_cast<const std::uint8_t*>(memory)[28] != 0;
    });
  }

  // Whether the last operator runs on a kernel of the variant, or of the next that takes it.
  bool is_taken_by(const char* variant) const {
    return with_header(variant, [&](const intrt::PreparedHeader& header) {
      return header.is_prepared(intrt_op_count(&plan_) - 1);
    });
  }

 private:
  bool at_end_;
  GuardedBytes bytes_;
  std::size_t size_;
  intrt_plan plan_{};
};

inline bool variant_runs_here(const std::string& name) {
  for (std::uint32_t v = 0; intrt_kernel_variant(v) != nullptr; ++v)
    if (intrt_kernel_variant(v) == name) return intrt_kernel_variant_runs_here(v) != 0;
  return false;
}

inline void compare_variants(const std::vector<std::uint8_t>& bytes, std::uint64_t seed,
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

// Of the input's codes and of the weights.
struct Types {
  std::uint8_t input = INTRT_INT8;
  std::uint32_t weights = INTRT_INT8;
};

// Those of the wide kernels, in turn.
inline Types wide_types(std::uint64_t seed) {
  constexpr Types kTypes[] = {
      {INTRT_INT8, INTRT_INT16}, {INTRT_INT16, INTRT_INT8}, {INTRT_INT16, INTRT_INT16}};
  return kTypes[seed % std::size(kTypes)];
}

inline std::vector<std::int64_t> random_bytes(Random& random, std::int64_t count) {
  std::vector<std::int64_t> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(random.between(-128, 127));
  return values;
}

// Weights for `outputs` sums of so many products, as large as sums of 32 bits allow: in some places
// whatever is left, in others an even share.
inline std::vector<std::int64_t> random_weights(Random& random, std::int64_t outputs,
                                                std::int64_t products, const Types& types) {
  if (types.input == INTRT_INT8 && types.weights == INTRT_INT8)
    return random_bytes(random, outputs * products);
  const std::int64_t most = types.weights == INTRT_INT8 ? 127 : 32767;
  const std::int64_t all = (INT32_MAX - (1 << 21)) / (types.input == INTRT_INT8 ? 128 : 32768);
  std::vector<std::int64_t> values;
  for (std::int64_t o = 0; o < outputs; ++o)
    for (std::int64_t i = 0, left = all; i < products; ++i) {
      const std::int64_t limit = std::min(most, random.one_in(8) ? left : left / (products - i));
      values.push_back(random.one_in(4) ? random.pick({-limit, limit})
                                        : random.between(-limit, limit));
      left -= std::abs(values.back());
    }
  return values;
}

inline std::vector<std::int32_t> random_bias(Random& random, std::int64_t count) {
  std::vector<std::int32_t> values;
  for (std::int64_t i = 0; i < count; ++i)
    values.push_back(static_cast<std::int32_t>(random.between(-(1 << 20), 1 << 20)));
  return values;
}

// Most blocks of a random height x 4 weights of rows [outputs][count] become 0.
inline void clear_blocks(Random& random, std::vector<std::int64_t>& weights, std::int64_t outputs,
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
      builder.weights(kept.empty() ? std::vector<std::int64_t>{0} : kept, p.weight_type);
  p.nonzero_offset = builder.array(bits);
  p.starts_offset = builder.array(starts);
}

// Codes stay as they are, but for a clamp to 0 or more or, sometimes in one channel alone, to -7 or
// more.
inline intrt_post_record clamp_of(PlanBuilder& builder, Random& random, std::int64_t channels) {
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
inline Tensors add_tensors(PlanBuilder& builder, Random& random, const TensorSpec& input,
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

// For an operator whose outputs are the sums themselves. Clamped: it gets the codes behind a clamp
// to 0.
inline Tensors add_tensors_of_sums(PlanBuilder& builder, TensorSpec input, bool clamped,
                                   const Logical& sums) {
  std::uint32_t from = builder.input(input);
  const std::uint32_t to = builder.output(spec_of(sums, {INTRT_INT32, 32}));
  if (clamped) {
    input.arena_offset = builder.arena_offset_of(from);
    const std::uint32_t behind = builder.tensor(input);
    intrt_requantize_params clamp{};
    clamp.post = builder.shift_post({0}, INTRT_ROUND_FLOOR, 0, 127);
    builder.op(k_requantize, from, behind, clamp);
    from = behind;
  }
  return {from, to};
}

struct Convolution {
  std::int64_t groups, group_inputs, group_outputs;
  Axis down, across;

  std::int64_t outputs() const { return groups * group_outputs; }
  std::int64_t taps() const { return down.kernel * across.kernel; }
  TensorSpec input(const Types& types) const {
    TensorSpec spec;
    spec.type = types.input;
    spec.bits = types.input == INTRT_INT8 ? 8 : 16;
    spec.channels = static_cast<std::uint32_t>(groups * group_inputs);
    spec.height = static_cast<std::uint32_t>(down.input);
    spec.width = static_cast<std::uint32_t>(across.input);
    return spec;
  }
  // What conv2d and conv_transpose2d have in common.
  template <typename Params>
  Params params(const Types& types) const {
    Params p{};
    set_window(p, down, across);
    p.groups = static_cast<std::uint32_t>(groups);
    p.weight_type = types.weights;
    return p;
  }
};

// Weights are divided by `divisor`: of small ones, sums of 16 bits hold several (avx2).
inline std::vector<std::uint8_t> plan_of(Random& random, const Convolution& c,
                                         const Types& types = {}, std::int64_t divisor = 1) {
  const Format out_format = random_format(random, true);
  const Logical expected(c.outputs(), c.down.slack() / c.down.stride + 1,
                         c.across.slack() / c.across.stride + 1);
  PlanBuilder builder;
  const Tensors tensors =
      add_tensors(builder, random, c.input(types), spec_of(expected, out_format));
  auto p = c.params<intrt_conv2d_params>(types);
  p.pad_bottom = static_cast<std::uint32_t>(c.down.pad_after);
  p.pad_right = static_cast<std::uint32_t>(c.across.pad_after);
  const std::int64_t of_output = c.taps() * c.group_inputs;
  std::vector<std::int64_t> weights = random_weights(random, c.outputs(), of_output, types);
  for (std::int64_t& weight : weights) weight /= divisor;
  if (random.one_in(2)) clear_blocks(random, weights, c.outputs(), of_output);
  if (random.one_in(3))
    store_sparse(builder, weights, c.outputs() * c.taps(), c.group_inputs, c.outputs(), p);
  else
    p.weights_offset = builder.weights(weights, types.weights);
  if (!random.one_in(3)) p.bias_offset = builder.array(random_bias(random, c.outputs()), 16);
  p.post = post_record(
      builder, random_post(random, out_format, c.outputs(), expected.height, expected.width),
      expected);
  builder.op(k_conv2d, tensors.from, tensors.to, p);
  return builder.finish();
}

// The transpose: an output of any height and width.
inline std::vector<std::uint8_t> transposed_plan_of(Random& random, const Convolution& c,
                                                    std::int64_t height, std::int64_t width,
                                                    const Types& types = {},
                                                    std::int64_t divisor = 1) {
  const Format out_format = random_format(random, true);
  const Logical expected(c.outputs(), height, width);
  PlanBuilder builder;
  const Tensors tensors =
      add_tensors(builder, random, c.input(types), spec_of(expected, out_format));
  auto p = c.params<intrt_conv_transpose2d_params>(types);
  const std::int64_t of_output = c.taps() * c.group_inputs;
  std::vector<std::int64_t> weights = random_weights(random, c.outputs(), of_output, types);
  for (std::int64_t& weight : weights) weight /= divisor;
  if (random.one_in(2)) clear_blocks(random, weights, c.outputs(), of_output);
  p.weights_offset = builder.weights(weights, types.weights);
  if (!random.one_in(3)) p.bias_offset = builder.array(random_bias(random, c.outputs()), 16);
  p.post =
      post_record(builder, random_post(random, out_format, c.outputs(), height, width), expected);
  builder.op(k_conv_transpose2d, tensors.from, tensors.to, p);
  return builder.finish();
}

// With every output in reach of the window, as layers have it. The axes' padding is to be small.
inline std::vector<std::uint8_t> transposed_plan_of(Random& random, const Convolution& c,
                                                    const Types& types = {}) {
  const auto size = [&](const Axis& a) {
    return (a.input - 1) * a.stride - 2 * a.pad_before + a.kernel + random.between(0, a.stride - 1);
  };
  const std::int64_t height = size(c.down), width = size(c.across);
  return transposed_plan_of(random, c, height, width, types);
}

// Of the weights, about one in `nonzero_in` is not 0.
inline std::vector<std::uint8_t> linear_plan(Random& random, std::int64_t outputs,
                                             const Types& types = {}, int nonzero_in = 1) {
  const Format out_format = random_format(random, true);
  const Logical expected(outputs, 1, 1);
  TensorSpec input;
  input.type = types.input;
  input.bits = types.input == INTRT_INT8 ? 8 : 16;
  input.channels = static_cast<std::uint32_t>(random.between(1, 300));
  input.height = static_cast<std::uint32_t>(random.between(1, 3));
  input.width = static_cast<std::uint32_t>(random.between(1, 3));
  const std::int64_t inputs = std::int64_t{input.channels} * input.height * input.width;
  PlanBuilder builder;
  const Tensors tensors = add_tensors(builder, random, input, spec_of(expected, out_format));
  intrt_linear_params p{};
  p.weight_type = types.weights;
  std::vector<std::int64_t> weights = random_weights(random, outputs, inputs, types);
  if (nonzero_in > 1)
    for (std::int64_t& weight : weights)
      if (!random.one_in(nonzero_in)) weight = 0;
  if (random.one_in(2)) clear_blocks(random, weights, outputs, inputs);
  if (random.one_in(3))
    store_sparse(builder, weights, outputs, inputs, outputs, p);
  else
    p.weights_offset = builder.weights(weights, types.weights);
  if (!random.one_in(3)) p.bias_offset = builder.array(random_bias(random, outputs), 16);
  p.post = post_record(builder, random_post(random, out_format, outputs, 1, 1), expected);
  builder.op(k_linear, tensors.from, tensors.to, p);
  return builder.finish();
}

inline Axis axis_of(std::int64_t input, std::int64_t kernel, std::int64_t stride,
                    std::int64_t padding) {
  return {input, kernel, stride, 1, padding, padding};
}

}  // namespace lockstep::testing
