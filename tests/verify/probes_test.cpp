// One wrong weight anywhere in generated C is found by the layer probes.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/support/input_error.h"
#include "tests/verify/emitted.h"
#include "tests/verify/quiet_network.h"
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
  return verify::run_layer_probes(plan, constants.held, kQuickTarget, program, options);
}

// The places of the numbers of an array of the C.
std::vector<std::pair<std::size_t, std::size_t>> places_of(const std::string& source,
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

// The numbers of every weight and bias array.
struct Number {
  std::size_t place, length;   // in the source
  std::int64_t value, lo, hi;  // between what it may be changed to without a sum leaving 32 bits
  std::string title;           // the comment in front of the operator's constants names it
};
std::vector<Number> numbers_of(const std::string& source) {
  std::vector<Number> numbers;
  for (const std::string kind : {"_weight[", "_bias["})
    for (std::size_t array = source.find(kind); array != std::string::npos;
         array = source.find(kind, array + 1)) {
      const std::size_t line = source.rfind('\n', array) + 1;
      if (source.compare(line, 12, "static const") != 0) continue;
      const std::size_t comment = source.rfind("/* ", array);
      const std::string title = source.substr(comment, source.find('\n', comment) - comment);
      const std::int64_t limit = source.compare(line + 13, 6, "int8_t") == 0    ? 1 << 7
                                 : source.compare(line + 13, 7, "int16_t") == 0 ? 1 << 15
                                                                                : 1 << 28;
      for (const auto& [place, length] : places_of(source, array)) {
        const std::int64_t value = std::stoll(source.substr(place, length));
        numbers.push_back({place, length, value, -limit, limit - 1, title});
      }
    }
  REQUIRE(!numbers.empty());
  return numbers;
}

// Whether probes find the number out when it becomes `value`, in the layer that it belongs to.
bool is_found(const Emitted& emitted, const std::string& source, const Number& number,
              std::int64_t value) {
  std::string changed = source;
  changed.replace(number.place, number.length, std::to_string(value));
  emitted.write_source(changed);
  const verify::ProbeResult result = probe(emitted);
  emitted.write_source(source);
  CAPTURE(number.title);
  CAPTURE(number.value);
  CAPTURE(value);
  REQUIRE_MESSAGE(result.failure.empty(), result.failure);
  if (result.refuted) CHECK(contains(number.title, "'" + result.refuted->layer + "'"));
  return result.refuted.has_value();
}

struct Tally {
  int changed = 0, found = 0, harmless = 0, missed = 0;
};

// Changes every `stride`th number, one at a time, by one step. What that leaves unnoticed must be
// harmless: no value of it may be noticed.
Tally change_numbers(const Emitted& emitted, std::size_t stride) {
  Tally tally;
  const std::string source = emitted.source();
  const std::vector<Number> numbers = numbers_of(source);
  for (std::size_t i = stride / 2; i < numbers.size(); i += stride) {
    const Number& number = numbers[i];
    const bool upwards = number.value == number.lo || (number.value != number.hi && i % 2 == 0);
    tally.changed += 1;
    if (is_found(emitted, source, number, number.value + (upwards ? 1 : -1)))
      tally.found += 1;
    else if (is_found(emitted, source, number, number.lo) ||
             is_found(emitted, source, number, number.hi))
      tally.missed += 1;
    else
      tally.harmless += 1;
  }
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
  struct Case {
    const char* name;
    std::size_t stride;
    int missed;  // at most, where the probes say themselves that some numbers are not covered
  };
  for (const Case& one : {Case{"bias12", 31, 0},
                          {"doc_single_conv", 41, 0},
                          {"left_shift", 31, 0},
                          {"lenet_pt_bias20", 157, 1}}) {
    CAPTURE(std::string(one.name));
    const Tally tally = change_numbers(Emitted(one.name), one.stride);
    MESSAGE(fmt::format("{}: {} wrong numbers, {} found, {} harmless, {} missed", one.name,
                        tally.changed, tally.found, tally.harmless, tally.missed));
    CHECK(tally.found >= 5);
    CHECK(tally.missed <= one.missed);
  }
}

TEST_CASE("a wrong weight of a channel that is 0 for every input is found where it shows") {
  const Emitted emitted(quiet_network());
  const std::string source = emitted.source();
  int changed = 0;
  for (const Number& number : numbers_of(source)) {
    if (number.value != 100 && number.value != -100) continue;  // of the other channel
    if (changed++ % 5 != 0) continue;
    // The sum ends 200 below its first threshold: one step moves it by 128 at most.
    const std::int64_t away = number.value > 0 ? 1 : -1;
    CHECK(!is_found(emitted, source, number, number.value + away));
    CHECK(is_found(emitted, source, number, number.value + 2 * away));
    CHECK(is_found(emitted, source, number, number.value > 0 ? number.lo : number.hi));
  }
  CHECK(changed == 21);
  const verify::ProbeReport all = probe(emitted).report, few = probe(emitted, 32).report;
  CHECK(all.weights == 2 * (kQuietInputs + 1));
  CHECK(all.covered == all.weights);
  CHECK(few.weights == all.weights);
  CHECK(few.covered < few.weights);
  CHECK(few.worst_layer == "fc");
}

TEST_CASE("probes of scales, transposed convolutions, sums, moves and tables agree") {
  for (const char* name : {"bn_netpq", "float_bias_default", "gan_convtranspose", "residual_add",
                           "superres_pixelshuffle", "conv1d_wave"}) {
    CAPTURE(name);
    const Emitted emitted(name);
    const verify::ProbeResult result = probe(emitted, 96);
    REQUIRE_MESSAGE(result.failure.empty(), result.failure);
    if (result.refuted) FAIL(result.refuted->first_difference);
    CHECK(result.report.probes >= 32);
    CHECK(result.report.covered > 0);
    CHECK(result.report.not_probed.empty());
  }
}
