// Windows: kernel, stride, dilation and padding of a convolution or a pooling, and the map that it
// reads.
#pragma once

#include "verify/proof/plan_check.h"
#include "verify/proof/plan_reader.h"
#include "verify/proof/wiring.h"
#include "verify/semantics/operators.h"

namespace lockstep::verify {

// Throws Difference unless `tensor`, the operator's input or output as `which` says, has the shape
// of the map that the graph gives `node`, or that of channels of it. Convolutions and poolings work
// on the map itself, not on some other view of it.
void expect_map(PlanCheck& check, const PlanOp& op, const VisibleTensor& tensor,
                const std::string& node, const std::string& which);

// Throws Difference unless each channel of the output is that of the input, for operators that keep
// channels apart. Requires tensors of as many channels.
void expect_same_channels(const PlanOp& op, const VisibleTensor& input,
                          const VisibleTensor& output);

// Throws Difference. How far the windows must reach before and behind the input, height and width.
void check_window(PlanCheck& check, const PlanOp& op, const Node& node, HeightWidth pad_before,
                  HeightWidth pad_behind);

}  // namespace lockstep::verify
