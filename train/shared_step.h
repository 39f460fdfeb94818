// A training step whose batch is shared out among the processes of a group: what they exchange, so
// that each of them then does what one process with the whole batch would have done.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "compile/graph/graph.h"
#include "train/batch_head.h"
#include "train/network.h"
#include "train/process_group.h"

namespace lockstep::train {

// InputError for layers that would decide otherwise on a part of a batch, and for a batch with
// fewer images than there are processes. `train_images` make an epoch.
void require_shareable(const Graph& graph, std::int64_t batch_size, std::int64_t train_images,
                       std::int64_t processes);

// Over all processes the first samples of a batch of `whole_count`: the same bits on each.
SharedBatch::Head head_of_shared_batch(ProcessGroup& group, std::int64_t whole_count);

class SharedStep {
 public:
  // All must outlive it. `trainable` are the network's.
  SharedStep(ProcessGroup& group, const Network& network,
             const std::vector<std::pair<std::string, torch::Tensor>>& trainable);

  // Of a process in, of all out: `loss` is this process's share of the batch's mean.
  struct Figures {
    double loss = 0;
    std::int64_t correct = 0;
    bool interrupted = false;  // on any
  };
  // One exchange, after a forward under a SharedBatch and the backward. The gradients, of the
  // shares of the mean loss, become those of the mean; where no process has one, none is made. The
  // running statistics of batch norms become the processes' mean weighted by `weight`, the share of
  // the batch's images.
  Figures exchange(double weight, const Figures& mine);

 private:
  void clamp_gradients();

  ProcessGroup& group_;
  const std::vector<std::pair<std::string, torch::Tensor>>& trainable_;
  std::vector<torch::Tensor> statistics_;
  std::vector<std::pair<torch::Tensor, const QuantizeImpl*>> quantized_;  // weights and biases
  std::vector<float> buffer_;  // gradients, statistics, how many have each gradient, figures
};

}  // namespace lockstep::train
