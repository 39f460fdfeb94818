// Exact integer semantics: what a graph with its state dict means, in 64-bit integers, node by
// node, in PyTorch's axis order. Written from docs/ops and docs/arithmetic.md; shares no code with
// the compiler's lowering. No speed, no fusion, no layout: this is the meaning that everything else
// is held against.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "compile/checkpoint/parameters.h"
#include "compile/graph/graph.h"
#include "verify/verify.h"

namespace lockstep::verify {

// Every node's value for every sample: exact codes and decimals, or float32 numbers where float
// functions made them. For linear operators this is the accumulator on its common grid (decimals
// per element), with a float bias the float32 sum. InputError with the layer's name where the
// network has no exact meaning (an unquantized weight, real values that feed a layer) or an int64
// would overflow.
using NodeValues = std::map<std::string, TensorCodes, std::less<>>;
NodeValues evaluate_exactly(const Graph& graph, const Parameters& parameters, const Batch& batch,
                            std::int64_t samples);

}  // namespace lockstep::verify
