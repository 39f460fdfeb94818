#include "train/network_state.h"

#include "compile/support/files.h"

namespace lockstep::train {

StateDict to_state_dict(const Network& network) { return to_state_dict(network.state()); }

void load_state(Network& network, const StateDict& state, const std::string& name_for_errors) {
  load_state(network.state(), state, name_for_errors);
}

void load_parameters(Network& network, const StateDict& state, const std::string& name_for_errors) {
  load_parameters(network.state(), state, name_for_errors);
}

void write_pt(const std::filesystem::path& path, const StateDict& state) {
  write_file_atomically(path, std::span<const std::byte>(to_pt(state)));
}

void write_states(const StateDict& state, const std::filesystem::path& pt,
                  const std::filesystem::path& safetensors) {
  write_pt(pt, state);
  write_file_atomically(safetensors, std::span<const std::byte>(to_safetensors(state)));
}

}  // namespace lockstep::train
