// The pages of compile --report and verify --report: they have the figures, and no name or message
// can break them.
#include <doctest/doctest.h>

#include <string>

#include "compile/checkpoint/state_dict.h"
#include "tests/support/golden_net.h"
#include "tests/tools/html.h"
#include "tools/report/bar_chart.h"
#include "tools/report/compile_page.h"
#include "tools/report/verify_page.h"

namespace lockstep::cli {
namespace {

const std::string kHostile = "</text></td><script>x('\"&\xff";

bool contains(const std::string& page, const std::string& text) {
  return page.find(text) != std::string::npos;
}

Compiled compiled_network() {
  const test::GoldenNet net = test::read_golden_net("bias12");
  return compile_network(net.variants.at(0).graph, read_state_dict(net.folder / "state_dict.pt"),
                         {});
}

void check_page(const std::string& page) {
  CHECK(page.starts_with("<!doctype html>"));
  CHECK(test::is_balanced(page));
  CHECK(!contains(page, "<script"));
  CHECK(!contains(page, "://"));
}

}  // namespace

TEST_CASE("the page of compile has every operator and pass, and how the C is written") {
  Compiled compiled = compiled_network();
  const CSources sources = emit_c_sources(compiled, {.target = "cortex-m4"});
  const std::string page = compile_page(
      {.plan = "net.plan", .compiled = compiled, .c = &sources, .target = "cortex-m4"});
  check_page(page);
  for (const OperatorReport& row : compiled.operators) {
    CHECK(contains(page, "<td class=\"text\">" + row.node + "</td>"));
    CHECK(contains(page, grouped(static_cast<std::uint64_t>(row.macs))));
  }
  for (const PassReport& pass : compiled.passes) CHECK(contains(page, pass.pass));
  CHECK(contains(page, "C for cortex-m4"));
  for (const CStrategyReport& row : sources.operators) CHECK(contains(page, row.taken.strategy));

  compiled.operators.at(0).node = kHostile;
  compiled.program.name = kHostile;
  check_page(compile_page({.plan = kHostile, .compiled = compiled}));
  CHECK(!contains(compile_page({.plan = "x", .compiled = compiled}), "C for"));
}

TEST_CASE("the page of verify has the verdict, the headroom of each layer and what ran") {
  verify::Report report;
  report.samples = 1234;
  report.paths.resize(2);
  report.paths[0].path = "plan (scalar)";
  report.paths[0].samples = 1234;
  report.paths[0].values = 6789;
  report.paths[1].path = "C cortex-m4 (qemu)";
  report.paths[1].failure = "the core faulted";
  report.paths[1].cost.emplace();
  report.paths[1].cost->stack_bytes = 168;
  report.paths[1].cost->stack_bound_bytes = 312;
  report.worst_cases = {{.layer = "fc", .largest = true, .bound = 5000, .attained = 4321}};
  report.channels = 1;
  checker::Proof proof;
  checker::LayerFacts& layer = proof.layers.emplace_back();
  layer.layer = layer.output = "conv";
  layer.op = "conv2d";
  checker::ChannelFacts channels;
  channels.last = 3;
  channels.lo = -100;
  channels.hi = 90;
  channels.bound = 1000;
  channels.accumulator_bits = 32;
  channels.float_bound = 2000;
  layer.channels.push_back(channels);
  channels.first = 4;
  channels.last = 7;
  channels.bound = 4000;
  channels.float_bound = (1 << 24) + 5;
  channels.is_float32_exact = false;
  layer.channels.push_back(channels);
  const VerifyPage contents{.network = "net",
                            .plan = "net.plan",
                            .verdict = "refuted",
                            .line = "refuted: layer conv",
                            .remarks = "accuracy 92 %",
                            .report = report,
                            .proof = &proof};
  const std::string page = verify_page(contents);
  check_page(page);
  for (const char* const text :
       {"class=\"verdict refuted\">refuted: layer conv", "accuracy 92 %", "1,234", "6,789",
        "the core faulted", "168", "312", "12 of 31, 19 spare", "25: double", "4,321"})
    CHECK_MESSAGE(contains(page, text), text);
  CHECK(!contains(page, "Self-test</h2>"));

  const SelfTest test{.text = "self-test with 9 changed plans\nmore",
                      .json = {{"made", 9},
                               {"refused", 4},
                               {"refuted", 5},
                               {"unjudged", 0},
                               {"equal", 0},
                               {"survived", 0},
                               {"kinds",
                                {{"bias",
                                  {{"made", 9},
                                   {"refused", 4},
                                   {"refuted", 5},
                                   {"unjudged", 0},
                                   {"equal", 0},
                                   {"survived", 0}}}}}},
                      .exit_code = {}};
  report.paths[1].failure = report.paths[1].path = kHostile;
  proof.layers[0].layer = kHostile;
  const std::string hostile = verify_page({.network = kHostile,
                                           .plan = kHostile,
                                           .verdict = "unknown",
                                           .line = kHostile,
                                           .remarks = kHostile,
                                           .report = report,
                                           .proof = &proof,
                                           .self_test = &test});
  check_page(hostile);
  CHECK(contains(hostile, "self-test with 9 changed plans</p>"));
  CHECK(contains(hostile, "<td class=\"text\">bias</td>"));
}

}  // namespace lockstep::cli
