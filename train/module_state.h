// The state dict of a module: the same keys in the same order as PyTorch gives the same module in
// Python.
#pragma once

#include <torch/nn/module.h>

#include <string>
#include <vector>

#include "compile/checkpoint/state_dict.h"

namespace lockstep::train {

// One entry; the tensor shares memory with the module.
struct StateEntry {
  std::string key;
  torch::Tensor tensor;
  // Of a quantize or prune layer: int32 -1 until the layer has seen data, and of any shape after.
  bool is_learnt = false;
  // Of a learnt entry whose shape is known before: the sizes that a file's must have; those of a
  // mask may also be 1. Empty: any.
  std::vector<std::int64_t> sizes = {};
};

// Each module's parameters, then its buffers, then its children's entries. Keys are module paths;
// `prefix` comes before them, with a dot unless it is empty.
std::vector<StateEntry> state_entries(const torch::nn::Module& module,
                                      const std::string& prefix = {});

// The entries, copied, in order.
StateDict to_state_dict(const std::vector<StateEntry>& entries);
StateDict to_state_dict(const torch::nn::Module& module);

// Loads all entries, or none: whatever is wrong is found before anything changes. Entries of
// quantize and prune layers adopt the file's shapes, so no forward is needed before. InputError
// names the file and the key for a missing or extra key, a wrong dtype or shape, a mask or decimals
// that do not suit the weight, a layer that is only partly initialised, and impossible bits or
// counters.
void load_state(const std::vector<StateEntry>& entries, const StateDict& state,
                const std::string& name_for_errors);
void load_state(torch::nn::Module& module, const StateDict& state,
                const std::string& name_for_errors);

// To train on from it for `steps` more: load_state, but first InputError names the file and the key
// also for a value that is not finite, a layer that has seen no data although another has (bias
// quantizers without a bias never do), and a counter that would leave int32.
void load_trained_state(const std::vector<StateEntry>& entries, const StateDict& state,
                        const std::string& name_for_errors, std::int64_t steps);

// Loads only what training in float makes: weights, biases and statistics. Entries of quantize and
// prune layers may be there and are left alone. InputError as load_state, and for a value that is
// not finite.
void load_parameters(const std::vector<StateEntry>& entries, const StateDict& state,
                     const std::string& name_for_errors);

// Conversions, with copies.
Tensor from_torch(const torch::Tensor& tensor);
torch::Tensor to_torch(const Tensor& tensor);

}  // namespace lockstep::train
