// Changed plans, what is said to be equal about them, and the score of the checker on them. What
// compare_plans calls equal is held against the runtime, for every change and not only for those
// that the checker accepts.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "compile/compile.h"
#include "compile/support/error.h"
#include "compile/support/files.h"
#include "tests/fuzz/random_graph/random_graph.h"
#include "tests/intrt/stored_network.h"
#include "tests/support/temporary_folder.h"
#include "verify/checker/proof.h"
#include "verify/mutate/equality.h"
#include "verify/mutate/plan_mutants.h"
#include "verify/mutate/run_outputs.h"
#include "verify/mutate/score.h"

namespace lockstep::test {
namespace {

using Bytes = std::vector<std::byte>;

// The plan of a random network; nothing for one that the compiler refuses.
std::optional<Bytes> plan_of(const Network& network) {
  try {
    return compile_network(network.graph, network.state, {}).plan;
  } catch (const InputError&) {
    return std::nullopt;
  }
}

std::optional<checker::Plan> read(const Bytes& bytes) {
  try {
    return checker::read_plan(bytes);
  } catch (const checker::BadFile&) {
    return std::nullopt;
  }
}

checker::Model model_of(const Network& network) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "graph.json", to_json(network.graph));
  const Bytes state = to_safetensors(network.state);
  write_file_atomically(folder / "state", std::span<const std::byte>(state));
  return checker::read_model(folder / "graph.json", folder / "state");
}

}  // namespace

TEST_CASE("mutants follow from the seed, differ from the plan, and are of every kind") {
  std::set<std::string> kinds;
  for (std::uint64_t seed = 0; seed < 120; ++seed) {
    CAPTURE(seed);
    const std::optional<Bytes> plan = plan_of(random_graph(seed));
    if (!plan) continue;
    mutate::PlanMutants first(*plan, seed), second(*plan, seed);
    for (int n = 0; n < 60; ++n) {
      const mutate::Mutant mutant = first.next();
      CAPTURE(mutant.description);
      const Bytes changed = first.apply(mutant);
      CHECK(changed == second.apply(second.next()));
      CHECK(changed.size() == plan->size());
      CHECK(changed != *plan);
      kinds.insert(mutant.kind);
    }
  }
  const std::vector<std::uint8_t> stored = testing::stored_network();  // with segments
  mutate::PlanMutants mutants(std::as_bytes(std::span(stored)), 1);
  for (int n = 0; n < 60; ++n) kinds.insert(mutants.next().kind);
  for (const std::string_view kind : mutate::kKinds) {
    CAPTURE(kind);
    CHECK(kinds.contains(std::string(kind)));
  }
}

TEST_CASE("plans that are called equal give the same outputs") {
  constexpr int kRuns = 20;
  int equal = 0, differing = 0, cautious = 0;
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    CAPTURE(seed);
    const std::optional<Bytes> plan = plan_of(random_graph(seed));
    if (!plan) continue;
    const checker::Plan original = *read(*plan);
    CHECK(mutate::compare_plans(original, original).holds);
    const auto expected = mutate::run_outputs(*plan, kRuns, seed);
    REQUIRE(expected);
    mutate::PlanMutants mutants(*plan, seed);
    for (int n = 0; n < 80; ++n) {
      const mutate::Mutant mutant = mutants.next();
      CAPTURE(mutant.kind);
      CAPTURE(mutant.description);
      const Bytes changed = mutants.apply(mutant);
      const std::optional<checker::Plan> changed_plan = read(changed);
      const auto outputs = mutate::run_outputs(changed, kRuns, seed);
      if (!changed_plan || !outputs) continue;
      const mutate::Equality equality = mutate::compare_plans(original, *changed_plan);
      CAPTURE(equality.reason);
      CHECK(!equality.reason.empty());
      const bool is_same = outputs == expected;
      CHECK((is_same || !equality.holds));
      equal += equality.holds;
      differing += !is_same;
      cautious += is_same && !equality.holds;
    }
  }
  MESSAGE(fmt::format("{} called equal, {} give other outputs, {} neither", equal, differing,
                      cautious));
  CHECK(equal > 300);
  CHECK(differing > 1000);
}

TEST_CASE("copies of one element that were changed in different ways are not the same") {
  // out = a - b, where a and b are copies of x: always 0.
  checker::Plan plan;
  for (int t = 0; t < 4; ++t) {
    checker::PlanTensor tensor;
    tensor.channels = tensor.height = tensor.width = tensor.bytes = 1;
    tensor.bits = 8;
    tensor.decimals = {0};
    tensor.channel_of = {0};
    tensor.arena_offset = 16 * t;
    plan.tensors.push_back(tensor);
  }
  plan.arena_bytes = 64;
  plan.inputs = {0};
  plan.outputs = {3};
  plan.tensors[0].is_input = plan.tensors[3].is_output = true;
  for (const std::size_t copy : {1, 2}) {
    checker::PlanOp op;
    op.inputs = {0};
    op.output = copy;
    op.post = {checker::PostKind::kShift, checker::Rounding::kFloor, -128, 127, {0}, {}, {}};
    plan.ops.push_back(op);
  }
  checker::PlanOp difference = plan.ops[0];
  difference.code = checker::OpCode::kAdd;
  difference.inputs = {1, 2};
  difference.output = 3;
  difference.multipliers = {{{1}, {-1}}};
  plan.ops.push_back(difference);
  CHECK(mutate::compare_plans(plan, plan).holds);
  checker::Plan changed = plan;
  changed.ops[0].post.shifts = changed.ops[1].post.shifts = {1};
  CHECK_FALSE(mutate::compare_plans(plan, changed).holds);  // still 0, but nobody shows it
  changed.ops[0].post.rounding = checker::Rounding::kTowardZero;
  CHECK_FALSE(mutate::compare_plans(plan, changed).holds);  // 1 for odd numbers below 0
  changed = plan;
  changed.ops[0].post.hi = changed.ops[0].post.lo = 5;
  changed.ops[1].post = changed.ops[0].post;
  CHECK(mutate::compare_plans(plan, changed).holds);  // 5 - 5
  changed.ops[1].post.hi = 6;
  CHECK_FALSE(mutate::compare_plans(plan, changed).holds);
}

TEST_CASE("nothing survives the checker, and much survives one that accepts everything") {
  mutate::Score with_checker, without;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    const Network network = random_graph(seed);
    const std::optional<Bytes> plan = plan_of(network);
    if (!plan) continue;
    try {
      with_checker += mutate::score(model_of(network), *plan, {40, seed, {}});
    } catch (const checker::Failure& failure) {
      REQUIRE_MESSAGE(failure.is_unknown, failure.text);
      continue;
    }
    without += mutate::score({}, *plan, {40, seed, [](const checker::Plan&) {}});
  }
  MESSAGE(mutate::to_text(with_checker));
  const mutate::KindScore total = with_checker.total();
  CHECK(total.made > 1000);
  CHECK(total.made == total.refused + total.refuted + total.unjudged + total.equal);
  CHECK(total.survived == 0);
  CHECK(with_checker.survivors.empty());
  // The same mutants, with nobody to refute them.
  const mutate::KindScore all = without.total();
  CHECK(all.made == total.made);
  CHECK(all.refused == total.refused);
  CHECK(all.refuted == 0);
  CHECK(all.equal >= total.equal);
  CHECK(all.survived > all.made / 4);
  CHECK(without.survivors.size() == static_cast<std::size_t>(all.survived));
  CHECK(without.survivors.at(0).find("seed") != std::string::npos);
}

TEST_CASE("raw bytes are not the value that has the input's name, so they are not named") {
  int found = 0;
  for (std::uint64_t seed = 0; found < 3; ++seed) {
    REQUIRE(seed < 200);
    CAPTURE(seed);
    const Network network = random_graph(seed);
    std::optional<Bytes> plan = plan_of(network);
    if (!plan) continue;
    const checker::Plan original = *read(*plan);
    const auto raw = std::ranges::find(original.tensors, true, &checker::PlanTensor::is_raw);
    if (raw == original.tensors.end()) continue;
    const checker::Model model = model_of(network);
    try {
      (void)checker::prove(model, original);
    } catch (const checker::Failure& failure) {
      REQUIRE_MESSAGE(failure.is_unknown, failure.text);
      continue;
    }
    ++found;
    checker::Plan named = original;
    named.tensors[static_cast<std::size_t>(raw - original.tensors.begin())].is_named = true;
    CHECK_THROWS_AS((void)checker::prove(model, named), checker::Failure);
  }
}

}  // namespace lockstep::test
