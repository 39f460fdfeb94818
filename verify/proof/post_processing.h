// What happens to sums and codes on their way out: shifts, roundings, clamps, relu and masks,
// compared as functions, at every argument that can occur.
#pragma once

#include "verify/proof/plan_check.h"
#include "verify/proof/plan_reader.h"
#include "verify/proof/wiring.h"

namespace lockstep::verify {

// What goes into the post-processing of an operator, per element in (C,H,W) order.
struct Arguments {
  ElementFacts expected, found;  // the graph's, and the plan's
  // Per channel, why the two may differ; empty where they are proved equal, on the grid of `found`.
  std::vector<std::string> differences;
};

// `from`: the first node of the chain that belongs to the post-processing. Throws Difference, or
// NotUnderstood. Fills `held` of the output. Arguments may differ where nothing of them can be
// seen: where both sides give the same constant.
void check_post(PlanCheck& check, const PlanOp& op, const Chain& chain, std::size_t from,
                const Arguments& before, const VisibleTensor& output);

// The operator that consists of post-processing alone.
void check_requantize(PlanCheck& check, const PlanOp& op, const Chain& chain,
                      const VisibleTensor& input, const VisibleTensor& output);

}  // namespace lockstep::verify
