// Random operators and what they must give: shapes, codes, post records, and the comparison of a
// plan with loops over PyTorch's (C,H,W) order. Nothing here comes from the runtime's own code.
#pragma once

#include <doctest/doctest.h>

#include <random>
#include <set>
#include <string>

#include "tests/intrt/exact.h"
#include "tests/support/plan_builder.h"
#include "tests/support/run_variant.h"

namespace lockstep::testing {

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

inline std::int64_t code_max(int bits) { return (std::int64_t{1} << (bits - 1)) - 1; }
inline std::int64_t code_min(int bits) { return -code_max(bits) - 1; }

struct Format {
  std::uint8_t type, bits;
};

inline Format random_format(Random& random, bool allow_int32) {
  const std::uint32_t type = static_cast<std::uint32_t>(random.between(1, allow_int32 ? 3 : 2));
  const int most = type == INTRT_INT8 ? 8 : type == INTRT_INT16 ? 16 : 32;
  const std::int64_t bits = random.one_in(2) ? most : random.between(2, most);
  return {static_cast<std::uint8_t>(type), static_cast<std::uint8_t>(bits)};
}

// Codes of the whole range; often only its ends, where overflow would show.
inline Logical random_codes(Random& random, std::int64_t c, std::int64_t h, std::int64_t w,
                            int bits) {
  Logical tensor(c, h, w);
  const bool ends_only = random.one_in(3);
  for (std::int64_t& code : tensor.codes)
    code = ends_only ? (random.one_in(2) ? code_min(bits) : code_max(bits))
                     : random.between(code_min(bits), code_max(bits));
  return tensor;
}

struct Post {
  std::uint8_t kind = INTRT_POST_NONE;
  Rounding rounding = Rounding::kTowardZero;
  std::vector<std::int8_t> shifts;  // kind SHIFT, with lo and hi
  std::int64_t lo = 0, hi = 0;
  std::vector<PlanBuilder::ScaleChannel> scales;  // kind SCALE
  std::vector<bool> mask;                         // in (C,H,W) order; empty: none

  std::int64_t apply(std::int64_t acc, std::int64_t channel, std::int64_t logical_index) const {
    const auto c = static_cast<std::size_t>(channel);
    std::int64_t code = acc;
    if (kind == INTRT_POST_SHIFT)
      code = std::clamp(scale_exactly(acc, shifts[shifts.size() == 1 ? 0 : c], rounding), lo, hi);
    if (kind == INTRT_POST_SCALE) code = scale(acc, scales[c]);
    return mask.empty() || mask[static_cast<std::size_t>(logical_index)] ? code : 0;
  }

  std::int64_t scale(std::int64_t acc, const PlanBuilder::ScaleChannel& channel) const {
    if (channel.thresholds.empty())
      return affine_exactly(acc, channel.multiplier, channel.addend, channel.shift, rounding,
                            channel.lo, channel.hi);
    std::size_t passed = 0;
    for (const std::int32_t threshold : channel.thresholds) passed += threshold <= acc;
    return channel.codes[passed];
  }
};

inline PlanBuilder::ScaleChannel random_scale(Random& random, int bits) {
  constexpr std::int64_t kAddend = (std::int64_t{1} << 62) - 1;
  const int code_bits = std::min(bits, 16);
  const auto code = [&] {
    return static_cast<std::int16_t>(random.between(code_min(code_bits), code_max(code_bits)));
  };
  PlanBuilder::ScaleChannel channel;
  if (random.one_in(2)) {
    channel.lo = static_cast<std::int16_t>(code_min(code_bits));
    channel.hi = static_cast<std::int16_t>(code_max(code_bits));
  } else {
    channel.lo = code();
    channel.hi = static_cast<std::int16_t>(random.between(channel.lo, code_max(code_bits)));
  }
  channel.shift = static_cast<std::int8_t>(random.between(0, 62));
  const int size = static_cast<int>(std::min<std::int64_t>(31, channel.shift + 3));
  channel.multiplier = static_cast<std::int32_t>(
      random.one_in(5) ? random.pick({INT32_MIN, INT32_MAX})
                       : random.between(-(std::int64_t{1} << size), (std::int64_t{1} << size) - 1));
  channel.addend = random.one_in(5) ? random.pick({-kAddend, kAddend, std::int64_t{0}})
                                    : random.between(-kAddend, kAddend) >> random.between(0, 40);
  if (random.one_in(2)) return channel;
  std::set<std::int32_t> thresholds;
  const std::int64_t spread = random.pick(
      {std::int64_t{10}, std::int64_t{300}, std::int64_t{1} << 20, std::int64_t{INT32_MAX}});
  for (std::int64_t n = random.between(1, 20); n > 0; --n)
    thresholds.insert(static_cast<std::int32_t>(random.between(-spread, spread)));
  channel.thresholds.assign(thresholds.begin(), thresholds.end());
  channel.codes.clear();
  for (std::size_t i = 0; i <= thresholds.size(); ++i) channel.codes.push_back(code());
  return channel;
}

// Scales as compiled networks have them, which vector code turns into bytes in a few steps: shifts
// up to 32, no thresholds; often the same limits for all channels.
inline std::vector<PlanBuilder::ScaleChannel> usual_scales(Random& random, int bits,
                                                           std::int64_t channels) {
  const int code_bits = std::min(bits, 16);
  const auto lo = static_cast<std::int16_t>(random.one_in(2) ? 0 : code_min(code_bits));
  const auto hi = static_cast<std::int16_t>(random.between(lo, code_max(code_bits)));
  const bool limits_differ = random.one_in(2);
  std::vector<PlanBuilder::ScaleChannel> scales;
  for (std::int64_t i = 0; i < channels; ++i) {
    PlanBuilder::ScaleChannel channel;
    channel.lo = limits_differ ? static_cast<std::int16_t>(random.between(lo, hi)) : lo;
    channel.hi = limits_differ
                     ? static_cast<std::int16_t>(random.between(channel.lo, code_max(code_bits)))
                     : hi;
    channel.shift = static_cast<std::int8_t>(random.between(12, 32));
    const std::int64_t most = std::int64_t{1} << (channel.shift - random.between(2, 12));
    channel.multiplier = static_cast<std::int32_t>(random.between(-most, most));
    const std::int64_t code = std::int64_t{1} << channel.shift;
    channel.addend = random.one_in(5) ? 0 : random.between(-100 * code, 100 * code);
    scales.push_back(channel);
  }
  return scales;
}

inline Post random_post(Random& random, const Format& format, std::int64_t c, std::int64_t h,
                        std::int64_t w) {
  Post post;
  const bool may_be_raw = format.type == INTRT_INT32 && format.bits == 32;
  post.kind = may_be_raw && random.one_in(2) ? INTRT_POST_NONE
              : random.one_in(2)             ? INTRT_POST_SHIFT
                                             : INTRT_POST_SCALE;
  if (post.kind == INTRT_POST_SHIFT) {
    post.rounding = static_cast<Rounding>(random.between(0, 2));
    for (std::int64_t i = random.one_in(2) ? 1 : c; i > 0; --i)
      post.shifts.push_back(static_cast<std::int8_t>(random.one_in(4) ? random.between(-31, 30)
                                                                      : random.between(-2, 20)));
    post.lo = code_min(format.bits);
    post.hi = code_max(format.bits);
    if (random.one_in(3)) post.lo = 0;
    if (random.one_in(4)) post.hi = random.between(post.lo, post.hi);
  }
  if (post.kind == INTRT_POST_SCALE) {
    post.rounding = static_cast<Rounding>(random.between(0, 1));
    if (random.one_in(2))
      post.scales = usual_scales(random, format.bits, c);
    else
      for (std::int64_t i = 0; i < c; ++i) post.scales.push_back(random_scale(random, format.bits));
  }
  if (random.one_in(2))
    for (std::int64_t i = 0; i < c * h * w; ++i) post.mask.push_back(random.one_in(2));
  return post;
}

// A post-op behind weights of this type: those of 32 bits are summed up in 64 and then shifted.
inline Post random_post_behind(std::uint32_t weight_type, Random& random, const Format& format,
                               std::int64_t c, std::int64_t h, std::int64_t w) {
  if (weight_type != INTRT_INT32) return random_post(random, format, c, h, w);
  Post post;
  post.kind = INTRT_POST_SHIFT;
  post.rounding = static_cast<Rounding>(random.between(0, 2));
  for (std::int64_t i = random.one_in(2) ? 1 : c; i > 0; --i)
    post.shifts.push_back(static_cast<std::int8_t>(random.between(0, 62)));
  post.lo = random.one_in(3) ? 0 : code_min(format.bits);
  post.hi = code_max(format.bits);
  return post;
}

// The bits of a mask in (C,H,W) order, for an output of these dimensions; 0 where there is none.
inline std::uint32_t mask_offset(PlanBuilder& builder, const std::vector<bool>& mask,
                                 const Logical& output) {
  if (mask.empty()) return 0;
  std::vector<std::uint8_t> bits((output.codes.size() + 7) / 8);
  for (std::int64_t c = 0; c < output.channels; ++c)
    for (std::int64_t y = 0; y < output.height; ++y)
      for (std::int64_t x = 0; x < output.width; ++x) {
        const auto logical = static_cast<std::size_t>((c * output.height + y) * output.width + x);
        const auto physical =
            static_cast<std::size_t>((y * output.width + x) * output.channels + c);
        if (mask[logical]) bits[physical / 8] |= static_cast<std::uint8_t>(1u << physical % 8);
      }
  return builder.array(bits);
}

inline intrt_post_record post_record(PlanBuilder& builder, const Post& post,
                                     const Logical& output) {
  const auto rounding = static_cast<std::uint8_t>(post.rounding);
  intrt_post_record record{};
  if (post.kind == INTRT_POST_SHIFT)
    record = builder.shift_post(post.shifts, rounding, static_cast<std::int32_t>(post.lo),
                                static_cast<std::int32_t>(post.hi));
  if (post.kind == INTRT_POST_SCALE) record = builder.scale_post(post.scales, rounding);
  record.mask_offset = mask_offset(builder, post.mask, output);
  return record;
}

inline void apply_post(const Post& post, Logical& output) {
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(output.codes.size()); ++i) {
    std::int64_t& code = output.codes[static_cast<std::size_t>(i)];
    code = post.apply(code, i / (output.height * output.width), i);
  }
}

inline TensorSpec spec_of(const Logical& tensor, const Format& format) {
  return {.channels = static_cast<std::uint32_t>(tensor.channels),
          .height = static_cast<std::uint32_t>(tensor.height),
          .width = static_cast<std::uint32_t>(tensor.width),
          .type = format.type,
          .bits = format.bits};
}

// Runs a plan of one operator on every variant and compares; false, with the place, on a
// difference.
inline void check_plan(const std::vector<std::uint8_t>& bytes, const std::vector<Logical>& inputs,
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
    REQUIRE(inputs.size() == intrt_input_count(&plan));
    for (std::uint32_t i = 0; i < inputs.size(); ++i) {
      const std::uint32_t input = intrt_input(&plan, i);
      write_tensor(inputs[i], intrt_tensor_info(&plan, input).type,
                   intrt_tensor_data(&plan, arena.data(), input));
    }
    const intrt_run_options options = {intrt_kernel_variant(v), nullptr, nullptr, nullptr};
    REQUIRE(run_variant(plan, arena.data(), arena.size(), options) == INTRT_OK);
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
inline std::int64_t largest_weight(std::uint32_t type, int input_bits, std::int64_t terms,
                                   std::int64_t bias) {
  const std::int64_t most_sum =
      type == INTRT_INT32 ? std::int64_t{1} << 62 : std::int64_t{2147483647};
  const std::int64_t bound = (most_sum - bias) / (terms << (input_bits - 1));
  return std::min<std::int64_t>(type == INTRT_INT8    ? 127
                                : type == INTRT_INT16 ? 32767
                                                      : 2147483647,
                                bound);
}

struct Axis {
  std::int64_t input, kernel, stride, dilation, pad_before, pad_after;
  std::int64_t reach() const { return dilation * (kernel - 1) + 1; }
  std::int64_t slack() const { return input + pad_before + pad_after - reach(); }
};

inline Axis random_axis(Random& random) {
  for (;;) {
    const Axis axis = {random.between(1, 11), random.between(1, 5), random.between(1, 3),
                       random.between(1, 3),  random.between(0, 3), random.between(0, 3)};
    if (axis.slack() >= 0) return axis;
  }
}

// The window of a convolution or pooling, but for the padding behind, which not all have.
template <typename Params>
void set_window(Params& p, const Axis& down, const Axis& across) {
  p.kernel_h = static_cast<std::uint32_t>(down.kernel);
  p.kernel_w = static_cast<std::uint32_t>(across.kernel);
  p.stride_h = static_cast<std::uint32_t>(down.stride);
  p.stride_w = static_cast<std::uint32_t>(across.stride);
  p.dilation_h = static_cast<std::uint32_t>(down.dilation);
  p.dilation_w = static_cast<std::uint32_t>(across.dilation);
  p.pad_top = static_cast<std::uint32_t>(down.pad_before);
  p.pad_left = static_cast<std::uint32_t>(across.pad_before);
}

}  // namespace lockstep::testing
