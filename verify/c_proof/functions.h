// Whether a function of the C is one of the plan.
#pragma once

#include <optional>

#include "verify/c_proof/values.h"
#include "verify/plan_meaning/plan_meaning.h"

namespace lockstep::c_proof {

// What an operator of the plan makes of an argument, for a channel, where no mask removes it.
struct Made {
  const plan_meaning::Meaning& meaning;
  const checker::PlanOp& op;
  Int channel = 0;

  Int apply(Int x) const { return meaning.apply(channel, x); }
  bool is_monotone() const { return meaning.is_monotone(channel); }
};

// Whether chain(x + difference) == made.apply(x) for every x of the interval: where both are
// written with the same numbers; where both rise or fall throughout, at both sides of every step;
// else one by one. Nothing where that takes more than 2^24 looks. The chain must be defined there.
std::optional<bool> gives(const Made& made, const plan_meaning::Interval& interval,
                          const Chains& chains, int chain, Int difference);

}  // namespace lockstep::c_proof
