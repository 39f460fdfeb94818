// A report of the verifier as test cases: each layer of the plan for the proof of its constants,
// each path of the differential run, and the verdict.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/report/junit.h"
#include "verify/verify.h"

namespace lockstep::cli {

// `layers`: the nodes that the plan's operators compute, in order. `proof`: as in Options.
// `accepted`: an unknown verdict is taken as tested.
//   layer    fails when it is the refuted one; is an error when the proof of the plan could not
//            decide it and the verdict is not accepted; is skipped when the check of constants
//            ended before all were held against the graph
//   path     fails when it differs, is an error when it gave no answer and so decides the verdict
//   verdict  an error when unknown and not accepted; not there when refuted, where the layer or
//            path has failed
TestSuite verify_suite(const verify::Report& report, const std::string& network,
                       const std::vector<std::string>& layers,
                       const std::optional<verify::ProofOutcome>& proof, bool accepted);

// Of a command that ended with an error before it had a report.
TestSuite error_suite(const std::string& message);

}  // namespace lockstep::cli
