// The compiler's integer programs against the exact semantics, which know nothing of them: the
// recorded networks, and networks of all operators made up from seeds. Every value that a program
// says is a node's value is compared.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "compile/graph/op_schema.h"
#include "compile/ir/ir.h"
#include "compile/passes/lower.h"
#include "compile/passes/pipeline.h"
#include "compile/support/error.h"
#include "tests/compile/random_network.h"
#include "tests/verify/random_operators.h"
#include "tests/verify/recorded_net.h"
#include "verify/semantics/exact_network.h"
#include "verify/semantics/rounding.h"

using namespace lockstep;
using namespace lockstep::test;

namespace {

bool same(std::int64_t a, int decimal_a, std::int64_t b, int decimal_b) {
  if (a == 0 || b == 0) return a == b;
  const int gap = decimal_a - decimal_b;
  REQUIRE(std::abs(gap) < 60);
  const verify::Int128 wide_a = gap < 0 ? verify::Int128{a} << -gap : verify::Int128{a};
  const verify::Int128 wide_b = gap > 0 ? verify::Int128{b} << gap : verify::Int128{b};
  return wide_a == wide_b;
}

// How many values of one sample were compared; every difference is a failure.
std::int64_t compare(const ir::Program& program, const verify::ExactNetwork& network,
                     const std::vector<std::vector<std::int64_t>>& inputs) {
  const Graph& graph = network.graph();
  verify::Batch batch;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const verify::Format& format = network.format(graph.inputs[i].name);
    batch.push_back({format.shape, format.decimals, inputs[i]});
  }
  const verify::NodeValues exact = network.evaluate(batch, 1);
  const std::vector<std::vector<std::int64_t>> found = ir::evaluate(program, inputs);
  std::int64_t compared = 0;
  for (std::size_t v = 0; v < program.values.size(); ++v) {
    const ir::Value& value = program.values[v];
    if (found[v].empty() || !value.exact) continue;
    const verify::Format& format = network.format(value.node);
    const verify::TensorCodes& expected = exact.find(value.node)->second;
    CAPTURE(value.node);
    const std::int64_t plane = value.shape.h * value.shape.w;
    if (value.channels.empty()) REQUIRE(found[v].size() == expected.codes.size());
    REQUIRE(format.real == !value.offsets.empty());
    for (std::size_t i = 0; i < found[v].size(); ++i) {
      const auto e = static_cast<std::int64_t>(i);
      const std::int64_t channel = e / plane;
      const std::int64_t in_node =
          value.channels.empty()
              ? e
              : value.channels[static_cast<std::size_t>(channel)] * plane + e % plane;
      const std::int64_t wanted = expected.codes.at(static_cast<std::size_t>(in_node));
      const std::int64_t code = found[v][i];
      const bool agrees = value.offsets.empty()
                              ? same(code, value.decimal(channel), wanted, format.decimal(in_node))
                              : verify::enter_float(code, value.decimal(channel)) +
                                        value.offsets[static_cast<std::size_t>(channel)] ==
                                    verify::real_from_bits(wanted);
      if (agrees) continue;
      CAPTURE(e);
      CAPTURE(code);
      CAPTURE(wanted);
      FAIL("the program's value is not the node's");
    }
    ++compared;
  }
  return compared;
}

void check_outputs(const ir::Program& program) {
  for (const ir::ValueId output : program.outputs) CHECK(program.values[output].exact);
}

}  // namespace

TEST_CASE("the programs of the recorded networks have the exact values at every node") {
  std::int64_t compared = 0;
  for (const std::string& name : golden_net_names()) {
    CAPTURE(name);
    const Recorded net = read_recorded(name);
    const verify::ExactNetwork network(net.graph, net.parameters);
    try {
      const ir::Program program = passes::lower(net.graph, net.parameters, true);
      const std::size_t count = net.batch[0].codes.size() / static_cast<std::size_t>(net.samples);
      for (std::size_t s = 0; s < std::min<std::size_t>(4, static_cast<std::size_t>(net.samples));
           ++s) {
        const std::vector<std::int64_t> sample(
            net.batch[0].codes.begin() + static_cast<std::ptrdiff_t>(s * count),
            net.batch[0].codes.begin() + static_cast<std::ptrdiff_t>((s + 1) * count));
        compared += compare(program, network, std::vector<std::vector<std::int64_t>>(1, sample));
      }
      check_outputs(program);
    } catch (const InputError& error) {
      // Its weights, brought to one grid, need more than 16 bits.
      MESSAGE(std::string(error.what()));
      CHECK(name == "bits16_overflow24");
    }
  }
  CHECK(compared > 300);
}

TEST_CASE("programs of all operators, made up, have the exact values at every node") {
  std::set<std::string, std::less<>> ops;  // of networks that were accepted
  std::int64_t accepted = 0, compared = 0;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    CAPTURE(seed);
    const OperatorNetwork net = random_operators(seed);
    std::optional<ir::Program> lowered, whole;
    try {
      lowered = passes::lower(net.graph, net.parameters, seed % 2 == 0);
      whole = passes::run_pipeline(net.graph, net.parameters,
                                   {.keep_layers = seed % 2 == 0, .after_pass = {}});
    } catch (const InputError& error) {
      const std::string message = error.what();
      CAPTURE(message);
      REQUIRE((message.starts_with("layer '") || message.starts_with("output '")));
      continue;
    }
    // What the compiler takes has an exact meaning.
    const verify::ExactNetwork network(net.graph, net.parameters);
    for (int corner = 0; corner < 4; ++corner) {
      const auto inputs = input_codes(net.graph, seed + 7, corner % 3);
      compared += compare(*lowered, network, inputs);
      compared += compare(*whole, network, inputs);
    }
    check_outputs(*whole);
    ++accepted;
    for (const Node& node : net.graph.nodes) ops.insert(node.op);
  }
  MESSAGE(accepted, " networks, ", compared, " values compared");
  CHECK(accepted > 350);
  // Every operator of graph.json but log_softmax, which differs from softmax in its name only.
  for (const OpSchema& schema : op_schemas())
    if (schema.name != "log_softmax") CHECK_MESSAGE(ops.contains(schema.name), schema.name);
}
