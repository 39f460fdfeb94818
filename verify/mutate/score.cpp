#include "verify/mutate/score.h"

#include <fmt/format.h>

#include "verify/checker/proof.h"
#include "verify/mutate/equality.h"
#include "verify/mutate/plan_mutants.h"
#include "verify/mutate/run_outputs.h"

namespace lockstep::mutate {

KindScore& KindScore::operator+=(const KindScore& other) {
  made += other.made;
  refused += other.refused;
  refuted += other.refuted;
  unjudged += other.unjudged;
  equal += other.equal;
  survived += other.survived;
  return *this;
}

KindScore Score::total() const {
  KindScore sum;
  for (const auto& [kind, of] : kinds) sum += of;
  return sum;
}

Score& Score::operator+=(const Score& other) {
  for (const auto& [kind, of] : other.kinds) kinds[kind] += of;
  for (const auto& [reason, count] : other.reasons) reasons[reason] += count;
  survivors.insert(survivors.end(), other.survivors.begin(), other.survivors.end());
  return *this;
}

Score score(const checker::Model& model, std::span<const std::byte> plan,
            const ScoreOptions& options) {
  const auto prove = [&](const checker::Plan& read) {
    if (options.prove)
      options.prove(read);
    else
      (void)checker::prove(model, read);
  };
  constexpr int kRuns = 4;
  const checker::Plan original = checker::read_plan(plan);
  prove(original);
  const auto expected = run_outputs(plan, kRuns, options.seed);
  PlanMutants mutants(plan, options.seed);
  Score score;
  for (std::int64_t n = 0; n < options.count; ++n) {
    const Mutant mutant = mutants.next();
    const std::vector<std::byte> bytes = mutants.apply(mutant);
    KindScore& kind = score.kinds[mutant.kind];
    ++kind.made;
    checker::Plan changed;
    try {
      changed = checker::read_plan(bytes);
    } catch (const checker::BadFile&) {
      ++kind.refused;
      continue;
    }
    try {
      prove(changed);
    } catch (const checker::Failure& failure) {
      ++(failure.is_unknown ? kind.unjudged : kind.refuted);
      continue;
    }
    Equality equality = compare_plans(original, changed);
    const auto outputs = run_outputs(bytes, kRuns, options.seed);
    if (equality.holds && outputs && outputs != expected)
      equality = {false, "the runtime gives other outputs"};
    if (equality.holds) {
      ++kind.equal;
      ++score.reasons[equality.reason];
      continue;
    }
    ++kind.survived;
    score.survivors.push_back(fmt::format("{} of '{}', mutant {} of seed {}: {}; not shown: {}",
                                          mutant.kind, original.name, n, options.seed,
                                          mutant.description, equality.reason));
  }
  return score;
}

std::string to_text(const Score& score) {
  const auto row = [](const std::string& name, const KindScore& of) {
    return fmt::format("{:<18}  {:>6}  {:>7}  {:>7}  {:>8}  {:>6}  {:>8}\n", name, of.made,
                       of.refused, of.refuted, of.unjudged, of.equal, of.survived);
  };
  std::string text = fmt::format("{:<18}  {:>6}  {:>7}  {:>7}  {:>8}  {:>6}  {:>8}\n", "mutants",
                                 "made", "refused", "refuted", "unjudged", "equal", "survived");
  for (const auto& [kind, of] : score.kinds) text += row(kind, of);
  text += row("all", score.total());
  for (const auto& [reason, count] : score.reasons)
    text += fmt::format("{} equal ones: {}\n", count, reason);
  for (const std::string& survivor : score.survivors)
    text += fmt::format("survived: {}\n", survivor);
  return text;
}

}  // namespace lockstep::mutate
