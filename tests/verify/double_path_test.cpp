// Layers whose float32 sums may round: LibTorch in double is the exact semantics, and where float32
// really differs the verifier finds an input that shows it.
#include "tests/support/torch_doctest.h"

#include <fmt/format.h>

#include "tests/compile/random_network.h"
#include "tests/verify/recorded.h"
#include "verify/semantics/exact_network.h"

using namespace lockstep;
using namespace lockstep::test;

namespace {

// Every value of every node, with all linear layers in double.
void check_double(const Graph& graph, const StateDict& state, const Parameters& parameters,
                  const verify::Batch& batch, std::int64_t samples) {
  const verify::ExactNetwork network(graph, parameters);
  const verify::NodeValues exact = network.evaluate(batch, samples);
  std::vector<std::string> nodes, layers;
  for (const Node& node : graph.nodes) {
    nodes.push_back(node.name);
    if (network.constants(node.name) != nullptr) layers.push_back(node.name);
  }
  const std::vector<std::vector<double>> values =
      verify::make_float_path(graph, state)->run_in_double(batch, samples, nodes, layers);
  REQUIRE(values.size() == nodes.size());
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    CAPTURE(nodes[n]);
    const verify::Format& format = network.format(nodes[n]);
    const std::vector<std::int64_t>& codes = exact.find(nodes[n])->second.codes;
    REQUIRE(values[n].size() == codes.size());
    std::size_t differing = 0;
    for (std::size_t i = 0; i < codes.size(); ++i)
      differing +=
          values[n][i] !=
          verify::value_of(format, static_cast<std::int64_t>(i) % format.element_count(), codes[i]);
    CHECK(differing == 0);
  }
}

// A linear layer of 4608 inputs with 2 outputs. Its weights are 28 to 32 in magnitude, so that a
// sum reaches 2^24 only where nearly all of its products have one sign.
Recorded aligned_network() {
  constexpr std::int64_t kInputs = 4608;
  Random random(1);
  std::vector<float> weights;
  for (std::int64_t k = 0; k < 2 * kInputs; ++k)
    weights.push_back(static_cast<float>(random.between(28, 32) * (random.chance(50) ? 1 : -1)));
  StateBuilder state;
  state.floats("fc.weight", {2, kInputs}, weights);
  state.quantize("fc.quantize.", {0}, 8);
  state.quantize("out.", {-18}, 8);
  Recorded net;
  net.graph = parse_graph(R"({"format": "lockstep-graph", "version": 1, "name": "aligned",
    "inputs": [{"name": "x", "shape": [4608], "bits": 8, "decimal": 0}],
    "nodes": [
      {"name": "fc", "op": "linear", "inputs": ["x"],
       "attrs": {"in_features": 4608, "out_features": 2, "bias": false},
       "wrap": [{"type": "quantize", "bits": 8, "channelwise": -1, "decimal_range": [-20, 20]}]},
      {"name": "out", "op": "quantize", "inputs": ["fc"],
       "attrs": {"bits": 8, "channelwise": -1, "decimal_range": [-20, 20]}}],
    "outputs": ["out"]})",
                          "aligned");
  net.state = state.take();
  net.parameters = bind_parameters(net.graph, net.state);
  return net;
}

const verify::PathReport* find_path(const verify::Report& report, const std::string& name) {
  for (const verify::PathReport& path : report.paths)
    if (path.path == name) return &path;
  return nullptr;
}

// In double off by `by` at one node.
class WrongInDouble final : public verify::FloatPath {
 public:
  WrongInDouble(FloatPath& path, std::string node, double by)
      : path_(path), node_(std::move(node)), by_(by) {}
  std::vector<std::vector<float>> run(const verify::Batch& batch, std::int64_t samples,
                                      std::span<const std::string> nodes) override {
    return path_.run(batch, samples, nodes);
  }
  std::vector<std::vector<double>> run_in_double(const verify::Batch& batch, std::int64_t samples,
                                                 std::span<const std::string> nodes,
                                                 std::span<const std::string> layers) override {
    auto values = path_.run_in_double(batch, samples, nodes, layers);
    for (std::size_t n = 0; n < nodes.size(); ++n)
      if (nodes[n] == node_) values[n].back() += by_;
    return values;
  }

 private:
  FloatPath& path_;
  std::string node_;
  double by_;
};

}  // namespace

TEST_CASE("with its sums in double, LibTorch computes what the exact semantics say") {
  for (const std::string name :
       {"bias12", "bits16_overflow24", "bn_netpq", "conv1d_wave", "cw_act_into_conv", "depthwise",
        "float_bias_default", "gan_convtranspose", "left_shift", "lenet_pt_bias20",
        "negative_decimals", "residual_add", "structured_masks", "superres_pixelshuffle"}) {
    CAPTURE(name);
    const Recorded net = read_recorded(name);
    check_double(net.graph, net.state, net.parameters, net.batch, net.samples);
  }
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    const Network net = random_network(seed);
    const Parameters parameters = bind_parameters(net.graph, net.state);
    for (int corner = 0; corner < 4; ++corner) {
      verify::Batch batch;
      const std::vector<std::vector<std::int64_t>> codes = input_codes(net.graph, seed, corner);
      for (std::size_t i = 0; i < codes.size(); ++i)
        batch.push_back({.shape = net.graph.inputs[i].shape,
                         .decimals = {static_cast<int>(net.graph.inputs[i].decimal)},
                         .codes = codes[i]});
      check_double(net.graph, net.state, parameters, batch, 1);
    }
  }
}

TEST_CASE("a sum that rounds only for aligned signs gets a witness, and agrees in double") {
  const Recorded net = aligned_network();
  const std::vector<std::byte> plan = compile_plan(net, false);
  const auto path = verify::make_float_path(net.graph, net.state);
  verify::Options options;
  options.plan = plan;
  options.float_path = path.get();
  options.random_samples = 64;
  options.witness_tries = 0;
  const verify::Report before = verify::verify_plan(net.graph, net.state, {}, options);
  CHECK(before.float32_witness.empty());
  CHECK(before.agreed);

  options.witness_tries = 256;
  const verify::Report report = verify::verify_plan(net.graph, net.state, {}, options);
  CHECK(report.samples == before.samples + 256);
  CAPTURE(report.float32_witness);
  CHECK(report.float32_witness.find("float (LibTorch): layer 'out', channel ") == 0);
  CHECK(report.float32_witness.find("(try ") != std::string::npos);
  CHECK(report.float32_witness.find("accumulator of layer 'fc', channel ") != std::string::npos);
  const verify::PathReport* const doubles = find_path(report, "float64 (LibTorch)");
  REQUIRE(doubles != nullptr);
  CHECK(doubles->samples == report.samples);
  CHECK(doubles->differing == 0);
  REQUIRE(find_path(report, "float (LibTorch)") != nullptr);
  CHECK(find_path(report, "float (LibTorch)")->differing > 0);
}

TEST_CASE("bits16_overflow24 gets a witness, and agrees in double") {
  const Recorded net = read_recorded("bits16_overflow24");
  const std::vector<std::byte> plan = compile_plan(net, true);
  const auto path = verify::make_float_path(net.graph, net.state);
  verify::Options options;
  options.plan = plan;
  options.float_path = path.get();
  options.random_samples = 1;
  const verify::Report report = verify::verify_plan(net.graph, net.state, {}, options);
  CHECK_FALSE(report.float32_witness.empty());
  const verify::PathReport* const doubles = find_path(report, "float64 (LibTorch)");
  REQUIRE(doubles != nullptr);
  CHECK(doubles->differing == 0);
}

TEST_CASE("a difference in double is a refutation, behind an unstable layer, too") {
  const Recorded net = aligned_network();
  const std::vector<std::byte> plan = compile_plan(net, false);
  const auto path = verify::make_float_path(net.graph, net.state);
  WrongInDouble wrong(*path, "out", 1e-9);
  verify::Options options;
  options.plan = plan;
  options.float_path = &wrong;
  options.random_samples = 1;
  const verify::Report report = verify::verify_plan(net.graph, net.state, {}, options);
  const auto* const refuted = std::get_if<verify::Refuted>(&report.verdict);
  REQUIRE(refuted != nullptr);
  CHECK(refuted->first_difference.find("float64 (LibTorch): layer 'out', channel 1") == 0);
}

TEST_CASE("a network whose float32 sums never round is not run in double") {
  const Recorded net = read_recorded("bias12");
  const std::vector<std::byte> plan = compile_plan(net, true);
  const auto path = verify::make_float_path(net.graph, net.state);
  verify::Options options;
  options.plan = plan;
  options.float_path = path.get();
  options.random_samples = 1;
  const verify::Report report = verify::verify_plan(net.graph, net.state, {}, options);
  CHECK(report.agreed);
  CHECK(find_path(report, "float64 (LibTorch)") == nullptr);
}
