// What generated C says about itself: docs/generated-c.md, "The tensors".
#pragma once

#include "verify/c_proof/syntax.h"
#include "verify/checker/plan.h"
#include "verify/checker/proof.h"

namespace lockstep::c_proof {

// That the tables of tensors, inputs and outputs and the constants of the header are the plan's,
// number by number; the arena may be larger than the plan's. Returns its bytes. Throws Failure.
Int require_interface(const Source& source, const std::map<std::string_view, Int>& constants,
                      const std::string& prefix, const checker::Plan& plan);

}  // namespace lockstep::c_proof
