// Generated C of the recorded networks and of those of the zoo that a microcontroller holds, on the
// emulated core that the environment variable LOCKSTEP_TEST_CORE names: every visible tensor is
// what the plan computes, the self test passes, and nothing outside the arena is touched; and the
// stack that it takes stays within its bound. So with C for any core (of the zoo, one network) and,
// where the compiler can write it, with C for this one. Cortex-M7 and M33 run the C of Cortex-M4,
// and so fewer networks.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdio>

#include "tests/embedded/zoo_network.h"
#include "tests/verify/emitted.h"
#include "verify/differential/c_build.h"
#include "verify/differential/plan_runner.h"

namespace lockstep::test {
namespace {

constexpr std::uint64_t kMostStackBytes = 1024;  // docs/generated-c.md promises it

bool can_write_for(const std::string& core) {
  const std::vector<std::string> names = c_targets();
  return std::ranges::find(names, core) != names.end();
}

// The C that is written for a core, without its name.
std::string source_for(const Recorded& net, const std::string& core) {
  std::string text = Emitted(net, "net", core).source();
  for (std::size_t at = text.find(core); at != std::string::npos; at = text.find(core, at))
    text.erase(at, core.size());
  return text;
}

// The harness is compiled once for all networks of a case.
class Core {
 public:
  Core() : target_(verify::c_targets({std::string(core().name)}).at(0)) {}

  void check(const Recorded& net, std::int64_t samples, const std::string& written_for) const {
    INFO("C for ", written_for);
    const bool own = written_for == core().name;  // then it is run as a device would, too
    const Emitted emitted(net, "net", written_for);
    const std::string name(core().name);
    const verify::CProgram program = {emitted.folder.path(), "net", std::chrono::minutes(5)};
    const verify::Batch batch = first_samples(emitted.net, samples);
    const verify::CRun ran =
        verify::run_c(target_, program, emitted.net.graph, emitted.table(), batch, samples,
                      own ? verify::CRunDepth::kDeployed : verify::CRunDepth::kObserved);
    CHECK_MESSAGE(ran.failure.empty(), ran.failure);
    CHECK_MESSAGE(!ran.difference, ran.difference->layer, ": ", ran.difference->text);
    CHECK(ran.seen.has_value());
    if (!ran.seen || ran.difference) return;  // the other networks are of interest, too

    if (own) {
      REQUIRE(ran.cost.has_value());
      REQUIRE(ran.cost->stack_bound_bytes.has_value());
      CHECK(*ran.cost->stack_bound_bytes <= kMostStackBytes);
      CHECK(ran.cost->stack_bytes <= *ran.cost->stack_bound_bytes);
    }

    const verify::OpenPlan plan(emitted.plan);
    const verify::PlanRun expected =
        verify::run_plan(plan, "scalar", emitted.net.graph, batch, samples);
    REQUIRE_MESSAGE(expected.failure.empty(), expected.failure);
    REQUIRE(ran.seen->tensors.size() == expected.seen->tensors.size());
    std::size_t values = 0, differing = 0;
    for (std::size_t t = 0; t < ran.seen->codes.size(); ++t) {
      const std::vector<std::int64_t>&found = ran.seen->codes[t], &wanted = expected.seen->codes[t];
      REQUIRE(found.size() == wanted.size());
      for (std::size_t i = 0; i < found.size(); ++i) differing += found[i] != wanted[i] ? 1u : 0u;
      CHECK_MESSAGE(differing == 0, "tensor '", ran.seen->tensors[t].name, "' differs");
      values += found.size();
    }
    std::printf("%s, C for %s, on %s: %zu values agree\n", net.graph.name.c_str(),
                written_for.c_str(), name.c_str(), values);
  }

  // C for this core, where there is such, and for any core, where that is another.
  void check(const Recorded& net, std::int64_t samples) const {
    const std::string name(core().name);
    check_best(net, samples);
    if (resembles_cortex_m4()) {
      REQUIRE(can_write_for(name));
    } else if (can_write_for(name) && source_for(net, name) != source_for(net, "generic")) {
      check(net, samples, "generic");
    }
  }

  // The C that one would take for this core.
  void check_best(const Recorded& net, std::int64_t samples) const {
    const std::string name(core().name);
    check(net, samples, can_write_for(name) ? name : "generic");
  }

 private:
  verify::CTarget target_;
};

}  // namespace

TEST_CASE("the recorded networks compute what their plans compute") {
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
}

TEST_CASE("the small networks of the zoo compute what their plans compute") {
  const Core here;
  for (const std::string name : {"lenet", "resnet8", "ds_cnn", "mobilenet_v1_025", "autoencoder"}) {
    if (resembles_cortex_m4() && name != "resnet8" && name != "ds_cnn") continue;
    INFO(name);
    if (name == "ds_cnn")
      here.check(zoo_network(name), 1);
    else
      here.check_best(zoo_network(name), 1);
  }
}

TEST_CASE("the stack is bounded with less optimization, too") {
  const std::string name(core().name);
  if (!can_write_for(name)) return;
  for (const char* const network : {"resnet8", "ds_cnn"}) {
    const Emitted emitted(zoo_network(network), "net", name);
    const verify::CProgram program = {emitted.folder.path(), "net", std::chrono::minutes(5)};
    for (const std::string level : {"-O1", "-O2", "-Os"}) {
      INFO(emitted.net.graph.name, " ", level);
      verify::CTarget target = verify::c_targets({name}).at(0);
      target.optimization = level;
      const auto bound =
          verify::CBuild(target, program, verify::CBuildKind::kDeployed).stack_bound_bytes();
      REQUIRE(bound.has_value());
      CHECK(*bound <= kMostStackBytes);
    }
  }
}

TEST_CASE("C that is written for another core computes the same") {
  const Recorded net = zoo_network("ds_cnn");
  const Core here;
  if (resembles_cortex_m4()) return here.check(net, 1, "generic");
  int checked = 0;
  // One with each kind of micro-kernels.
  for (const char* const other : {"cortex-m3", "cortex-m4", "cortex-m55", "aarch64"}) {
    if (!can_write_for(other) || other == core().name) continue;
    here.check(net, 1, other);
    ++checked;
  }
  CHECK(checked >= 1);
}

}  // namespace lockstep::test
