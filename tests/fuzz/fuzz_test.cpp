// Random networks over all operators: the exact semantics, every pass, and the plan on every kernel
// variant must have the same codes at every tensor. On a difference the network is made smaller and
// printed.
//
// LOCKSTEP_FUZZ_NETWORKS and LOCKSTEP_FUZZ_SEED (the first seed) widen a run.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "compile/checkpoint/parameters.h"
#include "compile/graph/op_schema.h"
#include "compile/graph/shapes.h"
#include "tests/fuzz/check_network.h"
#include "tests/fuzz/minimise.h"
#include "tests/fuzz/program_forms.h"
#include "tests/fuzz/random_graph/random_graph.h"
#include "tests/fuzz/setting.h"

namespace lockstep::test {
namespace {

using Result = CheckOutcome::Result;

constexpr std::uint64_t kNetworks = 2000;
constexpr std::uint64_t kLeastOfEachOperator = 40;  // among kNetworks that compile
constexpr std::uint64_t kLeastOfEachForm = 20;
constexpr int kMostMinimised = 3;

// A refusal without names and numbers: its kind.
std::string kind_of(const std::string& refusal) {
  std::string kind;
  bool quoted = false;
  for (const char c : refusal) {
    if (c == '\'') {
      quoted = !quoted;
      if (quoted) kind += "'_'";
    } else if (!quoted && c >= '0' && c <= '9') {
      if (kind.empty() || kind.back() != '#') kind += '#';
    } else if (!quoted) {
      kind += c;
    }
  }
  return kind.substr(0, 150);
}

// Widths are limits of the runtime, not of the meaning: only the compiler has them.
bool is_width_limit(const std::string& refusal) {
  for (const char* const words : {"bits", "plans hold", "plans shift", "32-bit range", "too many"})
    if (refusal.find(words) != std::string::npos) return true;
  return false;
}

// The operators of nodes that an output needs, once each.
std::set<std::string> live_operators(const Graph& graph) {
  std::set<std::string> live(graph.outputs.begin(), graph.outputs.end()), operators;
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node)
    if (live.contains(node->name)) {
      operators.insert(node->op);
      live.insert(node->inputs.begin(), node->inputs.end());
    }
  return operators;
}

struct Kinds {
  std::map<std::string, std::pair<std::uint64_t, std::string>> counts;  // and an example

  void add(std::uint64_t seed, const std::string& refusal) {
    auto& [count, example] = counts[kind_of(refusal)];
    if (++count == 1) example = fmt::format("seed {}: {}", seed, refusal);
  }
  void print(const std::string& title) const {
    fmt::print("{}\n", title);
    for (const auto& [kind, entry] : counts) fmt::print("{:7} {}\n", entry.first, entry.second);
  }
};

void report_failure(const Network& network, std::uint64_t seed, const CheckOutcome& outcome,
                    bool minimised) {
  fmt::print("seed {} fails in {}: {}\n", seed, outcome.place, outcome.text);
  if (minimised) {
    const Network small = minimise(network, [&](const Network& candidate) {
      const CheckOutcome again = check_network(candidate, seed);
      return again.result == Result::kFails && again.place == outcome.place;
    });
    const CheckOutcome again = check_network(small, seed);
    fmt::print("minimised: {}\n{}\n", again.text, describe(small));
  }
  std::fflush(stdout);
}

TEST_CASE("semantics, every pass and the plan have the same codes in random networks") {
  const std::uint64_t networks = setting("LOCKSTEP_FUZZ_NETWORKS", kNetworks);
  const std::uint64_t first = setting("LOCKSTEP_FUZZ_SEED", 1);
  std::uint64_t compiled = 0, refused = 0, failed = 0, values = 0, nonzero = 0, nodes = 0;
  std::map<std::string, std::uint64_t> coverage, forms;
  Kinds refusals, only_compiler, only_semantics;
  for (std::uint64_t seed = first; seed < first + networks; ++seed) {
    const Network network = random_graph(seed);
    const CheckOutcome outcome = check_network(network, seed);
    values += outcome.values;
    nonzero += outcome.nonzero;
    if (outcome.result == Result::kFails) {
      report_failure(network, seed, outcome, ++failed <= kMostMinimised);
      continue;
    }
    if (outcome.result == Result::kRefused) {
      ++refused;
      refusals.add(seed, outcome.text);
      if (outcome.semantics_refusal.empty() && !is_width_limit(outcome.text))
        only_compiler.add(seed, outcome.text);
      continue;
    }
    ++compiled;
    nodes += network.graph.nodes.size();
    for (const std::string& op : live_operators(network.graph)) ++coverage[op];
    for (const std::string& form : outcome.forms) ++forms[form];
    if (!outcome.semantics_refusal.empty()) only_semantics.add(seed, outcome.semantics_refusal);
  }

  fmt::print(
      "{} networks from seed {}: {} compiled with {} nodes, {} refused, {} failed; {} codes "
      "compared, {} of them not zero\n",
      networks, first, compiled, nodes, refused, failed, values, nonzero);
  for (const OpSchema& schema : op_schemas()) {
    const std::uint64_t count = coverage[std::string(schema.name)];
    fmt::print("{:7} {}\n", count, schema.name);
    CHECK_MESSAGE(count * kNetworks >= kLeastOfEachOperator * networks, schema.name);
  }
  fmt::print("forms of programs:\n");
  for (const std::string_view form : all_program_forms()) {
    const std::uint64_t count = forms[std::string(form)];
    fmt::print("{:7} {}\n", count, form);
    CHECK_MESSAGE(count * kNetworks >= kLeastOfEachForm * networks, form);
  }
  refusals.print("refused by the compiler, by kind:");
  only_compiler.print("refused by the compiler alone, for another reason than a width:");
  only_semantics.print("refused by the exact semantics alone:");
  CHECK(failed == 0);
  CHECK(refused * 5 <= networks);
  CHECK(nonzero * 3 > values);
}

// The graph with another rounding, or another decimal, in one place that is not dead.
std::optional<Network> with_a_fault(const Network& network, std::uint64_t seed) {
  Random random(seed);
  Network wrong = network;
  std::set<std::string> live(wrong.graph.outputs.begin(), wrong.graph.outputs.end());
  std::vector<Node*> quantize_nodes;
  for (auto node = wrong.graph.nodes.rbegin(); node != wrong.graph.nodes.rend(); ++node)
    if (live.contains(node->name)) {
      live.insert(node->inputs.begin(), node->inputs.end());
      if (node->quantize) quantize_nodes.push_back(&*node);
    }
  if (quantize_nodes.empty()) return std::nullopt;
  QuantizeSpec& spec =
      *quantize_nodes[static_cast<std::size_t>(
                          random.between(0, static_cast<std::int64_t>(quantize_nodes.size()) - 1))]
           ->quantize;
  spec.rounding = spec.rounding == Rounding::kFloor ? Rounding::kTowardZero : Rounding::kFloor;
  return wrong;
}

TEST_CASE("a network that means something else is found out") {
  int tried = 0, found = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const Network network = random_graph(seed);
    const auto wrong = with_a_fault(network, seed);
    if (!wrong || check_network(network, seed).result != Result::kAgrees) continue;
    ++tried;
    const CheckOutcome outcome = check_against(network, *wrong, seed);
    if (outcome.result == Result::kFails && outcome.place == "lower") ++found;
  }
  fmt::print("{} of {} faults found\n", found, tried);
  CHECK(tried > 50);
  CHECK(found * 2 > tried);  // some do nothing: nothing is rounded there, or nothing is below zero
}

TEST_CASE("a failing network is reduced to what fails") {
  for (const std::string op : {"mul", "conv2d", "concat", "gelu"}) {
    CAPTURE(op);
    const auto fails = [&](const Network& network) {
      bind_parameters(network.graph, network.state);
      infer_shapes(network.graph, "candidate");
      return live_operators(network.graph).contains(op);
    };
    std::uint64_t seed = 1;
    Network network = random_graph(seed);
    while (network.graph.nodes.size() < 20 || !fails(network)) network = random_graph(++seed);
    const Network small = minimise(network, fails);
    CHECK(fails(small));
    CHECK(small.graph.nodes.size() == 1);
    CHECK(small.graph.outputs.size() == 1);
    CHECK(describe(small).find("\"op\":\"" + op + "\"") != std::string::npos);
  }
}

}  // namespace
}  // namespace lockstep::test
