// What the variants make of accumulators, against the scalar kernels, which the lemmas hold against
// what rounding means: at both sides of each place where a code changes. The accumulators are the
// biases of layers whose weights are 0: of a linear one, which leaves these out, and of
// convolutions with rows of one place, both of whose codes are made in registers, and of more; and
// of depthwise ones whose codes are 0, to which some variants add 128, so that sums of products
// are not 0, and biases make up for that.
#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstdlib>
#include <set>
#include <string>

#include "intrt/kernels/kernel.h"
#include "tests/intrt/guarded_bytes.h"
#include "tests/intrt/kernel_cases.h"

using namespace lockstep::testing;

namespace {

constexpr std::int64_t kMax = INT32_MAX, kMin = -kMax;  // as plans have them

// How the floats of the caller round when a plan is prepared and when it is run.
struct Modes {
  int prepare = FE_TONEAREST, run = FE_TONEAREST;
};

std::vector<std::int32_t> codes_of(const intrt_plan& plan, const char* variant,
                                   const Modes& modes = {}) {
  const GuardedBytes arena(intrt_arena_bytes(&plan), false),
      memory(intrt_prepared_bytes(&plan, variant), false);
  const auto in_mode = [](int mode, const auto& call) {
    REQUIRE(std::fesetround(mode) == 0);
    const intrt_status status = call();
    std::fesetround(FE_TONEAREST);
    REQUIRE(status == INTRT_OK);
  };
  in_mode(modes.prepare,
          [&] { return intrt_prepare(&plan, variant, memory.data(), memory.size()); });
  in_mode(modes.run, [&] {
    return intrt_run_prepared(&plan, memory.data(), arena.data(), arena.size(), nullptr);
  });
  const std::uint32_t output = intrt_output(&plan, 0);
  std::vector<std::int32_t> codes;
  for (std::uint32_t i = 0; i < intrt_tensor_info(&plan, output).element_count; ++i)
    codes.push_back(intrt::load_code(intrt_tensor_data(&plan, arena.data(), output),
                                     intrt::tensor_record(plan, output).type, i));
  return codes;
}

// Two places are one tile, or two tiles of one place.
struct Layer {
  OpCode code;
  std::uint32_t places;
  // Of depthwise ones: weights up to this in magnitude, and the stride. Of small weights, sums of
  // all columns share 16 bits.
  std::int64_t most_weight = 0;
  std::uint32_t stride = 1;

  bool is_depthwise() const { return most_weight != 0; }
};
constexpr Layer kLayers[] = {{k_linear, 1}, {k_conv2d, 1}, {k_conv2d, 2}, {k_conv2d, 3}};
// Of a few channels, as many as some kernels take at a time, or others.
constexpr Layer kDepthwise[] = {
    {k_conv2d, 3, 127}, {k_conv2d, 4, 7}, {k_conv2d, 5, 7, 2}, {k_conv2d, 4, 127, 2}};
constexpr std::size_t kFewChannels[] = {8, 16, 24, 32, 40};
constexpr std::int64_t kMostNear = 1 << 20;  // of biases in magnitude

std::vector<std::int64_t> weights_of(const Layer& layer, std::size_t channels) {
  if (!layer.is_depthwise()) return std::vector<std::int64_t>(channels, 0);
  std::vector<std::int64_t> weights;
  for (std::size_t i = 0; i < 9 * channels; ++i)
    weights.push_back(static_cast<std::int64_t>(i * 37 % 255) % (2 * layer.most_weight + 1) -
                      layer.most_weight);
  return weights;
}

std::vector<std::uint8_t> plan_of(const std::vector<std::int64_t>& accumulators, const Post& post,
                                  const Format& format, const Layer& layer) {
  PlanBuilder builder;
  TensorSpec input, output;
  output.channels = static_cast<std::uint32_t>(accumulators.size());
  input.channels = layer.is_depthwise() ? output.channels : 1;
  input.width = (layer.places - 1) * layer.stride + 1;
  output.width = layer.places;
  output.type = format.type;
  output.bits = format.bits;
  const std::uint32_t from = builder.input(input), to = builder.output(output);
  const auto add = [&](auto p) {
    p.weight_type = INTRT_INT8;
    p.weights_offset = builder.weights(weights_of(layer, accumulators.size()), INTRT_INT8);
    // With products, too, sums are to fit 32 bits.
    const std::int64_t most = kMax - 9 * 128 * layer.most_weight;
    std::vector<std::int32_t> biases;
    for (const std::int64_t x : accumulators)
      biases.push_back(static_cast<std::int32_t>(std::clamp(x, -most, most)));
    p.bias_offset = builder.array(biases, 16);
    p.post = post_record(builder, post,
                         Logical(static_cast<std::int64_t>(accumulators.size()), 1, layer.places));
    builder.op(layer.code, from, to, p);
  };
  if (layer.code == k_linear) {
    add(intrt_linear_params{});
  } else {
    intrt_conv2d_params p{};
    p.kernel_h = p.kernel_w = p.stride_h = p.stride_w = p.dilation_h = p.dilation_w = p.groups = 1;
    if (layer.is_depthwise()) {
      p.kernel_h = p.kernel_w = 3;
      p.stride_h = p.stride_w = layer.stride;
      p.pad_top = p.pad_left = p.pad_bottom = p.pad_right = 1;
      p.groups = input.channels;
    }
    add(p);
  }
  return builder.finish();
}

void compare_layer(const Layer& layer, const std::vector<std::int64_t>& accumulators,
                   const Post& post, const Format& format, const Modes& modes) {
  const AlignedBytes bytes(plan_of(accumulators, post, format, layer));
  intrt_plan plan;
  REQUIRE(intrt_open(&plan, bytes.data(), bytes.size(), nullptr) == INTRT_OK);
  const std::vector<std::int32_t> expected = codes_of(plan, "scalar");
  for (std::uint32_t v = 0; intrt_kernel_variant(v) != nullptr; ++v) {
    if (intrt_kernel_variant_runs_here(v) == 0) continue;
    const std::vector<std::int32_t> found = codes_of(plan, intrt_kernel_variant(v), modes);
    const auto differs = std::mismatch(found.begin(), found.end(), expected.begin()).first;
    if (differs == found.end()) continue;
    const auto i = static_cast<std::size_t>(differs - found.begin());
    INFO(std::string(intrt_kernel_variant(v)), ", operator ", layer.code, ", ", layer.places,
         " places, weights up to ", layer.most_weight, ", stride ", layer.stride, ", ",
         accumulators.size(), " channels, accumulator ", accumulators[i % accumulators.size()]);
    REQUIRE(found[i] == expected[i]);
  }
}

void compare(const std::vector<std::int64_t>& accumulators, const Post& post,
             const Format& format = {INTRT_INT8, 8}, const Modes& modes = {}) {
  for (const Layer& layer : kLayers) compare_layer(layer, accumulators, post, format, modes);
}

// The same with depthwise layers of a few of the channels, so that these fare alike more often, and
// with biases that float32 addends can make up for.
void compare_few(const std::vector<std::int64_t>& accumulators, const Post& post,
                 const Modes& modes = {}) {
  std::size_t begin = 0;
  for (const std::size_t count : kFewChannels) {
    if (count > accumulators.size()) return;
    if (begin + count > accumulators.size()) begin = 0;
    const auto some = [=](const auto& all) {
      const auto first = all.begin() + static_cast<std::ptrdiff_t>(begin);
      return std::vector(first, first + static_cast<std::ptrdiff_t>(count));
    };
    std::vector<std::int64_t> near = some(accumulators);
    for (std::int64_t& x : near) x = std::abs(x) > kMostNear ? 0 : x;
    Post post_of_some = post;
    if (post.shifts.size() > 1) post_of_some.shifts = some(post.shifts);
    if (!post.scales.empty()) post_of_some.scales = some(post.scales);
    for (const Layer& layer : kDepthwise)
      compare_layer(layer, near, post_of_some, {INTRT_INT8, 8}, modes);
    begin += count;
  }
}

void add_around(std::vector<std::int64_t>& accumulators, std::int64_t x) {
  for (const std::int64_t near : {x - 1, x, x + 1})
    accumulators.push_back(std::clamp(near, kMin, kMax));
}

}  // namespace

TEST_CASE("shifts of all variants equal scalar at the steps of their codes") {
  for (const Rounding rounding : {Rounding::kTowardZero, Rounding::kFloor, Rounding::kHalfEven})
    for (int shift = 0; shift <= 30; ++shift)
      for (const std::int64_t lo : {-128, -3, 0, 5})
        for (const bool of_channels : {false, true}) {
          std::vector<std::int64_t> accumulators = {kMin, kMin + 1, kMax - 1, kMax};
          for (std::int64_t code = -131; code <= 131; ++code)
            for (const std::int64_t half : {0, 1})
              add_around(accumulators, ((2 * code + half) << shift) / 2);
          Post post;
          post.kind = INTRT_POST_SHIFT;
          post.rounding = rounding;
          post.shifts.assign(of_channels ? accumulators.size() : 1,
                             static_cast<std::int8_t>(shift));
          post.lo = lo;
          post.hi = 127;
          CAPTURE(shift);
          CAPTURE(lo);
          compare(accumulators, post);
        }
}

TEST_CASE("shifts of all variants equal scalar where those of channels differ") {
  for (const Rounding rounding : {Rounding::kTowardZero, Rounding::kFloor, Rounding::kHalfEven})
    for (const std::int64_t lo : {-128, 0})
      for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        Post post;
        post.kind = INTRT_POST_SHIFT;
        post.rounding = rounding;
        post.lo = lo;
        post.hi = 127;
        std::vector<std::int64_t> accumulators;
        for (int i = 0; i < 20; ++i) {
          const std::int64_t shift = random.between(0, 23);
          add_around(accumulators, (random.between(-260, 260) << shift) / 2);
          post.shifts.insert(post.shifts.end(), 3, static_cast<std::int8_t>(shift));
        }
        compare(accumulators, post);
        if (seed <= 10) compare_few(accumulators, post);
      }
}

// To the left in every other channel; at numbers whose shift leaves the limits, and 32 bits.
void compare_left_shifts(int left, Post post, const Format& format) {
  std::vector<std::int64_t> around;
  for (const std::int64_t sign : {-1, 1})
    for (const std::int64_t x :
         {INT64_C(0), post.hi >> left, (post.hi + 1) >> left, (kMax + 1) >> left, kMax})
      add_around(around, sign * x);
  for (const bool of_channels : {false, true}) {
    std::vector<std::int64_t> accumulators;
    post.shifts.clear();
    for (const std::int64_t x : around)
      for (const int shift : {-left, 3}) {
        accumulators.push_back(x);
        if (of_channels || post.shifts.empty())
          post.shifts.push_back(static_cast<std::int8_t>(shift));
      }
    CAPTURE(left);
    CAPTURE(post.lo);
    CAPTURE(post.hi);
    compare(accumulators, post, format);
  }
}

TEST_CASE("shifts to the left of all variants equal scalar") {
  constexpr std::int64_t kBound = std::int64_t{1} << 30;
  Post post;
  post.kind = INTRT_POST_SHIFT;
  for (const Rounding rounding : {Rounding::kTowardZero, Rounding::kFloor, Rounding::kHalfEven})
    for (int left = 1; left <= 31; ++left) {
      post.rounding = rounding;
      post.hi = 127;
      for (const std::int64_t lo : {-128, 0, 5}) {
        post.lo = lo;
        compare_left_shifts(left, post, {INTRT_INT8, 8});
      }
      post.lo = -32768;
      post.hi = 32767;
      compare_left_shifts(left, post, {INTRT_INT16, 16});
      // About what a clamp before the shift leaves.
      for (const std::int64_t lo : {-kBound, -kBound - 1, kMin - 1})
        for (const std::int64_t hi : {kBound, kBound + 1, 3 * (kBound / 2), kMax}) {
          post.lo = lo;
          post.hi = hi;
          compare_left_shifts(left, post, {INTRT_INT32, 32});
        }
    }
}

// Scales of 100 times 4 channels, with accumulators at their steps. few: compare_few, too.
void compare_scales(std::uint64_t seed, const Modes& modes, bool few) {
  CAPTURE(seed);
  Random random(seed);
  Post post;
  post.kind = INTRT_POST_SCALE;
  post.rounding = random.one_in(2) ? Rounding::kTowardZero : Rounding::kFloor;
  std::vector<std::int64_t> accumulators;
  for (const PlanBuilder::ScaleChannel& channel : usual_scales(random, 8, 100)) {
    const std::int64_t step = std::int64_t{1} << channel.shift;
    const std::int64_t code = random.between(-130, 130);
    const std::int64_t x = channel.multiplier == 0
                               ? random.between(kMin, kMax)
                               : (code * step - channel.addend) / channel.multiplier;
    add_around(accumulators, x);
    accumulators.push_back(random.pick({kMin, kMax}));
    post.scales.insert(post.scales.end(), 4, channel);
  }
  compare(accumulators, post, {INTRT_INT8, 8}, modes);
  if (few) compare_few(accumulators, post, modes);
}

TEST_CASE("scales of all variants equal scalar at the steps of their codes") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) compare_scales(seed, {}, seed <= 30);
}

// Variants that scale by floats do not where these round in another way.
TEST_CASE("how the caller's floats round does not matter") {
  for (const int prepare : {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO})
    for (const int run : {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
      CAPTURE(prepare);
      CAPTURE(run);
      for (std::uint64_t seed = 1; seed <= 40; ++seed)
        compare_scales(seed, {prepare, run}, seed <= 2);
    }
}

// Mostly those of a line, which some variants compute as one; some with a step moved, which they
// cannot, beside scales.
TEST_CASE("channels with steps of all variants equal scalar at their steps") {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Post post;
    post.kind = INTRT_POST_SCALE;
    post.rounding = random.one_in(2) ? Rounding::kTowardZero : Rounding::kFloor;
    std::vector<std::int64_t> accumulators;
    const std::vector<PlanBuilder::ScaleChannel> scales = usual_scales(random, 8, 40);
    for (std::size_t i = 0; i < scales.size(); ++i) {
      PlanBuilder::ScaleChannel channel = scales[i];
      if (!random.one_in(3)) {
        const std::int64_t gap = random.between(3, 3000), first = random.between(-200000, 200000);
        const std::int64_t sixteenths = random.between(0, 15);  // of 1, on top of the gap
        const bool rises = random.one_in(2), moved = random.one_in(4);
        const auto code = [&](int k) { return static_cast<std::int16_t>(rises ? k : -k); };
        channel.codes = {code(-100)};
        for (int k = -99; k <= 100; ++k) {
          const std::int64_t at = first + k * gap + k * sixteenths / 16;
          channel.thresholds.push_back(static_cast<std::int32_t>(at + (moved && k == 3 ? 1 : 0)));
          channel.codes.push_back(code(k));
        }
      }
      const std::int64_t x =
          channel.thresholds.empty()
              ? random.between(kMin, kMax)
              : channel.thresholds[static_cast<std::size_t>(random.between(0, 199))];
      add_around(accumulators, x);
      accumulators.push_back(random.pick({kMin, kMax}));
      post.scales.insert(post.scales.end(), 4, channel);
    }
    compare(accumulators, post);
    if (seed <= 10) compare_few(accumulators, post);
  }
}

// Where the float32 function of a line has an exception (float_scale.h), and at some other steps;
// each three channels have a line of their own, but for a scale beside, so that rounding down
// counts.
TEST_CASE("lines with an exception of all variants equal scalar") {
  constexpr int kLo = -100, kHi = 110;
  for (std::uint64_t seed = 1; seed <= 120; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Post post;
    post.kind = INTRT_POST_SCALE;
    post.rounding = random.one_in(2) ? Rounding::kTowardZero : Rounding::kFloor;
    std::vector<std::int64_t> accumulators;
    for (int i = 0; i < 12; ++i) {
      const double slope = 97 / static_cast<double>(random.between(6000, 80000));
      const double addend = static_cast<double>(random.between(-280, 280)) / 7;
      const int moved = static_cast<int>(random.between(kLo + 1, kHi)),
                by = random.one_in(2) ? 1 : -1;
      PlanBuilder::ScaleChannel channel;
      channel.codes = {kLo};
      for (int code = kLo + 1; code <= kHi; ++code) {
        // To zero, a code up to 0 begins behind the whole number below it.
        const bool is_behind = post.rounding == Rounding::kTowardZero && code <= 0;
        const double x = ((is_behind ? code - 1 : code) - addend) / slope;
        const double threshold = is_behind ? std::floor(x) + 1 : std::ceil(x);
        channel.thresholds.push_back(static_cast<std::int32_t>(threshold) +
                                     (code == moved ? by : 0));
        channel.codes.push_back(static_cast<std::int16_t>(code));
      }
      const auto step = random.one_in(3) ? random.between(0, kHi - kLo - 1) : moved - kLo - 1;
      add_around(accumulators, channel.thresholds[static_cast<std::size_t>(step)]);
      accumulators.push_back(random.between(-40000, 40000));
      post.scales.insert(post.scales.end(), 3, channel);
      post.scales.push_back({1 << 12, 0, 20, -128, 127});
    }
    compare(accumulators, post);
    if (seed <= 10) compare_few(accumulators, post);
  }
}

// Crowded in some places, from one end of the accumulators to the other, and more than 16 bits
// count: searches begin at tables of what lies before (step_tables.h).
TEST_CASE("steps of all variants equal scalar, however thresholds lie") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Post post;
    post.kind = INTRT_POST_SCALE;
    std::vector<std::int64_t> accumulators;
    const bool has_many = seed % 20 == 0;
    for (std::int64_t c = 0; c < (has_many ? 3 : 40); ++c) {
      const std::int64_t count = has_many ? 70000 : random.pick({1, 2, 3, 16, 17, 200, 256, 1500});
      std::set<std::int32_t> thresholds;
      while (static_cast<std::int64_t>(thresholds.size()) < count) {
        const std::int64_t spread = random.pick({3, 1000, 2000000, INT32_MAX, INT32_MAX});
        const std::int64_t center = random.one_in(3) ? random.between(-kMax, kMax) : 0;
        thresholds.insert(static_cast<std::int32_t>(
            std::clamp(center + random.between(-spread, spread), kMin, kMax)));
        if (random.one_in(50)) thresholds.insert(random.one_in(2) ? INT32_MIN : INT32_MAX);
      }
      PlanBuilder::ScaleChannel channel;
      channel.thresholds.assign(thresholds.begin(), thresholds.end());
      for (std::size_t i = 0; i <= thresholds.size(); ++i)
        channel.codes.push_back(static_cast<std::int16_t>(random.between(-128, 127)));
      for (int i = 0; i < 8; ++i) {
        const std::size_t last = thresholds.size() - 1;
        const auto any = static_cast<std::size_t>(random.between(0, static_cast<int>(last)));
        const std::size_t step = random.one_in(6) ? 0 : random.one_in(6) ? last : any;
        accumulators.push_back(
            std::clamp(std::int64_t{channel.thresholds[step]} + random.between(-1, 1), kMin, kMax));
        post.scales.push_back(channel);
      }
    }
    compare(accumulators, post);
  }
}
