// The first row of the pipeline: graph and parameters become a program, one op per node.
#pragma once

#include "compile/checkpoint/parameters.h"
#include "compile/graph/graph.h"
#include "compile/ir/ir.h"

namespace lockstep::passes {

// keep_layers: the value of every quantize node is kept. InputError names the layer that has no
// exact integer form.
ir::Program lower(const Graph& graph, const Parameters& parameters, bool keep_layers);

}  // namespace lockstep::passes
