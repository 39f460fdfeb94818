// Under which names a plan may show the outputs of a graph.
#pragma once

#include <string>

#include "compile/graph/graph.h"

namespace lockstep::verify {

// Whether a tensor named `found` may be the graph's output `output`: under its own name, or behind
// a softmax or log_softmax, which keeps the order of the channels and is left to the reader, under
// that of what the softmax is given.
bool is_output_name(const Graph& graph, const std::string& output, const std::string& found);

}  // namespace lockstep::verify
