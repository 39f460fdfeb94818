// What generated C says about itself: docs/generated-c.md, "The tensors".
#pragma once

#include "verify/c_proof/syntax.h"
#include "verify/checker/plan.h"
#include "verify/checker/proof.h"

namespace lockstep::c_proof {

// The prefix as macros have it: "net" gives "NET".
std::string upper(std::string prefix);

// That the tables of tensors, inputs and outputs and the macros of the header (but for the bound of
// the stack, which is a compiler's matter) are the plan's, number by number; the arena may be
// larger than the plan's, and the bytes of constants more than the tables have. Returns the arena's
// bytes. Throws Failure.
Int require_interface(const Source& source, const Tokens& tokens, const std::string& prefix,
                      const checker::Plan& plan);

}  // namespace lockstep::c_proof
