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

namespace lockstep::verify {

struct PathFailure {  // a path that gave no answer to compare
  std::string path, reason;
};

struct DifferentialResult {
  std::int64_t samples = 0;
  std::vector<PathReport> paths;
  std::optional<Divergence> first_divergence;        // of the plan and the C
  std::optional<Divergence> first_float_divergence;  // of the float path
  std::vector<PathFailure> failures;
  std::vector<std::int64_t> float_predictions, plan_predictions;
};

// InputError for inputs that do not fit the graph and for unusable options (see Options); never for
// a difference.
DifferentialResult run_differential(const ExactNetwork& network, const OpenPlan& plan,
                                    std::span<const Batch> data, const Options& options);

}  // namespace lockstep::verify
