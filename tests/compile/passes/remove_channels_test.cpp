// What pruning removed is gone: a network whose masks remove half of the channels costs exactly
// what the network costs that was built with the other half alone, and computes the same codes.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <functional>
#include <numeric>

#include "compile/compile.h"
#include "tests/compile/random_network.h"
#include "tests/compile/run_plan.h"

namespace lockstep {
namespace {

using Channels = std::vector<std::int64_t>;  // of the whole network, in order

// How the channels that go are marked.
enum class Marks : std::uint8_t { kNone, kWeightMasks, kActivationMasks, kZeroWeights };

// conv 3 -> C, depthwise, conv C -> C, a sum with what the depthwise gave, conv C -> 2 C with
// stride, concat with its own max-pooled copy, adaptive pooling, flatten, linear to F, linear to 5.
struct Source {
  Channels wide;      // of the C channels, which are built
  Channels features;  // of the F features
  std::int64_t all_wide = 8, all_features = 6;
  Marks marks = Marks::kNone;
  std::function<bool(std::int64_t)> keeps = [](std::int64_t) { return true; };
};

class Builder {
 public:
  explicit Builder(Source source) : source_(std::move(source)) {
    const Channels inputs = range(3), classes = range(5), doubled = twice(source_.wide);
    layer("stem", "conv2d", "input", source_.wide, inputs, 3, R"("padding":[1,1])");
    finish("a", "stem", source_.wide, true);
    depthwise();
    finish("b", "depth", source_.wide, true);
    layer("mid", "conv2d", "b", source_.wide, source_.wide, 1, "");
    finish("c", "mid", source_.wide, false);
    node(R"({"name":"sum","op":"add","inputs":["b","c"]})");
    finish("d", "sum", source_.wide, true);
    layer("down", "conv2d", "d", doubled, source_.wide, 3, R"("stride":[2,2],"padding":[1,1])");
    finish("e", "down", doubled, true);
    node(
        R"({"name":"pool","op":"max_pool2d","inputs":["e"],"attrs":{"kernel_size":[3,3],"stride":[1,1],"padding":[1,1]}})");
    node(R"({"name":"cat","op":"concat","inputs":["e","pool"]})");
    node(
        R"({"name":"mean","op":"adaptive_avg_pool2d","inputs":["cat"],"attrs":{"output_size":[2,2]}})");
    finish("f", "mean", {}, false);
    node(R"({"name":"flat","op":"flatten","inputs":["f"]})");
    Channels columns;
    const std::int64_t all_doubled = 2 * source_.all_wide;
    for (const std::int64_t half : {0, 1})
      for (const std::int64_t c : doubled)
        for (std::int64_t p = 0; p < 4; ++p) columns.push_back((half * all_doubled + c) * 4 + p);
    layer("fc1", "linear", "flat", source_.features, columns, 1, "");
    finish("g", "fc1", source_.features, true);
    layer("fc2", "linear", "g", classes, source_.features, 1, "");
    finish("logits", "fc2", classes, false, false);
  }

  Compiled compile(bool keep_layers = false) {
    const std::string json = fmt::format(
        R"({{"format":"lockstep-graph","version":1,"name":"t","inputs":[{{"name":"input","shape":[3,8,8],"bits":8,"decimal":4}}],"nodes":[{}],"outputs":["logits"]}})",
        nodes_);
    return compile_network(parse_graph(json, "t"), state_.take(),
                           {.keep_layers = keep_layers, .after_pass = {}});
  }

 private:
  static Channels range(std::int64_t n) {
    Channels channels(static_cast<std::size_t>(n));
    std::iota(channels.begin(), channels.end(), 0);
    return channels;
  }
  Channels twice(const Channels& channels) const {
    Channels result = channels;
    for (const std::int64_t c : channels) result.push_back(source_.all_wide + c);
    return result;
  }
  // Channels c and all_wide + c of the doubled maps go together.
  bool keeps(std::int64_t channel) const { return source_.keeps(channel % source_.all_wide); }

  void node(const std::string& json) { nodes_ += (nodes_.empty() ? "" : ",") + json; }

  // The weight of whole-network output o, input i and tap t: never 0 when quantized.
  static float weight(const std::string& name, std::int64_t o, std::int64_t i, std::int64_t t) {
    std::uint64_t h = 1469598103934665603U;
    for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211U;
    for (const std::int64_t x : {o, i, t})
      h = (h ^ static_cast<std::uint64_t>(x + 7)) * 1099511628211U;
    const auto magnitude = static_cast<float>(h >> 32 & 31) + 1;
    return ((h & 1U << 20) != 0 ? magnitude : -magnitude) / 64.0F;
  }

  void weights(const std::string& name, const Channels& outputs, const Channels& inputs,
               std::int64_t kernel, bool is_linear) {
    const std::int64_t taps = kernel * kernel;
    std::vector<float> values;
    std::vector<std::uint8_t> mask;
    const bool is_last = name == "fc2";
    for (const std::int64_t o : outputs)
      for (const std::int64_t i : inputs)
        for (std::int64_t t = 0; t < taps; ++t) {
          const bool keep = is_last || keeps(o);
          mask.push_back(keep ? 1 : 0);
          values.push_back(keep || source_.marks != Marks::kZeroWeights ? weight(name, o, i, t)
                                                                        : 0.0F);
        }
    std::vector<std::int64_t> shape = {static_cast<std::int64_t>(outputs.size()),
                                       static_cast<std::int64_t>(inputs.size())};
    if (!is_linear) shape.insert(shape.end(), {kernel, kernel});
    state_.floats(name + ".weight", shape, values);
    if (source_.marks == Marks::kWeightMasks) state_.prune(name + ".prune.", shape, mask);
    state_.quantize(name + ".quantize.", {6}, 8);
  }

  std::string wrap() const {
    return source_.marks == Marks::kWeightMasks
               ? R"([{"type":"prune"},{"type":"quantize","channelwise":-1}])"
               : R"([{"type":"quantize","channelwise":-1}])";
  }

  void layer(const std::string& name, const std::string& op, const std::string& input,
             const Channels& outputs, const Channels& inputs, std::int64_t kernel,
             const std::string& attrs) {
    const bool is_linear = op == "linear";
    node(fmt::format(
        R"({{"name":"{}","op":"{}","inputs":["{}"],"attrs":{{"{}":{},"{}":{}{}{},"bias":false}},"wrap":{}}})",
        name, op, input, is_linear ? "in_features" : "in_channels", inputs.size(),
        is_linear ? "out_features" : "out_channels", outputs.size(),
        is_linear ? "" : fmt::format(R"(,"kernel_size":[{0},{0}])", kernel),
        attrs.empty() ? "" : "," + attrs, wrap()));
    weights(name, outputs, inputs, kernel, is_linear);
  }

  void depthwise() {
    const std::size_t channels = source_.wide.size();
    node(fmt::format(
        R"({{"name":"depth","op":"conv2d","inputs":["a"],"attrs":{{"in_channels":{0},"out_channels":{0},"kernel_size":[3,3],"padding":[1,1],"groups":{0},"bias":false}},"wrap":{1}}})",
        channels, wrap()));
    weights("depth", source_.wide, {0}, 3, false);
  }

  // relu where `relu`, a mask over the channels where activations are masked, quantize.
  void finish(const std::string& name, std::string from, const Channels& channels, bool relu,
              bool may_mask = true) {
    if (relu) {
      node(fmt::format(R"({{"name":"{0}_relu","op":"relu","inputs":["{1}"]}})", name, from));
      from = name + "_relu";
    }
    if (source_.marks == Marks::kActivationMasks && may_mask && !channels.empty()) {
      node(fmt::format(R"({{"name":"{0}_prune","op":"prune","inputs":["{1}"]}})", name, from));
      const bool is_vector = name == "g";
      std::vector<std::int64_t> shape = {static_cast<std::int64_t>(channels.size())};
      if (!is_vector) shape.insert(shape.end(), {1, 1});
      std::vector<std::uint8_t> mask;
      for (const std::int64_t c : channels) mask.push_back(keeps(c) ? 1 : 0);
      state_.prune(name + "_prune.", shape, mask);
      from = name + "_prune";
    }
    node(fmt::format(
        R"({{"name":"{0}","op":"quantize","inputs":["{1}"],"attrs":{{"channelwise":-1}}}})", name,
        from));
    state_.quantize(name + ".", {4}, 8);
  }

  Source source_;
  test::StateBuilder state_;
  std::string nodes_;
};

std::int64_t weights_of(const Compiled& net) {
  std::int64_t sum = 0;
  for (const OperatorReport& row : net.operators) sum += row.weight_bytes;
  return sum;
}
std::int64_t macs_of(const Compiled& net) {
  std::int64_t sum = 0;
  for (const OperatorReport& row : net.operators) sum += row.macs;
  return sum;
}

const Channels kAllWide = {0, 1, 2, 3, 4, 5, 6, 7}, kOddWide = {1, 3, 5, 7};
const Channels kAllFeatures = {0, 1, 2, 3, 4, 5}, kOddFeatures = {1, 3, 5};
bool is_odd(std::int64_t channel) { return channel % 2 == 1; }

TEST_CASE("half of the channels pruned is half of the network") {
  const Compiled half = Builder({.wide = kOddWide, .features = kOddFeatures}).compile();
  const Compiled whole = Builder({.wide = kAllWide, .features = kAllFeatures}).compile();
  for (const Marks marks : {Marks::kWeightMasks, Marks::kActivationMasks, Marks::kZeroWeights}) {
    CAPTURE(static_cast<int>(marks));
    const Source source = {
        .wide = kAllWide, .features = kAllFeatures, .marks = marks, .keeps = is_odd};
    const Compiled pruned = Builder(source).compile();
    REQUIRE(pruned.operators.size() == half.operators.size());
    for (std::size_t i = 0; i < half.operators.size(); ++i) {
      CAPTURE(half.operators[i].node);
      CHECK(pruned.operators[i].op == half.operators[i].op);
      CHECK(pruned.operators[i].macs == half.operators[i].macs);
      CHECK(pruned.operators[i].weight_bytes == half.operators[i].weight_bytes);
      CHECK(pruned.operators[i].output_bytes == half.operators[i].output_bytes);
    }
    CHECK(pruned.arena_bytes == half.arena_bytes);
    // By hand, of the whole network: stem and depthwise at 8 x 8, down at 4 x 4, C = 8, F = 6.
    CHECK(macs_of(whole) == 64 * (8 * 27 + 8 * 9 + 8 * 8) + 16 * 16 * 8 * 9 + 6 * 32 * 4 + 5 * 6);
    CHECK(macs_of(pruned) == 64 * (4 * 27 + 4 * 9 + 4 * 4) + 16 * 8 * 4 * 9 + 3 * 16 * 4 + 5 * 3);
    CHECK(weights_of(pruned) == 4 * 27 + 4 * 9 + 4 * 4 + 8 * 4 * 9 + 3 * 16 * 4 + 5 * 3);

    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      test::Random random(seed);
      std::vector<std::int64_t> input;
      for (int i = 0; i < 3 * 64; ++i) input.push_back(random.between(-128, 127));
      const auto small = test::run_plan(half.plan, {input}),
                 large = test::run_plan(pruned.plan, {input});
      CHECK(small.at("logits") == large.at("logits"));
      CHECK(small.at("e") == large.at("e"));
    }
  }
}

TEST_CASE("kept layers stay complete") {
  const Source source = {
      .wide = kAllWide, .features = kAllFeatures, .marks = Marks::kWeightMasks, .keeps = is_odd};
  const Compiled kept = Builder(source).compile(true);
  for (const ir::Value& value : kept.program.values)
    if (value.keep) CHECK(value.channels.empty());
}

// one (1 -> 4 channels, with a bias), quantize, two (4 -> 1 channel). Channel 2 of `one` has only
// the bias; `two` reads nothing of channel 1.
Compiled two_layers(bool padding, bool keep_layers) {
  const std::string wrap = R"("wrap":[{"type":"quantize","channelwise":-1,"bias_bits":8}])";
  const std::string json = fmt::format(
      R"({{"format":"lockstep-graph","version":1,"name":"t","inputs":[{{"name":"input","shape":[1,4,4],"bits":8,"decimal":4}}],"nodes":[
{{"name":"one","op":"conv2d","inputs":["input"],"attrs":{{"in_channels":1,"out_channels":4,"kernel_size":[1,1]}},{0}}},
{{"name":"q","op":"quantize","inputs":["one"],"attrs":{{"channelwise":-1}}}},
{{"name":"two","op":"conv2d","inputs":["q"],"attrs":{{"in_channels":4,"out_channels":1,"kernel_size":[2,2],"padding":[{1},{1}]}},{0}}},
{{"name":"out","op":"quantize","inputs":["two"],"attrs":{{"channelwise":-1}}}}],"outputs":["out"]}})",
      wrap, padding ? 1 : 0);
  test::StateBuilder state;
  state.floats("one.weight", {4, 1, 1, 1}, {0.5F, 1, 0, -1});
  state.floats("one.bias", {4}, {0.25F, 0, 0.75F, 0});
  state.floats("two.weight", {1, 4, 2, 2}, {1, 1, 1, 1, 0, 0, 0, 0, 1, 2, -1, 2, 1, -1, 1, -1});
  state.floats("two.bias", {1}, {0.5F});
  for (const char* layer : {"one", "two"}) {
    state.quantize(std::string(layer) + ".quantize.", {4}, 8);
    const std::size_t channels = std::string_view(layer) == "one" ? 4 : 1;
    state.quantize(std::string(layer) + ".quantize_bias.", std::vector<int>(channels, 6), 8);
  }
  state.quantize("q.", {4}, 8);
  state.quantize("out.", {3}, 8);
  return compile_network(parse_graph(json, "t"), state.take(),
                         {.keep_layers = keep_layers, .after_pass = {}});
}

TEST_CASE("a constant goes into the bias, except where padding stands in its place") {
  using Lists = std::vector<std::int64_t>;
  for (const bool padding : {false, true}) {
    CAPTURE(padding);
    const Compiled net = two_layers(padding, false), kept = two_layers(padding, true);
    REQUIRE(net.program.values.size() == 3);
    CHECK(net.program.values[1].channels == (padding ? Lists{0, 2, 3} : Lists{0, 3}));
    CHECK(kept.program.values[1].channels.empty());
    const auto& conv = std::get<ir::Conv2d>(net.program.ops[1].kind);
    // 0.75 is code 12; its weights add up to 4, code 64; the bias 0.5 on the grid 2^-8 is 128.
    CHECK(conv.bias == std::vector<std::int64_t>{padding ? 128 : 128 + 12 * 64});
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      test::Random random(seed);
      Lists input;
      for (int i = 0; i < 16; ++i) input.push_back(random.between(-128, 127));
      CHECK(test::run_plan(net.plan, {input}).at("out") ==
            test::run_plan(kept.plan, {input}).at("out"));
    }
  }
}

}  // namespace
}  // namespace lockstep
