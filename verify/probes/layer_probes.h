// Probes of generated C: every operator alone, on codes of its own. The C hands out each visible
// tensor right after it was made; the harness writes it out and then puts other codes in its place,
// so that the next operator reads those. What each operator makes of them is compared with what the
// numbers of the plan, which are proved to be the graph's, make of them (op_runner.h).
//
// The codes lie in the proved range of each element, where the plan was shown to equal the graph:
// all lowest, all highest, then in turn codes of the whole range and extremes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "verify/differential/c_runner.h"
#include "verify/proof/plan_check.h"
#include "verify/verify.h"

namespace lockstep::verify {

struct ProbeResult {
  ProbeReport report;
  std::optional<Refuted> refuted;
  std::string failure;  // why there is no result; empty
};

// `held`: the ranges that check_constants proved for this plan, which it must not have refuted.
ProbeResult run_layer_probes(const OpenPlan& plan, const std::vector<ElementFacts>& held,
                             const CTarget& target, const CProgram& program,
                             const Options& options);

}  // namespace lockstep::verify
