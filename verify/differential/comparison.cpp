#include "verify/differential/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>

#include "verify/differential/channel_map.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

std::string code_text(std::int64_t code, int decimal) {
  return fmt::format("{} * 2^{}", code, -decimal);
}

// A value of the exact semantics.
std::string value_text(const Format& format, std::int64_t element, std::int64_t code) {
  return format.real ? fmt::format("{:.9g}", real_from_bits(code))
                     : code_text(code, format.decimal(element));
}

// What a reader of the tensor gets: the code on its grid, and with an offset one float32 addition.
struct Found {
  const VisibleTensor& tensor;
  std::int64_t element;        // in the tensor's (C,H,W) order
  std::int64_t graph_element;  // of the node's value
  std::int64_t code;

  bool has_offset() const { return !tensor.offsets.empty(); }
  float real() const {
    const std::int64_t plane = std::int64_t{tensor.height} * tensor.width;
    return enter_float(code, tensor.decimal(element)) +
           tensor.offsets[static_cast<std::size_t>(element / plane)];
  }
  bool equals(const Format& format, std::int64_t expected) const {
    if (has_offset() || format.real)
      return has_offset() && format.real && real() == real_from_bits(expected);
    return same_value(code, tensor.decimal(element), expected, format.decimal(graph_element));
  }
  std::string text() const {
    const std::string text = code_text(code, tensor.decimal(element));
    return has_offset() ? fmt::format("{}, with its offset {:.9g}", text, real()) : text;
  }
};

std::string place_text(const Format& format, std::int64_t element) {
  if (format.shape.size() == 3) {
    const std::int64_t width = format.shape[2], plane = format.shape[1] * width;
    return fmt::format("channel {}, position ({}, {})", element / plane, (element % plane) / width,
                       element % width);
  }
  if (format.shape.size() == 2)
    return fmt::format("channel {}, position {}", element / format.shape[1],
                       element % format.shape[1]);
  return fmt::format("channel {}", element);
}

}  // namespace

bool same_value(std::int64_t a, int decimal_a, std::int64_t b, int decimal_b) {
  if (decimal_a == decimal_b) return a == b;
  if (a == 0 || b == 0) return a == b;
  const int gap = std::abs(decimal_a - decimal_b);
  if (gap > 62)
    return false;  // a code that is not 0, on a grid this much coarser, is too large for the other
  Int128 wide_a = a, wide_b = b;
  (decimal_a < decimal_b ? wide_a : wide_b) *= Int128{1} << gap;
  return wide_a == wide_b;
}

Comparison::Comparison(const ExactNetwork& network, std::string path, SampleName sample_name)
    : network_(network), sample_name_(std::move(sample_name)) {
  report_.path = std::move(path);
}

std::int64_t Comparison::order_of(const std::string& node) const {
  const auto& nodes = network_.graph().nodes;
  const auto found = std::ranges::find(nodes, node, &Node::name);
  return found == nodes.end() ? -1 : found - nodes.begin();
}

void Comparison::compare_codes(const Observations& seen, const NodeValues& exact,
                               std::int64_t first_sample) {
  for (std::size_t t = 0; t < seen.tensors.size(); ++t) {
    const VisibleTensor& tensor = seen.tensors[t];
    // A step on the way to the value of its node: the readers' readers show whether it was right.
    if (!tensor.named && tensor.offsets.empty()) continue;
    const auto expected = exact.find(tensor.name);
    if (expected == exact.end()) {
      refute(tensor.name, "the graph has no such node");
      continue;
    }
    const Format& format = network_.format(tensor.name);
    if (const std::string fault = map_fault(tensor, format); !fault.empty()) {
      refute(tensor.name, fault);
      continue;
    }
    if (!is_part_of(tensor, format) || tensor.logical_rank != format.shape.size()) {
      refute(tensor.name, fmt::format("{} x {} x {} elements of rank {}, expected shape {}",
                                      tensor.channels, tensor.height, tensor.width,
                                      tensor.logical_rank, shape_text(format.shape)));
      continue;
    }
    seen_.insert(tensor.name);
    const std::vector<std::int64_t>& reference = expected->second.codes;
    const std::int64_t count = tensor.element_count(), all = format.element_count();
    for (std::int64_t s = 0; s < seen.samples; ++s)
      for (std::int64_t e = 0; e < count; ++e) {
        const std::int64_t element = graph_element(tensor, e);
        const Found found = {tensor, e, element,
                             seen.codes[t][static_cast<std::size_t>(s * count + e)]};
        if (found.equals(format, reference[static_cast<std::size_t>(s * all + element)])) continue;
        report_.differing += 1;
        note({tensor.name, element, s * all + element, first_sample + s}, found.text(), exact);
      }
    report_.values += count * seen.samples;
  }
  report_.tensors = static_cast<std::int64_t>(seen_.size());
}

template <typename Number>
void Comparison::compare_floats(const std::string& node, std::span<const Number> values,
                                const NodeValues& exact, std::int64_t samples,
                                std::int64_t first_sample) {
  const Format& format = network_.format(node);
  const std::int64_t count = format.element_count();
  if (static_cast<std::int64_t>(values.size()) != count * samples) {
    refute(node, fmt::format("{} values, expected {}", values.size(), count * samples));
    return;
  }
  seen_.insert(node);
  const std::vector<std::int64_t>& reference = exact.find(node)->second.codes;
  for (std::int64_t s = 0; s < samples; ++s)
    for (std::int64_t e = 0; e < count; ++e) {
      const auto i = static_cast<std::size_t>(s * count + e);
      // A code beyond 2^53 may round here, but then it is no float32 either, unless it is a
      // multiple of a large power of two, and then it does not round.
      if (static_cast<double>(values[i]) == value_of(format, e, reference[i])) continue;
      report_.differing += 1;
      constexpr int kDigits = std::numeric_limits<Number>::max_digits10;
      std::string found = fmt::format("{:.{}g}", values[i], kDigits);
      if (!format.real)
        found += fmt::format(" = {:.{}g} * 2^{}",
                             std::ldexp(static_cast<double>(values[i]), format.decimal(e)), kDigits,
                             -format.decimal(e));
      note({node, e, s * count + e, first_sample + s}, found, exact);
    }
  report_.values += count * samples;
  report_.tensors = static_cast<std::int64_t>(seen_.size());
}

template void Comparison::compare_floats(const std::string&, std::span<const float>,
                                         const NodeValues&, std::int64_t, std::int64_t);
template void Comparison::compare_floats(const std::string&, std::span<const double>,
                                         const NodeValues&, std::int64_t, std::int64_t);

void Comparison::refute(const std::string& layer, const std::string& reason) {
  report_.differing += 1;
  const std::int64_t order = order_of(layer);
  if (first_ && first_->order <= order) return;
  first_ = Divergence{order, layer, fmt::format("{}: layer '{}': {}", report_.path, layer, reason)};
}

void Comparison::note(const Place& place, const std::string& found, const NodeValues& exact) {
  const std::int64_t order = order_of(place.node);
  if (first_ && first_->order <= order) return;
  const Format& format = network_.format(place.node);
  const std::int64_t expected =
      exact.find(place.node)->second.codes[static_cast<std::size_t>(place.index)];
  first_ = Divergence{
      order, place.node,
      fmt::format("{}: layer '{}', {}, sample {} ({}): expected {}, found {}{}", report_.path,
                  place.node, place_text(format, place.element), place.sample,
                  sample_name_(place.sample), value_text(format, place.element, expected), found,
                  accumulator_text(place, exact))};
}

// The accumulator that the element comes from: back through operators that keep every element in
// its place.
std::string Comparison::accumulator_text(const Place& place, const NodeValues& exact) const {
  const Node* node = network_.graph().find_node(place.node);
  const Node* quantize = nullptr;
  constexpr std::array<std::string_view, 6> kInPlace = {"quantize", "relu",     "prune",
                                                        "dropout",  "identity", "flatten"};
  while (node != nullptr && network_.constants(node->name) == nullptr) {
    if (std::ranges::find(kInPlace, node->op) == kInPlace.end()) return "";
    if (node->op == "quantize") quantize = node;
    node = network_.graph().find_node(node->inputs[0]);
  }
  if (node == nullptr || network_.format(node->name).real) return "";
  std::string text = fmt::format(
      "; accumulator {} of layer '{}'",
      exact.find(node->name)->second.codes[static_cast<std::size_t>(place.index)], node->name);
  if (quantize != nullptr)
    text += fmt::format(", shift {}", network_.format(node->name).decimal(place.element) -
                                          network_.format(quantize->name).decimal(place.element));
  return text;
}

}  // namespace lockstep::verify
