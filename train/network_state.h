// A network's state as a state dict; compile/checkpoint reads and writes its two kinds of file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "compile/checkpoint/state_dict.h"
#include "train/module_state.h"
#include "train/network.h"

namespace lockstep::train {

// As for any module (module_state.h); the keys begin with the names of the graph's nodes.
StateDict to_state_dict(const Network& network);
void load_state(Network& network, const StateDict& state, const std::string& name_for_errors);
// Masks and decimals of activations must suit the graph's input shape, too.
void load_trained_state(Network& network, const StateDict& state,
                        const std::string& name_for_errors, std::int64_t steps);
void load_parameters(Network& network, const StateDict& state, const std::string& name_for_errors);

// The same state in both forms of a finished training.
void write_states(const StateDict& state, const std::filesystem::path& pt,
                  const std::filesystem::path& safetensors);

// Python's torch.load reads it as a dict of tensors, in order. Atomic.
void write_pt(const std::filesystem::path& path, const StateDict& state);

}  // namespace lockstep::train
