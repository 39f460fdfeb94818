#include "train/evaluation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "compile/support/error.h"
#include "train/freeze_guard.h"
#include "train/plain_number.h"

namespace lockstep::train {
namespace {

constexpr std::int64_t kBatch = 500;

}  // namespace

std::map<std::string, std::vector<std::int64_t>> value_shapes(Network& network) {
  const FreezeGuard frozen;
  const torch::NoGradGuard values_only;
  const bool was_training = network.is_training();
  network.eval();
  std::vector<torch::Tensor> inputs;
  for (const GraphInput& input : network.graph().inputs) {
    std::vector<std::int64_t> shape = {1};
    shape.insert(shape.end(), input.shape.begin(), input.shape.end());
    inputs.push_back(torch::zeros(shape, torch::kFloat32));
  }
  std::map<std::string, std::vector<std::int64_t>> shapes;
  network.forward(inputs, [&](const Node& node, const torch::Tensor& value) {
    shapes[node.name] = value.sizes().vec();
  });
  network.train(was_training);
  return shapes;
}

void require_class_outputs(Network& network, const datasets::Dataset& dataset) {
  const std::string& output = network.class_scores_name();
  const std::vector<std::int64_t> shape = value_shapes(network).at(output);
  if (shape.size() != 2)
    throw InputError(
        fmt::format("layer '{}': the first output has shape [{}]; training needs one value "
                    "per class",
                    output, fmt::join(std::span(shape).subspan(1), ", ")));
  const auto require_labels = [&](const char* part, const datasets::Images& images) {
    for (std::size_t i = 0; i < images.labels.size(); ++i)
      if (images.labels[i] >= shape[1])
        throw InputError(
            fmt::format("data '{}': label {} of the {} images is {}, but layer '{}' has {} "
                        "outputs, for the labels 0 to {}",
                        dataset.source, i, part, images.labels[i], output, shape[1], shape[1] - 1));
  };
  require_labels("training", dataset.train);
  require_labels("test", dataset.test);
}

std::int64_t count_correct(const torch::Tensor& logits, std::span<const std::int64_t> labels) {
  const torch::Tensor rows = logits.detach().to(torch::kCPU).contiguous();
  const std::int64_t classes = rows.size(1);
  const float* row = rows.data_ptr<float>();
  std::int64_t correct = 0;
  for (const std::int64_t label : labels) {
    correct += std::max_element(row, row + classes) - row == label ? 1 : 0;
    row += classes;
  }
  return correct;
}

std::int64_t count_recognized(Network& network, const datasets::Images& images, Share share) {
  const FreezeGuard frozen;
  const torch::NoGradGuard values_only;
  network.eval();
  std::vector<std::int64_t> all(static_cast<std::size_t>(images.count()));
  std::iota(all.begin(), all.end(), std::int64_t{0});
  std::int64_t correct = 0;
  const std::int64_t end = share.begin + share.count;
  for (std::int64_t begin = share.begin; begin < end; begin += kBatch) {
    const std::int64_t count = std::min(kBatch, end - begin);
    const Batch batch = gather(
        images, network.graph().inputs.at(0),
        std::span(all).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count)));
    correct += count_correct(network.class_scores({batch.images}), batch.labels);
  }
  return correct;
}

double accuracy(Network& network, const datasets::Images& images) {
  LOCKSTEP_ASSERT(images.count() > 0);
  const std::int64_t correct = count_recognized(network, images, {0, images.count()});
  return static_cast<double>(correct) / static_cast<double>(images.count());
}

void explain_bad_loss(Network& network, const Batch& batch, double loss, std::int64_t step) {
  const FreezeGuard frozen;
  const torch::NoGradGuard values_only;
  network.forward({batch.images}, [&](const Node& node, const torch::Tensor& value) {
    if (value.isfinite().all().item<bool>()) return;
    const torch::Tensor bad = value.masked_select(value.isfinite().logical_not());
    throw InputError(fmt::format("layer '{}': value {} in step {}; a lower learning rate may help",
                                 node.name, without_nan_sign(bad[0].item<float>()), step));
  });
  throw InputError(
      fmt::format("layer '{}': the loss is {} in step {}; a lower learning rate may "
                  "help",
                  network.graph().outputs.at(0), without_nan_sign(loss), step));
}

}  // namespace lockstep::train
