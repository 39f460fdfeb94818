// Plans with sparse weights or segments are understood, and wrong segments are noticed. For
// segments the compiler's programs are rewritten: weights that were widened, because their input
// channels have coarser decimals, are stored narrow again.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>

#include "compile/backends/plan/writer.h"
#include "compile/compile.h"
#include "compile/support/error.h"
#include "tests/compile/random_network.h"
#include "tests/verify/judge.h"

using namespace lockstep;
using namespace lockstep::test;

namespace {

// Trailing zero bits of all weights that input channel i of a group meets; weights are in physical
// order, `inputs` of them for each tap.
std::vector<int> common_zeros(const xt::xarray<std::int32_t>& weights, std::int64_t inputs) {
  std::vector<int> zeros(static_cast<std::size_t>(inputs), 31);
  for (std::size_t k = 0; k < weights.size(); ++k)
    if (weights.data()[k] != 0) {
      int& least = zeros[k % zeros.size()];
      least = std::min(least, std::countr_zero(static_cast<std::uint32_t>(weights.data()[k])));
    }
  return zeros;
}

// Moves the powers of two that all channels before a place share into a segment's shift, for every
// place. False where there are none.
template <typename Kind>
bool narrow(Kind& kind, std::int64_t inputs) {
  if (kind.wide || kind.sparse) return false;
  std::vector<int> zeros = common_zeros(kind.weights, inputs);
  for (std::size_t i = 1; i < zeros.size(); ++i) zeros[i] = std::min(zeros[i], zeros[i - 1]);
  std::vector<ir::Segment> segments;
  for (std::size_t i = 1; i <= zeros.size(); ++i) {
    if (i < zeros.size() && zeros[i] == zeros[i - 1]) continue;
    const int before =
        segments.empty() ? 0 : zeros[static_cast<std::size_t>(segments.back().end) - 1];
    segments.push_back({static_cast<std::int64_t>(i),
                        segments.empty() ? 0 : std::min(30, before) - std::min(30, zeros[i - 1])});
  }
  if (segments.size() < 2) return false;
  const std::vector<int> shifts = ir::weight_shifts(segments, inputs);
  for (std::size_t k = 0; k < kind.weights.size(); ++k)
    kind.weights.data()[k] /= std::int32_t{1} << shifts[k % shifts.size()];
  kind.segments = segments;
  return true;
}

int narrow(ir::Program& program) {
  int changed = 0;
  for (ir::Op& op : program.ops) {
    const std::int64_t channels = program.values[op.input()].shape.c;
    if (auto* conv = std::get_if<ir::Conv2d>(&op.kind))
      changed += narrow(*conv, channels / conv->groups) ? 1 : 0;
    if (auto* linear = std::get_if<ir::Linear>(&op.kind))
      changed += narrow(*linear, channels) ? 1 : 0;
  }
  return changed;
}

}  // namespace

TEST_CASE("plans with segments agree, and wrong segments and weights of them are refuted") {
  Tally tally;
  int plans = 0;
  for (std::uint64_t seed = 0; plans < 12; ++seed) {
    REQUIRE(seed < 400);
    CAPTURE(seed);
    const Network network = random_network(seed);
    Compiled compiled;
    try {
      compiled = compile_network(network.graph, network.state, {});
    } catch (const InputError&) {
      continue;
    }
    if (narrow(compiled.program) == 0) continue;
    ir::validate(compiled.program);
    ++plans;
    const Bytes plan = backends::write_plan(compiled.program);
    verify::Options options;
    options.plan = plan;
    options.random_samples = 50;
    const verify::Report report = verify::verify_plan(network.graph, network.state, {}, options);
    if (const auto* refuted = std::get_if<verify::Refuted>(&report.verdict))
      FAIL(refuted->first_difference);
    REQUIRE(report.agreed);
    const verify::ExactNetwork exact(network.graph, bind_parameters(network.graph, network.state));
    for (const Mutant& mutant : mutants_of(plan))
      if (mutant.kind == "segment end" || mutant.kind == "segment shift" ||
          mutant.kind == "storage field" || mutant.kind == "weight")
        judge({network.graph, network.state, exact, {}}, apply(plan, mutant), mutant,
              {"segment end", "segment shift", "storage field", "weight"}, tally);
  }
  MESSAGE(tally.text());
  CHECK(tally.refuted > 100);
}

TEST_CASE("plans of random networks agree for either goal, and sparse weights occur in them") {
  int sparse_plans = 0;
  for (std::uint64_t seed = 0; seed < 120; ++seed)
    for (const auto goal : {passes::Objective::kSpeed, passes::Objective::kSize}) {
      CAPTURE(seed);
      const Network network = random_network(seed);
      Compiled compiled;
      try {
        compiled =
            compile_network(network.graph, network.state,
                            {.keep_layers = seed % 2 == 0, .optimize = goal, .after_pass = {}});
      } catch (const InputError&) {
        break;
      }
      verify::Options options;
      options.plan = compiled.plan;
      options.random_samples = 4;
      const verify::Report report = verify::verify_plan(network.graph, network.state, {}, options);
      if (const auto* refuted = std::get_if<verify::Refuted>(&report.verdict))
        FAIL(refuted->first_difference);
      CHECK(report.agreed);
      sparse_plans += std::ranges::any_of(compiled.storage, [](const auto& c) { return c.sparse; });
    }
  MESSAGE("plans with sparse weights: ", sparse_plans);
  CHECK(sparse_plans > 20);
}
