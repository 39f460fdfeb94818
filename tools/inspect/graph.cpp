// The node table of a graph.
#include "compile/graph/graph.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "tools/inspect/inspect.h"
#include "tools/support/open_plan.h"
#include "tools/support/table.h"

namespace lockstep::cli {
namespace {

std::string text_of(const QuantizeSpec& quantize) {
  std::string text = fmt::format("quantize {} bits", quantize.bits);
  if (quantize.channelwise >= 0) text += fmt::format(" per index of axis {}", quantize.channelwise);
  if (quantize.bias_bits >= 0) text += fmt::format(", bias {} bits", quantize.bias_bits);
  if (quantize.rounding != Rounding::kTowardZero)
    text += fmt::format(", {}", rounding_name(quantize.rounding));
  return text;
}

std::string text_of(const PruneSpec& prune) {
  return fmt::format("prune {:g} %{}", 100.0 * prune.sparsity,
                     prune.structured_dims ? " structured"
                     : prune.block ? fmt::format(" in blocks of {}", fmt::join(*prune.block, "x"))
                                   : "");
}

std::string text_of(const AttributeValue& value) {
  if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&value))
    return fmt::format("{}", fmt::join(*integers, "x"));
  if (const bool* flag = std::get_if<bool>(&value)) return *flag ? "yes" : "no";
  if (const auto* choice = std::get_if<std::string>(&value)) return *choice;
  return fmt::format("{:g}", std::get<double>(value));
}

// Values that change nothing are not worth a reader's time: no padding, one group, a flag not set.
bool is_neutral(std::string_view name, const AttributeValue& value) {
  if (const bool* flag = std::get_if<bool>(&value)) return !*flag;
  const auto* integers = std::get_if<std::vector<std::int64_t>>(&value);
  if (integers == nullptr) return false;
  const auto all = [&](std::int64_t n) {
    return std::ranges::all_of(*integers, [n](std::int64_t integer) { return integer == n; });
  };
  if (name == "padding") return all(0);
  return (name == "dilation" || name == "groups" || name == "stride") && all(1);
}

// What a node does besides its operator's name: attributes, then how its weight is made.
std::string details(const Node& node) {
  if (node.quantize) return text_of(*node.quantize);
  if (node.prune) return text_of(*node.prune);
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  for (const auto& [name, value] : node.attributes)
    if (!is_neutral(name, value)) add(name + " " + text_of(value));
  for (const Wrap& wrap : node.wraps)
    add("weight: " + std::visit([](const auto& spec) { return text_of(spec); }, wrap));
  return text;
}

// One number for all channels, or a list.
std::string numbers_text(const std::vector<double>& values) {
  return values.size() == 1 ? fmt::format("{}", values[0])
                            : fmt::format("[{}]", fmt::join(values, ", "));
}

std::string details(const GraphInput& input) {
  std::string text = fmt::format("shape {}, {} bits, decimal {}", shape_text(input.shape),
                                 input.bits, input.decimal);
  if (input.raw)
    text += fmt::format("; of raw bytes: scale {}, mean {}, std {}", numbers_text(input.raw->scale),
                        numbers_text(input.raw->mean), numbers_text(input.raw->std));
  return text;
}

}  // namespace

void inspect_graph(const std::filesystem::path& path, Console& console) {
  const Graph graph = read_graph(path);
  Table table({{"node"}, {"operator"}, {"inputs"}, {"details"}});
  for (const GraphInput& input : graph.inputs)
    table.add_row({input.name, "input", "", details(input)});
  for (const Node& node : graph.nodes)
    table.add_row(
        {node.name, node.op, fmt::format("{}", fmt::join(node.inputs, ", ")), details(node)});
  console.print(table.to_text());
  console.print(fmt::format("\n{}: {} nodes; outputs: {}", graph.name, graph.nodes.size(),
                            fmt::join(graph.outputs, ", ")));
  console.print_json({{"kind", "graph"},
                      {"file", path.string()},
                      {"graph", nlohmann::ordered_json::parse(to_json(graph))}});
}

}  // namespace lockstep::cli
