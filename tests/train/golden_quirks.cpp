#include "tests/train/golden_quirks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "compile/support/error.h"
#include "tests/train/golden_group.h"
#include "train/decimal_search.h"
#include "train/linear_quantize.h"

namespace lockstep::test {
namespace {

using nlohmann::json;
using train::Network;

// Shared with QSPARSE, or about a step of its own (bias_bits_without_bias, uninitialised_load).
constexpr std::string_view kNothingLeftOut[] = {
    "",
    "eval_triggers_quantization",
    "eval_collects_window",
    "window_clipped_to_current_shape",
    "bias_bits_without_bias",
    "uninitialised_load",
};
constexpr std::string_view kDifferent[] = {
    "interval_stale_window",    "channelwise0_activation", "nan_decimal",
    "strict_false_weight_row0", "access_counts_as_step",   "shared_grad_clamped_in_place",
};

constexpr std::string_view kReadingIsStep = "access_counts_as_step";

Finding left_out(std::string_view tag, std::string_view why) {
  return {Finding::kLeftOut, true, fmt::format("{}: {}", tag, why)};
}
Finding promise(bool holds, std::string text) {
  return {Finding::kPromise, holds, std::move(text)};
}

std::int64_t counter_of(const StateDict& state, const std::string& layer) {
  const Tensor& counter = state.at(layer + "._n_updates");
  return counter.int32s(layer).at(0);
}

// The weight as the wraps of `node` leave it, by their definition.
torch::Tensor expected_weight(Network& net, const Node& node) {
  const train::SparseModule& layer = *net.wrapped_layer(node.name);
  torch::Tensor w = layer.weight.detach();
  for (const Wrap& wrap : node.wraps) {
    if (std::holds_alternative<PruneSpec>(wrap)) {
      w = w * layer.pruner()->mask;
    } else if (layer.quantizer()->quantized()) {
      const train::QuantizeImpl& q = *layer.quantizer();
      w = train::linear_quantize(w, q.decimal, q.bits.item<int>(), q.channel_axis(),
                                 Rounding::kTowardZero);
    }
  }
  return w;
}

// Straight through: at an add, each input has the gradient of the sum; at a quantizer, the input
// has the output's gradient, clamped to the range of its format. Checked at every value that is
// read once.
std::vector<Finding> local_gradients(Network& net, const ForwardTrace& trace) {
  std::map<std::string, torch::Tensor> values;
  for (const auto& [name, value] : trace.values) values[name] = value;
  std::map<std::string, int> readers;
  for (const Node& node : net.graph().nodes)
    for (const std::string& input : node.inputs) ++readers[input];
  std::vector<Finding> findings;
  for (const Node& node : net.graph().nodes) {
    const torch::Tensor gradient = values.at(node.name).grad();
    for (const std::string& input : node.inputs) {
      if (readers[input] != 1 || !values.contains(input) || !gradient.defined()) continue;
      const torch::Tensor found = values.at(input).grad();
      if (node.op == "add") {
        findings.push_back(promise(same_values(found, gradient),
                                   "an add hands its gradient on as it is: " + node.name));
      } else if (node.op == "quantize") {
        for (const train::QuantizeImpl* const layer : net.quantize_layers()) {
          if (layer->label() != node.name || !layer->quantized()) continue;
          const double step = std::exp2(-layer->decimal[0].item<double>());
          const double half = std::exp2(layer->bits.item<double>() - 1);
          if (layer->decimal.numel() == 1)
            findings.push_back(
                promise(same_values(found, gradient.clamp(-half * step, (half - 1) * step)),
                        "a quantizer clamps its own gradient only: " + node.name));
        }
      }
    }
  }
  return findings;
}

}  // namespace

std::unique_ptr<Network> make_network(const json& nodes, const json& output,
                                      const std::vector<std::int64_t>& input_shape) {
  const json graph = {{"format", "lockstep-graph"},
                      {"version", 1},
                      {"name", "case"},
                      {"inputs", json::array({{{"name", "input"}, {"shape", input_shape}}})},
                      {"nodes", nodes},
                      {"outputs", json::array({output})}};
  return std::make_unique<Network>(parse_graph(graph.dump(), "case"), 1);
}

StateDict copy_of(const Network& network) { return train::to_state_dict(network); }

bool same_state(const StateDict& a, const StateDict& b) {
  return std::ranges::equal(a.entries(), b.entries(), [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.dtype == y.second.dtype &&
           x.second.shape == y.second.shape && x.second.bytes == y.second.bytes;
  });
}

std::string text_of(const torch::Tensor& tensor) {
  if (!tensor.defined()) return "nothing";
  const torch::Tensor flat = tensor.detach().reshape(-1).to(torch::kFloat64).slice(0, 0, 12);
  return fmt::format(
      "[{}]({})", fmt::join(tensor.sizes(), ", "),
      fmt::join(flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel(), " "));
}

std::string case_quirk(const json& one) {
  const auto found = one.find("quirk");
  return found == one.end() || found->is_null() ? "" : found->get<std::string>();
}

Quirk quirk_of(const json& one) {
  const std::string tag = case_quirk(one);
  if (std::ranges::count(kNothingLeftOut, tag) + std::ranges::count(kDifferent, tag) == 0)
    throw InputError(fmt::format("unknown quirk tag '{}'", tag));
  return {tag, one};
}

Quirk::Quirk(std::string tag, const json& one) : tag_(std::move(tag)), case_(one) {}

std::vector<Finding> Quirk::after_forward(Network& net, const json& step,
                                          const ForwardTrace& trace) {
  if (tag_ == "interval_stale_window") return fresh_window(net, trace);
  if (tag_ == "strict_false_weight_row0") return whole_mask(net, trace);
  if (reading_counts_) return counted_once(net, trace);
  if (tag_ == "nan_decimal" && step.contains("error")) return refused(net, trace, "no decimal");
  if (tag_ == "channelwise0_activation" && !diverged)
    return refused(net, trace, "is the batch axis of an activation");
  if (tag_ == "shared_grad_clamped_in_place" && step.contains("grads")) {
    const std::vector<train::QuantizeImpl*> layers = net.quantize_layers();
    other_gradients = std::ranges::any_of(layers, &train::QuantizeImpl::quantized);
    if (!other_gradients) return {};
    std::vector<Finding> findings = local_gradients(net, trace);
    findings.push_back(left_out(tag_, "gradients; in QSPARSE one branch clamps the other's"));
    return findings;
  }
  return {};
}

std::vector<Finding> Quirk::after_access(Network& net, const json& step,
                                         const torch::Tensor& value) {
  const bool weight = step.at("what") == "weight";
  const Node& node = *net.graph().find_node(step.at("node").get<std::string>());
  const auto as_defined = [&] {
    return promise(!weight || same_values(value.detach(), expected_weight(net, node)),
                   "reading gives the weight with its mask and decimals applied");
  };
  const bool training = step.at("training").get<bool>();
  other_output = tag_ == "strict_false_weight_row0" && !training;
  if (other_output)
    return {as_defined(), left_out(tag_, "the value read; QSPARSE uses one row of the mask")};
  if (tag_ != kReadingIsStep && !training) return {};
  if (std::exchange(reading_counts_, true)) return {as_defined()};
  diverged = true;
  return {as_defined(),
          left_out(kReadingIsStep, "everything from here on; in QSPARSE reading is a step")};
}

// A failing forward leaves the state as it was.
std::vector<Finding> Quirk::refused(Network& net, const ForwardTrace& trace,
                                    const std::string& reason) {
  diverged = true;
  return {promise(trace.error.find("layer '") != std::string::npos &&
                      trace.error.find(reason) != std::string::npos,
                  fmt::format("an error names the layer and says '{}': {}", reason, trace.error)),
          promise(same_state(trace.before, copy_of(net)), "a forward that fails changes no state"),
          left_out(tag_, "everything from here on; here the forward is refused")};
}

// In eval mode as in training: the output is that of the same network with strict = true.
std::vector<Finding> Quirk::whole_mask(Network& net, const ForwardTrace& trace) {
  other_output = !trace.training;
  if (trace.training || !trace.error.empty()) return {};
  json nodes = case_.at("nodes");
  for (json& node : nodes)
    if (node.contains("wrap"))
      for (json& wrap : node.at("wrap"))
        if (wrap.at("type") == "prune") wrap["strict"] = true;
  const auto twin = make_network(nodes, case_.at("output"), net.graph().inputs.at(0).shape);
  train::load_state(*twin, copy_of(net), "twin");
  twin->eval();
  return {
      promise(same_values(twin->forward({trace.input.detach()})[0].detach(), trace.output.detach()),
              "the whole mask of a weight applies"),
      left_out(tag_, "the output; QSPARSE uses one row of the mask")};
}

// After a read the recorded counters run ahead of ours; ours count training forwards.
std::vector<Finding> Quirk::counted_once(Network& net, const ForwardTrace& trace) const {
  if (!trace.error.empty()) return {};
  std::vector<Finding> findings;
  const StateDict after = copy_of(net);
  for (const auto& [key, tensor] : after.entries()) {
    if (!key.ends_with("._n_updates")) continue;
    const std::string layer = key.substr(0, key.rfind('.'));
    const std::int64_t then = std::max<std::int64_t>(counter_of(trace.before, layer), 0);
    findings.push_back(promise(counter_of(after, layer) == then + (trace.training ? 1 : 0),
                               "a forward in training counts once, in eval mode never: " + layer));
  }
  return findings;
}

// At timeout + k * interval, k > 0, the decimals are those of the newest window_size samples of the
// last window_size steps, and the output is quantized with them.
std::vector<Finding> Quirk::fresh_window(Network& net, const ForwardTrace& trace) {
  std::map<std::string, torch::Tensor> values = {{"input", trace.input}};
  for (const auto& [name, value] : trace.values) values[name] = value;
  std::vector<Finding> findings;
  for (const train::QuantizeImpl* const layer : net.quantize_layers()) {
    const Node* const node = net.graph().find_node(layer->label());
    const QuantizeSpec& spec = layer->options().spec();
    if (node == nullptr || spec.interval <= 0) continue;
    const torch::Tensor x = values.at(node->inputs.at(0)).detach();
    const std::int64_t n = std::max<std::int64_t>(counter_of(trace.before, node->name), 0);
    auto& seen = collected_[node->name];
    for (std::int64_t i = 0; i < std::min(spec.window_size, x.size(0)); ++i)
      seen.emplace_back(n, x.narrow(0, i, 1));
    if (!trace.training || n <= spec.timeout || (n - spec.timeout) % spec.interval != 0) continue;

    std::vector<torch::Tensor> window;
    for (const auto& [step, sample] : seen)
      if (step > n - spec.window_size) window.push_back(sample);
    const auto size = static_cast<std::size_t>(spec.window_size);
    if (window.size() > size)
      window.erase(window.begin(), window.end() - static_cast<std::ptrdiff_t>(size));
    const torch::Tensor data = torch::cat(window);
    const torch::Tensor rows =
        spec.channelwise < 0
            ? data.reshape({1, -1})
            : data.movedim(spec.channelwise, 0).reshape({layer->decimal.numel(), -1});
    std::vector<float> decimals;
    for (const std::optional<int> found :
         train::search_decimals(rows, layer->bits.item<int>(), spec))
      decimals.push_back(static_cast<float>(found.value_or(INT32_MIN)));
    const torch::Tensor expected = torch::tensor(decimals);
    findings.push_back(promise(same_values(layer->decimal.detach(), expected),
                               fmt::format("a fresh window decides the decimals: {}, found {}",
                                           text_of(expected), text_of(layer->decimal))));
    findings.push_back(
        promise(same_values(values.at(node->name).detach(),
                            train::linear_quantize(x, expected, layer->bits.item<int>(),
                                                   spec.channelwise, spec.rounding)),
                "the new decimals hold from that step on"));
    findings.push_back(promise(std::ranges::any_of(trace.events,
                                                   [&](const std::string& line) {
                                                     return line.starts_with(fmt::format(
                                                         "[Quantize @ {}]", node->name));
                                                   }),
                               "a repeated search is logged"));
    if (!diverged)
      findings.push_back(
          left_out(tag_, "everything from here on; QSPARSE searches the old window"));
    diverged = true;
  }
  return findings;
}

}  // namespace lockstep::test
