// Generated C of random networks, compiled and run: every visible tensor is what the plan computes,
// and the self test passes. With gcc at -O0, -O2 and -O3, clang at -O2, and clang with sanitizers,
// each network written for another core; and for some networks on that core, emulated.
//
// LOCKSTEP_FUZZ_NETWORKS and LOCKSTEP_FUZZ_SEED (the first seed) widen a run; LOCKSTEP_FUZZ_CORES
// says how many of the networks run on each of the emulated cores.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>

#include "compile/compile.h"
#include "compile/support/error.h"
#include "compile/support/files.h"
#include "tests/fuzz/random_graph/random_graph.h"
#include "tests/fuzz/setting.h"
#include "tests/support/temporary_folder.h"
#include "verify/differential/c_runner.h"
#include "verify/differential/plan_runner.h"

namespace lockstep::test {
namespace {

constexpr std::uint64_t kNetworks = 12, kOnEachCore = 1;
constexpr std::array kCores = {"cortex-m4", "cortex-m55", "rv32imc"};
constexpr int kSamples = 4;  // as input_codes has them

// All samples of each input.
verify::Batch inputs_of(const Graph& graph, std::uint64_t seed) {
  verify::Batch batch;
  for (const GraphInput& input : graph.inputs)
    batch.push_back({.shape = input.shape,
                     .decimals = {input.raw ? 0 : static_cast<int>(input.decimal)},
                     .codes = {}});
  for (int sample = 0; sample < kSamples; ++sample) {
    const auto codes = input_codes(graph, seed, sample);
    for (std::size_t i = 0; i < batch.size(); ++i)
      batch[i].codes.insert(batch[i].codes.end(), codes[i].begin(), codes[i].end());
  }
  return batch;
}

class Fuzz {
 public:
  // False where the compiler refuses the network.
  bool check(std::uint64_t seed, bool on_its_core) {
    const Network network = random_graph(seed);
    std::optional<Compiled> compiled;
    try {
      compiled = compile_network(network.graph, network.state,
                                 {.keep_layers = seed % 2 == 0, .after_pass = {}});
    } catch (const InputError&) {
      return false;  // fuzz_test holds refusals against each other
    }
    const verify::OpenPlan plan(compiled->plan);
    const verify::Batch batch = inputs_of(network.graph, seed);
    const verify::PlanRun expected =
        verify::run_plan(plan, "scalar", network.graph, batch, kSamples);
    REQUIRE_MESSAGE(expected.failure.empty(), expected.failure);

    const TemporaryFolder folder;
    const auto write = [&](const std::string& core) {
      CAPTURE(core);
      for (const CSourceFile& file : emit_c(*compiled, {.prefix = "net", .target = core}))
        write_file_atomically(folder / file.name, file.text);
      return verify::CProgram{folder.path(), "net", std::chrono::minutes(2)};
    };
    const auto run = [&](const verify::CTarget& target, const verify::CProgram& program) {
      const verify::CRun ran =
          verify::run_c(target, program, network.graph, verify::plan_table(plan), batch, kSamples);
      compare(target.name, ran, *expected.seen);
    };
    const std::vector<std::string> written_for = c_targets();
    const verify::CProgram program = write(written_for[seed % written_for.size()]);
    for (const verify::CTarget& target : host_)
      if (is_wanted(target)) run(target, program);
    if (on_its_core)
      for (const verify::CTarget& target : cores_)
        run(target, write(std::string(target.emulated->name)));
    return true;
  }

  const std::map<std::string, std::uint64_t>& values() const { return values_; }
  std::uint64_t failures() const { return failures_; }

 private:
  static bool is_wanted(const verify::CTarget& target) {
    constexpr std::array kNames = {"C gcc -O0", "C gcc -O2", "C gcc -O3", "C clang -O2",
                                   "C clang sanitized"};
    return std::ranges::find(kNames, target.name) != kNames.end();
  }

  void compare(const std::string& name, const verify::CRun& ran,
               const verify::Observations& expected) {
    INFO(name);
    std::string failure = ran.failure;
    if (ran.difference) failure = ran.difference->layer + ": " + ran.difference->text;
    if (failure.empty()) {
      REQUIRE(ran.seen->codes.size() == expected.codes.size());
      for (std::size_t t = 0; t < expected.codes.size(); ++t) {
        if (ran.seen->codes[t] != expected.codes[t])
          failure = fmt::format("tensor '{}' differs", expected.tensors[t].name);
        values_[name] += expected.codes[t].size();
      }
    }
    CHECK_MESSAGE(failure.empty(), failure);
    failures_ += failure.empty() ? 0 : 1;
  }

  // For all networks, so that the harness is compiled once.
  const std::vector<verify::CTarget> host_ = verify::c_targets({"host-all"});
  const std::vector<verify::CTarget> cores_ = verify::c_targets({kCores.begin(), kCores.end()});
  std::map<std::string, std::uint64_t> values_;  // compared, by what ran
  std::uint64_t failures_ = 0;
};

TEST_CASE("the C of random networks computes what the plan computes, whoever compiles it") {
  const std::uint64_t wanted = setting("LOCKSTEP_FUZZ_NETWORKS", kNetworks);
  const std::uint64_t on_cores = setting("LOCKSTEP_FUZZ_CORES", kOnEachCore);
  std::uint64_t seed = setting("LOCKSTEP_FUZZ_SEED", 1), networks = 0;
  Fuzz fuzz;
  for (std::uint64_t tried = 0; networks < wanted && tried < 2 * wanted + 10; ++tried, ++seed) {
    CAPTURE(seed);
    networks += fuzz.check(seed, networks < on_cores) ? 1 : 0;
  }
  fmt::print("{} networks up to seed {}, {} on each core; {} failed\n", networks, seed - 1,
             std::min(networks, on_cores), fuzz.failures());
  for (const auto& [name, values] : fuzz.values()) fmt::print("{:10} codes {}\n", values, name);
  CHECK(networks == wanted);
  CHECK(fuzz.values().size() == 5 + (on_cores > 0 ? kCores.size() : 0));
}

}  // namespace
}  // namespace lockstep::test
