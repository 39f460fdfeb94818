// Plans and C of random networks over all operators, some of whose channels are silent or saturated
// so that the compiler leaves them out: the verifiers must derive every number of them and agree.
//
// LOCKSTEP_FUZZ_NETWORKS and LOCKSTEP_FUZZ_SEED (the first seed) widen a run.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "compile/compile.h"
#include "compile/support/error.h"
#include "compile/support/files.h"
#include "tests/fuzz/random_graph/random_graph.h"
#include "tests/fuzz/setting.h"
#include "tests/support/temporary_folder.h"
#include "verify/c_proof/c_proof.h"
#include "verify/checker/proof.h"
#include "verify/verify.h"

namespace lockstep::test {
namespace {

constexpr std::uint64_t kNetworks = 300;
constexpr std::int64_t kSamples = 6;
constexpr std::int64_t kWorstCaseWork = std::int64_t{1} << 24;  // enough for small networks

// Some output channels of each layer lose all their weights, some input channels too, and some get
// a bias that outweighs all.
StateDict with_quiet_channels(const Network& network, Random& random) {
  StateDict result;
  for (const auto& [key, entry] : network.state.entries()) {
    Tensor tensor = entry;
    const bool is_weight = key.ends_with(".weight") && tensor.shape.size() > 1;
    const bool is_bias = key.ends_with(".bias");
    if (tensor.dtype == Dtype::kFloat32 && (is_weight || is_bias)) {
      std::vector<float> values = tensor.floats(key);
      const auto count = static_cast<std::int64_t>(values.size());
      const std::int64_t row = count / tensor.shape[0];
      const std::int64_t column = is_weight ? row / tensor.shape[1] : 1;
      std::vector<bool> silent(static_cast<std::size_t>(tensor.shape[0] + row), false);
      for (std::size_t i = 0; i < silent.size(); ++i) silent[i] = random.chance(25);
      for (std::int64_t i = 0; i < count; ++i) {
        float& value = values[static_cast<std::size_t>(i)];
        if (is_bias && random.chance(15)) value = random.chance(70) ? -60.0F : 60.0F;
        if (is_weight && (silent[static_cast<std::size_t>(i / row)] ||
                          silent[static_cast<std::size_t>(tensor.shape[0] + i % row / column)]))
          value = 0;
      }
      std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
    }
    result.add(key, std::move(tensor));
  }
  return result;
}

// What the verifier says; empty: it agrees.
std::string objection(const Network& network, const StateDict& state, const Compiled& compiled) {
  verify::Options options;
  options.plan = compiled.plan;
  options.random_samples = kSamples;
  options.worst_case_work = kWorstCaseWork;
  const verify::Report report = verify::verify_plan(network.graph, state, {}, options);
  if (report.agreed) return "";
  if (const auto* refuted = std::get_if<verify::Refuted>(&report.verdict))
    return refuted->first_difference;
  return std::get<verify::Unknown>(report.verdict).reason;
}

// What the small checker says, from files; empty: it proves the plan.
std::string objection_of_checker(const Network& network, const StateDict& state,
                                 const Compiled& compiled, const std::filesystem::path& folder) {
  write_file_atomically(folder / "graph.json", to_json(network.graph));
  write_file_atomically(folder / "state.safetensors", to_safetensors(state));
  try {
    checker::prove(checker::read_model(folder / "graph.json", folder / "state.safetensors"),
                   checker::read_plan(compiled.plan));
    return "";
  } catch (const checker::Failure& failure) {
    return failure.obligation + ": " + failure.text;
  } catch (const checker::BadFile& error) {
    return error.what();
  }
}

// What the proof of the C for a core says; empty: it is the plan.
std::string objection_to_c(const Compiled& compiled, const std::string& target) {
  const std::vector<CSourceFile> files = emit_c(compiled, {.prefix = "net", .target = target});
  REQUIRE(files.size() >= 2);
  try {
    c_proof::prove_c({files[1].name, files[1].text, files[0].text, "net"},
                     checker::read_plan(compiled.plan));
    return "";
  } catch (const checker::Failure& failure) {
    return failure.text;
  }
}

}  // namespace

TEST_CASE("the verifiers follow every plan of random networks") {
  const std::uint64_t count = setting("LOCKSTEP_FUZZ_NETWORKS", kNetworks);
  const std::uint64_t first = setting("LOCKSTEP_FUZZ_SEED", 1);
  const TemporaryFolder folder;
  std::uint64_t plans = 0, maps = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    CAPTURE(seed);
    const Network network = random_graph(seed);
    Random random(seed);
    for (const bool quiet : {false, true})
      for (const bool keep_layers : {false, true}) {
        CAPTURE(quiet);
        CAPTURE(keep_layers);
        const auto goal = seed % 2 == 0 ? passes::Objective::kSpeed : passes::Objective::kSize;
        const StateDict state = quiet ? with_quiet_channels(network, random) : network.state;
        try {
          const Compiled compiled =
              compile_network(network.graph, state,
                              {.keep_layers = keep_layers, .optimize = goal, .after_pass = {}});
          const std::string text = objection(network, state, compiled);
          CHECK_MESSAGE(text.empty(), text);
          const std::string other = objection_of_checker(network, state, compiled, folder.path());
          CHECK_MESSAGE(other.empty(), other);
          const std::vector<std::string> targets = c_targets();
          for (const std::string& target : {targets[0], targets[1 + seed % (targets.size() - 1)]}) {
            CAPTURE(target);
            const std::string of_c = objection_to_c(compiled, target);
            CHECK_MESSAGE(of_c.empty(), of_c);
          }
          plans += 1;
          maps +=
              std::ranges::any_of(compiled.program.values,
                                  [](const ir::Value& value) { return !value.channels.empty(); })
                  ? 1
                  : 0;
        } catch (const InputError&) {
          continue;  // fuzz_test holds refusals against each other
        }
      }
  }
  MESSAGE(plans, " plans, ", maps, " of them with channel maps");
  CHECK(2 * plans > count);
}

}  // namespace lockstep::test
