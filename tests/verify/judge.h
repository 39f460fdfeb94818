// What the verifier says of a changed plan, held against running it.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>

#include "compile/checkpoint/state_dict.h"
#include "compile/graph/graph.h"
#include "tests/verify/mutants.h"
#include "verify/semantics/exact_network.h"
#include "verify/verify.h"

namespace lockstep::test {

// A network whose plan is changed, and inputs to run it on.
struct Subject {
  const Graph& graph;
  const StateDict& state;
  const verify::ExactNetwork& exact;
  std::span<const verify::Batch> data;
};

struct Tally {
  int made = 0, rejected = 0, refuted = 0, unchanged = 0, run = 0, caught_by_running = 0;
  std::map<std::string, int> unchanged_kinds;

  std::string text() const;  // one line
};

// Checks that the changed plan does not open, or is refuted with the name of a layer that the
// mutant lists, or is of a kind that may change nothing and agrees on every input that is run.
void judge(const Subject& net, const Bytes& changed, const Mutant& mutant,
           const std::set<std::string>& may_change_nothing, Tally& tally);

}  // namespace lockstep::test
