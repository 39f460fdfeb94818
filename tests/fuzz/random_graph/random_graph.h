// Networks made up for the fuzzer: directed acyclic graphs over all operators of graph.json, with a
// state dict that fits. Most of them compile; a few are careless on purpose, so that refusals are
// reached too.
#pragma once

#include <cstdint>

#include "tests/compile/random_network.h"

namespace lockstep::test {

// 1 to 40 nodes (a few more where a quantize node had to come in between), one to three inputs,
// one or more outputs. The same seed gives the same network.
Network random_graph(std::uint64_t seed);

}  // namespace lockstep::test
