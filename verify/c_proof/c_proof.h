// The proof that generated C computes, for every input, what a plan computes.
//
// The C is run once, by a small interpreter of its own, on an input that is left open: every
// element of every tensor is a symbol with an interval. Where the C writes an element of a tensor
// of the plan, what it writes must be what the plan's operator makes of the same elements: the same
// products (of the elements that really lie where the C reads, so the memory plan is proved, too),
// and a function of their sum that gives the same code for every sum that can occur. On the way it
// is shown that the C is defined: docs/verification.md, "The C".
#pragma once

#include <string>

#include "verify/checker/plan.h"
#include "verify/checker/proof.h"

namespace lockstep::c_proof {

struct Files {
  std::string header_name;     // "net.h", as the source includes it
  std::string header, source;  // their texts
  std::string prefix;          // "net"
};

struct Facts {
  checker::Int elements = 0;   // that are made, of all tensors
  checker::Int products = 0;   // multiples of elements in the plan's sums
  checker::Int functions = 0;  // comparisons of functions, each for all of an interval
  checker::Int nodes = 0;      // of the C that were worked out
};

// `plan` must be one that the checker proves. Throws checker::Failure, obligation "C": the C is not
// what the plan says, or it is beyond what the proof can follow; both are `unknown`, because only a
// run can show an input on which they differ.
Facts prove_c(const Files& files, const checker::Plan& plan);

}  // namespace lockstep::c_proof
