// Layer probes run every operator of generated C alone, and name the one that is wrong.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/support/input_error.h"
#include "tests/verify/emitted.h"
#include "verify/probes/layer_probes.h"
#include "verify/proof/constants.h"

using namespace lockstep;
using namespace lockstep::test;

namespace {

// Probes the folder's C and nothing else.
verify::ProbeResult probe(const Emitted& emitted, std::int64_t most = 64) {
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

}  // namespace

TEST_CASE("a wrong number in the C is found in its layer") {
  for (const auto& [name, stride] : {std::pair{"bias12", 31}, {"left_shift", 31}}) {
    CAPTURE(std::string(name));
    const Emitted emitted(name);
    const std::string source = emitted.source();
    const std::vector<Number> numbers = numbers_of(source);
    int changed = 0, found = 0;
    for (std::size_t i = 5; i < numbers.size(); i += static_cast<std::size_t>(stride)) {
      const Number& number = numbers[i];
      std::string text = source;
      text.replace(number.place, number.length,
                   std::to_string(number.value > 0 ? number.lo : number.hi));
      emitted.write_source(text);
      const verify::ProbeResult result = probe(emitted);
      REQUIRE_MESSAGE(result.failure.empty(), result.failure);
      changed += 1;
      if (!result.refuted) continue;  // it may meet only zeros
      found += 1;
      CHECK(contains(number.title, "'" + result.refuted->layer + "'"));
      CHECK(contains(result.refuted->first_difference, "C gcc -O0 layer probes: layer '"));
    }
    CHECK(10 * found >= 7 * changed);
  }
}

TEST_CASE("no more probes run than are asked for, and none is left out") {
  const Emitted emitted("bias12");
  for (const std::int64_t most : {1, 32, 100}) CHECK(probe(emitted, most).report.probes == most);
}

TEST_CASE("probes of unchanged C agree") {
  for (const char* name :
       {"bias12", "doc_single_conv", "lenet_pt_bias20", "bn_netpq", "float_bias_default",
        "gan_convtranspose", "residual_add", "superres_pixelshuffle", "conv1d_wave"}) {
    CAPTURE(name);
    const Emitted emitted(name);
    const verify::ProbeResult result = probe(emitted, 40);
    REQUIRE_MESSAGE(result.failure.empty(), result.failure);
    if (result.refuted) FAIL(result.refuted->first_difference);
    CHECK(result.report.probes == 40);
  }
}
