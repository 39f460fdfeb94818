// Folding batch norms: the same function as LibTorch computes with them, and what is refused.
#include "train/fuse_batch_norm.h"

#include <fmt/format.h>

#include "tests/support/input_error.h"
#include "tests/support/torch_doctest.h"
#include "train/network_state.h"

using namespace lockstep;
using test::contains;
using test::input_error_of;
using train::fuse_batch_norm;
using train::FusedNetwork;
using train::Network;

namespace {

Graph graph_of(const std::string& shape, const std::string& nodes, const std::string& output) {
  return parse_graph(fmt::format(R"({{"format": "lockstep-graph", "version": 1, "name": "g",
                  "inputs": [{{"name": "x", "shape": {}}}], "nodes": [{}], "outputs": ["{}"]}})",
                                 shape, nodes, output),
                     "g.json");
}

std::string layer(const std::string& name, const std::string& op, const std::string& input,
                  const std::string& attributes, const std::string& more = "") {
  return fmt::format(R"({{"name": "{}", "op": "{}", "inputs": ["{}"], "attrs": {{{}}}{}}})", name,
                     op, input, attributes, more);
}

// With statistics and scales as training might leave them.
void randomize(Network& network) {
  const torch::NoGradGuard values_only;
  for (const train::StateEntry& entry : network.state()) {
    torch::Tensor tensor = entry.tensor;
    if (tensor.scalar_type() == torch::kFloat32)
      tensor.copy_(entry.key.ends_with("running_var") ? torch::rand(tensor.sizes()) + 0.1
                                                      : torch::randn(tensor.sizes()));
  }
}

torch::Tensor evaluate(Network& network, const torch::Tensor& x) {
  const torch::NoGradGuard values_only;
  network.eval();
  return network.forward({x}).at(0);
}

// Folds every batch norm of the graph and compares what both compute.
FusedNetwork check_fold(const Graph& graph, const std::vector<std::string>& folded) {
  Network original(graph, 1);
  randomize(original);
  FusedNetwork fused = fuse_batch_norm(graph, train::to_state_dict(original));
  CHECK(fused.folded == folded);
  Network network(fused.graph, 2);
  train::load_state(network, fused.state, "fused");
  std::vector<std::int64_t> shape = {3};
  shape.insert(shape.end(), graph.inputs[0].shape.begin(), graph.inputs[0].shape.end());
  const torch::Tensor x = torch::randn(shape);
  CHECK(torch::allclose(evaluate(network, x), evaluate(original, x), 1e-4, 1e-5));
  return fused;
}

const std::string kConv = R"("in_channels": 4, "out_channels": 6, "kernel_size": )";

}  // namespace

TEST_CASE("the folded network computes what the one with batch norms does") {
  for (const std::string bias : {"true", "false"}) {
    const std::string more = fmt::format(R"(, "groups": 2, "bias": {})", bias);
    check_fold(graph_of("[4, 5, 5]",
                        layer("c", "conv2d", "x", kConv + "3" + more) + "," +
                            layer("n", "batch_norm2d", "c", R"("num_features": 6)"),
                        "n"),
               {"n"});
    check_fold(graph_of("[4, 5, 5]",
                        layer("c", "conv_transpose2d", "x", kConv + "[2, 3]" + more) + "," +
                            layer("n", "batch_norm2d", "c", R"("num_features": 6, "eps": 0.01)"),
                        "n"),
               {"n"});
    check_fold(graph_of("[4, 7]",
                        layer("c", "conv1d", "x", kConv + "3" + more) + "," +
                            layer("n", "batch_norm1d", "c", R"("num_features": 6)"),
                        "n"),
               {"n"});
    check_fold(
        graph_of("[4]",
                 layer("c", "linear", "x",
                       fmt::format(R"("in_features": 4, "out_features": 6, "bias": {})", bias)) +
                     "," + layer("n", "batch_norm1d", "c", R"("num_features": 6)") + "," +
                     layer("m", "batch_norm1d", "n", R"("num_features": 6)"),
                 "m"),
        {"n", "m"});
  }
}

TEST_CASE("a new bias comes behind its weight, and readers read the layer") {
  const FusedNetwork fused =
      check_fold(graph_of("[4, 5, 5]",
                          layer("c", "conv2d", "x", kConv + R"(3, "bias": false)") + "," +
                              layer("n", "batch_norm2d", "c", R"("num_features": 6)") + "," +
                              layer("r", "relu", "n", ""),
                          "r"),
                 {"n"});
  std::vector<std::string> keys;
  for (const auto& [key, tensor] : fused.state.entries()) keys.push_back(key);
  CHECK(keys == std::vector<std::string>{"c.weight", "c.bias"});
  CHECK(fused.graph.find_node("r")->inputs == std::vector<std::string>{"c"});
}

TEST_CASE("a batch norm that no layer alone feeds stays") {
  const std::string norm = layer("n", "batch_norm2d", "c", R"("num_features": 6)");
  const std::string conv = layer("c", "conv2d", "x", kConv + "3");
  check_fold(graph_of("[6, 5, 5]", layer("n", "batch_norm2d", "x", R"("num_features": 6)"), "n"),
             {});
  check_fold(
      graph_of("[4, 5, 5]",
               conv + "," + norm + "," + R"({"name": "s", "op": "add", "inputs": ["n", "c"]})",
               "s"),
      {});
  // The channels of the batch norm are rows of the linear layer.
  check_fold(graph_of("[3, 4]",
                      layer("c", "linear", "x", R"("in_features": 4, "out_features": 6)") + "," +
                          layer("n", "batch_norm1d", "c", R"("num_features": 3)"),
                      "n"),
             {});
}

TEST_CASE("a layer that is quantized already, a missing key and a wrong shape are refused") {
  const Graph graph =
      graph_of("[4, 5, 5]",
               layer("c", "conv2d", "x", kConv + "3", R"(, "wrap": [{"type": "quantize"}])") + "," +
                   layer("n", "batch_norm2d", "c", R"("num_features": 6)"),
               "n");
  Network network(graph, 1);
  const StateDict fresh = train::to_state_dict(network);
  CHECK(fuse_batch_norm(graph, fresh).folded.size() == 1);
  network.forward({torch::rand({1, 4, 5, 5})});
  CHECK(
      contains(input_error_of([&] { fuse_batch_norm(graph, train::to_state_dict(network)); }),
               "layer 'c': 'c.quantize._n_updates' shows that its weight was pruned or quantized"));
  const auto without = [&](const std::string& gone, const Tensor* instead) {
    StateDict state("s.pt");
    for (const auto& [key, tensor] : fresh.entries())
      if (key != gone)
        state.add(key, tensor);
      else if (instead != nullptr)
        state.add(key, *instead);
    return input_error_of([&] { fuse_batch_norm(graph, state); });
  };
  CHECK(contains(without("n.running_var", nullptr), "n.running_var"));
  CHECK(contains(without("n.running_var", &fresh.at("c.weight")),
                 "layer 'n': 'n.running_var' has shape [6, 4, 3, 3], but it must be [6]"));
}
