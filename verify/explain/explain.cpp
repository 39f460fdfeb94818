#include "verify/explain/explain.h"

#include <fmt/format.h>

#include "compile/support/error.h"
#include "verify/differential/samples.h"
#include "verify/explain/graph_terms.h"
#include "verify/explain/plan_terms.h"
#include "verify/explain/text.h"
#include "verify/proof/finding.h"
#include "verify/semantics/exact_network.h"
#include "verify/semantics/index.h"
#include "verify/semantics/move.h"
#include "verify/worst/worst_inputs.h"

namespace lockstep::verify {
namespace {

void require_layer(const Graph& graph, const std::string& layer) {
  if (graph.find_node(layer) != nullptr || graph.find_input(layer) != nullptr) return;
  std::string names;
  for (const GraphInput& input : graph.inputs) names += (names.empty() ? "" : ", ") + input.name;
  for (const Node& node : graph.nodes) names += ", " + node.name;
  throw InputError(
      fmt::format("layer '{}': the graph has none of that name; it has {}", layer, names));
}

// The element of the layer's value, row-major.
std::int64_t element_of(const ExplainedPlace& place, const Format& format) {
  const std::vector<std::int64_t>& shape = format.shape;
  const std::int64_t channels = shape[0], height = shape.size() == 3 ? shape[1] : 1;
  const std::int64_t width = shape.size() > 1 ? shape.back() : 1;
  const auto require = [&](const char* what, std::int64_t value, std::int64_t count) {
    if (value < 0 || value >= count)
      throw InputError(fmt::format("layer '{}': {} {}, but its value of shape {} has 0 to {}",
                                   place.layer, what, value, shape_text(shape), count - 1));
  };
  require("channel", place.channel, channels);
  require("y", place.y, height);
  require("x", place.x, width);
  return (place.channel * height + place.y) * width + place.x;
}

Batch sample_of(const Samples& samples, std::int64_t sample) {
  if (samples.count() == 0)
    throw InputError("there are no samples to explain a value of; give some data, or random ones");
  if (sample < 0 || sample >= samples.count())
    throw InputError(fmt::format("sample {}, but there are 0 to {}", sample, samples.count() - 1));
  std::int64_t one = 1;
  return samples.take(sample, one);
}

}  // namespace

std::string explain_value(const Graph& graph, const StateDict& state, const ExplainedPlace& place,
                          const Options& options) {
  require_layer(graph, place.layer);
  const Parameters parameters = bind_parameters(graph, state);
  const ExactNetwork network(graph, parameters);
  const OpenPlan plan(options.plan);
  const Format& format = network.format(place.layer);
  const std::int64_t element = element_of(place, format);
  const Samples samples(network, {}, options, worst_inputs_for(network, options));
  const Batch batch = sample_of(samples, place.sample);
  const NodeValues values = network.evaluate(batch, 1);

  const GraphTerms terms(network, parameters, batch, values);
  const std::vector<GraphElement> way = terms.way_to({place.layer, element});
  const Beside beside = [&](const GraphElement& here) -> std::string {
    if (options.float_path == nullptr) return "";
    const std::vector<std::vector<float>> floats =
        options.float_path->run(batch, 1, std::span(&here.node, 1));
    return fmt::format("float (LibTorch)  {:.9g}", floats.at(0).at(at(here.element)));
  };
  std::string text = fmt::format(
      "{} of sample {} ({})\n\nthe graph{}\n", element_name(place.layer, format.shape, element),
      place.sample, samples.name(place.sample),
      options.float_path == nullptr ? ", without LibTorch, which this build does not have" : "");
  text += terms.text(way, beside) + "\nthe plan\n";
  try {
    text += PlanTerms(plan, network, batch).text(way);
  } catch (const NotUnderstood& reason) {
    text += fmt::format("  not understood: {}\n", reason.reason);
  }
  return text;
}

}  // namespace lockstep::verify
