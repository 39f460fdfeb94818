// The zoo: networks that people really deploy, as graph.json with quantize and prune nodes, and
// state dicts for them that need no training. What compiles the zoo compiles such networks.
//
// Topologies are those that were published; docs/guide/zoo.md names the sources. One file per
// family builds its networks, and catalogue.cpp lists all of them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "compile/checkpoint/state_dict.h"
#include "compile/graph/graph.h"

namespace lockstep::zoo {

struct NetworkOptions {
  // One decimal for each channel of weights (output channels) and activations; else one per tensor.
  bool per_channel = false;
  std::int64_t bits = 8;    // of weights and activations, 2 to 16
  double sparsity = 0;      // of weights and activations; 0: nothing is pruned
  bool structured = false;  // prune whole channels rather than single elements
  bool quantize = true;     // false: the float network, without quantize, prune and wraps
};

struct Network {
  std::string_view name;
  std::string_view summary;  // a few words for the list
  std::string_view source;   // where the topology was published
  Graph (*build)(const NetworkOptions& options);
};

std::span<const Network> networks();
// InputError lists the names when there is no such network.
const Network& find_network(std::string_view name);

// How large a network is. Nothing that is pruned is left out.
struct NetworkSize {
  std::int64_t parameters = 0;  // weights and biases of layers, scales and offsets of batch norms
  std::int64_t macs = 0;        // multiply-accumulates of convolutions and linear layers
};
NetworkSize size_of(const Graph& graph);

// A state dict for a graph of the zoo, made by calibration without LibTorch: drawn weights, and
// masks, batch norm statistics and decimals found by running the network in float32 on a few drawn
// inputs, layer by layer. The same graph and seed give the same bytes on every machine.
StateDict calibrated_state(const Graph& graph, std::uint64_t seed);

// recipe.json for `lockstep train`, which fits the schedules of the graph's nodes.
std::string recipe_text(const Graph& graph);
// README.md for the folder of a network: what it is and the commands to use it.
std::string readme_text(const Network& network, const NetworkOptions& options);

}  // namespace lockstep::zoo
