// What has no exact integer form is refused by the layer's name and the reason; what lies just
// inside the limits is accepted.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "compile/compile.h"
#include "compile/support/error.h"
#include "tests/compile/random_network.h"
#include "tests/compile/run_plan.h"

namespace lockstep {
namespace {

using test::StateBuilder;

std::string graph_text(const std::string& nodes, const std::string& output,
                       const std::string& input = R"("shape":[1,2,2],"bits":8,"decimal":0)") {
  return fmt::format(
      R"({{"format":"lockstep-graph","version":1,"name":"t","inputs":[{{"name":"input",{}}}],"nodes":[{}],"outputs":["{}"]}})",
      input, nodes, output);
}

Compiled compile(const std::string& json, const std::function<void(StateBuilder&)>& fill) {
  StateBuilder state;
  fill(state);
  return compile_network(parse_graph(json, "t"), state.take(), {});
}

void check_refused(const std::string& json, const std::function<void(StateBuilder&)>& fill,
                   const std::vector<std::string>& parts) {
  try {
    compile(json, fill);
    FAIL("accepted: " << json);
  } catch (const InputError& error) {
    const std::string message = error.what();
    CAPTURE(message);
    CHECK(message.find('\n') == std::string::npos);
    for (const std::string& part : parts) CHECK(message.find(part) != std::string::npos);
  }
}

// One convolution [1,2,2] -> [1,1,1]; its four weights.
std::string conv(const std::string& quantize = R"({"type":"quantize","channelwise":-1})",
                 const std::string& more = R"(,"bias":false)") {
  return fmt::format(
      R"({{"name":"conv1","op":"conv2d","inputs":["input"],"attrs":{{"in_channels":1,"out_channels":1,"kernel_size":2{}}},"wrap":[{}]}})",
      more, quantize);
}
void conv_state(StateBuilder& state, const std::vector<float>& weights, int decimal = 0,
                int bits = 8) {
  state.floats("conv1.weight", {1, 1, 2, 2}, weights);
  state.quantize("conv1.quantize.", {decimal}, bits);
}

TEST_CASE("a weight without quantize is refused") {
  check_refused(graph_text(conv(""), "conv1"),
                [](StateBuilder& s) {
                  s.floats("conv1.weight", {1, 1, 2, 2}, {1, 1, 1, 1});
                },
                {"layer 'conv1'", "weight is not quantized"});
}

TEST_CASE("a float bias may feed a quantize node or be an output, and nothing else") {
  const auto fill = [](StateBuilder& s) {
    s.floats("conv1.weight", {1, 1, 2, 2}, {1, 1, 1, 1});
    s.floats("conv1.bias", {1}, {0.3F});
    s.quantize("conv1.quantize.", {0}, 8);
    s.floats("conv2.weight", {1, 1, 1, 1}, {1});
    s.quantize("conv2.quantize.", {0}, 8);
  };
  const std::string biased = conv(R"({"type":"quantize","channelwise":-1})", "");
  const std::string conv2 =
      R"(,{"name":"conv2","op":"conv2d","inputs":["conv1"],"attrs":{"in_channels":1,"out_channels":1,"kernel_size":1,"bias":false},"wrap":[{"type":"quantize","channelwise":-1}]})";
  check_refused(graph_text(biased + conv2, "conv2"), fill,
                {"layer 'conv2'", "input 'conv1' is not quantized", "put a quantize node before"});
  const Compiled compiled = compile(graph_text(biased, "conv1"), [](StateBuilder& s) {
    s.floats("conv1.weight", {1, 1, 2, 2}, {1, 1, 1, 1});
    s.floats("conv1.bias", {1}, {0.3F});
    s.quantize("conv1.quantize.", {0}, 8);
  });
  const ir::Value& output = compiled.program.values.at(compiled.program.outputs.at(0));
  CHECK(output.exact);
  CHECK(output.offsets == std::vector<float>{0.3F});
  CHECK(test::run_plan(compiled.plan, {{1, 2, 3, 4}}).at("conv1") == std::vector<std::int64_t>{10});
}

TEST_CASE("an accumulator cannot feed a layer, directly or through relu, pooling, prune, dropout") {
  struct Between {
    std::string nodes, last;
  };
  const auto node = [](const std::string& name, const std::string& op, const std::string& input,
                       const std::string& attributes = "{}") {
    return fmt::format(R"(,{{"name":"{}","op":"{}","inputs":["{}"],"attrs":{}}})", name, op, input,
                       attributes);
  };
  const std::vector<Between> cases = {
      {"", "conv1"},
      {node("r", "relu", "conv1"), "r"},
      {node("m", "max_pool2d", "conv1", R"({"kernel_size":1})"), "m"},
      {node("p", "prune", "conv1"), "p"},
      {node("d", "dropout", "conv1"), "d"},
  };
  for (const Between& between : cases) {
    CAPTURE(between.last);
    const std::string conv2 = fmt::format(
        R"(,{{"name":"conv2","op":"conv2d","inputs":["{}"],"attrs":{{"in_channels":1,"out_channels":1,"kernel_size":1,"bias":false}},"wrap":[{{"type":"quantize","channelwise":-1}}]}})",
        between.last);
    check_refused(graph_text(conv() + between.nodes + conv2, "conv2"),
                  [&](StateBuilder& s) {
                    conv_state(s, {1, 1, 1, 1});
                    s.floats("conv2.weight", {1, 1, 1, 1}, {1});
                    s.quantize("conv2.quantize.", {0}, 8);
                    if (between.last == "p") s.prune("p.", {1, 1, 1}, {1});
                  },
                  {"layer 'conv2': its input '" + between.last + "' is not quantized", "conv1"});
  }
  // What an argmax gives is no accumulator of a layer before it.
  check_refused(
      graph_text(
          conv() + node("a", "argmax", "conv1") +
              R"(,{"name":"conv2","op":"conv2d","inputs":["a"],"attrs":{"in_channels":1,"out_channels":1,"kernel_size":1,"bias":false},"wrap":[{"type":"quantize","channelwise":-1}]})",
          "conv2"),
      [](StateBuilder& s) {
        conv_state(s, {1, 1, 1, 1});
        s.floats("conv2.weight", {1, 1, 1, 1}, {1});
        s.quantize("conv2.quantize.", {0}, 8);
      },
      {"layer 'conv2': its input 'a' is not quantized; put"});
  const std::string linear =
      node("f", "flatten", "conv1") +
      R"(,{"name":"fc","op":"linear","inputs":["f"],"attrs":{"in_features":1,"out_features":1,"bias":false},"wrap":[{"type":"quantize","channelwise":-1}]})";
  check_refused(graph_text(conv() + linear, "fc"),
                [&](StateBuilder& s) {
                  conv_state(s, {1, 1, 1, 1});
                  s.floats("fc.weight", {1, 1}, {1});
                  s.quantize("fc.quantize.", {0}, 8);
                },
                {"layer 'fc': its input 'f' is not quantized", "'conv1'"});
}

TEST_CASE("an accumulator may be an output, and holds the exact sum") {
  const Compiled compiled = compile(graph_text(conv(), "conv1"), [](StateBuilder& s) {
    conv_state(s, {1.5F, -2.5F, 3, 4}, 1);
  });
  const auto run = test::run_plan(compiled.plan, {{10, 20, -30, 127}});
  CHECK(run.at("conv1") == std::vector<std::int64_t>{3 * 10 - 5 * 20 - 6 * 30 + 8 * 127});
  CHECK(compiled.program.values.at(compiled.program.outputs.at(0)).decimals == std::vector<int>{1});
}

TEST_CASE("a weight beyond the 32-bit range of quantization is refused") {
  for (const float weight : {3e9F, -3e9F})
    check_refused(graph_text(conv(), "conv1"),
                  [&](StateBuilder& s) {
                    conv_state(s, {1, weight, 1, 1});
                  },
                  {"layer 'conv1'", "weight 1 = ", "32-bit range", "decimal of at most -1 "});
  // The largest float below 2^31 saturates as any other.
  const Compiled compiled = compile(graph_text(conv(), "conv1"), [](StateBuilder& s) {
    conv_state(s, {1, 2147483520.0F, 1, 1});
  });
  CHECK(std::get<ir::Conv2d>(compiled.program.ops.at(0).kind).weights(0, 0, 1, 0) == 127);
}

TEST_CASE("weights are rounded in float32 by the mode of their quantize, and saturate") {
  struct Case {
    const char* rounding;
    std::vector<std::int32_t> codes;
  };
  for (const Case& c : {Case{"toward_zero", {-1, -2, 2, -128}}, Case{"floor", {-2, -3, 2, -128}},
                        Case{"half_even", {-2, -2, 2, -128}}}) {
    CAPTURE(c.rounding);
    const Compiled compiled = compile(
        graph_text(conv(fmt::format(R"({{"type":"quantize","channelwise":-1,"rounding":"{}"}})",
                                    c.rounding)),
                   "conv1"),
        [](StateBuilder& s) {
          conv_state(s, {-0.75F, -1.25F, 1.25F, -1000.0F}, 1);
        });
    const auto& weights = std::get<ir::Conv2d>(compiled.program.ops.at(0).kind).weights;
    CHECK(std::vector<std::int32_t>(weights.begin(), weights.end()) == c.codes);
  }
}

TEST_CASE("weights that need more than 32 bits after alignment are refused by channel") {
  // Two input channels of the weight with decimals far apart.
  const std::string json = graph_text(
      R"({"name":"fc","op":"linear","inputs":["input"],"attrs":{"in_features":2,"out_features":1,"bias":false},"wrap":[{"type":"quantize","channelwise":1}]})",
      "fc", R"("shape":[2],"bits":8,"decimal":0)");
  const auto state = [](float first, int far) {
    return [=](StateBuilder& s) {
      s.floats("fc.weight", {1, 2}, {first, std::ldexp(1.0F, -far)});
      s.quantize("fc.quantize.", {0, far}, 8);
    };
  };
  check_refused(json, state(1.0F, 31),
                {"layer 'fc'", "output channel 0", "needs 33 bits", "lie 1 closer together"});
  check_refused(json, state(100.0F, 60), {"layer 'fc'", "output channel 0", "needs 68 bits"});
  CHECK(compile(json, state(1.0F, 14)).plan.size() > 0);
  CHECK(compile(json, state(-1.0F, 15)).plan.size() > 0);  // -2^15 fits into 16 bits
  // 2^15 does not, and is multiplied in 64 bits; the sum fits into 32.
  CHECK(test::run_plan(compile(json, state(1.0F, 15)).plan, {{3, 5}}).at("fc") ==
        std::vector<std::int64_t>{3 * (1 << 15) + 5});
  CHECK(compile(json, state(0.0F, 60)).plan.size() > 0);  // a zero weight asks for no grid
}

TEST_CASE("a bias that needs more than 32 bits after alignment is refused") {
  const std::string json =
      graph_text(conv(R"({"type":"quantize","channelwise":-1,"bias_bits":20})", ""), "conv1");
  const auto state = [](int bias_decimal) {
    return [=](StateBuilder& s) {
      conv_state(s, {std::ldexp(1.0F, -30), 0, 0, 0}, 30);
      s.floats("conv1.bias", {1}, {1000.0F});
      s.quantize("conv1.quantize_bias.", {bias_decimal}, 20);
    };
  };
  check_refused(json, state(-5), {"layer 'conv1'", "output channel 0", "bias"});
  CHECK(compile(json, state(20)).plan.size() > 0);
}

TEST_CASE("a bias that float32 cannot hold is refused") {
  check_refused(
      graph_text(conv(R"({"type":"quantize","channelwise":-1,"bias_bits":26})", ""), "conv1"),
      [](StateBuilder& s) {
        conv_state(s, {1, 1, 1, 1});
        s.floats("conv1.bias", {1}, {1e9F});
        s.quantize("conv1.quantize_bias.", {0}, 26);
      },
      {"layer 'conv1'", "bias 0", "saturates at 26 bits"});
}

TEST_CASE("a sum that could leave 32 bits is no output, and is refused with the bits it needs") {
  const auto json = [](int features) {
    return graph_text(
        fmt::format(
            R"({{"name":"fc","op":"linear","inputs":["input"],"attrs":{{"in_features":{},"out_features":2,"bias":false}},"wrap":[{{"type":"quantize","channelwise":-1,"bits":16}}]}})",
            features),
        "fc", fmt::format(R"("shape":[{}],"bits":16,"decimal":0)", features));
  };
  const auto state = [](int features, float last) {
    return [=](StateBuilder& s) {
      std::vector<float> weights(static_cast<std::size_t>(2 * features), 0.0F);
      for (int k = 0; k < features; ++k) weights[static_cast<std::size_t>(features + k)] = 32767.0F;
      weights.back() = last;
      s.floats("fc.weight", {2, features}, weights);
      s.quantize("fc.quantize.", {0}, 16);
    };
  };
  // 2 * 32767 * 32768 = 2^31 - 65536: one step of weight more is 2^31 - 32768, two are 2^31.
  CHECK(compile(json(2), state(2, 32767.0F)).plan.size() > 0);
  check_refused(json(3), state(3, 32767.0F), {"layer 'fc'", "up to 33 bits", "quantize node"});
  check_refused(json(3), state(3, 2.0F), {"layer 'fc'", "up to 33 bits", "quantize node"});
  CHECK(compile(json(3), state(3, 1.0F)).plan.size() > 0);
}

TEST_CASE("several decimals along another axis than the channels are refused") {
  const std::string json = graph_text(
      conv() + R"(,{"name":"q","op":"quantize","inputs":["conv1"],"attrs":{"channelwise":2}})", "q",
      R"("shape":[1,3,3],"bits":8,"decimal":0)");
  check_refused(json,
                [](StateBuilder& s) {
                  conv_state(s, {1, 1, 1, 1});
                  s.quantize("q.", {1, 2}, 8);
                },
                {"layer 'q'", "2 decimals", "axis 2"});
}

TEST_CASE("as many decimals as channels, or one") {
  const std::string json =
      graph_text(conv() + R"(,{"name":"q","op":"quantize","inputs":["conv1"]})", "q");
  check_refused(json,
                [](StateBuilder& s) {
                  conv_state(s, {1, 1, 1, 1});
                  s.quantize("q.", {1, 2}, 8);
                },
                {"layer 'q'", "2 decimals", "1 channels"});
}

// conv1 with the weights 1,1,1,1 at decimal 0 gives sums in -512..508.
Compiled quantized_to(int decimal, const std::string& rounding = "toward_zero",
                      const std::vector<float>& weights = {1, 1, 1, 1}) {
  return compile(
      graph_text(
          conv() +
              fmt::format(
                  R"(,{{"name":"q","op":"quantize","inputs":["conv1"],"attrs":{{"channelwise":-1,"rounding":"{}"}}}})",
                  rounding),
          "q"),
      [&](StateBuilder& s) {
        conv_state(s, weights);
        s.quantize("q.", {decimal}, 8);
      });
}

TEST_CASE("shifts beyond what plans hold are exact or refused") {
  const auto output = [](const Compiled& compiled, std::int64_t code) {
    return test::run_plan(compiled.plan, {{code, code, code, code}}).at("q").at(0);
  };
  for (const int decimal : {-30, -31, -40, -64}) {
    CAPTURE(decimal);
    for (const std::int64_t code : {-128, -1, 0, 127}) {
      CHECK(output(quantized_to(decimal), code) == 0);
      CHECK(output(quantized_to(decimal, "half_even"), code) == 0);
      CHECK(output(quantized_to(decimal, "floor"), code) == (code < 0 ? -1 : 0));
    }
  }
  for (const int decimal : {1, 7, 20, 22}) {
    CAPTURE(decimal);
    for (const std::int64_t code : {-128, -1, 0, 1, 127})
      CHECK(output(quantized_to(decimal), code) ==
            std::clamp<std::int64_t>(4 * code * (std::int64_t{1} << decimal), -128, 127));
  }
  // 508 * 2^23 leaves the range in which the float path converts to integers.
  for (const int decimal : {23, 31, 32, 64}) {
    CAPTURE(decimal);
    CHECK_THROWS_WITH_AS(quantized_to(decimal), doctest::Contains("layer 'q': channel 0"),
                         InputError);
  }
  // Nothing positive can overflow in a channel of zeros.
  for (const int decimal : {-64, 64})
    CHECK(output(quantized_to(decimal, "floor", {0, 0, 0, 0}), 5) == 0);
}

TEST_CASE("a prune mask of another size is refused with strict = true") {
  const std::string json = graph_text(
      conv() + R"(,{"name":"p","op":"prune","inputs":["conv1"],"attrs":{"strict":true}})", "p");
  for (const std::vector<std::int64_t>& shape :
       {std::vector<std::int64_t>{1, 2, 1}, std::vector<std::int64_t>{1},
        std::vector<std::int64_t>{1, 1}})
    check_refused(json,
                  [&](StateBuilder& s) {
                    conv_state(s, {1, 1, 1, 1});
                    s.prune("p.", shape,
                            std::vector<std::uint8_t>(
                                shape.size() == 3 ? std::size_t{2} : std::size_t{1}, 1));
                  },
                  {"layer 'p'", "mask has shape"});
  CHECK(compile(json, [](StateBuilder& s) {
          conv_state(s, {1, 1, 1, 1});
          s.prune("p.", {1, 1, 1}, {1});
        }).plan.size() > 0);
}

TEST_CASE("a prune mask of another size is repeated and centred with strict = false") {
  // Along the width of 5 the mask (1,0) fits twice, from position 0 on; position 4 is kept.
  const std::string json =
      graph_text(R"({"name":"p","op":"prune","inputs":["input"],"attrs":{"strict":false}})", "p",
                 R"("shape":[1,2,5],"bits":8,"decimal":0)");
  const auto pruned = [&](const std::vector<std::int64_t>& shape,
                          const std::vector<std::uint8_t>& mask) {
    const Compiled compiled = compile(json, [&](StateBuilder& s) { s.prune("p.", shape, mask); });
    return test::run_plan(compiled.plan, {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}}).at("p");
  };
  CHECK(pruned({1, 1, 2}, {1, 0}) == std::vector<std::int64_t>{1, 0, 3, 0, 5, 6, 0, 8, 0, 10});
  // A mask of 3 fits once, centred at 1.
  CHECK(pruned({1, 1, 3}, {0, 0, 1}) == std::vector<std::int64_t>{1, 0, 0, 4, 5, 6, 0, 0, 9, 10});
  // One that is larger than the input prunes nothing.
  CHECK(pruned({1, 3, 1}, {0, 0, 0}) == std::vector<std::int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
}

TEST_CASE(
    "a weight pruned with strict = false is refused unless all rows have the first row's mask") {
  const std::string json = graph_text(
      R"({"name":"fc","op":"linear","inputs":["input"],"attrs":{"in_features":2,"out_features":2,"bias":false},"wrap":[{"type":"prune","strict":false},{"type":"quantize","channelwise":-1}]})",
      "fc", R"("shape":[2],"bits":8,"decimal":0)");
  const auto state = [](const std::vector<std::uint8_t>& mask) {
    return [=](StateBuilder& s) {
      s.floats("fc.weight", {2, 2}, {1, 1, 1, 1});
      s.prune("fc.prune.", {2, 2}, mask);
      s.quantize("fc.quantize.", {0}, 8);
    };
  };
  check_refused(json, state({1, 0, 0, 1}), {"layer 'fc'", "strict = false"});
  CHECK(compile(json, state({1, 0, 1, 0})).plan.size() > 0);
}

TEST_CASE("shapes that do not fit are refused") {
  const auto one = [](StateBuilder& s) { conv_state(s, {1, 1, 1, 1}); };
  check_refused(graph_text(conv(), "conv1", R"("shape":[1,1,2])"), one,
                {"layer 'conv1'", "kernel spans 2 positions"});
  check_refused(graph_text(conv(), "conv1", R"("shape":[3,4,4])"), one,
                {"layer 'conv1'", "[3, 4, 4]", "[1, H, W]"});
  check_refused(graph_text(conv(), "conv1", R"("shape":[4])"), one, {"layer 'conv1'", "[4]"});
  const auto linear = [](StateBuilder& s) {
    s.floats("fc.weight", {1, 4}, {1, 1, 1, 1});
    s.quantize("fc.quantize.", {0}, 8);
  };
  const std::string fc =
      R"({"name":"fc","op":"linear","inputs":["input"],"attrs":{"in_features":4,"out_features":1,"bias":false},"wrap":[{"type":"quantize","channelwise":-1}]})";
  check_refused(graph_text(fc, "fc"), linear, {"layer 'fc'", "[1, 2, 2]", "flatten"});
  check_refused(graph_text(fc, "fc", R"("shape":[5])"), linear, {"layer 'fc'", "[5]", "[4]"});
  const auto none = [](StateBuilder&) {};
  check_refused(
      graph_text(R"({"name":"m","op":"max_pool2d","inputs":["input"],"attrs":{"kernel_size":3}})",
                 "m"),
      none, {"layer 'm'", "window spans 3"});
  check_refused(
      graph_text(R"({"name":"m","op":"max_pool2d","inputs":["input"],"attrs":{"kernel_size":2}})",
                 "m", R"("shape":[4])"),
      none, {"layer 'm'", "[4]", "[C, H, W]"});
  check_refused(
      graph_text(
          R"({"name":"m","op":"max_pool2d","inputs":["input"],"attrs":{"kernel_size":3,"padding":1,"dilation":3,"stride":1}})",
          "m", R"("shape":[1,5,2])"),
      none, {"layer 'm'", "window spans 7"});
  check_refused(
      graph_text(R"({"name":"r","op":"relu","inputs":["input"]})", "r", R"("shape":[65536,65536])"),
      none, {"input 'input'", "elements"});
}

TEST_CASE("a pooling that the runtime would take too long over is refused") {
  check_refused(
      graph_text(
          R"({"name":"m","op":"max_pool2d","inputs":["input"],"attrs":{"kernel_size":128,"padding":64,"stride":1}})",
          "m", R"("shape":[1,128,128])"),
      [](StateBuilder&) {}, {"layer 'm'", "the runtime refuses it"});
}

TEST_CASE("a network may have several inputs, and one that nobody reads") {
  const std::string json =
      R"({"format":"lockstep-graph","version":1,"name":"t","inputs":[{"name":"a","shape":[2],"bits":8},{"name":"unused","shape":[5],"bits":16},{"name":"b","shape":[3],"bits":4}],"nodes":[{"name":"ra","op":"relu","inputs":["a"]},{"name":"rb","op":"relu","inputs":["b"]}],"outputs":["rb","ra"]})";
  const Compiled compiled = compile(json, [](StateBuilder&) {});
  const auto run = test::run_plan(compiled.plan, {{-7, 9}, {1, 2, 3, 4, 5}, {-8, 0, 7}});
  CHECK(run.at("ra") == std::vector<std::int64_t>{0, 9});
  CHECK(run.at("rb") == std::vector<std::int64_t>{0, 0, 7});
}

TEST_CASE("a float function on sums of more than 32 bits is refused") {
  // 4 * 32767 * 32768 needs 33 bits.
  const std::string fc =
      R"({"name":"fc","op":"linear","inputs":["input"],"attrs":{"in_features":4,"out_features":1,"bias":false},"wrap":[{"type":"quantize","channelwise":-1,"bits":16}]})";
  for (const char* op : {"sigmoid", "tanh", "relu6", "leaky_relu"}) {
    CAPTURE(op);
    const std::string json = graph_text(
        fc +
            fmt::format(
                R"(,{{"name":"f","op":"{}","inputs":["fc"]}},{{"name":"q","op":"quantize","inputs":["f"],"attrs":{{"channelwise":-1}}}})",
                op),
        "q", R"("shape":[4],"bits":16,"decimal":0)");
    check_refused(json,
                  [](StateBuilder& s) {
                    s.floats("fc.weight", {1, 4}, {32767, 32767, 32767, 32767});
                    s.quantize("fc.quantize.", {0}, 16);
                    s.quantize("q.", {0}, 8);
                  },
                  {"layer 'f'", "bits"});
  }
}

TEST_CASE("what a state dict or an attribute holds cannot crash the compiler") {
  const auto prune = [](const std::vector<std::int64_t>& shape) {
    return [=](StateBuilder& s) {
      s.prune("p.", shape, std::vector<std::uint8_t>(shape.empty() ? 1 : 0, 1));
    };
  };
  const std::string masked =
      graph_text(R"({"name":"p","op":"prune","inputs":["input"],"attrs":{"strict":false}})", "p");
  CHECK_THROWS_AS(compile(masked, prune({})), InputError);
  CHECK_THROWS_AS(compile(masked, prune({0, 1, 1})), InputError);
  // The product of these sizes is 64 modulo 2^64.
  check_refused(
      graph_text(
          R"({"name":"r","op":"reshape","inputs":["input"],"attrs":{"shape":[107367629,536903681,320]}})",
          "r", R"("shape":[64],"bits":8,"decimal":0)"),
      [](StateBuilder&) {}, {"layer 'r'"});
  const Compiled sliced = compile(
      graph_text(
          R"({"name":"s","op":"slice","inputs":["input"],"attrs":{"dim":1,"step":1099511627776}})",
          "s", R"("shape":[3,2,2],"bits":8,"decimal":0)"),
      [](StateBuilder&) {});
  CHECK(test::run_plan(sliced.plan, {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}).at("s") ==
        std::vector<std::int64_t>{1, 2, 3, 4});
}

TEST_CASE("an output with a float bias may be an output twice") {
  const std::string nodes = conv(R"({"type":"quantize","channelwise":-1})", "") +
                            R"(,{"name":"d","op":"identity","inputs":["conv1"]})";
  const std::string json = fmt::format(
      R"({{"format":"lockstep-graph","version":1,"name":"t","inputs":[{{"name":"input","shape":[1,2,2],"bits":8,"decimal":0}}],"nodes":[{}],"outputs":["conv1","d"]}})",
      nodes);
  const Compiled compiled = compile(json, [](StateBuilder& s) {
    s.floats("conv1.weight", {1, 1, 2, 2}, {1, 1, 1, 1});
    s.floats("conv1.bias", {1}, {0.3F});
    s.quantize("conv1.quantize.", {0}, 8);
  });
  for (const ir::ValueId id : compiled.program.outputs)
    CHECK(compiled.program.values.at(id).offsets == std::vector<float>{0.3F});
}

}  // namespace
}  // namespace lockstep
