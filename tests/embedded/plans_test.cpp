// Plans that the runtime runs on the emulated core that LOCKSTEP_TEST_CORE names, read from its
// flash: the recorded networks and those of the zoo that a microcontroller holds (of these one on
// Cortex-M7 and M33). Every tensor is what the same plan makes on this machine, and nothing outside
// the arena is touched.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdio>
#include <span>
#include <string_view>

#include "compile/compile.h"
#include "compile/support/files.h"
#include "tests/embedded/zoo_network.h"
#include "tests/intrt/mixed_network.h"
#include "tests/intrt/stored_network.h"
#include "tests/support/golden_net.h"
#include "verify/differential/c_build.h"
#include "verify/differential/emulated_bench.h"

namespace lockstep::test {
namespace {

constexpr std::chrono::minutes kTimeout(5);

// The most stack that opening or running a plan may take.
constexpr std::uint64_t kMostStackBytes = 1024;

// The runtime is compiled once for all networks of a case.
class Core {
 public:
  Core() : target_(verify::plan_targets({std::string(core().name)}).at(0)) {}

  void check(const Recorded& net, std::int64_t samples) const {
    const std::vector<std::byte> bytes = compile_network(net.graph, net.state, {}).plan;
    const verify::OpenPlan plan(bytes);
    const verify::CProgram program = program_of(plan);
    const verify::Batch batch = first_samples(net, samples);
    const verify::CRun ran =
        verify::run_c(target_, program, net.graph, verify::plan_table(plan), batch, samples);
    CHECK_MESSAGE(ran.failure.empty(), ran.failure);
    CHECK_MESSAGE(!ran.difference, ran.difference->layer, ": ", ran.difference->text);
    CHECK(ran.cost.has_value());
    if (!ran.seen || !ran.deployed || !ran.cost) return;  // the other networks are of interest, too

    const verify::PlanRun expected = verify::run_plan(plan, "scalar", net.graph, batch, samples);
    REQUIRE_MESSAGE(expected.failure.empty(), expected.failure);
    REQUIRE(ran.seen->tensors.size() == expected.seen->tensors.size());
    std::size_t values = 0;
    for (std::size_t t = 0; t < ran.seen->codes.size(); ++t) {
      const bool same = ran.seen->codes[t] == expected.seen->codes[t];
      CHECK_MESSAGE(same, "tensor '", ran.seen->tensors[t].name, "' differs");
      values += ran.seen->codes[t].size();
    }
    for (std::size_t i = 0; i < ran.deployed->codes.size(); ++i) {
      const std::string& name = ran.deployed->tensors[i].name;
      for (std::size_t t = 0; t < expected.seen->codes.size(); ++t) {
        const bool differs = expected.seen->tensors[t].name == name &&
                             ran.deployed->codes[i] != expected.seen->codes[t];
        CHECK_MESSAGE(!differs, "output '", name, "' of the deployed build differs");
      }
    }
    CHECK(ran.cost->stack_bytes <= kMostStackBytes);
    CHECK(ran.cost->opening.instructions > bytes.size());
    std::printf(
        "%s on %s: %zu values agree; %ju instructions, %ju to open %zu bytes, %ju bytes of "
        "stack, %ju of code\n",
        net.graph.name.c_str(), std::string(core().name).c_str(), values,
        std::uintmax_t{ran.cost->counts.instructions},
        std::uintmax_t{ran.cost->opening.instructions}, bytes.size(),
        std::uintmax_t{ran.cost->stack_bytes}, std::uintmax_t{ran.cost->code_bytes});
  }

  // A plan without a graph; every tensor, and the builds that are counted.
  void check(const std::vector<std::uint8_t>& bytes) const {
    const verify::OpenPlan plan(std::as_bytes(std::span(bytes)));
    const verify::EmulatedBench ran =
        verify::run_emulated(target_, program_of(plan), plan, verify::random_inputs(plan, 1));
    CHECK_MESSAGE(ran.failure.empty(), ran.failure);
    CHECK(ran.operators.size() == intrt_op_count(plan.get()));
  }

  // Why a run on these bytes, as they lie in the arena, gives no result.
  std::string failure_on(const std::vector<std::uint8_t>& bytes,
                         const std::vector<std::byte>& input) const {
    const verify::OpenPlan plan(std::as_bytes(std::span(bytes)));
    const verify::CProgram program = program_of(plan);
    verify::CBuild build(target_, program, verify::CBuildKind::kDeployed);
    return build.run(input, verify::kOutputSlackBytes).failure;
  }

 private:
  static verify::CProgram program_of(const verify::OpenPlan& plan) {
    return {.folder = {}, .prefix = "", .timeout = kTimeout, .plan = &plan};
  }

  verify::CTarget target_;
};

}  // namespace

TEST_CASE("plans compute on the core what they compute here") {
  const Core here;
  int checked = 0;
  for (const std::string& name : golden_net_names()) {
    const Recorded net = read_recorded(name);
    if (!net.golden.is_exact) continue;
    INFO(name);
    here.check(net, std::min<std::int64_t>(net.samples, 2));
    ++checked;
  }
  CHECK(checked >= 8);
  for (const char* const name : {"lenet", "resnet8", "ds_cnn", "mobilenet_v1_025", "autoencoder"}) {
    if (resembles_cortex_m4() && std::string_view(name) != "ds_cnn") continue;
    INFO(name);
    here.check(zoo_network(name), 1);
  }
  for (const std::vector<std::uint8_t>& plan :
       {testing::small_network(), testing::stored_network(), testing::mixed_network()})
    here.check(plan);

  // The codes of mixed_network's second input have 5 bits.
  std::vector<std::byte> input(4 + 2 * 32);
  input[0] = std::byte{1};
  CHECK(here.failure_on(testing::mixed_network(), input) == "");
  input.back() = std::byte{16};
  const std::string failure = here.failure_on(testing::mixed_network(), input);
  CHECK_MESSAGE(failure.find("the runtime says: an input code lies outside the declared range") !=
                    std::string::npos,
                failure);
}

}  // namespace lockstep::test
