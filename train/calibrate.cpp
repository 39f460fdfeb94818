// Post-training quantization with the layers that training uses: their schedules are set to act at
// the first forward, and one forward of all images runs in the order of the graph. So each layer
// sees what the calibrated layers before it compute, as on the chip.
#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <variant>

#include "compile/support/error.h"
#include "train/batches.h"
#include "train/datasets/dataset.h"
#include "train/device.h"
#include "train/evaluation.h"
#include "train/network.h"
#include "train/network_state.h"
#include "train/options.h"
#include "train/output_folder.h"
#include "train/plural.h"
#include "train/process_settings.h"
#include "train/progress.h"
#include "train/seed_streams.h"
#include "train/train.h"

namespace lockstep::train {
namespace {

// Prunes once, to the full sparsity, at step 0. A layer that never prunes stays one.
void act_at_once(PruneSpec& spec, std::int64_t window_size, bool prune) {
  if (!prune) spec.sparsity = 0;
  spec.start = -1;
  spec.interval = 1;
  spec.repetition = std::min<std::int64_t>(spec.repetition, 1);
  spec.window_size = window_size;
}

// Searches at step 0. A layer that never quantizes (a negative timeout) stays one.
void act_at_once(QuantizeSpec& spec, std::int64_t window_size) {
  spec.timeout = std::min<std::int64_t>(spec.timeout, 0);
  spec.interval = -1;
  spec.window_size = window_size;
}

// An activation layer looks at every image; a weight is one sample.
Graph calibration_graph(Graph graph, const CalibrateOptions& options) {
  for (Node& node : graph.nodes) {
    if (node.prune) act_at_once(*node.prune, options.images, options.prune);
    if (node.quantize) act_at_once(*node.quantize, options.images);
    for (Wrap& wrap : node.wraps) {
      if (auto* const prune = std::get_if<PruneSpec>(&wrap)) {
        act_at_once(*prune, 1, options.prune);
      } else {
        act_at_once(std::get<QuantizeSpec>(wrap), 1);
      }
    }
  }
  return graph;
}

Batch draw_images(const datasets::Dataset& dataset, const GraphInput& input,
                  const CalibrateOptions& options) {
  if (options.images > dataset.train.count())
    throw InputError(fmt::format("calibrate = {} images, but data '{}' have {} for training",
                                 options.images, dataset.source, dataset.train.count()));
  const std::vector<std::int64_t> order =
      Random(stream_seed(options.seed, SeedStream::kShuffle, 0)).permutation(dataset.train.count());
  return gather(dataset.train, input,
                std::span(order).first(static_cast<std::size_t>(options.images)));
}

// Only the quantize and prune layers learn from this forward; operators run as in use.
void run_once(Network& network, const Batch& batch) {
  const torch::NoGradGuard values_only;
  network.eval();
  for (PruneImpl* const layer : network.prune_layers()) layer->train();
  for (QuantizeImpl* const layer : network.quantize_layers()) layer->train();
  network.forward({batch.images});
}

}  // namespace

CalibrateResult calibrate_network(const Graph& graph, const CalibrateOptions& options) {
  require_options(graph, options);
  prepare_process(options.threads);
  const StateDict weights = read_state_dict(options.weights);
  const OutputFolder files(options.out);
  files.remove_states();
  Network network(calibration_graph(graph, options), options.seed);
  network.move_to(open_device(options.device));
  load_parameters(network, weights, options.weights.string());
  const GraphInput& input = network.graph().inputs.at(0);
  const datasets::Dataset dataset =
      datasets::load_dataset(options.data, input, {.seed = options.seed});
  require_class_outputs(network, dataset);
  const Batch batch = draw_images(dataset, input, options);
  files.remove_all();

  Reporter reporter(options.quiet);
  reporter.line(fmt::format("calibrating '{}' on {} of {}", graph.name,
                            counted(options.images, "image"), options.data));
  CalibrateResult result;
  result.test_images = dataset.test.count();
  result.float_accuracy = accuracy(network, dataset.test);
  run_once(network, batch);
  for (const std::string& event : network.events()) reporter.line(event);
  result.test_accuracy = accuracy(network, dataset.test);
  reporter.line(fmt::format("test accuracy {:.2f} % in float, {:.2f} % calibrated",
                            100 * result.float_accuracy, 100 * result.test_accuracy));
  write_states(to_state_dict(network), files.state_pt, files.state_safetensors);
  reporter.line(
      fmt::format("wrote {} and {}", files.state_pt.string(), files.state_safetensors.string()));
  return result;
}

}  // namespace lockstep::train
