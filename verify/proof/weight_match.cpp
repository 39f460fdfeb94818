#include "verify/proof/weight_match.h"

#include <fmt/format.h>

#include <algorithm>

#include "compile/support/error.h"
#include "verify/differential/channel_map.h"
#include "verify/proof/graph_function.h"
#include "verify/semantics/index.h"

namespace lockstep::verify {
namespace {

// A linear layer has a grid for every input, convolutions the finest of each channel.
std::vector<int> decimals_of(const PlanOp& op, const Format& format) {
  std::vector<int> decimals;
  if (op.code == PlanOp::kLinear) {
    for (std::int64_t e = 0; e < format.element_count(); ++e) decimals.push_back(format.decimal(e));
    return decimals;
  }
  const std::int64_t plane = format.element_count() / format.shape[0];
  for (const int decimal : finest_channel_decimals(format))
    decimals.insert(decimals.end(), at(plane), decimal);
  return decimals;
}

}  // namespace

WeightMatcher::WeightMatcher(const PlanCheck& check, const PlanOp& op, const Node& node,
                             const std::string& source, const Reach& reach)
    : check_(check),
      op_(op),
      input_(check.tensors[op.inputs[0]]),
      output_(check.tensors[op.output]),
      format_(check.network.format(source)),
      constants_(*check.network.constants(node.name)),
      reach_(reach),
      graph_reach_(reach),
      graph_decimals_(decimals_of(op, format_)) {
  const std::int64_t groups = op.code == PlanOp::kLinear ? 1 : node.integer("groups");
  graph_reach_.fan_in = constants_.fan_in;
  graph_reach_.group_outputs = constants_.outputs / groups;
  graph_reach_.group_inputs = format_.shape[0] / groups;
  for (std::int64_t e = 0; e < input_.element_count(); ++e)
    plan_decimals_.push_back(graph_decimals_[at(graph_element(input_, e))]);
}

WeightMatch WeightMatcher::match(std::int64_t output) const {
  const std::int64_t group = graph_channel(output_, output) / graph_reach_.group_outputs;
  const auto refuse = [&](std::int64_t channel, const std::string& other) {
    throw Difference{op_.node,
                     fmt::format("layer '{}': the plan has channel {} in a group with {}, which is "
                                 "of another group of the graph",
                                 op_.node, channel, other)};
  };
  for (std::int64_t o = output; o < output + reach_.group_outputs; ++o) {
    const std::int64_t channel = graph_channel(output_, o);
    if (channel / graph_reach_.group_outputs != group)
      refuse(graph_channel(output_, output), fmt::format("channel {}", channel));
  }
  WeightMatch match;
  match.is_missing.assign(at(graph_reach_.fan_in), true);
  const std::int64_t first = output / reach_.group_outputs * reach_.group_inputs;
  const std::int64_t taps = reach_.window.kernel_h * reach_.window.kernel_w;
  for (std::int64_t k = 0; k < reach_.fan_in; ++k) {
    // The inputs of a linear layer are its channels.
    const std::int64_t source = op_.code == PlanOp::kLinear
                                    ? graph_element(input_, first + k / taps)
                                    : graph_channel(input_, first + k / taps);
    if (source / graph_reach_.group_inputs != group)
      refuse(graph_channel(output_, output), fmt::format("input channel {}", source));
    match.graph_weight.push_back(source % graph_reach_.group_inputs * taps + k % taps);
    match.is_missing[at(match.graph_weight.back())] = false;
  }
  match.any_missing = std::ranges::find(match.is_missing, true) != match.is_missing.end();
  return match;
}

LeftOut WeightMatcher::left_out(const WeightMatch& match, std::int64_t output) {
  LeftOut result;
  if (!match.any_missing) return result;
  const std::int64_t channel = graph_channel(output_, output);
  const std::int64_t* weights = constants_.aligned_weights.data() + channel * constants_.fan_in;
  std::vector<bool> counts = match.is_missing;
  for (std::size_t k = 0; k < counts.size(); ++k) counts[k] = counts[k] && weights[k] != 0;
  if (std::ranges::find(counts, true) == counts.end()) return result;
  if (ranges_.empty())
    for (std::int64_t e = 0; e < format_.element_count(); ++e) {
      const CodeRange range = format_.range(e);
      const auto lo = on_grid(range.lo, format_.decimal(e), graph_decimals_[at(e)]);
      const auto hi = on_grid(range.hi, format_.decimal(e), graph_decimals_[at(e)]);
      LOCKSTEP_ASSERT(lo && hi);  // the semantics count on this grid, too
      ranges_.push_back({*lo, *hi});
    }
  const std::int64_t plane = output_.element_count() / output_.channels;
  for (std::int64_t position = 0; position < plane; ++position) {
    CodeRange sum;
    graph_reach_.each(channel, position, [&](std::int64_t k, std::int64_t element) {
      if (!counts[at(k)]) return;
      const CodeRange range = ranges_[at(element)];
      const std::int64_t a = weights[k] * range.lo, b = weights[k] * range.hi;
      sum = {sum.lo + std::min(a, b), sum.hi + std::max(a, b)};
      if (a == b || result.varying_weight) return;
      result.varying_weight = k;
      result.varying_codes = range;
    });
    result.sums.push_back(sum);
  }
  return result;
}

}  // namespace lockstep::verify
