// Low bits of sums that no result depends on: the weights get narrower, and no code changes.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "compile/compile.h"
#include "tests/compile/random_network.h"
#include "tests/compile/run_plan.h"

namespace lockstep {
namespace {

struct Source {
  std::string rounding;  // of the last quantize node
  bool relu = false;     // before it
  int decimal = 0;       // of its codes
  int constant = 25;     // what channel 2 always is, in steps of 2^-5
  int other = 0;         // the decimal of channel 1; that of channels 0 and 3 is 0
  passes::Objective optimize = passes::Objective::kSpeed;
};

// one (1 -> 4 channels), quantize with a finer decimal for channel 2, which is constant; two (4 ->
// 3 channels), perhaps relu, quantize.
Compiled two_layers(const Source& source, bool keep_layers) {
  const std::string json = fmt::format(
      R"({{"format":"lockstep-graph","version":1,"name":"t","inputs":[{{"name":"input","shape":[1,4,4],"bits":8,"decimal":4}}],"nodes":[
{{"name":"one","op":"conv2d","inputs":["input"],"attrs":{{"in_channels":1,"out_channels":4,"kernel_size":[1,1]}},"wrap":[{{"type":"quantize","channelwise":-1,"bias_bits":8}}]}},
{{"name":"q","op":"quantize","inputs":["one"]}},
{{"name":"two","op":"conv2d","inputs":["q"],"attrs":{{"in_channels":4,"out_channels":3,"kernel_size":[2,2],"bias":false}},"wrap":[{{"type":"quantize","channelwise":-1}}]}},
{{"name":"end","op":"{}","inputs":["two"]}},
{{"name":"out","op":"quantize","inputs":["end"],"attrs":{{"channelwise":-1,"rounding":"{}"}}}}],"outputs":["out"]}})",
      source.relu ? "relu" : "identity", source.rounding);
  test::StateBuilder state;
  test::Random random(4);
  std::vector<float> weights;
  for (int i = 0; i < 48; ++i) weights.push_back(random.real(1.9F));
  state.floats("one.weight", {4, 1, 1, 1}, {0.5F, 1, 0, -1});
  state.floats("one.bias", {4}, {0, 0, static_cast<float>(source.constant) / 32, 0});
  state.quantize("one.quantize.", {4}, 8);
  state.quantize("one.quantize_bias.", {6, 6, 6, 6}, 8);
  state.quantize("q.", {0, source.other, 5, 0}, 8);
  state.floats("two.weight", {3, 4, 2, 2}, weights);
  state.quantize("two.quantize.", {6}, 8);
  state.quantize("out.", {source.decimal}, 8);
  return compile_network(
      parse_graph(json, "t"), state.take(),
      {.keep_layers = keep_layers, .optimize = source.optimize, .after_pass = {}});
}

int weight_bits(const Compiled& net) {
  int bits = 0;
  for (const ir::Op& op : net.program.ops)
    if (op.node == "two" || op.node == "out" || op.node == "end")
      if (const auto* conv = std::get_if<ir::Conv2d>(&op.kind))
        for (const std::int32_t w : conv->weights) bits = std::max(bits, ir::bits_to_hold(w, w));
  return bits;
}

// The bits of the weights that the network is compiled to.
int checked_bits(const Source& source) {
  CAPTURE(source.rounding);
  const Compiled net = two_layers(source, false), kept = two_layers(source, true);
  CHECK(weight_bits(kept) == 13);
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    test::Random random(seed);
    std::vector<std::int64_t> input;
    for (int i = 0; i < 16; ++i) input.push_back(random.between(-128, 127));
    CHECK(test::run_plan(net.plan, {input}).at("out") ==
          test::run_plan(kept.plan, {input}).at("out"));
  }
  return weight_bits(net);
}

TEST_CASE("what a constant on a finer grid adds does not widen the weights of the others") {
  for (const int decimal : {0, 3, 6}) {
    CAPTURE(decimal);
    CHECK(checked_bits({.rounding = "floor", .decimal = decimal}) == 8);
    CHECK(checked_bits({.rounding = "floor", .relu = true, .decimal = decimal}) == 8);
    CHECK(checked_bits({.rounding = "toward_zero", .relu = true, .decimal = decimal}) == 8);
  }
}

TEST_CASE("segments do the rest where the others are on several grids, too") {
  Source source{.rounding = "toward_zero", .relu = true, .other = 2};
  CHECK(checked_bits(source) == 10);
  source.optimize = passes::Objective::kSize;
  CHECK(checked_bits(source) == 8);
}

TEST_CASE("low bits that decide about a result stay") {
  CHECK(checked_bits({.rounding = "toward_zero"}) == 13);
  CHECK(checked_bits({.rounding = "half_even"}) == 13);
  CHECK(checked_bits({.rounding = "half_even", .relu = true}) == 13);
  // The result is on a finer grid than the products, by a bit.
  CHECK(checked_bits({.rounding = "floor", .decimal = 7}) == 13);
}

TEST_CASE("a bias without low bits may be rounded in any way") {
  for (const char* rounding : {"floor", "toward_zero", "half_even"})
    CHECK(checked_bits({.rounding = rounding, .constant = 32}) == 8);
}

}  // namespace
}  // namespace lockstep
