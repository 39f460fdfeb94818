// How much wrong C a proof of generated C lets through: it is given mutants of C that it proves.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "verify/mutate/score.h"

namespace lockstep::mutate {

struct CScoreOptions {
  std::int64_t count = 200;
  std::uint64_t seed = 1;
  std::string network;  // names it in the list of survivors
  // Throws checker::Failure for C that it does not prove to compute what the plan computes.
  std::function<void(const std::string& source)> prove;
  // What the C does on every input there is, as a text; "" where it does not compile or is not
  // defined. What does the same computes the same.
  std::function<std::string(const std::string& source)> run_all;
};

// Makes mutants of `source` (CMutants) and gives each to the proof. One that is accepted must
// do the same as the source on every input; else it survives. Throws Failure if the source itself
// is not accepted.
Score score_c(const std::string& source, const CScoreOptions& options);

}  // namespace lockstep::mutate
