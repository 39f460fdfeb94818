#include "verify/proof/terms.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "compile/support/error.h"
#include "verify/proof/graph_function.h"
#include "verify/semantics/index.h"

namespace lockstep::verify {
namespace {

// Every value keeps its place, in (C,H,W) order.
bool keeps_places(const Node& node) {
  constexpr std::array<std::string_view, 5> kOps = {"flatten", "dropout", "identity", "softmax",
                                                    "log_softmax"};
  return std::ranges::find(kOps, node.op) != kOps.end();
}

constexpr std::int64_t kRelu6 = 6;

}  // namespace

Terms::Terms(const ExactNetwork& network, const Parameters& parameters) : network_(network) {
  for (const GraphInput& input : network.graph().inputs) {
    NodeInfo info;
    info.name = &input.name;
    info.format = &network.format(input.name);
    if (const RawCodes* const raw = network.raw_codes(input.name))
      for (std::int64_t c = 0; c < info.format->shape[0]; ++c)
        info.real_steps.push_back(
            chains_.intern({.kind = GraphStep::Kind::kReal, .functions = raw->functions(c)}));
    numbers_[input.name] = static_cast<std::int32_t>(nodes_.size());
    nodes_.push_back(std::move(info));
  }
  for (const Node& node : network.graph().nodes) add_node(node, parameters);
}

void Terms::add_node(const Node& node, const Parameters& parameters) {
  NodeInfo info;
  info.name = &node.name;
  info.node = &node;
  info.format = &network_.format(node.name);
  for (const std::string& input : node.inputs) info.inputs.push_back(number_of(input));
  const Format& format = *info.format;
  if (node.op == "prune") info.keep = prune_mask(node, *parameters.of(node).mask, format.shape);
  if (!format.real && node.op == "relu") info.step = chains_.intern({});
  if (!format.real && node.op == "relu6")
    info.step = chains_.intern({.kind = GraphStep::Kind::kCap, .cap = kRelu6, .functions = {}});
  for (const FloatChain& chain : format.chains)
    info.real_steps.push_back(chains_.intern({.kind = GraphStep::Kind::kReal, .functions = chain}));
  numbers_[node.name] = static_cast<std::int32_t>(nodes_.size());
  for (const ExactBase& base : format.bases) info.bases.push_back(number_of(base.node));
  info.is_combining = node.op != "quantize" && node.op != "prune" && info.step < 0 &&
                      !keeps_places(node) && network_.moves(node.name).empty();
  info.is_max_pool = !format.real && node.op.starts_with("max_pool");
  nodes_.push_back(std::move(info));
}

std::int32_t Terms::number_of(std::string_view name) const {
  const auto found = numbers_.find(name);
  LOCKSTEP_ASSERT(found != numbers_.end());
  return found->second;
}

std::int32_t Terms::quantize_step(NodeInfo& info, int decimal) {
  for (const auto& [known, step] : info.quantize_steps)
    if (known == decimal) return step;
  const std::int32_t step = chains_.intern(
      {.kind = GraphStep::Kind::kQuantize,
       .decimal = decimal,
       .bits = info.format->bits,
       .rounding = info.node == nullptr ? Rounding::kTowardZero : info.node->quantize->rounding,
       .functions = {}});
  info.quantize_steps.emplace_back(decimal, step);
  return step;
}

Term Terms::real_term(const NodeInfo& info, std::int64_t element) {
  const RealSource& source = info.format->source(element);
  Term base;
  if (source.has_base()) {
    const std::int32_t node = info.bases[source.base];
    base = info.format->bases[source.base].sums ? combined(node, source.element)
                                                : term(node, source.element);
  }
  return {base.node, base.element, chains_.extend(base.chain, info.real_steps[source.chain])};
}

// An input: the codes that it is fed with, or those that its bytes become.
Term Terms::input_term(NodeInfo& info, std::int32_t node, std::int64_t element) {
  Term result = combined(node, element);
  if (info.real_steps.empty()) return result;
  const std::int64_t plane = info.format->element_count() / info.format->shape[0];
  result.chain = chains_.extend(result.chain, info.real_steps[at(element / plane)]);
  result.chain = chains_.extend(result.chain, quantize_step(info, info.format->decimal(element)));
  return result;
}

Term Terms::term(std::int32_t node, std::int64_t element) {
  NodeInfo& info = nodes_[index(node)];
  if (info.node == nullptr) return input_term(info, node, element);
  if (info.format->real) return real_term(info, element);
  if (info.is_max_pool) {
    const std::int64_t plane = info.format->element_count() / info.format->shape[0];
    return {node, static_cast<std::int32_t>(element), pooled_steps(node, element / plane)};
  }
  if (info.is_combining) return combined(node, element);
  const std::span<const MovedElement> moves = network_.moves(*info.name);
  if (!moves.empty()) {
    const MovedElement& move = moves[at(element)];
    return move.zero ? Term{} : term(info.inputs[move.input], move.element);
  }
  if (!info.keep.empty() && info.keep[at(element)] == 0) return {};
  Term result = term(info.inputs[0], element);
  if (info.step >= 0) result.chain = chains_.extend(result.chain, info.step);
  if (info.node->op == "quantize")
    result.chain = chains_.extend(result.chain, quantize_step(info, info.format->decimal(element)));
  return settled(result);
}

std::int32_t Terms::pooled_steps(std::int32_t node, std::int64_t channel) {
  NodeInfo& info = nodes_[index(node)];
  if (!info.pooled_steps.empty()) return info.pooled_steps[at(channel)];
  const Format& input = *nodes_[index(info.inputs[0])].format;
  const std::int64_t channels = input.shape[0], plane = input.element_count() / channels;
  for (std::int64_t c = 0; c < channels; ++c) {
    std::optional<std::vector<std::int32_t>> common;  // the last one first
    for (std::int64_t e = c * plane; e < (c + 1) * plane; ++e) {
      const Term value = term(info.inputs[0], e);
      if (value == Term{}) continue;  // stays 0 in all of them
      std::vector<std::int32_t> steps;
      for (std::int32_t chain = value.chain; chain != Chains::kEmpty;
           chain = chains_.without_last(chain)) {
        const GraphStep::Kind kind = chains_.last(chain).kind;
        if (kind != GraphStep::Kind::kRelu && kind != GraphStep::Kind::kCap) break;
        steps.push_back(chains_.last_step(chain));
      }
      if (!common) common = steps;
      const auto same = std::ranges::mismatch(*common, steps);
      common->erase(same.in1, common->end());
    }
    std::int32_t chain = Chains::kEmpty;
    if (common)
      for (auto step = common->rbegin(); step != common->rend(); ++step)
        chain = chains_.extend(chain, *step);
    info.pooled_steps.push_back(chain);
  }
  return info.pooled_steps[at(channel)];
}

Term Terms::before_pooled_steps(std::int32_t node, std::int64_t element) {
  const NodeInfo& info = nodes_[index(node)];
  Term value = term(info.inputs[0], element);
  if (value == Term{}) return value;
  const Format& input = *nodes_[index(info.inputs[0])].format;
  const std::int64_t plane = input.element_count() / input.shape[0];
  for (std::int32_t steps = pooled_steps(node, element / plane); steps != Chains::kEmpty;
       steps = chains_.without_last(steps))
    value.chain = chains_.without_last(value.chain);
  return settled(value);
}

// A constant that is 0 is the same constant whatever it went through.
Term Terms::settled(Term term) const {
  if (term.node != Term::kZero || !chains_.is_exact(term.chain)) return term;
  const GraphFunction function(chains_.behind(term.chain, Chains::kEmpty), 0);
  return function.apply(0).code == 0 ? Term{} : term;
}

Term Terms::base(Term term) const {
  term.chain = chains_.exact_part(term.chain);
  return settled(term);
}

std::string Terms::text(Term term) const {
  const std::size_t steps = chains_.behind(term.chain, Chains::kEmpty).size();
  const std::string source =
      term.node == Term::kZero
          ? std::string("the constant 0")
          : fmt::format("element {} of '{}'", term.element, name_of(term.node));
  return steps == 0 ? source : fmt::format("{} after {} steps", source, steps);
}

}  // namespace lockstep::verify
