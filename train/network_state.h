// A network's state as a state dict: written with LibTorch's pickle, read by compile/checkpoint's
// reader, which checks every byte.
#pragma once

#include <filesystem>
#include <string>

#include "compile/checkpoint/state_dict.h"
#include "train/network.h"

namespace lockstep::train {

// The network's entries, copied, in order.
StateDict to_state_dict(const Network& network);

// Loads an equal network's entries. Prune and quantize entries adopt the file's shapes, so no
// forward is needed before. InputError names the file and the key for a missing or extra key, a
// wrong dtype or shape, a layer that is only partly initialised, and impossible bits or counters.
void load_state(Network& network, const StateDict& state, const std::string& name_for_errors);

// Loads only what training in float makes, weights and biases; prune and quantize entries may be
// there and are left alone. InputError as load_state, and for a value that is not finite.
void load_parameters(Network& network, const StateDict& state, const std::string& name_for_errors);

// A zip archive that Python's torch.load reads as a dict of tensors, in order. Atomic.
void write_pt(const std::filesystem::path& path, const StateDict& state);

// The same state in both forms of a finished training.
void write_states(const StateDict& state, const std::filesystem::path& pt,
                  const std::filesystem::path& safetensors);

// Copies between the two kinds of tensor; a dtype that state dicts do not have is our mistake.
Tensor from_torch(const torch::Tensor& tensor);
torch::Tensor to_torch(const Tensor& tensor);

}  // namespace lockstep::train
