#include "verify/worst/ancestors.h"

#include <algorithm>
#include <set>

#include "verify/semantics/index.h"

namespace lockstep::verify {
namespace {

// A rounding or a comparison takes as long as this many multiplications of a linear layer, and so
// does a copy of an input code.
constexpr std::int64_t kElementWork = 32, kInputWork = 4;

}  // namespace

Ancestors::Ancestors(const ExactNetwork& network, const FastSums& fast, const Node& node)
    : network_(network), fast_(fast) {
  std::set<std::string, std::less<>> needed(node.inputs.begin(), node.inputs.end());
  const std::vector<Node>& all = network.graph().nodes;
  for (auto candidate = all.rbegin(); candidate != all.rend(); ++candidate) {
    if (!needed.contains(candidate->name)) continue;
    needed.insert(candidate->inputs.begin(), candidate->inputs.end());
    nodes_.push_back(&*candidate);
  }
  std::ranges::reverse(nodes_);
  for (const GraphInput& input : network.graph().inputs)
    work_ += kInputWork * network.format(input.name).element_count();
  for (const Node* const ancestor : nodes_) {
    const LinearConstants* const constants = network.constants(ancestor->name);
    work_ += network.format(ancestor->name).element_count() *
             (constants == nullptr ? kElementWork : constants->fan_in);
  }
}

SampleValues Ancestors::run(const FedCodes& fed) const {
  SampleValues values;
  const Graph& graph = network_.graph();
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    const std::string& name = graph.inputs[i].name;
    std::vector<std::int64_t>& codes = values[name];
    codes.assign(fed[i].begin(), fed[i].end());
    const RawCodes* const raw = network_.raw_codes(name);
    if (raw == nullptr) continue;
    const std::size_t plane = codes.size() / at(network_.format(name).shape[0]);
    for (std::size_t e = 0; e < codes.size(); ++e)
      codes[e] = raw->code(static_cast<std::int64_t>(e / plane), codes[e]);
  }
  for (const Node* const node : nodes_) {
    std::vector<Values> inputs;
    for (const std::string& input : node->inputs) inputs.push_back(values.find(input)->second);
    std::vector<std::int64_t> output(at(network_.format(node->name).element_count()));
    if (fast_.has(*node))
      fast_.run(*node, inputs[0], output);
    else
      network_.run_node(node->name, inputs, output);
    values[node->name] = std::move(output);
  }
  return values;
}

}  // namespace lockstep::verify
