#include <doctest/doctest.h>
#include <fmt/format.h>

#include <set>

#include "compile/graph/graph.h"
#include "compile/graph/op_schema.h"
#include "tests/support/input_error.h"

using namespace lockstep;
using test::contains;
using test::input_error_of;

namespace {

// The graph of docs/formats.md.
const std::string kTiny = R"({"format": "lockstep-graph", "version": 1, "name": "tiny",
 "inputs": [{"name": "input", "shape": [1, 28, 28], "bits": 8, "decimal": 7}],
 "nodes": [
  {"name": "conv", "op": "conv2d", "inputs": ["input"],
   "attrs": {"in_channels": 1, "out_channels": 32, "kernel_size": [3, 3], "bias": false},
   "wrap": [{"type": "prune", "sparsity": 0.5, "start": 200, "interval": 10, "repetition": 4},
            {"type": "quantize", "bits": 8, "channelwise": 0, "timeout": 100}]},
  {"name": "p", "op": "prune", "inputs": ["conv"], "attrs": {"sparsity": 0.25, "callback": {"structured": [0]}}},
  {"name": "q", "op": "quantize", "inputs": ["p"], "attrs": {"bits": 8, "timeout": 100}}],
 "outputs": ["q"]})";

std::string error_of(const std::string& json) {
  return input_error_of([&] { parse_graph(json, "g.json"); });
}

// kTiny with one piece of text replaced.
std::string error_after(const std::string& from, const std::string& to) {
  std::string text = kTiny;
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return error_of(text.replace(at, from.size(), to));
}

// One node of operator `op` that reads the input.
std::string with_node(const std::string& members, const std::string& shape = "[4, 8, 8]") {
  return fmt::format(
      R"({{"format": "lockstep-graph", "version": 1, "name": "g", "inputs": [{{"name": "x", "shape": {}}}],
         "nodes": [{{"name": "n", "inputs": ["x"], {}}}], "outputs": ["n"]}})",
      shape, members);
}
// One node of operator `op` that reads the input `count` times.
std::string with_inputs(const std::string& op, std::size_t count, const std::string& attributes) {
  return fmt::format(
      R"({{"format": "lockstep-graph", "version": 1, "name": "g", "inputs": [{{"name": "x", "shape": [4, 8, 8]}}],
         "nodes": [{{"name": "n", "op": "{}", "inputs": [{}], "attrs": {{{}}}}}], "outputs": ["n"]}})",
      op, fmt::join(std::vector<std::string>(count, "\"x\""), ", "), attributes);
}
std::string node_error(const std::string& members) { return error_of(with_node(members)); }
std::string conv_error(const std::string& attributes) {
  return node_error(
      R"("op": "conv2d", "attrs": {"in_channels": 4, "out_channels": 8, "kernel_size": 3, )" +
      attributes + "}");
}
std::string quantize_error(const std::string& attributes) {
  return node_error(R"("op": "quantize", "attrs": {)" + attributes + "}");
}
std::string prune_error(const std::string& attributes) {
  return node_error(R"("op": "prune", "attrs": {)" + attributes + "}");
}
std::string wrap_error(const std::string& wraps) {
  return node_error(R"("op": "linear", "attrs": {"in_features": 4, "out_features": 2}, "wrap": )" +
                    wraps);
}
// Nodes "a", "b", ... with the given inputs.
std::string wiring_error(const std::vector<std::vector<std::string>>& inputs,
                         const std::string& outputs) {
  std::string nodes;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    nodes +=
        fmt::format(R"({}{{"name": "{}", "op": "relu", "inputs": ["{}"]}})", i == 0 ? "" : ", ",
                    static_cast<char>('a' + i), fmt::join(inputs[i], "\", \""));
  return error_of(fmt::format(
      R"({{"format": "lockstep-graph", "version": 1, "name": "g", "inputs": [{{"name": "x", "shape": [4]}}],
         "nodes": [{}], "outputs": {}}})",
      nodes, outputs));
}

}  // namespace

TEST_CASE("the documented graph is read with PyTorch's and QSPARSE's defaults") {
  const Graph graph = parse_graph(kTiny, "g.json");
  CHECK(graph.name == "tiny");
  CHECK(graph.outputs == std::vector<std::string>{"q"});
  CHECK(graph.inputs == std::vector{GraphInput{"input", {1, 28, 28}, 8, 7}});
  REQUIRE(graph.nodes.size() == 3);
  const Node& conv = graph.nodes[0];
  CHECK(conv.integer("in_channels") == 1);
  CHECK(conv.integers("kernel_size") == std::vector<std::int64_t>{3, 3});
  CHECK(conv.integers("stride") == std::vector<std::int64_t>{1, 1});
  CHECK(conv.integers("padding") == std::vector<std::int64_t>{0, 0});
  CHECK(conv.integers("dilation") == std::vector<std::int64_t>{1, 1});
  CHECK(conv.integer("groups") == 1);
  CHECK(!conv.flag("bias"));
  REQUIRE(conv.weight_prune() != nullptr);
  CHECK(*conv.weight_prune() == PruneSpec{.start = 200, .interval = 10});
  REQUIRE(conv.weight_quantize() != nullptr);
  CHECK(*conv.weight_quantize() == QuantizeSpec{.channelwise = 0, .timeout = 100});
  CHECK(graph.nodes[1].prune == PruneSpec{.sparsity = 0.25, .structured_dims = {{0}}});
  CHECK(graph.nodes[2].quantize == QuantizeSpec{.timeout = 100});
  CHECK(graph.find_node("p") == &graph.nodes[1]);
  CHECK(graph.find_node("input") == nullptr);
  CHECK(graph.find_input("input") == &graph.inputs[0]);
  CHECK(state_key("conv", "quantize.decimal") == "conv.quantize.decimal");
}

TEST_CASE(
    "defaults: a bias, a pooling stride that equals the kernel, an input of 8 bits at decimal 7") {
  const Graph conv = parse_graph(
      with_node(
          R"("op": "conv2d", "attrs": {"in_channels": 4, "out_channels": 8, "kernel_size": [3, 5]})"),
      "g");
  CHECK(conv.nodes[0].flag("bias"));
  CHECK(conv.inputs[0] == GraphInput{"x", {4, 8, 8}, 8, 7});
  const Graph pool =
      parse_graph(with_node(R"("op": "max_pool2d", "attrs": {"kernel_size": [2, 3]})"), "g");
  CHECK(pool.nodes[0].integers("stride") == std::vector<std::int64_t>{2, 3});
  CHECK(!pool.nodes[0].flag("ceil_mode"));
  CHECK(parse_graph(with_node(R"("op": "flatten")"), "g").nodes[0].integer("start_dim") == 1);
  const Graph quantize = parse_graph(with_node(R"("op": "quantize")"), "g");
  CHECK(quantize.nodes[0].quantize == QuantizeSpec{});
  CHECK(parse_graph(with_node(R"("op": "prune")"), "g").nodes[0].prune == PruneSpec{});
}

TEST_CASE("every field survives: parse_graph(to_json(g)) equals g, and the text is a fixed point") {
  const std::string all = with_node(
      R"("op": "conv2d", "attrs": {"in_channels": 4, "out_channels": 8, "kernel_size": [3, 2], "stride": 2,
          "padding": [1, 0], "dilation": [1, 2], "groups": 4, "bias": true},
         "wrap": [{"type": "quantize", "bits": 5, "channelwise": -1, "decimal_range": [-3, 9],
                   "saturate_range": [0.001, 0.999], "timeout": 3, "interval": 7, "window_size": 2,
                   "bias_bits": 32, "rounding": "half_even"},
                  {"type": "prune", "sparsity": 0.1, "start": 1, "interval": 2, "repetition": 3, "window_size": 4,
                   "strict": false, "collapse": -1, "callback": {"structured": [2, 0]}}])");
  for (const std::string& text :
       {kTiny,
        all,
        with_node(R"("op": "dropout", "attrs": {"p": 0.1})"),
        with_node(R"("op": "quantize", "attrs": {"rounding": "floor"})"),
        with_node(R"("op": "prune", "attrs": {"callback": {"structured": []}})"),
        with_node(R"("op": "prune", "attrs": {"callback": {"block": [32, 4]}})"),
        with_node(
            R"("op": "max_pool2d", "attrs": {"kernel_size": 3, "padding": 1, "ceil_mode": true})"),
        with_node(R"("op": "max_pool1d", "attrs": {"kernel_size": 3, "stride": [2]})"),
        with_node(R"("op": "avg_pool1d", "attrs": {"kernel_size": 4, "count_include_pad": false})"),
        with_node(R"("op": "adaptive_avg_pool1d", "attrs": {"output_size": 1})"),
        with_node(R"("op": "adaptive_avg_pool2d", "attrs": {"output_size": [1, 2]})"),
        with_node(R"("op": "upsample", "attrs": {"scale_factor": [2, 3], "mode": "bilinear"})"),
        with_node(R"("op": "pixel_unshuffle", "attrs": {"downscale_factor": 2})"),
        with_node(R"("op": "reshape", "attrs": {"shape": [8, -1]})"),
        with_node(R"("op": "transpose", "attrs": {"dim0": 1, "dim1": 3})"),
        with_node(R"("op": "slice", "attrs": {"dim": 2, "start": 1, "end": 7, "step": 3})"),
        with_node(R"("op": "pad", "attrs": {"padding": [1, 0, 2, 3], "mode": "reflect"})"),
        with_node(R"("op": "leaky_relu", "attrs": {"negative_slope": 0.1})"),
        with_node(R"("op": "elu", "attrs": {"alpha": 0.7})"),
        with_node(R"("op": "softplus", "attrs": {"beta": 2.5, "threshold": 11})"),
        with_node(R"("op": "relu6")"),
        with_node(R"("op": "hard_sigmoid")"),
        with_node(R"("op": "hard_swish")"),
        with_node(R"("op": "tanh")"),
        with_node(R"("op": "sigmoid")"),
        with_node(R"("op": "gelu")"),
        with_node(R"("op": "silu")"),
        with_node(R"("op": "argmax")"),
        with_node(R"("op": "softmax")"),
        with_node(R"("op": "log_softmax", "attrs": {"dim": 1})"),
        with_inputs("concat", 3, R"("dim": 2)"),
        with_inputs("concat", 1, ""),
        with_inputs("sub", 2, ""),
        with_inputs("mul", 2, "")}) {
    const Graph graph = parse_graph(text, "g.json");
    const std::string canonical = to_json(graph);
    CHECK(parse_graph(canonical, "canonical") == graph);
    CHECK(to_json(parse_graph(canonical, "canonical")) == canonical);
  }
  const Graph graph = parse_graph(all, "g.json");
  CHECK(graph.nodes[0].weight_quantize()->bias_bits == 32);
  CHECK(graph.nodes[0].weight_quantize()->saturate_hi == 0.999);
  CHECK(graph.nodes[0].weight_prune()->structured_dims == std::vector<std::int64_t>{2, 0});
}

TEST_CASE("names with quotes, spaces and non-ASCII letters survive") {
  Graph graph = parse_graph(kTiny, "g.json");
  graph.name = "\"\\ \xc3\xa4";
  CHECK(parse_graph(to_json(graph), "x") == graph);
}

TEST_CASE("syntax, depth and duplicate keys are refused") {
  CHECK(contains(error_of("{"), "g.json: not valid JSON"));
  CHECK(contains(error_of(std::string(100'000, '[')), "nested deeper than 64"));
  CHECK(error_after(R"("bias": false)", R"("bias": false, "bias": true)") ==
        R"(g.json: "conv": duplicate key "nodes[0].attrs.bias")");
  CHECK(error_of("[]") == "g.json: the graph must be an object, not []");
  CHECK(contains(error_of(std::string((16 << 20) + 1, ' ')), "larger than 16777216"));
}

TEST_CASE("the format, version and top-level members are checked") {
  CHECK(contains(error_after("lockstep-graph", "onnx"), "format = \"onnx\""));
  CHECK(contains(error_after(R"("version": 1)", R"("version": 2)"), "version = 2"));
  CHECK(error_after(R"("name": "tiny",)", "") == "g.json: 'name' is missing");
  CHECK(contains(error_after(R"("version": 1)", R"("version": 1, "colour": 3)"),
                 "unknown \"colour\""));
  CHECK(contains(error_after(R"("outputs": ["q"])", R"("outputs": [])"), "'outputs' is empty"));
  CHECK(contains(error_after(R"("outputs": ["q"])", R"("outputs": ["z"])"),
                 "output \"z\" is no node"));
  CHECK(contains(error_after(R"("outputs": ["q"])", R"("outputs": ["input"])"), "is no node"));
  CHECK(contains(error_after(R"("outputs": ["q"])", R"("outputs": ["q", "q"])"), "listed twice"));
  CHECK(contains(error_after(R"("outputs": ["q"])", R"("outputs": [1])"), "outputs = 1"));
  CHECK(contains(
      error_after(R"([{"name": "input", "shape": [1, 28, 28], "bits": 8, "decimal": 7}])", "[]"),
      "inputs = []"));
}

TEST_CASE("graph inputs are checked") {
  CHECK(error_after("[1, 28, 28]", "[1, 0, 28]") ==
        "g.json: input 'input': shape = 0, but it must be an integer from 1 to 65536");
  CHECK(contains(error_after("[1, 28, 28]", "[1, 65537, 28]"), "shape = 65537"));
  CHECK(contains(error_after("[1, 28, 28]", "[]"), "list of 1 to 3 values"));
  CHECK(contains(error_after("[1, 28, 28]", "[1, 1, 28, 28]"), "list of 1 to 3 values"));
  CHECK(contains(error_after("[1, 28, 28]", "7"), "shape = 7"));
  CHECK(contains(error_after(R"("bits": 8, "decimal": 7)", R"("bits": 17)"),
                 "bits = 17, but it must be an integer from 2 to 16"));
  CHECK(contains(error_after(R"("decimal": 7)", R"("decimal": 65)"), "decimal = 65"));
  CHECK(contains(error_after(R"("decimal": 7)", R"("decimals": 7)"), "unknown \"decimals\""));
}

TEST_CASE("unknown operators, attributes and members name the layer and what exists") {
  CHECK(contains(error_after(R"("op": "quantize")", R"("op": "quantise")"),
                 "g.json: layer 'q': unknown operator \"quantise\"; known: conv1d, conv2d, "));
  CHECK(contains(conv_error(R"("strides": 1)"),
                 "layer 'n': attrs: unknown \"strides\"; allowed: bias, dilation"));
  CHECK(
      contains(node_error(R"("op": "relu", "attrs": {"inplace": true})"), "none is allowed here"));
  CHECK(contains(node_error(R"("op": "relu", "atrs": {})"), "layer 'n': unknown \"atrs\""));
  CHECK(contains(quantize_error(R"("bias_bits": 12)"), "unknown \"bias_bits\""));
  CHECK(contains(wrap_error(R"([{"type": "quantize", "bit": 8}])"), "wrap[0]: unknown \"bit\""));
  CHECK(contains(prune_error(R"("callback": {"structured": [0], "x": 1})"), "unknown \"x\""));
  CHECK(contains(error_after(R"("op": "quantize",)", ""), "layer 'q': 'op' is missing"));
  CHECK(contains(error_after(R"("name": "q",)", ""), "nodes[2]: 'name' is missing"));
  CHECK(contains(error_after(R"({"name": "q",)", R"(17, {"name": "q",)"),
                 "nodes[2]: a node must be an object, not 17"));
}

TEST_CASE("a number that is not an exact integer is refused where an integer is needed") {
  for (const std::string value :
       {"3.7", "18446744073709551616", "18446744073709551615", "-1", "0", "65537", "1e300", "\"3\"",
        "true", "null", "[3, 3, 3]", "[3]", "[3, 3.5]", "{}"})
    CHECK_MESSAGE(
        contains(conv_error(fmt::format(R"("stride": {})", value)), "layer 'n': stride = "), value);
  CHECK(conv_error(R"("stride": 3.7)") ==
        "g.json: layer 'n': stride = 3.7, but it must be an integer from 1 to 65536");
  CHECK(conv_error(R"("stride": 3.0)") == "(no error)");
  CHECK(contains(conv_error(R"("padding": -1)"), "padding = -1"));
  CHECK(contains(conv_error(R"("bias": 1)"), "bias = 1, but it must be true or false"));
  CHECK(contains(node_error(R"("op": "linear", "attrs": {"in_features": [4], "out_features": 2})"),
                 "in_features = [4]"));
  CHECK(contains(node_error(R"("op": "linear", "attrs": {"in_features": 4})"),
                 "attribute 'out_features' is missing"));
}

TEST_CASE("constraints between attributes are checked") {
  CHECK(contains(conv_error(R"("groups": 3)"), "groups = 3, but it must divide in_channels = 4"));
  CHECK(conv_error(R"("groups": 4)") == "(no error)");
  CHECK(contains(
      node_error(
          R"("op": "conv2d", "attrs": {"in_channels": 4, "out_channels": 6, "kernel_size": 1, "groups": 4})"),
      "must divide out_channels = 6"));
  CHECK(contains(
      node_error(R"("op": "max_pool2d", "attrs": {"kernel_size": [2, 4], "padding": [1, 3]})"),
      "padding = [1,3], but it may be at most half of kernel_size = [2,4]"));
  CHECK(node_error(R"("op": "max_pool2d", "attrs": {"kernel_size": 3, "padding": 1})") ==
        "(no error)");
  CHECK(contains(node_error(R"("op": "flatten", "attrs": {"start_dim": 2})"),
                 "start_dim = 2, but only the integer 1 is supported"));
  CHECK(contains(node_error(R"("op": "flatten", "attrs": {"end_dim": 3})"), "end_dim = 3"));
  CHECK(contains(node_error(R"("op": "dropout", "attrs": {"p": 1.5})"), "p = 1.5"));
}

TEST_CASE("defaults of the activations, moves and poolings are PyTorch's") {
  const auto only_node = [](const std::string& op, const std::string& attributes) {
    return parse_graph(with_inputs(op, 1, attributes), "g").nodes[0];
  };
  CHECK(only_node("leaky_relu", "").number("negative_slope") == 0.01);
  CHECK(only_node("elu", "").number("alpha") == 1.0);
  CHECK(only_node("softplus", "").number("beta") == 1.0);
  CHECK(only_node("softplus", "").number("threshold") == 20.0);
  CHECK(only_node("max_pool1d", R"("kernel_size": 3)").integer("stride") == 3);
  CHECK(only_node("avg_pool1d", R"("kernel_size": 3)").flag("count_include_pad"));
  CHECK(only_node("adaptive_avg_pool2d", R"("output_size": 2)").integers("output_size") ==
        std::vector<std::int64_t>{2, 2});
  CHECK(only_node("concat", "").integer("dim") == 1);
  CHECK(only_node("argmax", "").integer("dim") == 1);
  CHECK(only_node("pad", R"("padding": [1, 2])").choice("mode") == "zeros");
  CHECK(only_node("upsample", R"("scale_factor": 2)").choice("mode") == "nearest");
  CHECK(only_node("upsample", R"("scale_factor": 2)").integers("scale_factor") ==
        std::vector<std::int64_t>{2});
  const Node slice = only_node("slice", "");
  CHECK(slice.integer("dim") == 1);
  CHECK(slice.integer("start") == 0);
  CHECK(slice.integer("end") == std::int64_t{1} << 40);
  CHECK(slice.integer("step") == 1);
}

TEST_CASE("lists, choices and the attributes of activations and moves are checked") {
  const auto error = [](const std::string& op, const std::string& attributes) {
    return error_of(with_inputs(op, 1, attributes));
  };
  CHECK(error("upsample", R"("scale_factor": 2, "mode": "linear")") ==
        "g.json: layer 'n': mode = \"linear\", but it must be one of \"nearest\", \"bilinear\"");
  CHECK(contains(error("upsample", R"("scale_factor": 2, "mode": 0)"), "mode = 0"));
  CHECK(contains(error("upsample", R"("scale_factor": 65)"),
                 "scale_factor = 65, but it must be an integer from 1 to 64"));
  CHECK(contains(error("upsample", R"("scale_factor": [2, 2, 2])"), "list of 1 to 2 values"));
  CHECK(contains(error("upsample", R"("scale_factor": [])"), "list of 1 to 2 values"));
  CHECK(contains(error("upsample", R"("scale_factor": 1.5)"), "scale_factor = 1.5"));
  CHECK(contains(error("upsample", R"("scale_factor": 2, "align_corners": true)"),
                 "unknown \"align_corners\""));
  CHECK(contains(error("upsample", ""), "attribute 'scale_factor' is missing"));
  CHECK(
      error("pad", R"("padding": [1, 1, 1])") ==
      "g.json: layer 'n': padding = [1,1,1], but the number of its values must be a multiple of 2");
  CHECK(contains(error("pad", R"("padding": 1)"), "padding = 1, but it must be a list"));
  CHECK(contains(error("pad", R"("padding": [1])"), "list of 2 to 4 values"));
  CHECK(contains(error("pad", R"("padding": [1, -1])"), "padding = -1"));
  CHECK(contains(error("pad", R"("padding": [1, 1], "mode": "circular")"),
                 "mode = \"circular\", but it must be one of \"zeros\", \"reflect\", "));
  CHECK(contains(error("reshape", R"("shape": [-1, -1])"), "only one of its values may be -1"));
  CHECK(contains(error("reshape", R"("shape": [0, 4])"), "shape = 0"));
  CHECK(contains(error("reshape", R"("shape": [-2])"), "shape = -2"));
  CHECK(contains(error("reshape", R"("shape": [1, 1, 2, 2])"), "list of 1 to 3 values"));
  CHECK(error("reshape", R"("shape": -1)") == "(no error)");
  CHECK(contains(error("transpose", R"("dim0": 0, "dim1": 1)"),
                 "dim0 = 0, but it must be an integer from 1 to 3"));
  CHECK(contains(error("transpose", R"("dim0": 1)"), "attribute 'dim1' is missing"));
  CHECK(contains(error("slice", R"("dim": -1)"), "dim = -1"));
  CHECK(contains(error("slice", R"("start": -1)"), "start = -1"));
  CHECK(contains(error("slice", R"("step": 0)"), "step = 0"));
  CHECK(contains(error("concat", R"("dim": 4)"), "dim = 4"));
  CHECK(contains(error("concat", R"("dim": -1)"), "dim = -1"));
  for (const std::string op : {"argmax", "softmax", "log_softmax"})
    CHECK(contains(error(op, R"("dim": 2)"), "dim = 2, but only the integer 1 is supported"));
  CHECK(contains(error("leaky_relu", R"("negative_slope": 1e9)"), "negative_slope = "));
  CHECK(contains(error("elu", R"("alpha": "one")"), "alpha = \"one\""));
  CHECK(contains(error("softplus", R"("beta": 0)"),
                 "beta = 0, but it must be a number from 0.0001 to 65536"));
  CHECK(contains(error("adaptive_avg_pool1d", R"("output_size": 0)"), "output_size = 0"));
  CHECK(contains(error("adaptive_avg_pool2d", ""), "attribute 'output_size' is missing"));
  CHECK(contains(error("pixel_unshuffle", R"("downscale_factor": 0)"), "downscale_factor = 0"));
  CHECK(contains(error("max_pool1d", R"("kernel_size": 2, "padding": 2)"),
                 "padding = [2], but it may be at most half of kernel_size = [2]"));
  CHECK(contains(error_of(with_inputs("concat", 0, "")),
                 "0 inputs, but operator 'concat' takes 1 to 65536"));
  CHECK(contains(error_of(with_inputs("sub", 1, "")), "1 inputs, but operator 'sub' takes 2"));
  CHECK(contains(error_of(with_inputs("mul", 3, "")), "3 inputs, but operator 'mul' takes 2"));
}

TEST_CASE("quantize fields are checked") {
  CHECK(
      contains(quantize_error(R"("bits": 1)"), "bits = 1, but it must be an integer from 2 to 16"));
  CHECK(contains(quantize_error(R"("bits": 17)"), "bits = 17"));
  CHECK(contains(quantize_error(R"("channelwise": 4)"), "channelwise = 4"));
  CHECK(quantize_error(R"("channelwise": -5)") == "(no error)");
  CHECK(contains(quantize_error(R"("decimal_range": [5, 5])"), "decimal_range = [5,5]"));
  CHECK(contains(quantize_error(R"("decimal_range": [0, 66])"), "decimal_range = 66"));
  CHECK(contains(quantize_error(R"("decimal_range": [0])"), "list of 2 values"));
  CHECK(contains(quantize_error(R"("decimal_range": 5)"), "list of 2 values"));
  CHECK(contains(quantize_error(R"("saturate_range": [0.9, 0.1])"), "saturate_range = [0.9,0.1]"));
  CHECK(contains(quantize_error(R"("saturate_range": [0, 1.1])"), "saturate_range = 1.1"));
  CHECK(contains(quantize_error(R"("timeout": 1.5)"), "timeout = 1.5"));
  CHECK(contains(quantize_error(R"("timeout": 2147483648)"), "timeout = 2147483648"));
  CHECK(contains(quantize_error(R"("interval": null)"), "interval = null"));
  CHECK(contains(quantize_error(R"("window_size": 0)"), "window_size = 0"));
  CHECK(contains(quantize_error(R"("rounding": "nearest")"), "rounding = \"nearest\""));
  CHECK(contains(quantize_error(R"("rounding": 0)"), "rounding = 0"));
}

TEST_CASE("prune fields are checked") {
  CHECK(contains(prune_error(R"("sparsity": 1.01)"), "sparsity = 1.01"));
  CHECK(contains(prune_error(R"("sparsity": "half")"), "sparsity = \"half\""));
  CHECK(contains(prune_error(R"("interval": 0)"), "interval = 0"));
  CHECK(contains(prune_error(R"("repetition": -1)"), "repetition = -1"));
  CHECK(contains(prune_error(R"("start": 0.5)"), "start = 0.5"));
  CHECK(contains(prune_error(R"("window_size": 0)"), "window_size = 0"));
  CHECK(contains(prune_error(R"("strict": 1)"), "strict = 1"));
  CHECK(contains(prune_error(R"("collapse": "none")"), "collapse = \"none\""));
  CHECK(contains(prune_error(R"("collapse": 0.5)"), "collapse = 0.5"));
  CHECK(prune_error(R"("collapse": "auto", "callback": "unstructured")") == "(no error)");
  CHECK(contains(prune_error(R"("callback": "l1")"), "callback = \"l1\""));
  CHECK(contains(prune_error(R"("callback": {"structured": 0})"), "structured = 0"));
  CHECK(contains(prune_error(R"("callback": {"structured": [-1]})"), "structured = -1"));
  CHECK(contains(prune_error(R"("callback": {"structured": [1, 1]})"), "named once"));
  CHECK(contains(prune_error(R"("callback": {})"), "'structured' is missing"));
  CHECK(contains(prune_error(R"("callback": {"block": [0, 4]})"), "block = 0"));
  CHECK(contains(prune_error(R"("callback": {"block": []})"), "block = []"));
  CHECK(contains(prune_error(R"("callback": {"block": [1, 1, 1, 1, 1]})"), "block = "));
  CHECK(contains(prune_error(R"("callback": {"block": [4], "structured": [0]})"),
                 "unknown \"structured\""));
}

TEST_CASE("wraps are checked") {
  CHECK(contains(node_error(R"("op": "relu", "wrap": [{"type": "quantize"}])"),
                 "layer 'n': 'wrap' on operator 'relu', which has no weight"));
  CHECK(node_error(R"("op": "relu", "wrap": [])") == "(no error)");
  CHECK(contains(wrap_error(R"([{"type": "scale"}])"), "wrap[0]: type = \"scale\""));
  CHECK(contains(wrap_error(R"([{"bits": 8}])"), "'type' is missing"));
  CHECK(contains(wrap_error(R"([{"type": "quantize"}, {"type": "quantize"}])"), "only once"));
  CHECK(contains(wrap_error(R"([{"type": "prune"}, {"type": "quantize"}, {"type": "prune"}])"),
                 "0 to 2"));
  CHECK(contains(wrap_error(R"({"type": "prune"})"), "wrap = "));
  CHECK(contains(wrap_error(R"([{"type": "quantize", "channelwise": 2}])"),
                 "channelwise = 2, but the weight has 2 axes"));
  CHECK(contains(wrap_error(R"([{"type": "quantize", "bias_bits": 33}])"), "bias_bits = 33"));
  CHECK(contains(wrap_error(R"([{"type": "quantize", "bias_bits": 1}])"), "bias_bits = 1"));
  CHECK(wrap_error(R"([{"type": "quantize", "bias_bits": 2}])") == "(no error)");
}

TEST_CASE("names that cannot be file names and state-dict keys are refused") {
  for (const std::string name : {"", "a/b", "a\\nb", "a\\u0000b", "a\\u007fb"})
    CHECK_MESSAGE(
        contains(error_after(R"({"name": "q", "op")", fmt::format(R"({{"name": "{}", "op")", name)),
                 "must have 1 to 251 bytes"),
        name);
  const auto renamed = [](std::size_t size) {
    return wiring_error({{"x"}}, "[\"a\"]") == "(no error)" &&
           contains(error_after(R"({"name": "q", "op")",
                                fmt::format(R"({{"name": "{}", "op")", std::string(size, 'n'))),
                    "must have 1 to 251 bytes");
  };
  CHECK(!renamed(251));
  CHECK(renamed(252));
  CHECK(contains(error_after(R"({"name": "p",)", R"({"name": 5,)"),
                 "name = 5, but it must be a string"));
}

TEST_CASE("a cycle, a late node and a missing node are told apart") {
  CHECK(wiring_error({{"x"}, {"a"}}, R"(["b"])") == "(no error)");
  CHECK(wiring_error({{"y"}}, R"(["a"])") ==
        "g.json: layer 'a': input \"y\" is no node and no graph input");
  CHECK(wiring_error({{"b"}, {"x"}}, R"(["a"])") ==
        "g.json: layer 'a': input 'b' is computed later; nodes must be in execution order");
  CHECK(wiring_error({{"a"}}, R"(["a"])") == "g.json: layer 'a': the graph has a cycle: a -> a");
  CHECK(wiring_error({{"c"}, {"a"}, {"b"}}, R"(["c"])") ==
        "g.json: layer 'a': the graph has a cycle: a -> b -> c -> a");
  CHECK(contains(wiring_error({{"x", "x"}}, R"(["a"])"), "2 inputs, but operator 'relu' takes 1"));
  CHECK(contains(wiring_error({{}, {"x"}}, R"(["a"])"), "layer 'a'"));
}

TEST_CASE("two nodes, or a node and an input, cannot share a name") {
  CHECK(contains(error_after(R"({"name": "p", "op")", R"({"name": "conv", "op")"),
                 "layer 'conv': two nodes"));
  CHECK(contains(error_after(R"({"name": "p", "op")", R"({"name": "input", "op")"),
                 "layer 'input': two nodes"));
}

TEST_CASE(
    "a chain of 65,536 nodes is read, one more is refused, and a long cycle stays one short line") {
  const auto chain = [](int count, const std::string& first_input) {
    std::string nodes;
    for (int i = 0; i < count; ++i)
      nodes += fmt::format(R"({}{{"name":"n{}","op":"relu","inputs":["{}"]}})", i == 0 ? "" : ",",
                           i, i == 0 ? first_input : fmt::format("n{}", i - 1));
    return fmt::format(
        R"({{"format":"lockstep-graph","version":1,"name":"g","inputs":[{{"name":"x","shape":[4]}}],"nodes":[{}],"outputs":["n{}"]}})",
        nodes, count - 1);
  };
  CHECK(parse_graph(chain(65536, "x"), "g").nodes.size() == 65536);
  CHECK(contains(error_of(chain(65537, "x")), "1 to 65536 values"));
  const std::string cycle = error_of(chain(20000, "n19999"));
  CHECK(contains(cycle, "the graph has a cycle: n0 -> n1 -> "));
  CHECK(cycle.size() < 200);
}

TEST_CASE(
    "the schema is consistent: unique names, references to earlier attributes, defaults in range") {
  std::set<std::string_view> ops;
  for (const OpSchema& schema : op_schemas()) {
    CAPTURE(schema.name);
    CHECK(ops.insert(schema.name).second);
    CHECK((schema.weight_shape == nullptr) == schema.bias_length.empty());
    std::set<std::string_view> seen;
    for (const AttributeSchema& attribute : schema.attributes) {
      CAPTURE(attribute.name);
      for (const std::string_view other :
           {attribute.other, attribute.at_most_half_of, attribute.divides_a, attribute.divides_b})
        CHECK((other.empty() || seen.contains(other)));
      CHECK((attribute.kind == AttributeKind::kList) == (attribute.most_count > 0));
      CHECK((attribute.kind == AttributeKind::kChoice) == !attribute.choices.empty());
      if (attribute.kind == AttributeKind::kList)
        CHECK(attribute.default_kind == AttributeDefault::kRequired);
      if (attribute.default_kind == AttributeDefault::kValue)
        CHECK((attribute.value >= attribute.lo && attribute.value <= attribute.hi));
      CHECK(seen.insert(attribute.name).second);
    }
    if (schema.weight_shape != nullptr)
      CHECK((seen.contains("bias") && seen.contains(schema.bias_length)));
  }
  CHECK(find_op_schema("sparsemax") == nullptr);
}
