// The exact semantics of whole small networks, against cases worked out by hand.
#include <doctest/doctest.h>

#include "compile/support/error.h"

#include "tests/support/input_error.h"
#include "verify/semantics/exact_network.h"

using namespace lockstep;
using namespace lockstep::test;
using verify::NodeValues;
using verify::TensorCodes;

namespace {

// Both nets below have one conv2d with a 2x2 kernel, a quantize behind it and input decimal 2.
constexpr const char* kConvolution = R"({"format": "lockstep-graph", "version": 1, "name": "hand",
 "inputs": [{"name": "input", "shape": [1, 2, 3], "bits": 8, "decimal": 2}],
 "nodes": [
  {"name": "conv", "op": "conv2d", "inputs": ["input"],
   "attrs": {"in_channels": 1, "out_channels": 1, "kernel_size": [2, 2], "bias": true},
   "wrap": [{"type": "quantize", "bits": 8, "channelwise": -1, "bias_bits": 8}]},
  {"name": "q", "op": "quantize", "inputs": ["conv"], "attrs": {"bits": 8, "channelwise": -1}}],
 "outputs": ["q"]})";

Parameters hand_parameters(float bias, int bias_decimal, int output_decimal) {
  Parameters parameters;
  NodeParameters& conv = parameters.nodes["conv"];
  conv.weight_shape = {1, 1, 2, 2};
  conv.weight = {0.5F, -0.25F, 1.0F, -3.0F};  // codes 2, -1, 4, -12 at decimal 2
  conv.weight_quantize = QuantizeParameters{{2}, 8};
  conv.bias = {bias};
  conv.bias_quantize = QuantizeParameters{{bias_decimal}, 8};
  parameters.nodes["q"].quantize = QuantizeParameters{{output_decimal}, 8};
  return parameters;
}

NodeValues run_by_hand(const Parameters& parameters) {
  const TensorCodes input = {{1, 2, 3}, {2}, {1, 2, 3, 4, 5, 6}};
  return verify::evaluate_exactly(parse_graph(kConvolution, "hand"), parameters, {input}, 1);
}

}  // namespace

TEST_CASE("a convolution with bias has the sums and codes worked out by hand") {
  const NodeValues values = run_by_hand(hand_parameters(0.5F, 3, 1));
  const TensorCodes& conv = values.find("conv")->second;
  // 1*2 - 2 + 4*4 - 5*12 = -44 and 2*2 - 3 + 5*4 - 6*12 = -51, both at decimal 4; the bias is 4 at
  // decimal 3.
  CHECK(conv.codes == std::vector<std::int64_t>{-44 + 8, -51 + 8});
  CHECK(conv.decimals[0] == 4);
  // -36 / 8 = -4.5 and -43 / 8 = -5.375, toward zero.
  CHECK(values.find("q")->second.codes == std::vector<std::int64_t>{-4, -5});
}

TEST_CASE("a bias on a finer grid than the products moves the accumulator to its grid") {
  const NodeValues values = run_by_hand(hand_parameters(0.0625F, 6, 1));
  const TensorCodes& conv = values.find("conv")->second;
  CHECK(conv.codes == std::vector<std::int64_t>{-44 * 4 + 4, -51 * 4 + 4});
  CHECK(conv.decimals[0] == 6);
}

TEST_CASE("what has no exact integer meaning is refused by the layer's name") {
  SUBCASE("an unquantized weight") {
    Parameters parameters = hand_parameters(0.5F, 3, 1);
    parameters.nodes["conv"].weight_quantize.reset();
    CHECK(contains(input_error_of([&] { run_by_hand(parameters); }),
                   "layer 'conv': weight is not quantized"));
  }
  SUBCASE("decimals so far apart that an accumulator would leave 64 bits") {
    Parameters parameters = hand_parameters(0.5F, 64, 1);
    CHECK(contains(input_error_of([&] { run_by_hand(parameters); }),
                   "layer 'conv': its exact accumulator"));
  }
  SUBCASE("an input code outside the declared range") {
    const TensorCodes input = {{1, 2, 3}, {2}, {1, 2, 3, 4, 5, 128}};
    CHECK(contains(input_error_of([&] {
                     verify::evaluate_exactly(parse_graph(kConvolution, "hand"),
                                              hand_parameters(0, 3, 1), {input}, 1);
                   }),
                   "input 'input': code 128"));
  }
  SUBCASE("an input of another shape") {
    const TensorCodes input = {{1, 3, 2}, {2}, {1, 2, 3, 4, 5, 6}};
    CHECK(contains(input_error_of([&] {
                     verify::evaluate_exactly(parse_graph(kConvolution, "hand"),
                                              hand_parameters(0, 3, 1), {input}, 1);
                   }),
                   "input 'input'"));
  }
}

namespace {

// One node `op` with these attributes on an input of one channel, run on `codes`.
TensorCodes run_node(const std::string& op, const std::string& attributes,
                     std::vector<std::int64_t> shape, std::vector<std::int64_t> codes) {
  const std::string json =
      R"({"format": "lockstep-graph", "version": 1, "name": "one", "inputs": [{"name": "x", "shape": [)" +
      std::to_string(shape[0]) + ", " + std::to_string(shape[1]) + ", " + std::to_string(shape[2]) +
      R"(], "bits": 8, "decimal": 0}], "nodes": [{"name": "n", "op": ")" + op +
      R"(", "inputs": ["x"], "attrs": {)" + attributes + R"(}}], "outputs": ["n"]})";
  Parameters parameters;
  parameters.nodes["n"] = {};
  const NodeValues values = verify::evaluate_exactly(
      parse_graph(json, "one"), parameters, {TensorCodes{shape, {0}, std::move(codes)}}, 1);
  return values.find("n")->second;
}

}  // namespace

TEST_CASE("max pooling ignores positions outside the input, also when all codes are negative") {
  const TensorCodes padded =
      run_node("max_pool2d", R"("kernel_size": [2, 2], "stride": [2, 2], "padding": [1, 1])",
               {1, 3, 3}, {-1, -2, -3, -4, -5, -6, -7, -8, -9});
  CHECK(padded.shape == std::vector<std::int64_t>{1, 2, 2});
  CHECK(padded.codes == std::vector<std::int64_t>{-1, -2, -4, -5});
  const TensorCodes ceil = run_node("max_pool2d", R"("kernel_size": [2, 2], "ceil_mode": true)",
                                    {1, 3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(ceil.shape == std::vector<std::int64_t>{1, 2, 2});
  CHECK(ceil.codes == std::vector<std::int64_t>{5, 6, 8, 9});
  const TensorCodes floor =
      run_node("max_pool2d", R"("kernel_size": [2, 2])", {1, 3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(floor.codes == std::vector<std::int64_t>{5});
}

TEST_CASE("relu, flatten, dropout and identity keep the order of codes") {
  const std::vector<std::int64_t> codes = {-2, -1, 0, 1, 2, 3};
  CHECK(run_node("relu", "", {1, 2, 3}, codes).codes ==
        std::vector<std::int64_t>{0, 0, 0, 1, 2, 3});
  const TensorCodes flat = run_node("flatten", "", {2, 1, 3}, codes);
  CHECK(flat.codes == codes);
  CHECK(flat.shape == std::vector<std::int64_t>{6});
  CHECK(run_node("dropout", "", {1, 2, 3}, codes).codes == codes);
  CHECK(run_node("identity", "", {1, 2, 3}, codes).codes == codes);
}

TEST_CASE("a network says whether float32 sums are exact in any order") {
  const auto exact = [](int input_bits) {
    std::string json = kConvolution;
    json.replace(json.find("\"bits\": 8"), 9, "\"bits\": " + std::to_string(input_bits));
    const Graph graph = parse_graph(json, "hand");
    const Parameters parameters = hand_parameters(0.5F, 3, 1);
    return verify::ExactNetwork(graph, parameters).constants("conv")->float32_is_exact;
  };
  // Sum of |weight codes|: 2 + 1 + 4 + 12 = 19; 19 * 2^15 + 8 is below 2^24, the largest input
  // here.
  CHECK(exact(8));
  CHECK(exact(16));
  Parameters parameters =
      hand_parameters(0.5F, 14, 1);  // the bias puts everything on a grid 2^10 times finer
  const Graph graph = parse_graph(kConvolution, "hand");
  CHECK(verify::ExactNetwork(graph, parameters).constants("conv")->largest_sum ==
        19 * 128 * 1024 + 127);
}

TEST_CASE("a network too large for memory is refused by name") {
  const Graph graph = parse_graph(
      R"({"format":"lockstep-graph","version":1,"name":"n","inputs":[{"name":"x","shape":[65536,65536,65536]}],"nodes":[{"name":"r","op":"relu","inputs":["x"]}],"outputs":["r"]})",
      "n");
  CHECK_THROWS_WITH_AS(verify::ExactNetwork(graph, Parameters()),
                       doctest::Contains("layer 'x': shape"), InputError);
  // Refused before anything is made for each of its 6.4e9 elements.
  const Graph conv = parse_graph(
      R"({"format":"lockstep-graph","version":1,"name":"n","inputs":[{"name":"x","shape":[1,1,1]}],"nodes":[{"name":"c","op":"conv2d","inputs":["x"],"attrs":{"in_channels":1,"out_channels":1,"kernel_size":1,"padding":40000,"bias":false},"wrap":[{"type":"quantize","channelwise":-1}]}],"outputs":["c"]})",
      "n");
  Parameters parameters;
  parameters.nodes["c"].weight_shape = {1, 1, 1, 1};
  parameters.nodes["c"].weight = {1};
  parameters.nodes["c"].weight_quantize = QuantizeParameters{.decimals = {0}, .bits = 8};
  CHECK_THROWS_WITH_AS(verify::ExactNetwork(conv, parameters),
                       doctest::Contains("layer 'c': shape [1, 80001, 80001]"), InputError);
}
