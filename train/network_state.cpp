#include "train/network_state.h"

#include <algorithm>

#include "compile/checkpoint/parameters.h"
#include "compile/support/error.h"
#include "compile/support/files.h"
#include "train/evaluation.h"

namespace lockstep::train {
namespace {

// The entries, where those of activations have the sizes that images of the graph's input shape ask
// for; those of weights have theirs anyway.
std::vector<StateEntry> sized_entries(Network& network) {
  const std::map<std::string, std::vector<std::int64_t>> shapes = value_shapes(network);
  std::vector<StateEntry> entries = network.state();
  const auto set = [&](const std::string& key, std::vector<std::int64_t> sizes) {
    const auto entry = std::ranges::find(entries, key, &StateEntry::key);
    LOCKSTEP_ASSERT(entry != entries.end());
    entry->sizes = std::move(sizes);
  };
  for (const Node& node : network.graph().nodes) {
    const std::vector<std::int64_t>& shape = shapes.at(node.name);  // the batch in front
    if (node.prune && node.prune->collapse.value_or(0) >= 0)
      set(state_key(node.name, "mask"), {shape.begin() + 1, shape.end()});
    if (!node.quantize || node.quantize->channelwise < 1) continue;
    const auto axis = static_cast<std::size_t>(node.quantize->channelwise);
    if (axis < shape.size()) set(state_key(node.name, "decimal"), {shape[axis]});
  }
  return entries;
}

}  // namespace

StateDict to_state_dict(const Network& network) { return to_state_dict(network.state()); }

void load_state(Network& network, const StateDict& state, const std::string& name_for_errors) {
  load_state(network.state(), state, name_for_errors);
}

void load_trained_state(Network& network, const StateDict& state,
                        const std::string& name_for_errors, std::int64_t steps) {
  load_trained_state(sized_entries(network), state, name_for_errors, steps);
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
