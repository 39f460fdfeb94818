// Runs the float path, the plan on every kernel variant that this CPU can run and the generated C
// on every requested target on the same inputs, and holds each against the exact integer semantics:
// every visible tensor, zero tolerance. Sampling proves nothing for other inputs; it does refute.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "verify/differential/comparison.h"
#include "verify/differential/plan_runner.h"
#include "verify/semantics/exact_network.h"
#include "verify/verify.h"
#include "verify/worst/worst_inputs.h"

namespace lockstep::verify {

struct PathFailure {  // a path that gave no answer to compare
  std::string path, reason;
};

struct DifferentialResult {
  std::int64_t samples = 0;
  std::vector<PathReport> paths;
  std::optional<Divergence> first_divergence;         // of the plan and the C
  std::optional<Divergence> first_float_divergence;   // of the float path in float32
  std::optional<Divergence> first_double_divergence;  // and with unstable layers in double
  std::vector<PathFailure> failures;
  std::vector<std::int64_t> float_predictions, plan_predictions;
  std::vector<WorstCaseReport> worst_cases;
};

// InputError for inputs that do not fit the graph and for unusable options (see Options); never for
// a difference. `worst`: inputs of this network, to run with the others.
DifferentialResult run_differential(const ExactNetwork& network, const OpenPlan& plan,
                                    std::span<const Batch> data, const Options& options,
                                    WorstInputs worst = {});

}  // namespace lockstep::verify
