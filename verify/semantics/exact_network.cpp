#include "verify/semantics/exact_network.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "compile/support/error.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

struct Row {
  std::string_view op;
  OperatorMaker make;
};

constexpr Row kOperators[] = {
    {"conv2d", make_conv2d},         {"linear", make_linear},     {"relu", make_relu},
    {"max_pool2d", make_max_pool2d}, {"flatten", make_flatten},   {"dropout", make_identity},
    {"identity", make_identity},     {"quantize", make_quantize}, {"prune", make_prune},
};

OperatorMaker find_maker(const Node& node) {
  for (const Row& row : kOperators)
    if (row.op == node.op) return row.make;
  throw InputError(
      fmt::format("layer '{}': the exact semantics know no operator '{}'", node.name, node.op));
}

Format input_format(const GraphInput& input) {
  Format format;
  format.shape = input.shape;
  format.decimals = {static_cast<int>(input.decimal)};
  format.bits = static_cast<int>(input.bits);
  format.lo = lowest_code(format.bits);
  format.hi = highest_code(format.bits);
  return format;
}

void check_input(const GraphInput& input, const Format& format, const TensorCodes& codes,
                 std::int64_t samples) {
  const std::int64_t expected = format.element_count() * samples;
  if (codes.shape != format.shape || static_cast<std::int64_t>(codes.codes.size()) != expected)
    throw InputError(fmt::format(
        "input '{}': {} codes of shape {}, but {} samples of shape {} are needed", input.name,
        codes.codes.size(), shape_text(codes.shape), samples, shape_text(format.shape)));
  if (codes.decimals != format.decimals)
    throw InputError(
        fmt::format("input '{}': the codes given are not on the declared grid, decimal {}",
                    input.name, input.decimal));
  for (const std::int64_t code : codes.codes)
    if (code < format.lo || code > format.hi)
      throw InputError(fmt::format("input '{}': code {}, but {} bits allow {} to {}", input.name,
                                   code, input.bits, format.lo, format.hi));
}

}  // namespace

ExactNetwork::ExactNetwork(const Graph& graph, const Parameters& parameters) : graph_(graph) {
  for (const GraphInput& input : graph.inputs) {
    require_countable(input.name, input.shape);
    inputs_[input.name] = input_format(input);
  }
  for (const Node& node : graph.nodes) {
    const OperatorMaker make = find_maker(node);
    LOCKSTEP_ASSERT(node.inputs.size() == 1);
    operators_.push_back(make(node, parameters.of(node), format(node.inputs[0])));
    index_[node.name] = operators_.size() - 1;
  }
}

const Format& ExactNetwork::format(std::string_view name) const {
  const auto input = inputs_.find(name);
  if (input != inputs_.end()) return input->second;
  const auto node = index_.find(name);
  LOCKSTEP_ASSERT(node != index_.end());
  return operators_[node->second]->format();
}

const LinearConstants* ExactNetwork::constants(std::string_view node) const {
  const auto found = index_.find(node);
  return found == index_.end() ? nullptr : operators_[found->second]->constants();
}

void ExactNetwork::run_node(std::string_view node, std::span<const std::int64_t> input,
                            std::span<std::int64_t> output) const {
  const auto found = index_.find(node);
  LOCKSTEP_ASSERT(found != index_.end());
  operators_[found->second]->run(input, output);
}

NodeValues ExactNetwork::evaluate(const Batch& batch, std::int64_t samples) const {
  if (batch.size() != graph_.inputs.size())
    throw InputError(fmt::format("network '{}': {} input tensors given, {} declared", graph_.name,
                                 batch.size(), graph_.inputs.size()));
  NodeValues values;
  for (std::size_t i = 0; i < graph_.inputs.size(); ++i) {
    const GraphInput& input = graph_.inputs[i];
    check_input(input, format(input.name), batch[i], samples);
    values[input.name] = batch[i];
  }
  struct Step {
    const ExactOperator* op;
    const TensorCodes* input;
    TensorCodes* output;
    std::size_t input_count, output_count;
  };
  std::vector<Step> steps;
  for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
    const Node& node = graph_.nodes[n];
    const Format& result = operators_[n]->format();
    TensorCodes& output = values[node.name];
    output.shape = result.shape;
    output.decimals = result.decimals;
    const auto output_count = static_cast<std::size_t>(result.element_count());
    output.codes.resize(output_count * static_cast<std::size_t>(samples));
    steps.push_back({operators_[n].get(), &values.find(node.inputs[0])->second, &output,
                     static_cast<std::size_t>(format(node.inputs[0]).element_count()),
                     output_count});
  }
  share_range(samples, [&](std::int64_t first, std::int64_t last) {
    for (auto s = static_cast<std::size_t>(first); s < static_cast<std::size_t>(last); ++s)
      for (const Step& step : steps)
        step.op->run(
            std::span(step.input->codes).subspan(s * step.input_count, step.input_count),
            std::span(step.output->codes).subspan(s * step.output_count, step.output_count));
  });
  return values;
}

void share_range(std::int64_t count, const std::function<void(std::int64_t, std::int64_t)>& body) {
  if (count < 2) {
    body(0, count);
    return;
  }
  const std::int64_t half = count / 2;
  std::thread second([&] { body(half, count); });
  body(0, half);
  second.join();
}

}  // namespace lockstep::verify
