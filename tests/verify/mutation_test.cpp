// Does the verifier notice? Single numbers of compiled plans are changed, one at a time, and the
// plan sealed again. Every changed plan that the runtime still opens must be refuted, naming the
// layer, unless the change provably changes nothing; those few are listed by kind and held against
// the unchanged plan.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <set>

#include "tests/verify/judge.h"
#include "tests/verify/recorded.h"
#include "verify/differential/differential.h"

using namespace lockstep;
using namespace lockstep::test;

namespace {

// Kinds that can change nothing: post-processing of accumulators that do not occur, weights (and
// which of them are stored, and what they stand for) and biases of elements that a mask removes,
// the width of sums that need less, whether a pooling says that its value is complete, and memory
// that is free.
const std::set<std::string> kMayChangeNothing = {
    "shift", "shift offset", "lower limit", "upper limit", "rounding",  "weight",
    "bias",  "arena offset", "bits",        "flags",       "moved bit", "segment end"};

}  // namespace

TEST_CASE("every changed number of a plan is rejected, refuted by layer, or changes nothing") {
  Tally tally;
  for (const std::string& name : kRecordedNetworks)
    for (const bool keep_layers : {false, true}) {
      CAPTURE(name);
      CAPTURE(keep_layers);
      const Recorded net = read_recorded(name);
      const verify::ExactNetwork exact(net.graph, net.parameters);
      const Bytes plan = compile_plan(net, keep_layers);
      for (const Mutant& mutant : mutants_of(plan))
        judge({net.graph, net.state, exact, net.data()}, apply(plan, mutant), mutant,
              kMayChangeNothing, tally);
    }
  MESSAGE(tally.text());
  CHECK(tally.refuted > 1000);
  CHECK(tally.caught_by_running > 0);
}

TEST_CASE("the unchanged plans agree, and without a float path that is said") {
  for (const std::string& name : kRecordedNetworks)
    for (const bool keep_layers : {false, true}) {
      CAPTURE(name);
      const Recorded net = read_recorded(name);
      const Bytes plan = compile_plan(net, keep_layers);
      verify::Options options;
      options.plan = plan;
      options.random_samples = 16;
      const verify::Report report = verify::verify_plan(net.graph, net.state, net.data(), options);
      const auto* unknown = std::get_if<verify::Unknown>(&report.verdict);
      REQUIRE_MESSAGE(unknown != nullptr,
                      std::get<verify::Refuted>(report.verdict).first_difference);
      CHECK(
          unknown->reason ==
          fmt::format("agreed on {} inputs, not proved; float path not compared", report.samples));
      CHECK(report.agreed);
      CHECK(report.constants_checked > 100);
      CHECK(report.samples > net.samples + 16);
      REQUIRE(!report.paths.empty());
      CHECK(report.paths.back().path == "plan (scalar)");
      for (const verify::PathReport& path : report.paths) {
        CHECK(path.samples == report.samples);
        CHECK(path.values > 0);
        CHECK(path.differing == 0);
      }
      CHECK(report.plan_predictions.size() == static_cast<std::size_t>(net.samples));
    }
}

TEST_CASE("no samples are not agreement") {
  const Recorded net = read_recorded("bias12");
  const Bytes plan = compile_plan(net, false);
  verify::Options options;
  options.plan = plan;
  options.random_samples = 0;
  const verify::Report report = verify::verify_plan(net.graph, net.state, {}, options);
  CHECK(std::get<verify::Unknown>(report.verdict).reason == "nothing was compared: no samples");
  CHECK(!report.agreed);
}

TEST_CASE("a plan of another state dict is refuted") {
  const Recorded net = read_recorded("lenet_pt_bias20");
  const Bytes plan = compile_plan(net, false);
  StateDict changed;
  for (const auto& [key, tensor] : net.state.entries()) {
    Tensor copy = tensor;
    if (key == "conv2.bias") copy.bytes[3] ^= std::byte{0x80};  // the sign of the first bias
    changed.add(key, copy);
  }
  verify::Options options;
  options.plan = plan;
  options.random_samples = 1;
  const verify::Report report = verify::verify_plan(net.graph, changed, {}, options);
  CHECK(std::get<verify::Refuted>(report.verdict).layer == "conv2");
  CHECK(std::get<verify::Refuted>(report.verdict).first_difference.find("bias of channel 0") !=
        std::string::npos);
}
