// `verify --self-test` with a proof that lets wrong plans through, which the real one does not.
#include "tools/commands/self_test.h"

#include <doctest/doctest.h>

#include "compile/checkpoint/state_dict.h"
#include "compile/compile.h"
#include "tests/support/golden_net.h"
#include "tools/commands/command.h"
#include "verify/checker/proof.h"

namespace lockstep::test {

TEST_CASE("a self-test whose mutants survive is an internal error that names them") {
  const GoldenNet net = read_golden_net("bias12");
  const auto graph = net.folder / "graph.json", state = net.folder / "state_dict.pt";
  const std::vector<std::byte> plan =
      compile_network(net.variants.at(0).graph, read_state_dict(state), {}).plan;
  const auto self_test = [&](const std::function<void(const checker::Plan&)>& prove) {
    return cli::self_test(graph, state, plan, 60, 1, prove);
  };

  const cli::SelfTest wrong = self_test([](const checker::Plan&) {});
  CHECK(wrong.exit_code == cli::kExitInternalError);
  CHECK(wrong.text.find("FAILED, the proof accepted a plan that may be wrong") !=
        std::string::npos);
  CHECK(wrong.json.at("survived") > 10);
  CHECK(wrong.json.at("survivors").size() == wrong.json.at("survived"));

  const cli::SelfTest right = self_test({});
  CHECK(!right.exit_code);
  CHECK(right.json.at("survivors").empty());

  const cli::SelfTest unsure = self_test([](const checker::Plan&) {
    throw checker::Failure{true, "layer", "obligation", "not understood"};
  });
  CHECK(unsure.exit_code == cli::kExitUnknown);
}

}  // namespace lockstep::test
