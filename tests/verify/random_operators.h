// Networks of all operators of graph.json, made up from a seed: a graph and parameters that fit it.
#pragma once

#include <cstdint>

#include "compile/checkpoint/parameters.h"
#include "compile/graph/graph.h"

namespace lockstep::test {

struct OperatorNetwork {
  Graph graph;
  Parameters parameters;
};

// Up to twenty small nodes behind one or two inputs of one to three axes. Layers that need exact
// values mostly have a quantize before them; float functions are mostly quantized at once. Decimals
// and bits are such that most networks have an exact meaning, but not all.
OperatorNetwork random_operators(std::uint64_t seed);

}  // namespace lockstep::test
