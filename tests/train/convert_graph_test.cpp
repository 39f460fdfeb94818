// What a policy inserts into a float graph, and what cannot be converted.
#include "train/convert_graph.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "compile/graph/shapes.h"
#include "tests/support/input_error.h"

using namespace lockstep;
using test::contains;
using test::input_error_of;
using train::ConversionPolicy;
using train::convert_graph;
using train::parse_policy;

namespace {

// conv - bn - relu - add(with conv's own branch) - flat - fc
const std::string kFloat = R"({"format": "lockstep-graph", "version": 1, "name": "net",
 "inputs": [{"name": "input", "shape": [1, 6, 6]}],
 "nodes": [
  {"name": "conv", "op": "conv2d", "inputs": ["input"],
   "attrs": {"in_channels": 1, "out_channels": 2, "kernel_size": 3, "bias": false}},
  {"name": "bn", "op": "batch_norm2d", "inputs": ["conv"], "attrs": {"num_features": 2}},
  {"name": "relu", "op": "relu", "inputs": ["bn"]},
  {"name": "sum", "op": "add", "inputs": ["relu", "bn"]},
  {"name": "flat", "op": "flatten", "inputs": ["sum"]},
  {"name": "fc", "op": "linear", "inputs": ["flat"],
   "attrs": {"in_features": 32, "out_features": 3}}],
 "outputs": ["fc"]})";

Graph float_graph() { return parse_graph(kFloat, "net.json"); }

// "name(inputs)" of each node.
std::vector<std::string> wiring(const Graph& graph) {
  std::vector<std::string> lines;
  for (const Node& node : graph.nodes)
    lines.push_back(fmt::format("{}({})", node.name, fmt::join(node.inputs, ",")));
  return lines;
}

std::string policy_error(const std::string& members) {
  return input_error_of([&] {
    parse_policy(R"({"format": "lockstep-policy", "version": 1, )" + members + "}", "p.json");
  });
}

}  // namespace

TEST_CASE("the normalisation of raw bytes stays") {
  Graph graph = float_graph();
  graph.inputs[0].raw = {.scale = {0.01}, .mean = {0.5}, .std = {0.25}};
  const Graph converted = convert_graph(
      graph, parse_policy(R"({"format": "lockstep-policy", "version": 1})", "p.json"));
  CHECK(converted.inputs == graph.inputs);
}

TEST_CASE("the tutorial's network is its float twin, converted by its policy") {
  const std::filesystem::path folder =
      std::filesystem::path(LOCKSTEP_TEST_DATA).parent_path() / "docs" / "examples" / "tutorial";
  CHECK(convert_graph(read_graph(folder / "float.json"),
                      train::read_policy(folder / "policy.json")) ==
        read_graph(folder / "graph.json"));
}

TEST_CASE("by default every weight and every computed value is quantized, behind its batch norm") {
  const Graph graph = convert_graph(float_graph(), {});
  CHECK(wiring(graph) == std::vector<std::string>{"conv(input)", "bn(conv)", "bn_quantize(bn)",
                                                  "relu(bn_quantize)", "sum(relu,bn_quantize)",
                                                  "sum_quantize(sum)", "flat(sum_quantize)",
                                                  "fc(flat)", "fc_quantize(fc)"});
  CHECK(graph.outputs == std::vector<std::string>{"fc_quantize"});
  const QuantizeSpec& conv = *graph.find_node("conv")->weight_quantize();
  CHECK(conv.channelwise == 0);
  CHECK(conv.bias_bits == -1);  // it has no bias
  CHECK(graph.find_node("fc")->weight_quantize()->bias_bits == 16);
  CHECK(graph.find_node("fc_quantize")->quantize->channelwise == -1);
  // What is written is a graph like any other.
  CHECK(parse_graph(to_json(graph), "converted") == graph);
  CHECK(infer_shapes(graph, "converted").at("fc_quantize") == std::vector<std::int64_t>{3});
}

TEST_CASE("a policy prunes, too, but never an output, and leaves excluded nodes alone") {
  const ConversionPolicy policy = parse_policy(
      R"({"format": "lockstep-policy", "version": 1,
          "weights": {"prune": {"sparsity": 0.75}, "quantize": {"bits": 4, "channelwise": -1}},
          "activations": {"prune": {"sparsity": 0.5}, "quantize": {"bits": 6}},
          "exclude": ["sum"]})",
      "p.json");
  const Graph graph = convert_graph(float_graph(), policy);
  CHECK(wiring(graph) == std::vector<std::string>{"conv(input)", "bn(conv)", "bn_prune(bn)",
                                                  "bn_quantize(bn_prune)", "relu(bn_quantize)",
                                                  "sum(relu,bn_quantize)", "flat(sum)", "fc(flat)",
                                                  "fc_quantize(fc)"});
  const Node& conv = *graph.find_node("conv");
  REQUIRE(conv.wraps.size() == 2);
  CHECK(std::get<PruneSpec>(conv.wraps[0]).sparsity == 0.75);
  CHECK(std::get<QuantizeSpec>(conv.wraps[1]).bits == 4);
  CHECK(graph.find_node("bn_quantize")->quantize->bits == 6);
}

TEST_CASE("a relu that alone reads a value finishes it, unless one of the two is excluded") {
  const std::string text = R"({"format": "lockstep-graph", "version": 1, "name": "net",
 "inputs": [{"name": "input", "shape": [4]}],
 "nodes": [
  {"name": "a", "op": "linear", "inputs": ["input"], "attrs": {"in_features": 4, "out_features": 4}},
  {"name": "ra", "op": "relu", "inputs": ["a"]},
  {"name": "b", "op": "linear", "inputs": ["ra"], "attrs": {"in_features": 4, "out_features": 4}},
  {"name": "rb", "op": "relu", "inputs": ["b"]},
  {"name": "sum", "op": "add", "inputs": ["b", "rb"]},
  {"name": "last", "op": "relu", "inputs": ["sum"]}],
 "outputs": ["last"]})";
  const auto wired = [&](std::vector<std::string> exclude) {
    return wiring(convert_graph(parse_graph(text, "net.json"),
                                {.prune_activations = PruneSpec{}, .exclude = std::move(exclude)}));
  };
  CHECK(wired({}) == std::vector<std::string>{
                         "a(input)", "ra(a)", "ra_prune(ra)", "ra_quantize(ra_prune)",
                         "b(ra_quantize)", "b_prune(b)", "b_quantize(b_prune)", "rb(b_quantize)",
                         "sum(b_quantize,rb)", "last(sum)", "last_quantize(last)"});
  CHECK(wired({"a", "last"}) ==
        std::vector<std::string>{"a(input)", "ra(a)", "b(ra)", "b_prune(b)", "b_quantize(b_prune)",
                                 "rb(b_quantize)", "sum(b_quantize,rb)", "sum_prune(sum)",
                                 "sum_quantize(sum_prune)", "last(sum_quantize)"});
}

TEST_CASE(
    "activation functions go on with a value, sums and concats make one, and logits are not "
    "pruned") {
  const Graph graph = parse_graph(R"({"format": "lockstep-graph", "version": 1, "name": "net",
 "inputs": [{"name": "input", "shape": [4, 8, 8]}],
 "nodes": [
  {"name": "c", "op": "conv2d", "inputs": ["input"],
   "attrs": {"in_channels": 4, "out_channels": 4, "kernel_size": 1}},
  {"name": "bn", "op": "batch_norm2d", "inputs": ["c"], "attrs": {"num_features": 4}},
  {"name": "swish", "op": "hard_swish", "inputs": ["bn"]},
  {"name": "gate", "op": "sigmoid", "inputs": ["swish"]},
  {"name": "scaled", "op": "mul", "inputs": ["swish", "gate"]},
  {"name": "both", "op": "concat", "inputs": ["scaled", "input"]},
  {"name": "less", "op": "sub", "inputs": ["both", "both"]},
  {"name": "six", "op": "relu6", "inputs": ["less"]},
  {"name": "up", "op": "upsample", "inputs": ["six"], "attrs": {"scale_factor": 2}},
  {"name": "finer", "op": "upsample", "inputs": ["up"], "attrs": {"scale_factor": 2, "mode": "bilinear"}},
  {"name": "mean", "op": "adaptive_avg_pool2d", "inputs": ["finer"], "attrs": {"output_size": 1}},
  {"name": "flat", "op": "flatten", "inputs": ["mean"]},
  {"name": "fc", "op": "linear", "inputs": ["flat"], "attrs": {"in_features": 8, "out_features": 3}},
  {"name": "same", "op": "identity", "inputs": ["fc"]},
  {"name": "p", "op": "softmax", "inputs": ["same"]}],
 "outputs": ["p"]})",
                                  "net.json");
  const Graph converted = convert_graph(
      graph, {.prune_activations = PruneSpec{}, .exclude = {"gate", "scaled", "mean"}});
  CHECK(wiring(converted) == std::vector<std::string>{"c(input)",
                                                      "bn(c)",
                                                      "swish(bn)",
                                                      "swish_prune(swish)",
                                                      "swish_quantize(swish_prune)",
                                                      "gate(swish_quantize)",
                                                      "scaled(swish_quantize,gate)",
                                                      "both(scaled,input)",
                                                      "both_prune(both)",
                                                      "both_quantize(both_prune)",
                                                      "less(both_quantize,both_quantize)",
                                                      "six(less)",
                                                      "six_prune(six)",
                                                      "six_quantize(six_prune)",
                                                      "up(six_quantize)",
                                                      "finer(up)",
                                                      "finer_prune(finer)",
                                                      "finer_quantize(finer_prune)",
                                                      "mean(finer_quantize)",
                                                      "flat(mean)",
                                                      "fc(flat)",
                                                      "fc_quantize(fc)",
                                                      "same(fc_quantize)",
                                                      "p(same)"});
  CHECK(converted.outputs == std::vector<std::string>{"p"});
  const std::vector<std::string> all = wiring(convert_graph(graph, {}));
  for (const std::string node : {"gate_quantize(gate)", "scaled_quantize(scaled)",
                                 "mean_quantize(mean)", "up(six_quantize)"})
    CHECK_MESSAGE(std::ranges::count(all, node) == 1, node);
}

TEST_CASE("null switches a part off, and the output channels of a transposed weight are axis 1") {
  const ConversionPolicy weights_only = parse_policy(
      R"({"format": "lockstep-policy", "version": 1, "activations": {"quantize": null}})", "p");
  CHECK(convert_graph(float_graph(), weights_only).nodes.size() == 6);
  Graph transposed = parse_graph(
      R"({"format": "lockstep-graph", "version": 1, "name": "t",
          "inputs": [{"name": "x", "shape": [2, 3, 3]}],
          "nodes": [{"name": "up", "op": "conv_transpose2d", "inputs": ["x"],
                     "attrs": {"in_channels": 2, "out_channels": 4, "kernel_size": 2}}],
          "outputs": ["up"]})",
      "t.json");
  CHECK(convert_graph(transposed, {}).find_node("up")->weight_quantize()->channelwise == 1);
}

TEST_CASE("what cannot be converted is named") {
  const Graph converted = convert_graph(float_graph(), {});
  CHECK(contains(input_error_of([&] { convert_graph(converted, {}); }),
                 "layer 'conv': it is quantized or pruned already"));
  CHECK(contains(input_error_of([&] { convert_graph(float_graph(), {.exclude = {"cnov"}}); }),
                 "layer 'cnov' is to be excluded, but graph 'net' has no such node"));
  Graph taken = float_graph();
  taken.nodes[2].name = "bn_quantize";
  taken.nodes[3].inputs[0] = "bn_quantize";
  CHECK(
      contains(input_error_of([&] { convert_graph(taken, {}); }),
               "layer 'bn': the name 'bn_quantize', which its quantize node would get, is taken"));
}

TEST_CASE("a wrong policy is refused by member") {
  CHECK(contains(policy_error(R"("weight": {})"), "p.json: unknown \"weight\""));
  CHECK(contains(policy_error(R"("weights": {"prun": {}})"), "p.json: weights: unknown \"prun\""));
  CHECK(contains(policy_error(R"("weights": {"prune": {"sparsity": 2}})"),
                 "p.json: weights.prune: sparsity = 2"));
  CHECK(contains(policy_error(R"("activations": {"quantize": {"bias_bits": 8}})"),
                 "unknown \"bias_bits\""));
  CHECK(contains(policy_error(R"("exclude": [1])"), "exclude = 1"));
  CHECK(contains(policy_error(R"("weights": 3)"), "p.json: weights: it must be an object"));
  CHECK(contains(input_error_of([] { parse_policy(R"({"format": "x"})", "p.json"); }),
                 "it must be \"lockstep-policy\""));
}
