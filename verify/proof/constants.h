// Obligation 5: every number of a plan is what graph and state dict say. The plan is followed
// symbolically: each element of each tensor is some element of the graph (terms.h) on some grid,
// and an operator must turn what its inputs hold into what the graph demands of its output. Wiring,
// shapes, formats, weights (in the plan's physical order), biases, geometry, masks and the memory
// plan are re-derived and compared number by number. What a post-op or a table does is compared as
// a function: at every accumulator or code that can occur.
//
// A plan may put codes and accumulators of a channel on another power-of-two grid than the
// canonical one, as long as weights, bias and post-op agree about it; and a number that provably
// changes nothing (a weight of a channel that is pruned away, a limit that no accumulator reaches)
// may be anything.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "verify/differential/plan_runner.h"
#include "verify/proof/plan_check.h"
#include "verify/semantics/exact_network.h"
#include "verify/verify.h"

namespace lockstep::verify {

struct ConstantsResult {
  std::int64_t checked = 0;            // numbers compared before the first difference
  std::optional<Refuted> refuted;      // the first difference
  std::optional<std::string> unknown;  // what the checker did not understand
  std::vector<ElementFacts> held;      // per tensor of the plan; complete without either of these
};

ConstantsResult check_constants(const ExactNetwork& network, const Parameters& parameters,
                                const OpenPlan& plan);

}  // namespace lockstep::verify
