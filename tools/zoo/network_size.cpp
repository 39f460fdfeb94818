#include <functional>
#include <numeric>

#include "compile/graph/op_schema.h"
#include "compile/graph/shapes.h"
#include "tools/zoo/zoo.h"

namespace lockstep::zoo {
namespace {

std::int64_t product(std::vector<std::int64_t>::const_iterator first,
                     std::vector<std::int64_t>::const_iterator last) {
  return std::accumulate(first, last, std::int64_t{1}, std::multiplies<>());
}

}  // namespace

// A convolution uses its whole weight at every position of its output, a transposed one at every
// position of its input.
NetworkSize size_of(const Graph& graph) {
  const Shapes shapes = infer_shapes(graph, graph.name);
  NetworkSize size;
  for (const Node& node : graph.nodes) {
    const OpSchema& schema = schema_of(node);
    if (!schema.normalized_channels.empty())
      size.parameters += 2 * node.integer(schema.normalized_channels);
    if (schema.weight_shape == nullptr) continue;
    const std::vector<std::int64_t> weight = schema.weight_shape(node);
    const std::int64_t elements = product(weight.begin(), weight.end());
    size.parameters += elements + (node.flag("bias") ? node.integer(schema.bias_length) : 0);
    const bool transposed = node.op.starts_with("conv_transpose");
    const std::vector<std::int64_t>& used = shapes.at(transposed ? node.inputs[0] : node.name);
    size.macs += elements * (node.op == "linear" ? 1 : product(used.begin() + 1, used.end()));
  }
  return size;
}

}  // namespace lockstep::zoo
