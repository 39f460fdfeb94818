// What is the same for every input: whatever the compiler's interval arithmetic finds, the exact
// semantics must find, too, or they could not follow what the compiler leaves out.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "compile/ir/ir.h"
#include "compile/passes/lower.h"
#include "compile/support/error.h"
#include "tests/compile/random_network.h"
#include "tests/verify/one_node.h"
#include "tests/verify/random_operators.h"
#include "verify/differential/comparison.h"
#include "verify/semantics/exact_network.h"

using namespace lockstep;
using namespace lockstep::test;

namespace {

// Some output channels of each layer lose all their weights, some get a bias that outweighs them.
void settle_channels(const Graph& graph, Parameters& parameters, Random& random) {
  for (const Node& node : graph.nodes) {
    NodeParameters& layer = parameters.nodes[node.name];
    if (layer.weight.empty()) continue;
    const bool transposed = node.op.starts_with("conv_transpose");
    const std::int64_t outputs = layer.weight_shape[transposed ? 1 : 0];
    const std::int64_t count = static_cast<std::int64_t>(layer.weight.size());
    const std::int64_t stride = count / layer.weight_shape[0] / (transposed ? outputs : 1);
    for (std::int64_t o = 0; o < outputs; ++o) {
      if (!random.chance(40)) continue;
      for (std::int64_t i = 0; i < count; ++i)
        if (i / stride % outputs == o) layer.weight[static_cast<std::size_t>(i)] = 0;
    }
    for (float& bias : layer.bias)
      if (random.chance(30)) bias = random.chance(80) ? -1000.0F : 1000.0F;
  }
}

// How many channels are always the same.
std::int64_t check_ranges(const ir::Program& program, const verify::ExactNetwork& network,
                          std::set<std::string>& ops) {
  std::int64_t constants = 0;
  for (const ir::Value& value : program.values) {
    const verify::Format& format = network.format(value.node);
    if (!value.exact || format.real) continue;
    const Node* const node = network.graph().find_node(value.node);
    const std::int64_t plane = value.shape.h * value.shape.w;
    for (std::int64_t c = 0; c < value.shape.c; ++c) {
      const ir::Range range = value.ranges[static_cast<std::size_t>(c)];
      if (range.lo != range.hi) continue;
      constants += 1;
      if (node != nullptr) ops.insert(node->op);
      for (std::int64_t e = c * plane; e < (c + 1) * plane; ++e) {
        CAPTURE(value.node);
        CAPTURE(e);
        const verify::CodeRange found = format.range(e);
        CHECK(found.lo == found.hi);
        CHECK(verify::same_value(found.lo, format.decimal(e), range.lo, value.decimal(c)));
      }
    }
  }
  return constants;
}

void check_bounds(const verify::ExactNetwork& network, std::uint64_t seed) {
  const Graph& graph = network.graph();
  for (int corner = 0; corner < 4; ++corner) {
    verify::Batch batch;
    const auto inputs = input_codes(graph, seed, corner);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const verify::Format& format = network.format(graph.inputs[i].name);
      batch.push_back({format.shape, format.decimals, inputs[i]});
    }
    for (const auto& [name, values] : network.evaluate(batch, 1)) {
      CAPTURE(name);
      CHECK(in_bounds(network.format(name), values.codes));
    }
  }
}

}  // namespace

TEST_CASE("what the compiler's ranges show to be always the same, the semantics show, too") {
  std::int64_t constants = 0, networks = 0;
  std::set<std::string> ops;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    CAPTURE(seed);
    OperatorNetwork net = random_operators(seed);
    Random random(seed + 1);
    settle_channels(net.graph, net.parameters, random);
    try {
      const ir::Program program = passes::lower(net.graph, net.parameters, true);
      const verify::ExactNetwork network(net.graph, net.parameters);
      constants += check_ranges(program, network, ops);
      check_bounds(network, seed);
      networks += 1;
    } catch (const InputError&) {
      continue;  // another test holds refusals against each other
    }
  }
  std::string text;
  for (const std::string& op : ops) text += " " + op;
  MESSAGE(networks, " networks, ", constants, " channels always the same, after", text);
  CHECK(networks > 200);
  CHECK(constants > 500);
  for (const char* op : {"conv2d", "conv_transpose2d", "linear", "quantize", "relu", "max_pool2d",
                         "add", "mul", "concat", "flatten", "prune"})
    CHECK_MESSAGE(ops.contains(op), op);
}
