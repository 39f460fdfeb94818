// Windows: kernel, stride, dilation and padding of a convolution or a pooling, and the map that it
// reads.
#pragma once

#include "verify/proof/plan_check.h"
#include "verify/proof/plan_reader.h"
#include "verify/proof/wiring.h"
#include "verify/semantics/operators.h"

namespace lockstep::verify {

// Throws Difference unless `input` has the shape of the map that the graph gives the first node.
// A convolution or pooling reads the map itself, not some other view of it.
void expect_map(PlanCheck& check, const PlanOp& op, const Chain& chain, const VisibleTensor& input);

// Throws Difference. `pad_end`: how far the windows reach behind the input, height and width.
void check_window(PlanCheck& check, const PlanOp& op, const Node& node, HeightWidth pad_end);

}  // namespace lockstep::verify
