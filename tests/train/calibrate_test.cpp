// Post-training quantization: a network trained in float keeps its accuracy when its decimals are
// only searched, layer by layer on what the layers before it compute.
#include <algorithm>
#include <cmath>
#include <fstream>

#include "compile/checkpoint/parameters.h"
#include "compile/support/error.h"
#include "tests/support/input_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/torch_doctest.h"
#include "train/network_state.h"
#include "train/train.h"

using lockstep::Graph;
using lockstep::StateDict;
using lockstep::test::contains;
using lockstep::test::input_error_of;
using lockstep::test::TemporaryFolder;
using lockstep::train::calibrate_network;
using lockstep::train::CalibrateOptions;
using lockstep::train::CalibrateResult;

namespace {

constexpr const char* kGraph = R"({"format": "lockstep-graph", "version": 1, "name": "small",
 "inputs": [{"name": "input", "shape": [1, 8, 8], "bits": 8, "decimal": 7}],
 "nodes": [
  {"name": "conv", "op": "conv2d", "inputs": ["input"],
   "attrs": {"in_channels": 1, "out_channels": 4, "kernel_size": [3, 3]},
   "wrap": [{"type": "prune", "sparsity": 0.25},
            {"type": "quantize", "channelwise": 0, "bias_bits": 12}]},
  {"name": "thin", "op": "prune", "inputs": ["conv"], "attrs": {"sparsity": 0.25}},
  {"name": "code", "op": "quantize", "inputs": ["thin"], "attrs": {"channelwise": -1}},
  {"name": "relu", "op": "relu", "inputs": ["code"]},
  {"name": "flat", "op": "flatten", "inputs": ["relu"]},
  {"name": "drop", "op": "dropout", "inputs": ["flat"], "attrs": {"p": 0.5}},
  {"name": "fc", "op": "linear", "inputs": ["drop"],
   "attrs": {"in_features": 144, "out_features": 10, "bias": false},
   "wrap": [{"type": "quantize", "channelwise": 0}]},
  {"name": "logits", "op": "quantize", "inputs": ["fc"], "attrs": {"channelwise": -1}}],
 "outputs": ["logits"]})";

Graph graph() { return lockstep::parse_graph(kGraph, "small"); }

// Weights and biases of the same network trained in float: its schedules lie behind its end.
StateDict float_weights(const std::filesystem::path& folder) {
  lockstep::train::TrainOptions options;
  options.data = "synthetic";
  options.out = folder;
  options.recipe.epochs = 4;
  options.recipe.optimizer.learning_rate = 0.005;
  options.threads = 1;
  options.quiet = true;
  lockstep::train::train_network(graph(), options);
  StateDict weights;
  const StateDict trained = lockstep::read_state_dict(folder / "state.pt");
  for (const char* const key : {"conv.weight", "conv.bias", "fc.weight"})
    weights.add(key, trained.at(key));
  return weights;
}

struct Setup {
  Setup() {
    lockstep::train::write_pt(folder / "float.pt", float_weights(folder / "float"));
    options.data = "synthetic";
    options.weights = folder / "float.pt";
    options.images = 200;
    options.out = folder / "out";
    options.threads = 1;
    options.quiet = true;
  }
  CalibrateResult run() const { return calibrate_network(graph(), options); }
  StateDict state() const {
    return lockstep::read_state_dict(folder / "out" / "state.safetensors");
  }
  std::string refusal(const StateDict& weights) const {
    lockstep::train::write_pt(folder / "changed.pt", weights);
    CalibrateOptions changed = options;
    changed.weights = folder / "changed.pt";
    return input_error_of([&] { calibrate_network(graph(), changed); });
  }
  TemporaryFolder folder;
  CalibrateOptions options;
};

std::int64_t pruned(const lockstep::Tensor& mask) {
  std::int64_t count = 0;
  for (const std::uint8_t keep : mask.bools("mask")) count += keep == 0 ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("calibrated to 8 bits, a float network keeps its accuracy within a point") {
  Setup setup;
  setup.options.prune = false;
  const CalibrateResult result = setup.run();
  CAPTURE(result.float_accuracy);
  CAPTURE(result.test_accuracy);
  CHECK(result.test_images == 600);
  CHECK(result.float_accuracy > 0.8);  // of ten classes
  CHECK(result.test_accuracy > result.float_accuracy - 0.01);
  const StateDict state = setup.state();
  CHECK(lockstep::bind_parameters(graph(), state).nodes.size() == graph().nodes.size());
  CHECK(pruned(state.at("conv.prune.mask")) == 0);
  CHECK(pruned(state.at("thin.mask")) == 0);
  // The float weights themselves stay what they were.
  const StateDict weights = lockstep::read_state_dict(setup.options.weights);
  for (const auto& [key, tensor] : weights.entries()) {
    CAPTURE(key);
    CHECK(state.at(key).floats(key) == tensor.floats(key));
  }
}

TEST_CASE("calibration prunes by magnitude as much as the graph says") {
  const Setup setup;
  const CalibrateResult result = setup.run();
  CAPTURE(result.test_accuracy);
  CHECK(result.test_accuracy > 0.5);  // of ten classes
  const StateDict state = setup.state();
  CHECK(lockstep::bind_parameters(graph(), state).nodes.size() == graph().nodes.size());
  // QSPARSE prunes int(0.25 * n - 1) of n elements.
  CHECK(pruned(state.at("conv.prune.mask")) == 8);
  CHECK(pruned(state.at("thin.mask")) == 35);
  // The smallest weights are those that went.
  const std::vector<float> weight = state.at("conv.weight").floats("weight");
  const std::vector<std::uint8_t> mask = state.at("conv.prune.mask").bools("mask");
  float largest_pruned = 0, smallest_kept = INFINITY;
  for (std::size_t i = 0; i < weight.size(); ++i) {
    float& limit = mask[i] != 0 ? smallest_kept : largest_pruned;
    limit = mask[i] != 0 ? std::min(limit, std::fabs(weight[i]))
                         : std::max(limit, std::fabs(weight[i]));
  }
  CHECK(largest_pruned < smallest_kept);
}

TEST_CASE("each weight's decimal has the least squared error of all") {
  const Setup setup;
  setup.run();
  const StateDict state = setup.state();
  const std::vector<float> weight = state.at("fc.weight").floats("weight");
  const std::vector<float> decimals = state.at("fc.quantize.decimal").floats("decimal");
  REQUIRE(decimals.size() == 10);
  for (std::size_t o = 0; o < 10; ++o) {
    CAPTURE(o);
    const auto error = [&](int decimal) {
      double sum = 0;
      for (std::size_t i = o * 144; i < (o + 1) * 144; ++i) {
        const double code = std::clamp(
            std::trunc(std::ldexp(static_cast<double>(weight[i]), decimal)), -128.0, 127.0);
        sum += std::pow(weight[i] - std::ldexp(code, -decimal), 2);
      }
      return sum;
    };
    for (int other = 0; other < 20; ++other)
      CHECK(error(static_cast<int>(decimals[o])) <= error(other) * 1.0001);
  }
}

TEST_CASE("two calibrations are the same bits, whatever the folder held before") {
  const Setup setup;
  setup.run();
  const auto first = lockstep::to_safetensors(setup.state());
  std::ofstream(setup.folder / "out" / "checkpoint.pt") << "old";
  setup.run();
  const bool same = lockstep::to_safetensors(setup.state()) == first;
  CHECK(same);
  CHECK(!std::filesystem::exists(setup.folder / "out" / "checkpoint.pt"));
}

TEST_CASE("a calibrated state can be trained on from") {
  const Setup setup;
  setup.run();
  lockstep::train::TrainOptions options;
  options.data = "synthetic";
  options.weights = setup.folder / "out" / "state.pt";
  options.out = setup.folder / "tuned";
  options.recipe.optimizer.learning_rate = 1e-9;  // stays where it starts
  options.threads = 1;
  options.quiet = true;
  CHECK(lockstep::train::train_network(graph(), options).test_accuracy > 0.8);
}

TEST_CASE("what cannot be calibrated is refused by name") {
  Setup setup;
  const StateDict good = lockstep::read_state_dict(setup.options.weights);
  StateDict missing, extra, broken;
  for (const auto& [key, tensor] : good.entries()) {
    if (key != "conv.bias") missing.add(key, tensor);
    extra.add(key, tensor);
    lockstep::Tensor changed = tensor;
    if (key == "fc.weight") {  // the bits of NaN
      changed.bytes[2] = std::byte{0xc0};
      changed.bytes[3] = std::byte{0x7f};
    }
    broken.add(key, changed);
  }
  extra.add("fc2.weight", good.at("fc.weight"));
  CHECK(contains(setup.refusal(missing), "changed.pt: the key 'conv.bias' is missing"));
  CHECK(contains(setup.refusal(extra), "changed.pt: the network has no 'fc2.weight'"));
  CHECK(contains(setup.refusal(broken), "'fc.weight' holds nan, not a finite number"));
  const auto refused = [&](auto change) {
    CalibrateOptions changed = setup.options;
    change(changed);
    return input_error_of([&] { calibrate_network(graph(), changed); });
  };
  CHECK(contains(refused([](CalibrateOptions& o) { o.images = 0; }), "calibrate = 0 images"));
  CHECK(contains(refused([](CalibrateOptions& o) { o.images = 3001; }),
                 "calibrate = 3001 images, but data 'synthetic' have 3000 for training"));
  CHECK(contains(refused([](CalibrateOptions& o) { o.weights.clear(); }), "needs the weights"));
  CHECK(contains(refused([](CalibrateOptions& o) { o.weights = "none.pt"; }), "none.pt"));
  CHECK(contains(refused([](CalibrateOptions& o) { o.out = o.weights.parent_path(); }),
                 "float.pt: these weights lie in the output folder"));
  CHECK(std::filesystem::exists(setup.options.weights));
  CHECK(contains(refused([](CalibrateOptions& o) { o.device = "cuda:x"; }),
                 "device 'cuda:x' is unknown"));
}
