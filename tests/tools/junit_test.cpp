// What verify --junit writes: a parser that is not ours reads it, and it says what the verdict
// says.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "compile/support/files.h"
#include "tests/end_to_end/process.h"
#include "tools/report/verify_suite.h"

namespace lockstep::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using cli::TestCase;

const fs::path kNetwork = fs::path(LOCKSTEP_TEST_DATA) / "golden" / "nets" / "bias12";

Json parsed(const fs::path& file) {
  const Finished finished =
      run_process({"/usr/bin/python3", LOCKSTEP_TEST_DATA "/tools/read_junit.py", file.string()});
  REQUIRE_MESSAGE(finished.exit_code == 0, finished.err);
  return Json::parse(finished.out);
}

Json parsed(const cli::TestSuite& suite) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "junit.xml", cli::junit_xml(suite));
  return parsed(folder / "junit.xml");
}

const Json& named(const Json& suite, const std::string& name) {
  for (const Json& entry : suite.at("cases"))
    if (entry.at("name") == name) return entry;
  FAIL("no test case ", name);
  return suite;
}

// The recorded network bias12, compiled.
struct Compiled {
  Compiled() {
    const Finished finished =
        run_process({kLockstep, "compile", "--graph", graph.string(), "--weights", state.string(),
                     "--out", plan.string(), "--quiet"});
    REQUIRE_MESSAGE(finished.exit_code == 0, finished.err);
  }
  Finished verify(const std::vector<std::string>& more = {},
                  const std::string& random = "2") const {
    std::vector<std::string> command = {
        kLockstep,     "verify",   "--graph", graph.string(), "--weights", state,         "--plan",
        plan.string(), "--random", random,    "--quiet",      "--junit",   junit.string()};
    command.insert(command.end(), more.begin(), more.end());
    return run_process(command);
  }
  TemporaryFolder folder;
  fs::path graph = kNetwork / "graph.json", state = kNetwork / "state_dict.pt",
           plan = folder / "net.plan", junit = folder / "junit.xml";
};

verify::Report report_of(verify::Verdict verdict) {
  verify::Report report;
  report.verdict = std::move(verdict);
  report.constants_agree = true;
  for (const char* path : {"plan (scalar)", "C gcc -O0"}) {
    verify::PathReport& row = report.paths.emplace_back();
    row.path = path;
    row.samples = 3;
  }
  return report;
}

}  // namespace

TEST_CASE("any text can be a name or a message") {
  const std::string odd = "<a b=\"c\">&amp; 'd' ]]> --\n\t\r \xC3\xA4 \xF0\x9F\x98\x80";
  const Json suite = parsed({odd, {{odd, odd}}, {{odd, odd, TestCase::Result::kFailed, odd}}});
  CHECK(suite.at("name") == odd);
  CHECK(suite.at("properties") == Json{{odd, odd}});
  CHECK(suite.at("cases").at(0) ==
        Json{{"classname", odd}, {"name", odd}, {"result", "failure"}, {"message", odd}});
  const std::string replaced = "\xEF\xBF\xBD";
  // A control character, no UTF-8, an overlong slash, a surrogate, beyond Unicode, cut short.
  for (const auto& [text, expected] : std::vector<std::pair<std::string, std::string>>{
           {"a\x01z", "a" + replaced + "z"},
           {std::string("a\0z", 3), "a" + replaced + "z"},
           {"a\xFFz", "a" + replaced + "z"},
           {"\xC0\xAF", replaced + replaced},
           {"\xED\xA0\x80", replaced + replaced + replaced},
           {"\xEF\xBF\xBE", replaced + replaced + replaced},
           {"\xF4\x90\x80\x80", replaced + replaced + replaced + replaced},
           {"a\xE2\x82", "a" + replaced + replaced}}) {
    CAPTURE(expected);
    CHECK(parsed({"s", {}, {{"c", text}}}).at("cases").at(0).at("name") == expected);
  }
}

TEST_CASE(
    "a refuted layer fails, and no other layer passes unless all were held against the graph") {
  verify::Report report =
      report_of(verify::Refuted{"c2", "layer 'c2': shift: expected 9, found 8"});
  report.constants_agree = false;
  for (const char* refuted : {"c2", "r2"}) {  // r2: inside a fused operator
    std::get<verify::Refuted>(report.verdict).layer = refuted;
    const Json suite = parsed(cli::verify_suite(report, "net", {"c1", "c2"}, {}, false));
    CHECK(suite.at("properties").at("verdict") == "refuted");
    CHECK(suite.at("properties").at("layer") == refuted);
    CHECK(named(suite, "c1").at("result") == "skipped");
    CHECK(named(suite, refuted).at("result") == "failure");
    CHECK(named(suite, refuted).at("classname") == "net");
    CHECK(named(suite, refuted).at("message") == "layer 'c2': shift: expected 9, found 8");
    CHECK(named(suite, "plan (scalar)").at("result") == "passed");
    CHECK(suite.dump().find("\"name\":\"verdict\"") == std::string::npos);
  }
}

TEST_CASE(
    "a path that differs fails with the layer's text, and one without an answer is an error") {
  const std::string text = "C gcc -O0: layer 'q1', channel 0: expected 47 * 2^-6, found 95 * 2^-6";
  verify::Report report = report_of(verify::Refuted{"q1", text});
  report.paths[1].differing = 4;
  Json suite = parsed(cli::verify_suite(report, "net", {"q1"}, {}, false));
  CHECK(named(suite, "C gcc -O0").at("result") == "failure");
  CHECK(named(suite, "C gcc -O0").at("message") == text);
  CHECK(named(suite, "C gcc -O0").at("classname") == "net.paths");
  CHECK(named(suite, "q1").at("result") == "passed");
  CHECK(named(suite, "plan (scalar)").at("result") == "passed");

  report = report_of(verify::Unknown{"C gcc -O0: killed by signal 11"});
  report.paths[1].failure = "killed by signal 11";
  suite = parsed(cli::verify_suite(report, "net", {"q1"}, {}, true));
  CHECK(named(suite, "C gcc -O0").at("result") == "error");

  report = report_of(verify::Proved{"by looking"});
  suite = parsed(cli::verify_suite(report, "net", {"q1"}, {}, false));
  CHECK(suite.at("properties").at("verdict") == "proved");
  for (const Json& entry : suite.at("cases")) CHECK(entry.at("result") == "passed");
}

TEST_CASE("a layer that the proof could not decide is an error unless the verdict is accepted") {
  const verify::Report report = report_of(verify::Unknown{"not proved: obligation 'sums': ..."});
  verify::ProofOutcome proof;
  proof.layer = "c2";
  proof.obligation = "sums";
  proof.text = "layer 'c2': too many";
  Json suite = parsed(cli::verify_suite(report, "net", {"c1", "c2"}, proof, false));
  CHECK(named(suite, "c1").at("result") == "passed");
  CHECK(named(suite, "c2").at("result") == "error");
  CHECK(named(suite, "c2").at("message") == "not proved: sums: layer 'c2': too many");
  CHECK(named(suite, "verdict").at("result") == "error");
  suite = parsed(cli::verify_suite(report, "net", {"c1", "c2"}, proof, true));
  for (const Json& entry : suite.at("cases")) CHECK(entry.at("result") == "passed");
}

TEST_CASE("a path of floats that differs where their order matters does not fail a proved plan") {
  verify::Report report = report_of(verify::Proved{"for every input"});
  report.paths[0].path = "float (LibTorch)";
  report.paths[0].differing = 1;
  report.float32_witness = "float (LibTorch): layer 'c2': expected 1, found 2";
  const Json suite = parsed(cli::verify_suite(report, "net", {"c2"}, {}, false));
  CHECK(named(suite, "float (LibTorch)").at("result") == "passed");
}

TEST_CASE("an unknown verdict that is accepted as tested passes") {
  const verify::Report report = report_of(verify::Unknown{"agreed on 3 inputs, not proved"});
  Json suite = parsed(cli::verify_suite(report, "net", {"c1"}, {}, false));
  CHECK(named(suite, "verdict").at("result") == "error");
  CHECK(suite.at("properties").at("accepted_as_tested") == "false");
  suite = parsed(cli::verify_suite(report, "net", {"c1"}, {}, true));
  for (const Json& entry : suite.at("cases")) CHECK(entry.at("result") == "passed");
  CHECK(suite.at("properties").at("accepted_as_tested") == "true");
}

TEST_CASE("verify writes a proof as passed, and an unknown verdict as an error") {
  const Compiled net;
  CHECK(net.verify().exit_code == 0);
  Json suite = parsed(net.junit);
  for (const Json& entry : suite.at("cases")) CHECK(entry.at("result") == "passed");
  CHECK(suite.at("properties").at("verdict") == "proved");
  CHECK(named(suite, "plan (scalar)").at("result") == "passed");
  CHECK(named(suite, "c1").at("classname") == "bias12");

  CHECK(net.verify({}, "0").exit_code == 3);
  suite = parsed(net.junit);
  CHECK(suite.at("properties").at("verdict") == "unknown");
  CHECK(named(suite, "verdict").at("result") == "error");
}

TEST_CASE("verify writes the layer of a refutation") {
  Compiled net;
  // The graph rounds in another way than the one that was compiled.
  std::string graph = read_text_file(net.graph);
  const std::string attributes = R"("inputs": ["fc"], "attrs": {)";
  const std::size_t at = graph.find(attributes);
  REQUIRE(at != std::string::npos);
  graph.insert(at + attributes.size(), R"("rounding": "floor", )");
  net.graph = net.folder / "graph.json";
  write_file_atomically(net.graph, graph);
  const Finished finished = net.verify();
  REQUIRE_MESSAGE(finished.exit_code == 1, finished.err);
  const Json suite = parsed(net.junit);
  const std::string layer = suite.at("properties").at("layer");
  CHECK(named(suite, layer).at("result") == "failure");
  CHECK(named(suite, layer).at("message").get<std::string>().find("'" + layer + "'") !=
        std::string::npos);
}

TEST_CASE("bad input is an error in the file, too, and never an input") {
  const Compiled net;
  write_file_atomically(net.junit, "old");
  write_file_atomically(net.plan, "no plan");
  const Finished finished = net.verify();
  CHECK(finished.exit_code == 2);
  const Json suite = parsed(net.junit);
  REQUIRE(suite.at("cases").size() == 1);
  CHECK(suite.at("cases").at(0).at("result") == "error");
  const std::string message = suite.at("cases").at(0).at("message");
  CHECK(message.find("net.plan") != std::string::npos);
  CHECK(finished.err == "lockstep: error: " + message + "\n");

  const Finished same = run_process({kLockstep, "verify", "--graph", net.graph, "--weights",
                                     net.state, "--plan", net.plan, "--junit", net.plan});
  CHECK(same.exit_code == 2);
  CHECK(read_text_file(net.plan) == "no plan");
}

}  // namespace lockstep::test
