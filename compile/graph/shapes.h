// The shape of every value of a graph, for those who run it as it is written. The compiler and the
// verifier derive shapes by themselves, each from its own meaning of the operators.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "compile/graph/graph.h"

namespace lockstep {

// By name of node or graph input, without the batch.
using Shapes = std::map<std::string, std::vector<std::int64_t>, std::less<>>;

// InputError, beginning with "`name_for_errors`: layer '...'": a node whose input has not the
// number of channels or features that its attributes say, has too few axes, is smaller than the
// window or than a reflected padding, has not as many elements as a reshape needs, is sliced to
// nothing, or whose inputs do not fit each other; a value of more than 2^40 elements.
Shapes infer_shapes(const Graph& graph, const std::string& name_for_errors);

}  // namespace lockstep
