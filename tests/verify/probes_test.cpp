// One wrong weight anywhere in generated C is found by the layer probes.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>

#include "tests/support/input_error.h"
#include "tests/verify/emitted.h"
#include "verify/differential/comparison.h"
#include "verify/differential/inputs.h"
#include "verify/probes/layer_probes.h"
#include "verify/proof/constants.h"

using namespace lockstep;
using namespace lockstep::test;

namespace {

// Probes the folder's C and nothing else.
verify::ProbeResult probe(const Emitted& emitted, std::int64_t most = 2048) {
  const verify::ExactNetwork network(emitted.net.graph, emitted.net.parameters);
  const verify::OpenPlan plan(emitted.plan);
  const verify::ConstantsResult constants =
      verify::check_constants(network, emitted.net.parameters, plan);
  REQUIRE(!constants.refuted);
  REQUIRE(!constants.unknown);
  verify::Options options = emitted.options();
  options.c_probes = most;
  const verify::CProgram program = {emitted.folder.path(), "net", std::chrono::seconds(60)};
  return verify::run_layer_probes(network, plan, constants.held, kQuickTarget, program, options);
}

// The places of the numbers of an array of the C.
std::vector<std::pair<std::size_t, std::size_t>> numbers_of(const std::string& source,
                                                            std::size_t array) {
  std::vector<std::pair<std::size_t, std::size_t>> places;
  const std::size_t end = source.find("};", array);
  for (std::size_t at = source.find('{', array) + 1; at < end;) {
    at = source.find_first_of("-0123456789", at);
    if (at >= end) break;
    const std::size_t stop = source.find_first_not_of("-0123456789", at);
    places.emplace_back(at, stop - at);
    at = stop;
  }
  return places;
}

// Whether the folder's C agrees with the exact semantics on many inputs of the whole network.
bool agrees_on_samples(const Emitted& emitted) {
  const verify::ExactNetwork network(emitted.net.graph, emitted.net.parameters);
  const verify::GeneratedInputs inputs(network, 200, 3);
  const verify::Batch batch = inputs.make(0, inputs.count());
  const verify::CProgram program = {emitted.folder.path(), "net", std::chrono::seconds(60)};
  const verify::CRun run = verify::run_c(kQuickTarget, program, emitted.net.graph, emitted.table(),
                                         batch, inputs.count());
  REQUIRE(run.seen);
  verify::Comparison comparison(network, kQuickTarget.name, [](std::int64_t) { return "made up"; });
  comparison.compare_codes(*run.seen, network.evaluate(batch, inputs.count()), 0);
  return !run.difference && !comparison.first_divergence();
}

struct Tally {
  int changed = 0, found = 0;
};

// Changes every `stride`th number of every weight and bias array by one step, one at a time.
Tally change_weights(const Emitted& emitted, std::size_t stride) {
  Tally tally;
  const std::string source = emitted.source();
  for (const char* kind : {"_weight[", "_bias["})
    for (std::size_t array = source.find(kind); array != std::string::npos;
         array = source.find(kind, array + 1)) {
      if (source.compare(source.rfind('\n', array) + 1, 12, "static const") != 0) continue;
      const auto places = numbers_of(source, array);
      for (std::size_t i = stride / 2; i < places.size(); i += stride) {
        const auto [at, length] = places[i];
        const int value = std::stoi(source.substr(at, length));
        const int changed = value == 127 || (value != -128 && i % 2 == 0) ? value - 1 : value + 1;
        emitted.write_source(source.substr(0, at) + std::to_string(changed) +
                             source.substr(at + length));
        const verify::ProbeResult result = probe(emitted);
        CAPTURE(source.substr(source.rfind('\n', array) + 1, 60));
        CAPTURE(i);
        REQUIRE_MESSAGE(result.failure.empty(), result.failure);
        tally.changed += 1;
        tally.found += result.refuted ? 1 : 0;
        if (!result.refuted) {  // it meets only zeros, or nobody sees what it makes
          CHECK(agrees_on_samples(emitted));
          continue;
        }
        // The comment in front of the operator's constants names it.
        const std::size_t comment = source.rfind("/* ", array);
        const std::string title = source.substr(comment, source.find('\n', comment) - comment);
        CAPTURE(title);
        CAPTURE(result.refuted->first_difference);
        CHECK(contains(title, "'" + result.refuted->layer + "'"));
      }
    }
  emitted.write_source(source);
  return tally;
}

}  // namespace

TEST_CASE("probes of unchanged C agree and cover nearly every weight") {
  for (const std::string& name : kRecordedNetworks) {
    CAPTURE(name);
    const Emitted emitted(name);
    const verify::ProbeResult result = probe(emitted);
    CHECK_MESSAGE(result.failure.empty(), result.failure);
    if (result.refuted) FAIL(result.refuted->first_difference);
    const verify::ProbeReport& report = result.report;
    MESSAGE(fmt::format("{}: {} probes cover {} of {} weights and biases; {} of '{}' are not", name,
                        report.probes, report.covered, report.weights, report.most_uncovered,
                        report.worst_layer));
    CHECK(report.weights > 0);
    CHECK(report.covered * 100 >= report.weights * 90);
    CHECK(report.worst_layer.empty() == (report.covered == report.weights));
  }
}

TEST_CASE("one wrong weight or bias in the C is found, wherever it is") {
  Tally all;
  const std::pair<const char*, std::size_t> networks[] = {
      {"bias12", 31}, {"doc_single_conv", 41}, {"left_shift", 31}, {"lenet_pt_bias20", 157}};
  for (const auto& [name, stride] : networks) {
    CAPTURE(std::string(name));
    const Tally tally = change_weights(Emitted(name), stride);
    MESSAGE(fmt::format("{}: {} of {} wrong numbers found, the others agree on all samples", name,
                        tally.found, tally.changed));
    all.changed += tally.changed;
    all.found += tally.found;
  }
  CHECK(all.found > 25);
  CHECK(all.found * 3 > all.changed * 2);
}
