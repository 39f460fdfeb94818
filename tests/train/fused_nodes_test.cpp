// Without an observer a network runs prune, quantize and relu nodes in one pass. Two copies of a
// network are trained side by side, one observed and one not: they must agree in every bit, at
// every step of the schedules.
#include <fmt/format.h>

#include <cstring>

#include "compile/graph/graph.h"
#include "tests/support/input_error.h"
#include "tests/support/torch_doctest.h"
#include "train/freeze_guard.h"
#include "train/network.h"
#include "train/network_state.h"

using lockstep::Graph;
using lockstep::Node;
using lockstep::parse_graph;
using lockstep::train::Network;

namespace {

bool same_bits(const torch::Tensor& a, const torch::Tensor& b) {
  const torch::Tensor first = a.detach().contiguous(), second = b.detach().contiguous();
  return first.sizes() == second.sizes() && first.dtype() == second.dtype() &&
         std::memcmp(first.data_ptr(), second.data_ptr(), first.nbytes()) == 0;
}

// `prune` and `quantize` are more fields of the nodes' attributes.
std::string graph_text(const std::string& prune, const std::string& quantize,
                       const std::string& outputs) {
  return fmt::format(R"({{"format": "lockstep-graph", "version": 1, "name": "fused",
 "inputs": [{{"name": "input", "shape": [2, 9, 9], "bits": 8, "decimal": 5}}],
 "nodes": [
  {{"name": "conv", "op": "conv2d", "inputs": ["input"],
   "attrs": {{"in_channels": 2, "out_channels": 6, "kernel_size": [3, 3]}},
   "wrap": [{{"type": "prune", "start": 2, "interval": 2, "repetition": 2}},
            {{"type": "quantize", "channelwise": 1, "timeout": 7, "bias_bits": 12}}]}},
  {{"name": "thin", "op": "prune", "inputs": ["conv"],
   "attrs": {{"start": 3, "interval": 2, "repetition": 3, "window_size": 4{}}}}},
  {{"name": "code", "op": "quantize", "inputs": ["thin"],
   "attrs": {{"timeout": 8, "window_size": 3{}}}}},
  {{"name": "relu", "op": "relu", "inputs": ["code"]}},
  {{"name": "flat", "op": "flatten", "inputs": ["relu"]}},
  {{"name": "fc", "op": "linear", "inputs": ["flat"], "attrs": {{"in_features": 294, "out_features": 5}},
   "wrap": [{{"type": "quantize", "channelwise": 0, "timeout": 6}},
            {{"type": "prune", "start": 1, "interval": 3, "repetition": 2}}]}},
  {{"name": "relu2", "op": "relu", "inputs": ["fc"]}},
  {{"name": "code2", "op": "quantize", "inputs": ["relu2"], "attrs": {{"channelwise": -1, "timeout": 9}}}},
  {{"name": "thin2", "op": "prune", "inputs": ["code2"],
   "attrs": {{"start": 3, "interval": 2, "repetition": 3}}}}],
 "outputs": [{}]}})",
                     prune, quantize, outputs);
}

// The same with the relu before the prune node.
std::string relu_first(std::string text) {
  const auto replace = [&](const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
  };
  const std::string relu = R"({"name": "relu", "op": "relu", "inputs": ["code"]},)";
  replace(relu, "");
  replace(R"({"name": "thin", "op": "prune", "inputs": ["conv"])",
          R"({"name": "relu", "op": "relu", "inputs": ["conv"]},
  {"name": "thin", "op": "prune", "inputs": ["relu"])");
  replace(R"("inputs": ["relu"]},
  {"name": "fc")",
          R"("inputs": ["code"]},
  {"name": "fc")");
  return text;
}

struct Copy {
  explicit Copy(const Graph& graph) : network(graph, 5) {}

  // Forward, backward, and a step of plain gradient descent.
  torch::Tensor step(const torch::Tensor& x, const Network::Observer& observe) {
    network.zero_grad(true);
    const torch::Tensor input = x.clone().set_requires_grad(true);
    const std::vector<torch::Tensor> outputs = network.forward({input}, observe);
    torch::Tensor loss = torch::zeros({});
    for (const torch::Tensor& y : outputs) loss = loss + (y * y).sum();
    loss.backward();
    const torch::NoGradGuard values_only;
    for (const auto& [key, tensor] : network.trainable())
      if (tensor.grad().defined()) tensor.sub_(tensor.grad() * 1e-4);
    return torch::cat({outputs[0].reshape(-1), input.grad().reshape(-1)});
  }

  Network network;
};

void compare(const std::string& text, bool freeze) {
  const Graph graph = parse_graph(text, "test");
  Copy fused(graph), observed(graph);
  std::size_t seen = 0;
  const auto look = [&](const Node&, const torch::Tensor&) { ++seen; };
  torch::manual_seed(31);
  for (int step = 0; step < 16; ++step) {
    CAPTURE(step);
    fused.network.train(step != 5 && step != 12);  // eval mode in between
    observed.network.train(step != 5 && step != 12);
    const torch::Tensor x = torch::randint(-128, 128, {3, 2, 9, 9}).to(torch::kFloat32) / 32;
    if (freeze && step % 3 == 2) {
      const lockstep::train::FreezeGuard frozen;
      CHECK(same_bits(fused.network.forward({x})[0], observed.network.forward({x}, look)[0]));
    }
    CHECK(same_bits(fused.step(x, {}), observed.step(x, look)));
    CHECK(fused.network.events() == observed.network.events());
    const auto ours = fused.network.state(), theirs = observed.network.state();
    REQUIRE(ours.size() == theirs.size());
    for (std::size_t i = 0; i < ours.size(); ++i) {
      CAPTURE(ours[i].key);
      CHECK(same_bits(ours[i].tensor, theirs[i].tensor));
    }
  }
  CHECK(seen > 0);
  CHECK(fused.network.events().size() > 5);
}

}  // namespace

TEST_CASE("fused nodes have the values, gradients, states and lines of the nodes one by one") {
  compare(graph_text("", "", "\"thin2\""), false);
  compare(graph_text("", R"(, "channelwise": -1)", "\"thin2\""), true);
  compare(graph_text(R"(, "callback": {"structured": [0]})", R"(, "interval": 3)", "\"thin2\""),
          true);
  compare(graph_text(R"(, "sparsity": 0)", R"(, "rounding": "half_even")", "\"thin2\""), true);
}

TEST_CASE("a relu before them is fused, too") {
  compare(relu_first(graph_text("", "", "\"thin2\"")), true);
  compare(relu_first(graph_text(R"(, "strict": false)", R"(, "channelwise": -1, "interval": 2)",
                                "\"thin2\"")),
          false);
  compare(relu_first(graph_text("", "", "\"thin2\", \"relu\"")), false);
}

TEST_CASE("an error names the value that Q gets, behind relu and mask") {
  Network network(parse_graph(relu_first(graph_text("", "", "\"thin2\"")), "test"), 5);
  network.train();
  const torch::Tensor x = torch::rand({3, 2, 9, 9});
  for (int step = 0; step < 12; ++step) network.forward({x});
  const auto error = [&](const Network::Observer& observe) {
    return lockstep::test::input_error_of([&] {
      const lockstep::train::FreezeGuard frozen;
      network.forward({x * 1e20f - 1e30f * (x < 0.1f).to(torch::kFloat32)}, observe);
    });
  };
  const std::string fused = error({});
  CHECK(fused == error([](const Node&, const torch::Tensor&) {}));
  CHECK(lockstep::test::contains(fused, "layer 'code': value "));
}

TEST_CASE("a value that is an output, or that two nodes read, is not fused away") {
  compare(graph_text("", "", "\"thin2\", \"thin\""), false);
  compare(graph_text("", "", "\"thin2\", \"code\", \"relu2\""), true);
  std::string text = graph_text("", "", "\"thin2\", \"twice\"");
  text.insert(text.rfind("}],\n \"outputs\"") + 1,
              R"(, {"name": "twice", "op": "add", "inputs": ["code", "thin"]})");
  compare(text, true);
}
