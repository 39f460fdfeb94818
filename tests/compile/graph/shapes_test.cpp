#include "compile/graph/shapes.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "compile/graph/op_schema.h"
#include "tests/support/input_error.h"

using namespace lockstep;
using test::contains;
using test::input_error_of;

namespace {

using Shape = std::vector<std::int64_t>;

// One node that reads the input, twice where its operator takes two or more inputs.
Graph graph_of(const std::string& op, const std::string& attributes, const Shape& input) {
  return parse_graph(
      fmt::format(R"({{"format": "lockstep-graph", "version": 1, "name": "g",
                  "inputs": [{{"name": "x", "shape": [{}]}}],
                  "nodes": [{{"name": "n", "op": "{}", "inputs": [{}], "attrs": {{{}}}}}],
                  "outputs": ["n"]}})",
                  fmt::join(input, ", "), op,
                  find_op_schema(op)->most_inputs > 1 ? "\"x\", \"x\"" : "\"x\"", attributes),
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
  for (const std::string op : {"add", "sub", "mul"})
    CHECK(shape_of(op, "", {7, 2, 3}) == Shape{7, 2, 3});
  CHECK(shape_of("quantize", R"("channelwise": 3)", {7, 2, 3}) == Shape{7, 2, 3});
}

TEST_CASE("shapes of activations, one-dimensional and adaptive poolings, and moves") {
  for (const std::string op :
       {"relu6", "leaky_relu", "hard_sigmoid", "hard_swish", "tanh", "sigmoid", "silu", "gelu",
        "elu", "softplus", "softmax", "log_softmax"})
    for (const Shape& shape : {Shape{7}, Shape{7, 5}, Shape{7, 5, 3}})
      CHECK_MESSAGE(shape_of(op, "", shape) == shape, op);
  CHECK(shape_of("argmax", "", {7}) == Shape{1});
  CHECK(shape_of("argmax", "", {7, 5, 3}) == Shape{1, 5, 3});
  CHECK(shape_of("max_pool1d", R"("kernel_size": 3, "stride": 2, "padding": 1)", {2, 8}) ==
        Shape{2, 4});
  CHECK(shape_of("max_pool1d", R"("kernel_size": 2, "dilation": 3)", {2, 8}) == Shape{2, 3});
  CHECK(shape_of("avg_pool1d", R"("kernel_size": 3, "ceil_mode": true)", {2, 8}) == Shape{2, 3});
  CHECK(shape_of("adaptive_avg_pool1d", R"("output_size": 3)", {2, 8}) == Shape{2, 3});
  CHECK(shape_of("adaptive_avg_pool2d", R"("output_size": [1, 9])", {2, 8, 4}) == Shape{2, 1, 9});
  CHECK(shape_of("upsample", R"("scale_factor": 3)", {2, 4}) == Shape{2, 12});
  CHECK(shape_of("upsample", R"("scale_factor": 3, "mode": "bilinear")", {2, 4, 5}) ==
        Shape{2, 12, 15});
  CHECK(shape_of("upsample", R"("scale_factor": [1, 2])", {2, 4, 5}) == Shape{2, 4, 10});
  CHECK(shape_of("pixel_unshuffle", R"("downscale_factor": 2)", {2, 6, 8}) == Shape{8, 3, 4});
  CHECK(shape_of("reshape", R"("shape": [4, -1, 3])", {2, 6, 3}) == Shape{4, 3, 3});
  CHECK(shape_of("reshape", R"("shape": [36])", {2, 6, 3}) == Shape{36});
  CHECK(shape_of("transpose", R"("dim0": 1, "dim1": 3)", {2, 6, 3}) == Shape{3, 6, 2});
  CHECK(shape_of("transpose", R"("dim0": 2, "dim1": 2)", {2, 6, 3}) == Shape{2, 6, 3});
  CHECK(shape_of("slice", "", {7, 5}) == Shape{7, 5});
  CHECK(shape_of("slice", R"("dim": 2, "start": 1, "end": 6, "step": 2)", {7, 9}) == Shape{7, 3});
  CHECK(shape_of("slice", R"("dim": 2, "start": 1, "end": 5, "step": 2)", {7, 9}) == Shape{7, 2});
  CHECK(shape_of("slice", R"("dim": 2, "start": 8, "end": 100)", {7, 9}) == Shape{7, 1});
  CHECK(shape_of("pad", R"("padding": [1, 2])", {7, 9}) == Shape{7, 12});
  CHECK(shape_of("pad", R"("padding": [1, 2])", {7, 9, 9}) == Shape{7, 9, 12});
  CHECK(shape_of("pad", R"("padding": [1, 2, 3, 5], "mode": "replicate")", {7, 2, 3}) ==
        Shape{7, 10, 6});
  CHECK(shape_of("pad", R"("padding": [2, 2, 1, 0], "mode": "reflect")", {7, 2, 3}) ==
        Shape{7, 3, 7});
  CHECK(shape_of("concat", "", {7, 2, 3}) == Shape{14, 2, 3});
  CHECK(shape_of("concat", R"("dim": 3)", {7, 2, 3}) == Shape{7, 2, 6});
}

TEST_CASE("a pooling or move that does not fit its input is named, with what it has") {
  CHECK(
      error_of("slice", R"("start": 3, "end": 3)", {7}) ==
      "g.json: layer 'n': start is 3 and end is 3, which leaves nothing of the 7 elements of axis "
      "1");
  CHECK(contains(error_of("slice", R"("start": 7)", {7}), "leaves nothing of the 7 elements"));
  CHECK(error_of("slice", R"("dim": 3)", {7, 5}) ==
        "g.json: layer 'n': dim is 3, but its input has 3 axes with the batch");
  CHECK(contains(error_of("transpose", R"("dim0": 1, "dim1": 2)", {7}),
                 "dim1 is 2, but its input has 2 axes with the batch"));
  CHECK(contains(error_of("reshape", R"("shape": [5, -1])", {2, 6, 3}),
                 "shape is [5, -1], which does not fit the 36 elements of its input"));
  CHECK(contains(error_of("reshape", R"("shape": [72])", {2, 6, 3}), "does not fit the 36"));
  CHECK(contains(error_of("reshape", R"("shape": [72, -1])", {2, 6, 3}), "does not fit the 36"));
  CHECK(contains(error_of("reshape", R"("shape": [1099511627776, 1099511627776])", {2, 6, 3}),
                 "does not fit the 36"));
  CHECK(
      error_of("pad", R"("padding": [3, 0], "mode": "reflect")", {7, 3}) ==
      "g.json: layer 'n': padding is [3, 0], but mode \"reflect\" needs less than the 3 positions "
      "of the axis");
  CHECK(contains(error_of("pad", R"("padding": [1, 1, 1, 1])", {7, 3}),
                 "padding is [1, 1, 1, 1], but its input of shape [7, 3] has 1 spatial axes"));
  CHECK(contains(error_of("pixel_unshuffle", R"("downscale_factor": 2)", {1, 4, 5}),
                 "downscale_factor is 2, which does not divide its input's 4 x 5 positions"));
  CHECK(contains(error_of("upsample", R"("scale_factor": [2, 2])", {7, 3}),
                 "scale_factor is [2, 2], but its input of shape [7, 3] has one spatial axis"));
  CHECK(contains(error_of("upsample", R"("scale_factor": 2, "mode": "bilinear")", {7, 3}),
                 "mode \"bilinear\" needs an input (C, H, W)"));
  CHECK(contains(error_of("max_pool1d", R"("kernel_size": 3)", {7, 3, 3}),
                 "max_pool1d needs an input of 2 axes without the batch"));
  CHECK(contains(error_of("avg_pool1d", R"("kernel_size": 4)", {7, 3}),
                 "reaches over 4 positions, but its input has 3 with padding"));
  CHECK(contains(error_of("adaptive_avg_pool2d", R"("output_size": 1)", {7, 3}),
                 "adaptive_avg_pool2d needs an input of 3 axes"));
}

TEST_CASE("a concat takes inputs that differ along its axis only") {
  const auto joined = [](const std::string& a, const std::string& b, int dim) {
    const Graph graph =
        parse_graph(fmt::format(R"({{"format": "lockstep-graph", "version": 1, "name": "g",
                    "inputs": [{{"name": "a", "shape": {}}}, {{"name": "b", "shape": {}}}],
                    "nodes": [{{"name": "n", "op": "concat", "inputs": ["a", "b", "a"],
                                "attrs": {{"dim": {}}}}}],
                    "outputs": ["n"]}})",
                                a, b, dim),
                    "g.json");
    return infer_shapes(graph, "g.json").at("n");
  };
  CHECK(joined("[4, 2, 3]", "[5, 2, 3]", 1) == Shape{13, 2, 3});
  CHECK(joined("[4, 2, 3]", "[4, 1, 3]", 2) == Shape{4, 5, 3});
  CHECK(input_error_of([&] { joined("[4, 2, 3]", "[5, 2, 3]", 2); }) ==
        "g.json: layer 'n': its inputs 'a' and 'b' have shapes [4, 2, 3] and [5, 2, 3]; they may "
        "differ along axis 2 only");
  CHECK(
      contains(input_error_of([&] { joined("[4, 2]", "[4, 2, 1]", 1); }), "[4, 2] and [4, 2, 1]"));
  CHECK(contains(input_error_of([&] { joined("[4]", "[4]", 2); }), "dim is 2"));
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
