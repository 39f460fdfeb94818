// Whether two plans compute the same, found out without the graph and without the checker's proof:
// both are followed side by side, element by element, with the interval of every code.
#pragma once

#include <string>

#include "verify/checker/plan.h"

namespace lockstep::mutate {

struct Equality {
  bool holds = false;
  // Why it holds, in few words; or the first place where it could not be shown, which does not mean
  // that the plans differ.
  std::string reason;
};

// Whether `changed` gives, for every input, the codes of `original` at every output and at every
// tensor that it calls named, and says the same of their meaning. `original` must be a plan whose
// accumulators cannot overflow and whose arena is right.
//
// The tensors of both are compared by their number, in the order of `changed`. An element is equal
// in both if its accumulator is (the same products of equal elements, and a constant that differs
// by d), and if the one function of x and the other of x + d agree for every x in the interval: by
// bisection where both are monotone, one by one up to 2^24 of them otherwise. The memory plan of
// `changed` is run through: for every byte of the arena the tensor that wrote it last.
Equality compare_plans(const checker::Plan& original, const checker::Plan& changed);

}  // namespace lockstep::mutate
