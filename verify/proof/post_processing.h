// What happens to sums and codes on their way out: shifts, roundings, clamps, relu and masks,
// compared as functions, at every argument that can occur.
#pragma once

#include "verify/proof/plan_check.h"
#include "verify/proof/plan_reader.h"
#include "verify/proof/wiring.h"

namespace lockstep::verify {

// `from`: the first node of the chain that belongs to the post-processing; `before`: what is known
// about its arguments. Throws Difference, or NotUnderstood. Fills `held` of the output.
void check_post(PlanCheck& check, const PlanOp& op, const Chain& chain, std::size_t from,
                const ElementFacts& before, const VisibleTensor& output);

// The operator that consists of post-processing alone.
void check_requantize(PlanCheck& check, const PlanOp& op, const Chain& chain,
                      const VisibleTensor& input, const VisibleTensor& output);

}  // namespace lockstep::verify
