#include "compile/graph/shapes.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/support/input_error.h"

using namespace lockstep;
using test::contains;
using test::input_error_of;

namespace {

using Shape = std::vector<std::int64_t>;

// One node that reads the input as often as its operator needs.
Graph graph_of(const std::string& op, const std::string& attributes, const Shape& input) {
  return parse_graph(
      fmt::format(R"({{"format": "lockstep-graph", "version": 1, "name": "g",
                  "inputs": [{{"name": "x", "shape": [{}]}}],
                  "nodes": [{{"name": "n", "op": "{}", "inputs": [{}], "attrs": {{{}}}}}],
                  "outputs": ["n"]}})",
                  fmt::join(input, ", "), op, op == "add" ? "\"x\", \"x\"" : "\"x\"", attributes),
      "g.json");
}

Shape shape_of(const std::string& op, const std::string& attributes, const Shape& input) {
  return infer_shapes(graph_of(op, attributes, input), "g.json").at("n");
}

std::string error_of(const std::string& op, const std::string& attributes, const Shape& input) {
  return input_error_of([&] { infer_shapes(graph_of(op, attributes, input), "g.json"); });
}

const std::string kConv = R"("in_channels": 2, "out_channels": 4, "kernel_size": )";

}  // namespace

TEST_CASE("every operator's shape is the one that PyTorch computes") {
  CHECK(shape_of("conv1d", kConv + R"(3, "stride": 2, "padding": 1)", {2, 9}) == Shape{4, 5});
  CHECK(shape_of("conv2d", kConv + R"([3, 5], "dilation": [2, 1])", {2, 9, 9}) == Shape{4, 5, 5});
  CHECK(shape_of("conv_transpose1d", kConv + R"(3, "stride": 2)", {2, 4}) == Shape{4, 9});
  CHECK(shape_of("conv_transpose2d", kConv + R"(3, "stride": 2, "padding": 1, "output_padding": 1)",
                 {2, 4, 5}) == Shape{4, 8, 10});
  CHECK(shape_of("linear", R"("in_features": 6, "out_features": 5)", {3, 6}) == Shape{3, 5});
  CHECK(shape_of("max_pool2d", R"("kernel_size": 3, "stride": 2)", {2, 8, 8}) == Shape{2, 3, 3});
  CHECK(shape_of("max_pool2d", R"("kernel_size": 3, "stride": 2, "ceil_mode": true)", {2, 8, 8}) ==
        Shape{2, 4, 4});
  // The last window would start in the padding behind the input.
  CHECK(shape_of("avg_pool2d", R"("kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": true)",
                 {1, 4, 5}) == Shape{1, 2, 2});
  CHECK(shape_of("pixel_shuffle", R"("upscale_factor": 2)", {8, 3, 4}) == Shape{2, 6, 8});
  CHECK(shape_of("batch_norm1d", R"("num_features": 7)", {7}) == Shape{7});
  CHECK(shape_of("batch_norm2d", R"("num_features": 7)", {7, 2, 3}) == Shape{7, 2, 3});
  CHECK(shape_of("flatten", "", {7, 2, 3}) == Shape{42});
  CHECK(shape_of("add", "", {7, 2, 3}) == Shape{7, 2, 3});
  CHECK(shape_of("quantize", R"("channelwise": 3)", {7, 2, 3}) == Shape{7, 2, 3});
}

TEST_CASE("a node whose input does not fit is named, with both numbers") {
  CHECK(error_of("linear", R"("in_features": 1600, "out_features": 10)", {1568}) ==
        "g.json: layer 'n': in_features is 1600, but its input has 1568 elements");
  CHECK(error_of("conv2d", kConv + "3", {3, 8, 8}) ==
        "g.json: layer 'n': in_channels is 2, but its input has 3 channels");
  CHECK(contains(error_of("conv2d", kConv + "3", {2, 8}),
                 "layer 'n': conv2d needs an input of 3 axes without the batch, but it has shape "
                 "[2, 8]"));
  CHECK(contains(error_of("conv1d", kConv + R"(5, "dilation": 2, "padding": 1)", {2, 6}),
                 "its window reaches over 9 positions, but its input has 8 with padding"));
  CHECK(contains(error_of("conv_transpose1d", kConv + R"(1, "padding": 2)", {2, 2}),
                 "its output has -2 positions"));
  CHECK(contains(error_of("batch_norm2d", R"("num_features": 7)", {6, 2, 2}),
                 "num_features is 7, but its input has 6 channels"));
  CHECK(contains(error_of("pixel_shuffle", R"("upscale_factor": 3)", {8, 2, 2}),
                 "needs a multiple of 9 channels, but it has 8"));
  CHECK(contains(error_of("quantize", R"("channelwise": 2)", {8}),
                 "channelwise is 2, but its input has 2 axes with the batch"));
  CHECK(contains(error_of("conv2d", R"("in_channels": 1, "out_channels": 65536, "kernel_size": 1)",
                          {1, 65536, 65536}),
                 "shape [65536, 65536, 65536], more than 2^40 elements"));
}

TEST_CASE("an add takes equal shapes, or 1 where they differ") {
  const auto sum = [](const std::string& a, const std::string& b) {
    const Graph graph =
        parse_graph(fmt::format(R"({{"format": "lockstep-graph", "version": 1, "name": "g",
                    "inputs": [{{"name": "a", "shape": {}}}, {{"name": "b", "shape": {}}}],
                    "nodes": [{{"name": "n", "op": "add", "inputs": ["a", "b"]}}],
                    "outputs": ["n"]}})",
                                a, b),
                    "g.json");
    return infer_shapes(graph, "g.json").at("n");
  };
  CHECK(sum("[4, 2, 3]", "[4, 1, 3]") == Shape{4, 2, 3});
  CHECK(contains(input_error_of([&] { sum("[4, 2, 3]", "[4, 3, 3]"); }),
                 "g.json: layer 'n': its inputs have shapes [4, 2, 3] and [4, 3, 3]"));
  CHECK(contains(input_error_of([&] { sum("[4]", "[1, 4]"); }), "shapes [4] and [1, 4]"));
}
