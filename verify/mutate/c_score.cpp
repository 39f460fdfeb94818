#include "verify/mutate/c_score.h"

#include <fmt/format.h>

#include "verify/checker/proof.h"
#include "verify/mutate/c_mutants.h"

namespace lockstep::mutate {

Score score_c(const std::string& source, const CScoreOptions& options) {
  options.prove(source);
  const std::string expected = options.run_all(source);
  CMutants mutants(source, options.seed);
  Score score;
  for (std::int64_t n = 0; n < options.count; ++n) {
    const CMutant mutant = mutants.next();
    const std::string changed = mutant.apply(source);
    KindScore& kind = score.kinds["C: " + mutant.kind];
    ++kind.made;
    try {
      options.prove(changed);
    } catch (const checker::Failure& failure) {
      ++(failure.is_unknown ? kind.unjudged : kind.refuted);
      continue;
    }
    if (const std::string found = options.run_all(changed); !found.empty() && found == expected) {
      ++kind.equal;
      ++score.reasons["C that gives the same outputs on every input"];
      continue;
    }
    ++kind.survived;
    score.survivors.push_back(fmt::format("{} of '{}', mutant {} of seed {}: {}, line {}: {} -> {}",
                                          mutant.kind, options.network, n, options.seed,
                                          mutant.place, mutant.line, mutant.before, mutant.after));
  }
  return score;
}

}  // namespace lockstep::mutate
