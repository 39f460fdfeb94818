// The checker's Model against the graph and the parameters that the other readers made of the same
// files.
#pragma once

#include <string>

#include "compile/checkpoint/parameters.h"
#include "compile/graph/graph.h"
#include "verify/checker/model.h"

namespace lockstep::test {

// Names the first number that differs; empty: none.
std::string difference(const Graph& graph, const Parameters& parameters,
                       const checker::Model& model);

// InputError for what the other readers leave to those who use the numbers, and the checker's
// refuses: an unquantized weight, decimals of the batch, an empty mask, a batch norm that leaves
// float32.
void refuse_what_comes_later(const Graph& graph, const Parameters& parameters);

}  // namespace lockstep::test
