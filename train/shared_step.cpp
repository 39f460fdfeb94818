#include "train/shared_step.h"

#include <fmt/format.h>

#include <algorithm>

#include "compile/support/error.h"
#include "train/plural.h"
#include "train/shares.h"

namespace lockstep::train {
namespace {

// Counts travel as float32, which holds them exactly up to here.
constexpr std::int64_t kMostImages = std::int64_t{1} << 24;

void require_images(std::int64_t batch, std::int64_t processes, const std::string& which) {
  if (batch < processes)
    throw InputError(fmt::format("{} has {}, too few for {} processes: each needs one", which,
                                 counted(batch, "image"), processes));
}

}  // namespace

void require_shareable(const Graph& graph, std::int64_t batch_size, std::int64_t train_images,
                       std::int64_t processes) {
  const std::int64_t rest = train_images % batch_size;
  require_images(std::min(batch_size, train_images), processes,
                 fmt::format("a batch (batch_size = {})", batch_size));
  if (rest > 0)
    require_images(rest, processes,
                   fmt::format("the last batch of an epoch (batch_size = {}, {})", batch_size,
                               counted(train_images, "training image")));
  if (batch_size > kMostImages)
    throw InputError(fmt::format("batch_size = {}, but {} processes share at most {}", batch_size,
                                 processes, kMostImages));
  require_shareable_layers(graph);
}

SharedBatch::Head head_of_shared_batch(ProcessGroup& group, std::int64_t whole_count) {
  return [&group, whole_count](const torch::Tensor& part, std::int64_t count) {
    std::vector<std::int64_t> shape = part.sizes().vec();
    shape[0] = std::min(count, whole_count);
    torch::Tensor head = torch::empty(shape, torch::kFloat32);
    const auto row = static_cast<std::size_t>(head.numel() / shape[0]);
    for (std::int64_t rank = 0; rank < group.size(); ++rank) {
      const Share share = share_of(whole_count, rank, group.size());
      const std::int64_t rows = std::min(share.count, shape[0] - share.begin);
      if (rows <= 0) break;
      torch::Tensor piece = head.narrow(0, share.begin, rows);
      if (rank == group.rank()) piece.copy_(part.narrow(0, 0, rows));
      group.broadcast({piece.data_ptr<float>(), static_cast<std::size_t>(rows) * row}, rank);
    }
    return head.to(part.device());
  };
}

SharedStep::SharedStep(ProcessGroup& group, const Network& network,
                       const std::vector<std::pair<std::string, torch::Tensor>>& trainable)
    : group_(group), trainable_(trainable) {
  for (const StateEntry& entry : network.state())
    if (!entry.is_learnt && !entry.tensor.requires_grad() && entry.tensor.is_floating_point())
      statistics_.push_back(entry.tensor);
  for (const Node& node : network.graph().nodes) {
    const SparseModule* const layer = network.wrapped_layer(node.name);
    if (layer == nullptr) continue;
    if (layer->quantizer()) quantized_.emplace_back(layer->weight, layer->quantizer().get());
    if (layer->bias_quantizer() && layer->bias.defined())
      quantized_.emplace_back(layer->bias, layer->bias_quantizer().get());
  }
}

// With a mask before or behind the quantizer it makes no difference that this comes last.
void SharedStep::clamp_gradients() {
  for (auto& [tensor, quantizer] : quantized_)
    if (tensor.grad().defined())
      tensor.mutable_grad().copy_(quantizer->clamped_gradient(tensor.grad()));
}

SharedStep::Figures SharedStep::exchange(double weight, const Figures& mine) {
  const torch::NoGradGuard values_only;
  buffer_.clear();
  const auto append = [&](const torch::Tensor& tensor) {
    const torch::Tensor values = tensor.to(torch::kCPU).contiguous();
    buffer_.insert(buffer_.end(), values.data_ptr<float>(),
                   values.data_ptr<float>() + values.numel());
  };
  for (const auto& [key, tensor] : trainable_)
    append(tensor.grad().defined() ? tensor.grad() : torch::zeros_like(tensor));
  for (const torch::Tensor& tensor : statistics_) append(tensor * weight);
  for (const auto& [key, tensor] : trainable_)
    buffer_.push_back(tensor.grad().defined() ? 1.0f : 0.0f);
  buffer_.push_back(static_cast<float>(mine.loss));
  buffer_.push_back(static_cast<float>(mine.correct));
  buffer_.push_back(mine.interrupted ? 1.0f : 0.0f);

  group_.sum(buffer_);

  const float* next = buffer_.data();
  const auto take = [&](const torch::Tensor& like) {
    const torch::Tensor values = torch::from_blob(const_cast<float*>(next), like.sizes());
    next += like.numel();
    return values;
  };
  std::vector<torch::Tensor> gradients;
  for (const auto& [key, tensor] : trainable_) gradients.push_back(take(tensor));
  for (torch::Tensor& tensor : statistics_) tensor.copy_(take(tensor));
  for (std::size_t i = 0; i < trainable_.size(); ++i) {
    const bool exists = *next++ > 0;
    if (!exists) continue;
    torch::Tensor& gradient = trainable_[i].second.mutable_grad();
    if (gradient.defined())
      gradient.copy_(gradients[i]);
    else
      gradient = gradients[i].to(trainable_[i].second.device(), torch::kFloat32, false, true);
  }
  clamp_gradients();
  Figures all;
  all.loss = *next++;
  all.correct = static_cast<std::int64_t>(*next++);
  all.interrupted = *next++ > 0;
  return all;
}

}  // namespace lockstep::train
