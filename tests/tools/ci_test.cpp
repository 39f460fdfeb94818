// The examples of tools/ci do what they say: their commands exist, and their steps run.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "compile/support/files.h"
#include "tests/end_to_end/process.h"

namespace lockstep::test {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = fs::path(LOCKSTEP_TEST_DATA).parent_path();
const fs::path kNetwork = kRoot / "tests" / "golden" / "nets" / "bias12";
const fs::path kWorkflow = kRoot / "tools" / "ci" / "github-actions" / "verify.yml";

// The lines below `run: |` of the step with this name, without their indentation.
std::string script_of(const std::string& step) {
  std::istringstream lines(read_text_file(kWorkflow));
  std::string script;
  bool in_step = false, in_script = false;
  constexpr std::size_t kIndentation = 10;
  for (std::string line; std::getline(lines, line);) {
    if (in_script && (line.size() < kIndentation || line.find_first_not_of(' ') < kIndentation))
      break;
    if (in_script) script += line.substr(kIndentation) + "\n";
    if (line.find("- name: ") != std::string::npos) in_step = line.ends_with("- name: " + step);
    in_script = in_script || (in_step && line.ends_with("run: |"));
  }
  REQUIRE(!script.empty());
  return script;
}

// A repository with the network, in which the steps run as GitHub runs them.
struct Repository {
  Repository() {
    for (const char* file : {"graph.json", "state_dict.pt"})
      fs::copy_file(kNetwork / file, folder / file);
  }
  Finished run(const std::string& step) const {
    write_text(folder / "step.sh", "cd '" + folder.path().string() + "'\n" + script_of(step));
    return run_process({"/usr/bin/bash", "--noprofile", "--norc", "-eo", "pipefail",
                        (folder / "step.sh").string()},
                       {.environment = {"GRAPH=graph.json", "STATE=state_dict.pt", "OUT=out",
                                        "PATH=" + fs::path(kLockstep).parent_path().string() +
                                            ":/usr/local/bin:/usr/bin:/bin"}});
  }
  TemporaryFolder folder;
};

}  // namespace

TEST_CASE("every verb and option of the examples and guides exists") {
  int options = 0;
  for (const char* file : {"tools/ci/github-actions/verify.yml", "tools/ci/gitlab/verify.yml",
                           "tools/ci/README.md", "docs/guide/ci.md"}) {
    const std::string text =
        std::regex_replace(read_text_file(kRoot / file), std::regex(R"(\\\n\s*)"), " ");
    const std::regex command(R"(lockstep (compile|verify|check)\b([^\n`>|]*))");
    for (std::sregex_iterator found(text.begin(), text.end(), command), end; found != end;
         ++found) {
      const Finished help = run_process({kLockstep, (*found)[1], "--help"});
      REQUIRE(help.exit_code == 0);
      const std::string arguments = (*found)[2];
      const std::regex option(R"(--[a-z][a-z0-9-]*)");
      for (std::sregex_iterator name(arguments.begin(), arguments.end(), option); name != end;
           ++name) {
        INFO(file, ": ", found->str());
        CHECK(std::regex_search(help.out, std::regex(name->str() + R"([\s,])")));
        ++options;
      }
    }
  }
  CHECK(options > 20);
}

TEST_CASE("the steps of the workflow compile and verify, and name the layer of a difference") {
  const Repository repository;
  Finished finished = repository.run("Compile");
  REQUIRE_MESSAGE(finished.exit_code == 0, finished.err);
  for (const char* file : {"net.plan", "c/net.c", "compile.json"})
    CHECK(fs::exists(repository.folder / "out" / file));

  // A graph that rounds in another way than the one that was compiled. It is refuted before any C
  // runs, and by the C, too.
  std::string graph = read_text(repository.folder / "graph.json");
  const std::string attributes = R"("inputs": ["fc"], "attrs": {)";
  const std::size_t at = graph.find(attributes);
  REQUIRE(at != std::string::npos);
  write_text(repository.folder / "graph.json",
             std::string(graph).insert(at + attributes.size(), R"("rounding": "floor", )"));
  finished = repository.run("Verify");
  CHECK(finished.exit_code == 1);
  const nlohmann::json verdict =
      nlohmann::json::parse(read_text(repository.folder / "out" / "verify.json"));
  CHECK(verdict.at("verdict") == "refuted");
  const std::string layer = verdict.at("layer"), text = verdict.at("first_difference");
  CHECK_MESSAGE(finished.out.find("::error file=graph.json,title=lockstep verify%3A layer " +
                                  layer + "::" + text) != std::string::npos,
                finished.out);
  CHECK(read_text(repository.folder / "out" / "verify.xml").find("<failure") != std::string::npos);

  // Bad input has no layer; its message is the error.
  write_text(repository.folder / "graph.json", "{");
  finished = repository.run("Verify");
  CHECK(finished.exit_code == 2);
  CHECK_MESSAGE(
      finished.out.find("title=lockstep verify::lockstep: error: graph.json") != std::string::npos,
      finished.out);
}

TEST_CASE("the workflow passes a network that agrees") {
  const Repository repository;
  REQUIRE(repository.run("Compile").exit_code == 0);
  const Finished finished = repository.run("Verify");
  CHECK_MESSAGE(finished.exit_code == 0, finished.err);
  const fs::path out = repository.folder / "out";
  const nlohmann::json verdict = nlohmann::json::parse(read_text(out / "verify.json"));
  const bool is_proved = verdict.at("verdict") == "proved";
  CHECK(fs::exists(out / "certificate.json") == is_proved);
  CHECK((is_proved || verdict.at("accepted_as_tested") == true));
  if (is_proved) {
    const Finished check = run_process({kLockstep, "check", (out / "certificate.json").string()});
    CHECK_MESSAGE(check.exit_code == 0, check.err);
  }
  CHECK(finished.out.find("::error") == std::string::npos);
}

}  // namespace lockstep::test
