// No pass changes a code: what a graph's values are after lowering, they are after every later
// pass, in the plan as the runtime runs it, and whether or not layers are kept.
#include <doctest/doctest.h>

#include <map>

#include "compile/compile.h"
#include "compile/support/error.h"
#include "tests/compile/random_network.h"
#include "tests/compile/run_plan.h"

namespace lockstep {
namespace {

constexpr std::uint64_t kNetworks = 400;

struct Codes {
  std::vector<std::int64_t> codes;
  std::size_t channels = 1;
  std::vector<std::int64_t> list;  // empty: all channels of the node
};
using NamedCodes = std::map<std::string, Codes>;

NamedCodes evaluate_by_name(const ir::Program& program,
                            const std::vector<std::vector<std::int64_t>>& inputs) {
  const auto codes = ir::evaluate(program, inputs);
  NamedCodes named;
  for (ir::ValueId id = 0; id < program.values.size(); ++id) {
    CHECK(!named.contains(program.values[id].node));
    const ir::Value& value = program.values[id];
    named[value.node] = {codes[id], static_cast<std::size_t>(value.shape.c), value.channels};
  }
  return named;
}

// What `got` must hold, of all codes of its node.
std::vector<std::int64_t> part_of(const Codes& all, const Codes& got) {
  return test::codes_of_channels(all.codes, all.codes.size() / (got.codes.size() / got.channels),
                                 got.list);
}

TEST_CASE("every pass, the plan and the runtime keep every code of random networks") {
  std::uint64_t compiled_count = 0, kept_flatten = 0, transposed = 0, fused = 0, shrunk = 0;
  for (std::uint64_t seed = 0; seed < kNetworks; ++seed) {
    const test::Network network = test::random_network(seed);
    CAPTURE(seed);
    CAPTURE(network.json);
    const bool keep_layers = seed % 3 == 0;
    std::vector<std::pair<std::string, ir::Program>> stages;
    Compiled compiled;
    try {
      compiled =
          compile_network(network.graph, network.state,
                          {.keep_layers = keep_layers,
                           .after_pass = [&](std::string_view pass, const ir::Program& program) {
                             stages.emplace_back(pass, program);
                           }});
    } catch (const InputError&) {
      continue;  // random decimals may need more than 16-bit weights
    }
    ++compiled_count;
    REQUIRE(stages.size() == pass_names().size());
    if (compiled.program.ops.size() < stages.front().second.ops.size()) ++fused;
    for (const ir::Op& op : stages.front().second.ops)
      if (std::holds_alternative<ir::Flatten>(op.kind)) ++kept_flatten;
    for (const ir::Op& op : compiled.program.ops)
      if (std::holds_alternative<ir::Move>(op.kind)) ++transposed;

    for (const int corner : {0, 1, 2}) {
      CAPTURE(corner);
      const auto inputs = test::input_codes(network.graph, seed, corner);
      const NamedCodes expected = evaluate_by_name(stages.front().second, inputs);
      for (std::size_t i = 0; i < stages.size(); ++i) {
        CAPTURE(stages[i].first);
        CHECK(stages[i].first == pass_names()[i]);
        const NamedCodes got = evaluate_by_name(stages[i].second, inputs);
        for (const auto& entry : got)
          CHECK_MESSAGE(entry.second.codes == part_of(expected.at(entry.first), entry.second),
                        entry.first);
        if (i + 1 == stages.size())
          for (const auto& entry : got) shrunk += entry.second.list.empty() ? 0 : 1;
        for (const std::string& output : network.graph.outputs) CHECK(got.contains(output));
        if (keep_layers)
          for (const Node& node : network.graph.nodes)
            if (node.op == "quantize") CHECK(got.contains(node.name));
      }
      const test::PlanRun run = test::run_plan(compiled.plan, inputs);
      CHECK(run.size() == compiled.program.values.size());
      const NamedCodes last = evaluate_by_name(compiled.program, inputs);
      for (const auto& entry : run)
        CHECK_MESSAGE(entry.second == last.at(entry.first).codes, entry.first);
    }
  }
  // The networks do exercise what they should.
  CHECK(compiled_count > kNetworks * 8 / 10);
  CHECK(kept_flatten > 50);
  CHECK(transposed > 5);
  CHECK(fused > 100);
  CHECK(shrunk > 100);
}

TEST_CASE("the same network gives the same bytes twice") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto once = [&] {
      const test::Network network = test::random_network(seed);
      const Compiled compiled = compile_network(network.graph, network.state, {});
      std::string text = ir::to_text(compiled.program);
      for (const CSourceFile& file : emit_c(compiled, {})) text += file.name + file.text;
      return std::pair(compiled.plan, text);
    };
    try {
      CHECK(once() == once());
    } catch (const InputError&) {
    }
  }
}

}  // namespace
}  // namespace lockstep
