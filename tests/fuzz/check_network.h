// Everything that must agree about one network: the exact semantics, the program after every pass,
// and the plan on every kernel variant of this CPU, with and without kept layers.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "tests/compile/random_network.h"

namespace lockstep::test {

struct CheckOutcome {
  enum class Result : std::uint8_t {
    kAgrees,
    kRefused,  // by an InputError of the compiler
    kFails     // a code differs, a tensor is missing, or something crashed
  };
  Result result = Result::kAgrees;
  // Of a failure: where it showed ("fuse-relu", "plan avx2", "crash"). A smaller network shows the
  // same failure when it fails in the same place.
  std::string place;
  std::string text;               // the refusal, or the first difference
  std::string semantics_refusal;  // of the exact semantics; empty: they have a meaning for it
  std::uint64_t values = 0;       // compared, over all tensors, stages, variants and inputs
  std::uint64_t nonzero = 0;      // of these
  std::set<std::string> forms;    // what the program is made of; see program_forms.h
};

// In a child process, so that a failed assertion is an outcome, too. `seed` makes the inputs:
// random codes, both corners, and mostly zeros.
CheckOutcome check_network(const Network& network, std::uint64_t seed);

// The same, held against the meaning of another network with the same inputs: for tests of this.
CheckOutcome check_against(const Network& network, const Network& meaning, std::uint64_t seed);

}  // namespace lockstep::test
