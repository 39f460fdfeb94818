// lockstep zoo as a program: the list, the files of a network, and what is refused.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "compile/checkpoint/parameters.h"
#include "compile/checkpoint/state_dict.h"
#include "compile/graph/graph.h"
#include "tests/end_to_end/process.h"

namespace lockstep::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

}  // namespace

TEST_CASE("zoo list shows every network with its size") {
  const Finished table = run_process({kLockstep, "zoo", "list"});
  CHECK(table.exit_code == 0);
  CHECK(table.out.find("mobilenet_v2_224") != std::string::npos);
  CHECK(table.out.find("3504872") != std::string::npos);
  const Finished json = run_process({kLockstep, "zoo", "list", "--json", "--quiet"});
  const Json networks = Json::parse(json.out).at("networks");
  CHECK(networks.size() == 16);
  CHECK(networks.at(0).at("network") == "lenet");
  CHECK(networks.at(0).at("parameters") == 61706);
}

TEST_CASE("zoo write leaves a graph, its recipe, a README and a state that belongs to the graph") {
  const TemporaryFolder folder;
  const std::string out = (folder / "lenet").string(), state = (folder / "state.pt").string();
  const Finished done = run_process({kLockstep, "zoo", "write", "lenet", "--out", out, "--state",
                                     state, "--per-channel", "--prune", "0.5", "--bits", "6"});
  CAPTURE(done.err);
  REQUIRE(done.exit_code == 0);
  const Graph graph = read_graph(folder / "lenet" / "graph.json");
  CHECK(graph.name == "lenet");
  CHECK(graph.nodes.at(0).wraps.size() == 2);
  const Parameters parameters = bind_parameters(graph, read_state_dict(state));
  CHECK(parameters.of(graph.nodes.at(0)).weight_quantize->bits == 6);
  CHECK(parameters.of(graph.nodes.at(0)).weight_quantize->decimals.size() == 6);
  CHECK(Json::parse(read_text(folder / "lenet" / "recipe.json")).at("format") == "lockstep-recipe");
  const std::string readme = read_text(folder / "lenet" / "README.md");
  CHECK(
      readme.find("lockstep zoo write lenet --bits 6 --per-channel --prune 0.5 --out . --state") !=
      std::string::npos);
  CHECK(readme.find("lockstep compile --graph graph.json") != std::string::npos);

  const fs::path plan = folder / "net.plan";
  const Finished compiled =
      run_process({kLockstep, "compile", "--graph", (folder / "lenet" / "graph.json").string(),
                   "--weights", state, "--out", plan.string()});
  CAPTURE(compiled.err);
  CHECK(compiled.exit_code == 0);
  CHECK(fs::exists(plan));
}

TEST_CASE("zoo refuses what does not fit together, and then leaves nothing") {
  const TemporaryFolder folder;
  const std::string out = (folder / "net").string();
  const auto refusal = [&](std::vector<std::string> more) {
    std::vector<std::string> command = {kLockstep, "zoo", "write"};
    command.insert(command.end(), more.begin(), more.end());
    command.insert(command.end(), {"--out", out});
    const Finished done = run_process(command);
    CHECK(done.exit_code == 2);
    CHECK(!fs::exists(folder / "net" / "graph.json"));
    return done.err;
  };
  CHECK(refusal({"alexnet"}).find("no network 'alexnet'; there are lenet") != std::string::npos);
  CHECK(refusal({"lenet", "--structured"}).find("needs --prune") != std::string::npos);
  CHECK(refusal({"lenet", "--float", "--bits", "4"}).find("--float") != std::string::npos);
  CHECK(refusal({"lenet", "--bits", "17"}).find("from 2 to 16") != std::string::npos);
  CHECK(refusal({"lenet", "--prune", "1.5"}).find("--prune") != std::string::npos);
}

}  // namespace lockstep::test
