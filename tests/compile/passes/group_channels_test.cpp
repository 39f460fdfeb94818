// Input channels with different decimals: in segments, in the order of their decimals, or brought
// to one grid by wider weights.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "compile/compile.h"
#include "compile/ir/storage.h"
#include "tests/compile/random_network.h"
#include "tests/compile/run_plan.h"

namespace lockstep {
namespace {

using passes::Objective;
using Lists = std::vector<std::int64_t>;

struct Source {
  std::vector<int> decimals = {};  // of the channels between the two convolutions
  int bits = 8;                    // of them and of the weights behind them
  std::string outputs = "\"out\"";
  Objective optimize = Objective::kSize;
  passes::Machine machine = passes::Machine::kPortable;
};

// one (1 -> C channels), quantize per channel, two (C -> 2 channels), quantize.
Compiled two_layers(const Source& source) {
  const std::size_t channels = source.decimals.size();
  const std::string json = fmt::format(
      R"({{"format":"lockstep-graph","version":1,"name":"t","inputs":[{{"name":"input","shape":[1,5,5],"bits":8,"decimal":4}}],"nodes":[
{{"name":"one","op":"conv2d","inputs":["input"],"attrs":{{"in_channels":1,"out_channels":{0},"kernel_size":[1,1],"bias":false}},"wrap":[{{"type":"quantize","channelwise":-1}}]}},
{{"name":"q","op":"quantize","inputs":["one"],"attrs":{{"bits":{1}}}}},
{{"name":"r","op":"relu","inputs":["q"]}},
{{"name":"two","op":"conv2d","inputs":["r"],"attrs":{{"in_channels":{0},"out_channels":2,"kernel_size":[3,3],"padding":[1,1],"bias":false}},"wrap":[{{"type":"quantize","channelwise":-1,"bits":{1}}}]}},
{{"name":"out","op":"quantize","inputs":["two"],"attrs":{{"channelwise":-1}}}}],"outputs":[{2}]}})",
      channels, source.bits, source.outputs);
  test::StateBuilder state;
  test::Random random(channels);
  const auto weights = [&](std::size_t count) {
    std::vector<float> values;
    for (std::size_t i = 0; i < count; ++i) values.push_back(random.real(1.9F));
    return values;
  };
  const auto count = static_cast<std::int64_t>(channels);
  state.floats("one.weight", {count, 1, 1, 1}, std::vector<float>(channels, 0.5F));
  state.quantize("one.quantize.", {6}, 8);
  state.quantize("q.", source.decimals, source.bits);
  state.floats("two.weight", {2, count, 3, 3}, weights(18 * channels));
  state.quantize("two.quantize.", {source.bits - 2}, source.bits);
  state.quantize("out.", {2}, 8);
  return compile_network(parse_graph(json, "t"), state.take(),
                         {.keep_layers = false,
                          .optimize = source.optimize,
                          .machine = source.machine,
                          .after_pass = {}});
}

const ir::Conv2d& second(const Compiled& net) {
  return std::get<ir::Conv2d>(net.program.ops.at(1).kind);
}

int weight_bits(const Compiled& net) {
  int bits = 0;
  for (const std::int32_t w : second(net).weights) bits = std::max(bits, ir::bits_to_hold(w, w));
  return bits;
}

void check_same_codes(const Compiled& a, const Compiled& b) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    test::Random random(seed);
    Lists input;
    for (int i = 0; i < 25; ++i) input.push_back(random.between(-128, 127));
    CHECK(test::run_plan(a.plan, {input}).at("out") == test::run_plan(b.plan, {input}).at("out"));
  }
}

TEST_CASE("channels are put in the order of their decimals, and the weights stay narrow") {
  const std::vector<int> decimals = {4, 1, 4, 2, 1, 4};
  const Compiled small = two_layers({.decimals = decimals});
  CHECK(small.program.values.at(1).channels == Lists{1, 4, 3, 0, 2, 5});
  CHECK(second(small).segments == std::vector<ir::Segment>{{2, 0}, {3, 1}, {6, 2}});
  CHECK(weight_bits(small) == 8);
  CHECK(small.program.values.at(1).decimals == std::vector<int>{1, 1, 2, 4, 4, 4});

  const Compiled fast = two_layers({.decimals = decimals, .optimize = Objective::kSpeed});
  CHECK(fast.program.values.at(1).channels.empty());
  CHECK(second(fast).segments.empty());
  CHECK(weight_bits(fast) == 11);  // 3 more, of channels 1 and 4
  check_same_codes(small, fast);
}

TEST_CASE("segments that avoid wide sums are faster, too") {
  std::vector<int> decimals;
  for (int c = 0; c < 32; ++c) decimals.push_back(c % 2 == 0 ? 18 : 0);
  const Compiled net = two_layers({.decimals = decimals, .bits = 4, .optimize = Objective::kSpeed});
  CHECK(!second(net).wide);
  // Weights of 4 bits on a grid finer by 18 bits: a shift by 14 brings them to 8 bits.
  const std::vector<ir::Segment> expected = {{16, 0}, {32, 14}};
  CHECK(second(net).segments == expected);
  // The output shows the channels between, which then keep their order.
  const Compiled plain = two_layers(
      {.decimals = decimals, .bits = 4, .outputs = "\"out\",\"r\"", .optimize = Objective::kSpeed});
  CHECK(second(plain).wide);
  check_same_codes(net, plain);
}

TEST_CASE("an order that must stay gets segments only where it happens to rise") {
  const std::string outputs = "\"out\",\"r\"";
  const Compiled rising = two_layers({.decimals = {1, 1, 3, 4}, .outputs = outputs});
  CHECK(rising.program.values.at(1).channels.empty());
  CHECK(second(rising).segments == std::vector<ir::Segment>{{2, 0}, {3, 2}, {4, 1}});
  const Compiled falling = two_layers({.decimals = {4, 3, 1, 1}, .outputs = outputs});
  CHECK(second(falling).segments.empty());
  CHECK(weight_bits(falling) == 11);
}

TEST_CASE("random decimals: the codes are the same in either form") {
  int with_segments = 0, reordered = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    test::Random random(seed);
    Source source{.bits = static_cast<int>(random.between(2, 10))};
    const std::int64_t spread = random.between(1, 9);
    for (std::int64_t c = random.between(2, 40); c > 0; --c)
      source.decimals.push_back(static_cast<int>(random.between(0, spread)));
    const Compiled small = two_layers(source);
    source.optimize = Objective::kSpeed;
    check_same_codes(small, two_layers(source));
    with_segments += second(small).segments.empty() ? 0 : 1;
    reordered += small.program.values.at(1).channels.empty() ? 0 : 1;
  }
  CHECK(with_segments > 80);
  CHECK(reordered > 80);
}

const passes::StorageChoice& storage_of(const Compiled& net, const std::string& layer) {
  const auto found = std::ranges::find(net.storage, layer, &passes::StorageChoice::node);
  REQUIRE(found != net.storage.end());
  return *found;
}

TEST_CASE("segments stand in for more than 8 bits alone, on every kind of machine") {
  std::vector<int> mixed;
  for (int c = 0; c < 32; ++c) mixed.push_back(c % 2 == 0 ? 18 : 0);
  for (const std::string& name : passes::machine_names()) {
    CAPTURE(name);
    Source source{.decimals = {0, 2, 0, 1}, .bits = 4, .machine = *passes::machine_named(name)};
    const Compiled narrow = two_layers(source);
    CHECK(second(narrow).segments.empty());
    CHECK(weight_bits(narrow) <= 8);
    CHECK(storage_of(narrow, "two").reason.ends_with("; segments: not needed, 8 bits suffice"));
    source.optimize = Objective::kSpeed;
    source.decimals = mixed;
    CHECK(second(two_layers(source)).segments.size() == 2);
  }
}

TEST_CASE("what segments cost is known where they were taken and where they were not") {
  for (const std::vector<int>& decimals : {std::vector<int>{4, 1, 4, 2, 1, 4}, {3, 3, 0, 0}}) {
    const Compiled small = two_layers({.decimals = decimals}),
                   fast = two_layers({.decimals = decimals, .optimize = Objective::kSpeed});
    const passes::StorageChoice &taken = storage_of(small, "two"), &left = storage_of(fast, "two");
    const auto weights = static_cast<std::int64_t>(18 * decimals.size());
    CHECK(taken.in_segments);
    CHECK(taken.segments == second(small).segments.size());
    CHECK(taken.segment_bytes == ir::stored_weight_bytes(second(small)));
    CHECK(taken.reason == fmt::format("{} segments: {} bytes less than dense", taken.segments,
                                      2 * weights - taken.segment_bytes));
    CHECK(!left.in_segments);
    CHECK(left.segments == taken.segments);
    CHECK(left.reason.ends_with(
        fmt::format(", 16 bits for several decimals; {} segments: not clearly faster everywhere",
                    left.segments)));
    for (const passes::StorageChoice* choice : {&taken, &left}) {
      CHECK(choice->dense_bytes == 2 * weights);
      CHECK(choice->segment_bytes == weights + 8 * static_cast<std::int64_t>(taken.segments));
      CHECK(choice->dense_us == taken.dense_us);
      CHECK(choice->sparse_us == taken.sparse_us);
      CHECK(choice->segment_us == taken.segment_us);
    }
    CHECK(left.segment_us > left.dense_us);
  }
}

TEST_CASE("a layer of several decimals without segments says why they are out of the question") {
  const std::string shown = "\"out\",\"r\"";
  const auto reason = [](const Source& source) {
    const passes::StorageChoice choice = storage_of(two_layers(source), "two");
    CHECK(!choice.in_segments);
    CHECK(choice.segments == 0);
    return choice.reason.substr(choice.reason.rfind("; ") + 2);
  };
  CHECK(reason({.decimals = {4, 3, 1, 1}, .outputs = shown}) ==
        "segments: none in the order of its input's channels");
  CHECK(reason({.decimals = {0, 1}, .bits = 10}) ==
        "segments: none would make its weights narrower");
  CHECK(reason({.decimals = {0, 1}, .bits = 4}) == "segments: not needed, 8 bits suffice");
  CHECK(reason({.decimals = {14, 0}, .bits = 16}) == "segments: its sums need 64 bits");
}

// q -> convolution in groups -> g; g + q -> s; two reads s. The sum ties both sides of the groups.
Compiled grouped_residual(int groups, bool transposed, Objective optimize) {
  const std::string json = fmt::format(
      R"({{"format":"lockstep-graph","version":1,"name":"t","inputs":[{{"name":"input","shape":[1,5,5],"bits":8,"decimal":4}}],"nodes":[
{{"name":"one","op":"conv2d","inputs":["input"],"attrs":{{"in_channels":1,"out_channels":12,"kernel_size":[1,1],"bias":false}},"wrap":[{{"type":"quantize","channelwise":-1}}]}},
{{"name":"q","op":"quantize","inputs":["one"]}},
{{"name":"grouped","op":"{}","inputs":["q"],"attrs":{{"in_channels":12,"out_channels":12,"kernel_size":[3,3],"padding":[1,1],"groups":{},"bias":false}},"wrap":[{{"type":"quantize","channelwise":-1}}]}},
{{"name":"g","op":"quantize","inputs":["grouped"]}},
{{"name":"sum","op":"add","inputs":["g","q"]}},
{{"name":"s","op":"quantize","inputs":["sum"]}},
{{"name":"two","op":"conv2d","inputs":["s"],"attrs":{{"in_channels":12,"out_channels":4,"kernel_size":[3,3],"padding":[1,1],"bias":false}},"wrap":[{{"type":"quantize","channelwise":-1}}]}},
{{"name":"out","op":"quantize","inputs":["two"],"attrs":{{"channelwise":-1}}}}],"outputs":["out"]}})",
      transposed ? "conv_transpose2d" : "conv2d", groups);
  test::StateBuilder state;
  test::Random random(7);
  const auto weights = [&](std::vector<std::int64_t> shape, const std::string& layer) {
    std::int64_t count = 1;
    for (const std::int64_t extent : shape) count *= extent;
    std::vector<float> values;
    for (std::int64_t i = 0; i < count; ++i) values.push_back(random.real(1.9F));
    state.floats(layer + ".weight", shape, values);
    state.quantize(layer + ".quantize.", {6}, 8);
  };
  weights({12, 1, 1, 1}, "one");
  weights({12, 12 / groups, 3, 3}, "grouped");
  weights({4, 12, 3, 3}, "two");
  state.quantize("q.", {4, 1, 3, 2, 4, 1, 3, 2, 4, 1, 3, 2}, 8);
  state.quantize("g.", {1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2}, 8);
  state.quantize("s.", {4, 1, 3, 2, 4, 1, 3, 2, 4, 1, 3, 2}, 8);
  state.quantize("out.", {0}, 8);
  return compile_network(parse_graph(json, "t"), state.take(),
                         {.keep_layers = false, .optimize = optimize, .after_pass = {}});
}

TEST_CASE("groups of several channels stay together, also where a sum ties both of their sides") {
  for (const bool transposed : {false, true})
    for (const int groups : {1, 2, 3, 4, 6, 12}) {
      CAPTURE(transposed);
      CAPTURE(groups);
      const Compiled small = grouped_residual(groups, transposed, Objective::kSize);
      const bool reordered = std::ranges::any_of(
          small.program.values, [](const ir::Value& value) { return !value.channels.empty(); });
      CHECK(reordered == (groups == 1 || groups == 12));
      check_same_codes(small, grouped_residual(groups, transposed, Objective::kSpeed));
    }
}

TEST_CASE("one decimal for all channels needs neither") {
  const Compiled net = two_layers({.decimals = {3, 3, 3}});
  CHECK(net.program.values.at(1).channels.empty());
  CHECK(second(net).segments.empty());
}

}  // namespace
}  // namespace lockstep
