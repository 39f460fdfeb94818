// Convolutions with two positions in a word (strategies/packed_panel.cpp): the chunks of their
// taps, and that generated C computes the codes of ir::evaluate at every shape, for the lowest and
// highest codes too; and the same with lists of weights (strategies/packed_sparse.cpp).
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "compile/backends/c_source/emit.h"
#include "compile/backends/c_source/strategies/packed_chunks.h"
#include "compile/backends/c_source/strategies/sparse_entries.h"
#include "tests/compile/backends/run_c.h"
#include "tests/compile/backends/small_programs.h"

namespace lockstep {
namespace {

struct Layer {
  std::int64_t channels = 1, height = 1, width = 1, outputs = 1;
  std::array<std::int64_t, 2> kernel{1, 1}, stride{1, 1};
  std::array<std::int64_t, 4> pad{0, 0, 0, 0};
  std::int64_t row_dilation = 1;
  enum class End : std::uint8_t { kShift, kShifts, kScale, kSums, kMask } end = End::kShift;
  std::int64_t most = 127, usual = 20;  // one weight in 25, and the magnitude of the others
  int zeros = 0;                        // percent; all weights of output 1 where there are some
};

ir::PostFunction function_of(const Layer& layer) {
  using enum Layer::End;
  ir::Requantize r{.shifts = {9}, .rounding = Rounding::kTowardZero, .lo = -128, .hi = 127};
  switch (layer.end) {
    case kSums:
      return {};
    case kShifts:
      r.shifts.clear();
      for (std::int64_t c = 0; c < layer.outputs; ++c) r.shifts.push_back(static_cast<int>(7 + c));
      return r;
    case kScale: {
      ir::Scale scale{.rounding = Rounding::kFloor, .channels = {}};
      for (std::int64_t c = 0; c < layer.outputs; ++c)
        scale.channels.push_back({.multiplier = static_cast<std::int32_t>(7001 + 2 * c),
                                  .addend = 1234567 * (c - 3),
                                  .shift = 22,
                                  .lo = 0,
                                  .hi = 127,
                                  .thresholds = {},
                                  .codes = {}});
      return scale;
    }
    case kShift:
    case kMask:
      break;
  }
  return r;
}

ir::Program program_of(const std::vector<Layer>& layers) {
  test::Dice dice(11);
  test::ProgramMaker maker;
  for (const Layer& layer : layers) {
    ir::Conv2d conv;
    conv.window = {.kernel = layer.kernel,
                   .stride = layer.stride,
                   .dilation = {layer.row_dilation, 1},
                   .pad = layer.pad};
    const ir::Shape in{layer.channels, layer.height, layer.width, 3};
    const ir::Shape out{layer.outputs, conv.window.output_size(0, in.h),
                        conv.window.output_size(1, in.w), 3};
    const auto size = [](std::int64_t x) { return static_cast<std::size_t>(x); };
    conv.weights = xt::xarray<std::int32_t>::from_shape(
        {size(out.c), size(layer.kernel[0]), size(layer.kernel[1]), size(in.c)});
    for (std::int32_t& weight : conv.weights)
      weight = static_cast<std::int32_t>(dice.chance(4) ? layer.most
                                                        : dice.between(-layer.usual, layer.usual));
    const std::size_t taps = conv.weights.size() / size(out.c);
    for (std::size_t i = 0; layer.zeros > 0 && i < conv.weights.size(); ++i)
      if (dice.chance(layer.zeros) || i / taps == 1) conv.weights.data()[i] = 0;
    for (std::int64_t o = 0; o < out.c; ++o) conv.bias.push_back(dice.between(-9000, 9000));
    conv.post.function = function_of(layer);
    if (layer.end == Layer::End::kMask)
      for (std::int64_t i = 0; i < out.count(); ++i)
        conv.post.mask.push_back(dice.chance(50) ? 1 : 0);
    maker.add(conv, {maker.input(in, 8)}, out, layer.end == Layer::End::kSums ? 32 : 8);
  }
  return maker.finish(false);
}

TEST_CASE("packed convolutions of every shape compute the codes of the IR") {
  using enum Layer::End;
  std::vector<Layer> layers = {
      // Positions in one row of the output, with and without padding above and below.
      {.channels = 3, .height = 6, .width = 8, .outputs = 8, .kernel = {3, 3}, .pad = {1, 1, 1, 1}},
      {.channels = 16,
       .height = 5,
       .width = 7,
       .outputs = 9,
       .kernel = {3, 3},
       .pad = {1, 1, 1, 1}},
      {.channels = 4,
       .height = 30,
       .width = 4,
       .outputs = 4,
       .kernel = {3, 3},
       .pad = {1, 1, 1, 1}},
      {.channels = 6,
       .height = 7,
       .width = 16,
       .outputs = 4,
       .kernel = {2, 2},
       .stride = {2, 2},
       .end = kMask},
      {.channels = 5,
       .height = 9,
       .width = 7,
       .outputs = 4,
       .kernel = {3, 2},
       .pad = {2, 0, 2, 1},
       .row_dilation = 2},
      {.channels = 30,
       .height = 3,
       .width = 4,
       .outputs = 3,
       .kernel = {3, 3},
       .pad = {1, 1, 1, 1}},
      // Windows that lie in the padding as a whole.
      {.channels = 8, .height = 3, .width = 4, .outputs = 8, .kernel = {3, 3}, .pad = {4, 4, 4, 4}},
      {.channels = 8,
       .height = 3,
       .width = 3,
       .outputs = 8,
       .kernel = {3, 2},
       .stride = {2, 2},
       .pad = {4, 3, 5, 3}},
      // Through the rows.
      {.channels = 2,
       .height = 9,
       .width = 9,
       .outputs = 8,
       .kernel = {5, 5},
       .stride = {2, 2},
       .pad = {2, 2, 2, 2},
       .end = kShifts},
      {.channels = 1,
       .height = 12,
       .width = 9,
       .outputs = 7,
       .kernel = {10, 4},
       .stride = {2, 2},
       .pad = {4, 1, 5, 1},
       .end = kScale},
      {.channels = 9, .height = 5, .width = 6, .outputs = 6, .kernel = {3, 3}, .end = kMask},
      {.channels = 11,
       .height = 4,
       .width = 2,
       .outputs = 12,
       .kernel = {3, 3},
       .pad = {1, 1, 1, 1}},
      {.channels = 40,
       .height = 6,
       .width = 2,
       .outputs = 8,
       .kernel = {3, 1},
       .pad = {1, 0, 1, 0},
       .end = kSums},
      // Pointwise.
      {.channels = 64, .height = 5, .width = 5, .outputs = 16, .end = kScale},
      {.channels = 21, .height = 3, .width = 6, .outputs = 7, .end = kSums},
      {.channels = 700, .height = 1, .width = 4, .outputs = 4, .most = 1, .usual = 0},
  };
  for (std::int64_t n = 1; n <= 9; ++n)
    layers.push_back({.channels = n + 1,
                      .height = 3,
                      .width = 4 + n,
                      .outputs = 16 - n / 3 * 4,
                      .kernel = {3, 2 + n % 3},
                      .pad = {n % 2, 1, 1, 1}});
  const ir::Program program = program_of(layers);
  const backends::CNetwork network = backends::emit_c_source(program, {}, "net", "cortex-m3", {});
  for (const backends::CStrategy& op : network.operators) CHECK(op.strategy == "panels, packed");
  std::vector<std::vector<std::vector<std::int64_t>>> samples;
  for (const int corner : {0, 1, 2, 0})
    samples.push_back(test::random_codes(program, samples.size(), corner));
  test::check_c(program, network.files, "net", samples);
}

TEST_CASE("convolutions with many weights of 0 compute the codes of the IR") {
  using enum Layer::End;
  std::vector<Layer> layers = {
      // Pairs of columns that several taps share.
      {.channels = 24,
       .height = 6,
       .width = 17,
       .outputs = 8,
       .kernel = {3, 3},
       .pad = {1, 1, 1, 1},
       .zeros = 80},
      {.channels = 5,
       .height = 9,
       .width = 19,
       .outputs = 7,
       .kernel = {3, 2},
       .pad = {2, 0, 2, 1},
       .row_dilation = 2,
       .end = kScale,
       .zeros = 85},
      {.channels = 7,
       .height = 5,
       .width = 16,
       .outputs = 5,
       .kernel = {1, 5},
       .pad = {0, 2, 0, 2},
       .end = kShifts,
       .zeros = 70},
      {.channels = 6,
       .height = 4,
       .width = 24,
       .outputs = 4,
       .kernel = {2, 4},
       .end = kMask,
       .zeros = 75},
      // Through the rows.
      {.channels = 12,
       .height = 8,
       .width = 7,
       .outputs = 6,
       .kernel = {5, 5},
       .pad = {2, 2, 2, 2},
       .zeros = 85},
      {.channels = 9,
       .height = 13,
       .width = 11,
       .outputs = 3,
       .kernel = {3, 3},
       .stride = {2, 2},
       .pad = {1, 1, 1, 1},
       .zeros = 60},
      {.channels = 33,
       .height = 6,
       .width = 2,
       .outputs = 8,
       .kernel = {3, 1},
       .pad = {2, 0, 2, 0},
       .zeros = 80},
      {.channels = 8,
       .height = 5,
       .width = 6,
       .outputs = 8,
       .kernel = {3, 3},
       .pad = {4, 4, 4, 4},
       .zeros = 80},
      // Pointwise; several chunks, and none.
      {.channels = 64,
       .height = 5,
       .width = 5,
       .outputs = 16,
       .end = kScale,
       .usual = 127,
       .zeros = 50},
      {.channels = 21, .height = 3, .width = 6, .outputs = 2, .end = kSums, .zeros = 80},
      {.channels = 40, .height = 4, .width = 5, .outputs = 9, .zeros = 100},
  };
  for (std::int64_t n = 1; n <= 9; ++n)
    for (const std::int64_t kernel : {2, 3, 5})
      layers.push_back({.channels = n,
                        .height = n < 7 ? 9 : 19,
                        .width = 2 + n % 6,
                        .outputs = 10 - n,
                        .kernel = {kernel, kernel},
                        .stride = {n < 7 ? 1 : 2, 1},
                        .pad = {kernel / 2, kernel / 2, kernel / 2, kernel / 2},
                        .zeros = 80 + static_cast<int>(n) * 2});
  for (const std::string target : {"cortex-m0", "rv32imc", "cortex-m4"}) {
    CAPTURE(target);
    const bool in_line = target == "cortex-m4";  // the weights are instructions: long to compile
    if (in_line) layers.resize(11);
    const ir::Program program = program_of(layers);
    std::vector<std::vector<std::vector<std::int64_t>>> samples;
    for (const int corner : {0, 1, 2})
      samples.push_back(test::random_codes(program, samples.size(), corner));
    const backends::CNetwork network = backends::emit_c_source(program, {}, "net", target, {});
    const auto sparse = std::ranges::count_if(network.operators, [](const backends::CStrategy& op) {
      return op.strategy.starts_with("sparse, ");
    });
    CHECK(sparse >= (in_line ? 5 : 25));
    test::check_c(program, network.files, "net", samples);
  }
}

TEST_CASE("panels lie in the tensors of their operator as long as these have room") {
  struct Place {
    Layer layer;
    std::int64_t more;  // bytes behind all tensors
    const char* text;
  };
  using enum Layer::End;
  for (const Place& one :
       {Place{{.channels = 64, .height = 25, .width = 5, .outputs = 64}, 0, "x < 8 ? early"},
        Place{{.channels = 8,
        .height = 16,
        .width = 16,
        .outputs = 8,
        .kernel = {3, 3},
        .pad = {1, 1, 1, 1}},
              0,
              "y < 6 ? early"},
        Place{{.channels = 64, .height = 25, .width = 5, .outputs = 64, .zeros = 80},
              0,
              "i < 16 ? early"},
        // Its type is that of the panel.
        Place{{.channels = 64, .height = 25, .width = 5, .outputs = 64, .end = kSums},
              512,
              "int32_t *panel)"},
        // Too small in the middle: a part of the taps at a time, and sums of 64 channels.
        Place{{.channels = 64,
        .height = 8,
        .width = 8,
        .outputs = 64,
        .kernel = {3, 3},
        .pad = {1, 1, 1, 1}},
              96 * 8 + 64 * 16,
              "int32_t *panel)"}}) {
    const ir::Program program = program_of({one.layer});
    const backends::CNetwork network = backends::emit_c_source(program, {}, "net", "cortex-m3", {});
    CHECK(network.arena_bytes == program.arena_bytes + one.more);
    CHECK_MESSAGE(network.files[0].text.find(one.text) != std::string::npos, one.text);
    test::check_c(program, network.files, "net", {test::random_codes(program, 3, 0)});
  }
  // The caller still reads the input.
  ir::Program kept = program_of({{.channels = 64, .height = 25, .width = 5, .outputs = 64}});
  kept.outputs.push_back(kept.inputs.at(0));
  CHECK(backends::emit_c_source(kept, {}, "net", "cortex-m3", {}).arena_bytes ==
        kept.arena_bytes + 512);
}

TEST_CASE("the weights of a list are all there, and no sum of a chunk leaves 16 bits") {
  test::Dice dice(6);
  for (const ir::Range codes : {ir::Range{-128, 127}, ir::Range{0, 127}, ir::Range{-128, -128},
                                ir::Range{3, 9}, ir::Range{0, 0}})
    for (const std::int64_t most : {1, 20, 128}) {
      backends::SparseEntries entries;
      std::vector<std::int64_t> given, found;
      std::vector<backends::SparseEntries::Entry> channel;
      entries.open_block();
      for (std::int64_t i = 0; i < 300; ++i) {
        std::int64_t weight = dice.between(-most, most);
        if (weight == 0 || weight == 128) weight = 1;
        channel.push_back({weight, 3 * i, codes});
        given.push_back(weight * 65536 + 12 * i);
      }
      entries.add_channel(channel);
      entries.open_block();
      entries.add_channel({});
      REQUIRE(entries.fits());
      std::int64_t lo = 0, hi = 0, chunks = 0;
      for (const std::int64_t number : entries.numbers()) {
        if (const std::int64_t weight = number >> 16; weight != 0) {
          found.push_back(number);
          lo += std::min<std::int64_t>({0, weight * codes.lo, weight * codes.hi});
          hi += std::max<std::int64_t>({0, weight * codes.lo, weight * codes.hi});
          continue;
        }
        CHECK((lo >= -32768 && hi <= 32767));
        lo = hi = 0;
        ++chunks;
        CHECK((number == 0 || number == chunks));
      }
      CHECK(entries.chunks() == chunks);
      CHECK(entries.numbers().back() == 0);  // of the channel without weights
      CHECK(entries.numbers().at(entries.numbers().size() - 2) == chunks - 1);
      CHECK(entries.firsts() == std::vector<std::int64_t>{0, std::ssize(entries.numbers()) - 1});
      std::ranges::sort(given);
      std::ranges::sort(found);
      CHECK(found == given);
    }
  for (const auto& [weight, word] : {std::pair{128, 0}, std::pair{-129, 0}, std::pair{1, 16384}}) {
    backends::SparseEntries entries;
    entries.add_channel({{weight, word, {0, 1}}});
    CHECK_FALSE(entries.fits());
  }
}

TEST_CASE("no sum of a chunk leaves 16 bits, and no chunk could be longer") {
  test::Dice dice(5);
  constexpr std::int64_t kTaps = 90, kPart = 30;
  for (const ir::Range codes : {ir::Range{-128, 127}, ir::Range{0, 127}, ir::Range{-128, -128},
                                ir::Range{3, 9}, ir::Range{0, 0}})
    for (const std::int64_t most : {1, 20, 127}) {
      std::vector<std::int64_t> weights;
      for (std::int64_t i = 0; i < 3 * kTaps; ++i) weights.push_back(dice.between(-most, most));
      backends::PackedWeights packed(kTaps, kPart);
      packed.add_block(3, [&](std::int64_t c, std::int64_t tap) {
        return backends::WeightAndCode{weights[static_cast<std::size_t>(c * kTaps + tap)], codes};
      });
      REQUIRE(std::ssize(packed.weights()) == 4 * kTaps);
      const std::vector<std::int64_t>& lengths = packed.lengths();
      const std::vector<std::int64_t> firsts = packed.first_chunks();
      REQUIRE(std::ssize(firsts) == kTaps / kPart + 1);
      CHECK(firsts.back() == std::ssize(lengths));
      std::int64_t tap = 0;
      const auto fits = [&](std::int64_t pairs) {
        for (std::int64_t c = 0; c < 4; ++c) {
          std::int64_t lo = 0, hi = 0;
          for (std::int64_t t = tap; t < tap + 2 * pairs; ++t) {
            const std::int64_t weight = packed.weights()[static_cast<std::size_t>(4 * t + c)];
            if (c < 3) REQUIRE(weight == weights[static_cast<std::size_t>(c * kTaps + t)]);
            if (c == 3) REQUIRE(weight == 0);
            lo += std::min<std::int64_t>({0, weight * codes.lo, weight * codes.hi});
            hi += std::max<std::int64_t>({0, weight * codes.lo, weight * codes.hi});
          }
          if (lo < -32768 || hi > 32767) return false;
        }
        return true;
      };
      for (std::size_t part = 0; part + 1 < firsts.size(); ++part) {
        CHECK(tap == static_cast<std::int64_t>(part) * kPart);
        for (std::int64_t n = firsts[part]; n < firsts[part + 1]; ++n) {
          const std::int64_t length = lengths[static_cast<std::size_t>(n)];
          CHECK((length >= 1 && length <= 255));
          CHECK(fits(length));
          if (n + 1 < firsts[part + 1]) CHECK_FALSE(fits(length + 1));
          tap += 2 * length;
        }
      }
      CHECK(tap == kTaps);
    }
}

TEST_CASE("weights fit where they have 8 bits and each two taps make a chunk") {
  struct Case {
    std::int64_t weight;
    ir::Range codes;
    bool fits;
  };
  for (const Case& c : {Case{-128, {-128, 127}, false}, Case{-128, {-127, 127}, true},
                        Case{-127, {-128, 127}, true}, Case{127, {-128, 127}, true},
                        Case{128, {0, 1}, false}, Case{-129, {0, 1}, false}}) {
    CAPTURE(c.weight);
    CAPTURE(c.codes.lo);
    backends::PackedWeights packed(6, 6);
    packed.add_block(4, [&](std::int64_t channel, std::int64_t tap) {
      return backends::WeightAndCode{channel == 2 && tap >= 4 ? c.weight : 1, c.codes};
    });
    CHECK(packed.fits() == c.fits);
  }
}

}  // namespace
}  // namespace lockstep
