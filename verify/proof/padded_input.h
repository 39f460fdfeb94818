// A convolution of a plan may read what a pad node before it reads, and take the zeros that the
// node puts around that as padding of its own.
#pragma once

#include <string>

#include "verify/proof/plan_check.h"
#include "verify/proof/plan_reader.h"
#include "verify/semantics/operators.h"

namespace lockstep::verify {

struct PaddedInput {
  std::string name;            // the node or input of the network that the operator reads
  HeightWidth before, behind;  // the zeros around it that the graph's node reads besides
};

// Throws Difference, as expect_input does, unless the operator's input holds what the graph's
// `node` reads, or what is left of that without the zeros of pad nodes.
PaddedInput padded_input(PlanCheck& check, const PlanOp& op, const Node& node);

}  // namespace lockstep::verify
