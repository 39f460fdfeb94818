#include "tests/verify/judge.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "verify/differential/differential.h"

namespace lockstep::test {
namespace {

// Samples that a change which is said to change nothing must leave as they were.
constexpr std::int64_t kDenseSamples = 100;

}  // namespace

std::string Tally::text() const {
  std::string kinds;
  for (const auto& [kind, count] : unchanged_kinds) kinds += fmt::format(" {} {},", kind, count);
  return fmt::format(
      "{} mutants: {} rejected by intrt_open, {} refuted by the constants, {} change nothing ({}); "
      "of {} refuted ones that also ran, running alone caught {}",
      made, rejected, refuted, unchanged, kinds, run, caught_by_running);
}

void judge(const Subject& net, const Bytes& changed, const Mutant& mutant,
           const std::set<std::string>& may_change_nothing, Tally& tally) {
  tally.made += 1;
  if (!opens(changed)) {
    tally.rejected += 1;
    return;
  }
  verify::Options nothing;
  nothing.plan = changed;
  nothing.random_samples = 0;
  const verify::Report report = verify::verify_plan(net.graph, net.state, {}, nothing);
  const auto* refuted = std::get_if<verify::Refuted>(&report.verdict);

  verify::Options some = nothing;
  some.random_samples = refuted == nullptr ? kDenseSamples : 2;
  const bool run_it = refuted == nullptr || tally.made % 6 == 0;
  bool differs = false;
  if (run_it) {
    const verify::DifferentialResult result =
        verify::run_differential(net.exact, verify::OpenPlan(changed), net.data, some);
    differs = result.first_divergence.has_value() || !result.failures.empty();
  }
  CAPTURE(mutant.kind);
  CAPTURE(mutant.offset);
  CAPTURE(mutant.value);
  if (refuted != nullptr) {
    tally.refuted += 1;
    if (run_it) {
      tally.run += 1;
      tally.caught_by_running += differs ? 1 : 0;
    }
    CAPTURE(refuted->first_difference);
    CHECK((mutant.kind == "name" || mutant.layers.contains(refuted->layer)));
    CHECK(refuted->first_difference.find("'" + refuted->layer + "'") != std::string::npos);
    return;
  }
  const auto* unknown = std::get_if<verify::Unknown>(&report.verdict);
  REQUIRE(unknown != nullptr);
  CHECK(unknown->reason == "nothing was compared: no samples");
  tally.unchanged += 1;
  tally.unchanged_kinds[mutant.kind] += 1;
  CHECK(may_change_nothing.contains(mutant.kind));
  CHECK_FALSE(differs);
}

}  // namespace lockstep::test
