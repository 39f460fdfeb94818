#include "verify/explain/graph_terms.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "compile/support/error.h"
#include "verify/explain/linear_terms.h"
#include "verify/explain/text.h"
#include "verify/semantics/aligned.h"
#include "verify/semantics/index.h"
#include "verify/semantics/move.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

// Operators that make an element of several, or of elements of several inputs.
constexpr std::array<std::string_view, 16> kCombining = {"conv1d",
                                                         "conv2d",
                                                         "conv_transpose1d",
                                                         "conv_transpose2d",
                                                         "linear",
                                                         "max_pool1d",
                                                         "max_pool2d",
                                                         "avg_pool1d",
                                                         "avg_pool2d",
                                                         "add",
                                                         "adaptive_avg_pool1d",
                                                         "adaptive_avg_pool2d",
                                                         "sub",
                                                         "mul",
                                                         "argmax",
                                                         "upsample"};

bool is_one_of(const std::string& op, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, op) != names.end();
}

HeightWidth plane_of(const Format& format) {
  const std::vector<std::int64_t>& shape = format.shape;
  return {shape.size() == 3 ? shape[1] : 1, shape.size() > 1 ? shape.back() : 1};
}

struct ChannelPlace {
  std::int64_t channel, y, x;
};
ChannelPlace split(const Format& format, std::int64_t element) {
  const HeightWidth extent = plane_of(format);
  const std::int64_t plane = extent.height * extent.width;
  return {element / plane, element % plane / extent.width, element % extent.width};
}

// The element of an operand of add, sub or mul that meets `element` of the result.
std::int64_t broadcast(const Format& result, const Format& operand, std::int64_t element) {
  std::vector<std::int64_t> places = places_of(element, result.shape);
  for (std::size_t d = 0; d < places.size(); ++d)
    if (operand.shape[d] == 1) places[d] = 0;
  return element_at(places, operand.shape);
}

}  // namespace

bool keeps_places(const ExactNetwork& network, const Node& node) {
  return network.moves(node.name).empty() &&
         std::ranges::find(kCombining, node.op) == kCombining.end();
}

std::int64_t GraphTerms::code(const std::string& node, std::int64_t element) const {
  return values_.find(node)->second.codes[at(element)];
}

std::string GraphTerms::value(const std::string& node, std::int64_t element) const {
  return value_text(format(node), element, code(node, element));
}

std::vector<GraphElement> GraphTerms::way_to(const GraphElement& last) const {
  std::vector<GraphElement> way = {last};
  while (true) {
    const GraphElement& here = way.back();
    const Node* const node = network_.graph().find_node(here.node);
    if (node == nullptr) break;
    if (keeps_places(network_, *node)) {
      way.push_back({node->inputs[0], here.element});
      continue;
    }
    const std::span<const MovedElement> moves = network_.moves(node->name);
    if (moves.empty() || moves[at(here.element)].zero) break;
    const MovedElement& moved = moves[at(here.element)];
    way.push_back({node->inputs[moved.input], moved.element});
  }
  std::ranges::reverse(way);
  return way;
}

std::string GraphTerms::text(const std::vector<GraphElement>& way, const Beside& beside) const {
  std::string text;
  for (const GraphElement& here : way) {
    const Node* const node = network_.graph().find_node(here.node);
    text +=
        fmt::format("  {} ({})\n", element_name(here.node, format(here.node).shape, here.element),
                    node == nullptr ? "input" : node->op);
    text += step_text(here);
    text += fmt::format("    exact semantics   {}\n", value(here.node, here.element));
    const std::string other = beside(here);
    if (!other.empty()) text += fmt::format("    {}\n", other);
  }
  return text;
}

std::string GraphTerms::step_text(const GraphElement& here) const {
  const Node* const node = network_.graph().find_node(here.node);
  if (node == nullptr) return input_text(*network_.graph().find_input(here.node), here.element);
  const std::span<const MovedElement> moves = network_.moves(node->name);
  if (!moves.empty()) {
    const MovedElement& moved = moves[at(here.element)];
    if (moved.zero) return "    padding: 0\n";
    const std::string& from = node->inputs[moved.input];
    return fmt::format("    taken from {}\n",
                       element_name(from, format(from).shape, moved.element));
  }
  if (network_.constants(node->name) != nullptr) return linear_text(*node, here.element);
  if (is_one_of(node->op, {"max_pool1d", "max_pool2d"})) return maximum_text(*node, here.element);
  if (node->op.find("avg_pool") != std::string::npos) return mean_text(*node, here.element);
  if (is_one_of(node->op, {"add", "sub", "mul"})) return pair_text(*node, here.element);
  if (node->op == "argmax") return argmax_text(*node, here.element);
  if (node->op == "upsample") return bilinear_text(*node, here.element);
  return single_text(*node, here.element);
}

std::string GraphTerms::input_text(const GraphInput& input, std::int64_t element) const {
  const RawCodes* const raw = network_.raw_codes(input.name);
  if (raw == nullptr) return "";
  const auto i = static_cast<std::size_t>(&input - network_.graph().inputs.data());
  std::string functions;
  for (const FloatStep& step : raw->functions(split(format(input.name), element).channel).steps)
    functions += fmt::format("; {}", step.text());
  return fmt::format("    byte {}{}; then to {} bits with decimal {}, toward zero\n",
                     fed_[i].codes[at(element)], functions, input.bits, input.decimal);
}

std::string GraphTerms::linear_text(const Node& node, std::int64_t element) const {
  const Format& input = format(node.inputs[0]);
  const LinearTerms terms(node, parameters_.of(node), *network_.constants(node.name), input,
                          format(node.name));
  const LinearElement sum = terms.element(values_.find(node.inputs[0])->second.codes, element);
  const Format* const sums = network_.sums(node.name);
  if (sums == nullptr) {
    LOCKSTEP_ASSERT(sum.sum == code(node.name, element));
  } else {
    const float bias = network_.constants(node.name)->float_bias[at(sum.channel)];
    LOCKSTEP_ASSERT(real_to_bits(enter_float(sum.sum, sum.decimal) + bias) ==
                    code(node.name, element));
  }
  return sum.text;
}

std::string GraphTerms::maximum_text(const Node& node, std::int64_t element) const {
  const std::string& name = node.inputs[0];
  const Format& input = format(name);
  const HeightWidth extent = plane_of(input);
  const SlidingWindow window = sliding_window(node);
  const ChannelPlace out = split(format(node.name), element);
  std::vector<std::vector<std::string>> rows = {{"input", "value"}};
  for (std::int64_t ky = 0; ky < window.kernel.height; ++ky)
    for (std::int64_t kx = 0; kx < window.kernel.width; ++kx) {
      const std::int64_t y =
          out.y * window.stride.height + ky * window.dilation.height - window.padding.height;
      const std::int64_t x =
          out.x * window.stride.width + kx * window.dilation.width - window.padding.width;
      if (y < 0 || y >= extent.height || x < 0 || x >= extent.width) {
        rows.push_back({"(padding)", "-"});
        continue;
      }
      const std::int64_t from = (out.channel * extent.height + y) * extent.width + x;
      rows.push_back({element_name(name, input.shape, from), value(name, from)});
    }
  return columns(rows) + "    the largest of them\n";
}

std::string GraphTerms::mean_text(const Node& node, std::int64_t element) const {
  const std::string& name = node.inputs[0];
  const Format& input = format(name);
  const HeightWidth extent = plane_of(input);
  const MeanWindows windows = mean_windows(node, extent);
  const ChannelPlace out = split(format(node.name), element);
  const MeanSpan &span_y = windows.rows[at(out.y)], &span_x = windows.columns[at(out.x)];
  const Aligned aligned(node.name, input);
  std::vector<std::vector<std::string>> rows = {{"input", "code", "decimal"}};
  std::int64_t sum = 0, decimal = 0;
  for (std::int64_t y = span_y.begin; y < span_y.end; ++y)
    for (std::int64_t x = span_x.begin; x < span_x.end; ++x) {
      const std::int64_t from = (out.channel * extent.height + y) * extent.width + x;
      const std::int64_t on_grid = aligned.code(from, code(name, from));
      decimal = aligned.format().decimal(from);
      rows.push_back({element_name(name, input.shape, from), fmt::to_string(on_grid),
                      fmt::to_string(decimal)});
      sum += on_grid;
    }
  const std::int64_t scaled = sum * span_y.multiplier * span_x.multiplier;
  const Format* const sums = network_.sums(node.name);
  if (sums == nullptr) LOCKSTEP_ASSERT(scaled == code(node.name, element));
  return columns(rows) + fmt::format("    sum {}, times {} * {} is {}; divided by {}\n", sum,
                                     span_y.multiplier, span_x.multiplier,
                                     code_and_value(scaled, static_cast<int>(decimal)),
                                     windows.divisor);
}

std::string GraphTerms::pair_text(const Node& node, std::int64_t element) const {
  std::vector<std::vector<std::string>> rows = {{"input", "value"}};
  std::array<std::int64_t, 2> codes{};
  std::array<int, 2> decimals{};
  for (std::size_t i = 0; i < 2; ++i) {
    const Format& input = format(node.inputs[i]);
    const std::int64_t from = broadcast(format(node.name), input, element);
    codes[i] = code(node.inputs[i], from);
    decimals[i] = input.decimal(from);
    rows.push_back({element_name(node.inputs[i], input.shape, from), value(node.inputs[i], from)});
  }
  if (node.op == "mul") {
    LOCKSTEP_ASSERT(codes[0] * codes[1] == code(node.name, element));
    return columns(rows) + fmt::format("    {} * {} = {}, decimal {} + {}\n", codes[0], codes[1],
                                       codes[0] * codes[1], decimals[0], decimals[1]);
  }
  return columns(rows) + fmt::format("    {} on the finer grid, decimal {}\n",
                                     node.op == "add" ? "their sum" : "the first less the second",
                                     format(node.name).decimal(element));
}

std::string GraphTerms::argmax_text(const Node& node, std::int64_t element) const {
  const std::string& name = node.inputs[0];
  const Format& input = format(name);
  const std::int64_t plane = input.element_count() / input.shape[0];
  std::vector<std::vector<std::string>> rows = {{"input", "value"}};
  for (std::int64_t from = element; from < input.element_count(); from += plane)
    rows.push_back({element_name(name, input.shape, from), value(name, from)});
  return columns(rows) + "    the channel of the largest, the first of equal ones\n";
}

std::string GraphTerms::bilinear_text(const Node& node, std::int64_t element) const {
  // What each input element counts for, found by feeding it alone: the function is a sum.
  const std::string& name = node.inputs[0];
  const Format& input = format(name);
  const Aligned aligned(node.name, input);
  const std::int64_t plane = input.element_count() / input.shape[0];
  const std::int64_t first = split(format(node.name), element).channel * plane;
  std::vector<std::int64_t> one(at(input.element_count()), 0);
  std::vector<std::int64_t> result(at(format(node.name).element_count()));
  std::vector<std::vector<std::string>> rows = {{"input", "code", "weight", "product"}};
  std::int64_t sum = 0;
  for (std::int64_t from = first; from < first + plane; ++from) {
    one[at(from)] = 1;
    network_.run_node(node.name, Values(one), result);
    one[at(from)] = 0;
    const std::int64_t unaligned = code(name, from), weight = result[at(element)];
    if (weight == 0) continue;
    sum += weight * unaligned;
    rows.push_back({element_name(name, input.shape, from), fmt::to_string(unaligned),
                    fmt::to_string(weight), fmt::to_string(weight * unaligned)});
  }
  LOCKSTEP_ASSERT(sum == code(node.name, element));
  return columns(rows) + fmt::format("    their sum on the grid of decimal {}\n",
                                     format(node.name).decimal(element));
}

std::string GraphTerms::single_text(const Node& node, std::int64_t element) const {
  const Format &input = format(node.inputs[0]), &result = format(node.name);
  if (node.op == "quantize") return quantize_text(node, element);
  if (node.op == "prune") {
    const std::vector<std::uint8_t> keep =
        prune_mask(node, *parameters_.of(node).mask, result.shape);
    return fmt::format("    mask {}\n", keep[at(element)]);
  }
  if (is_one_of(node.op, {"dropout", "identity", "flatten"})) return "    passed on\n";
  if (is_one_of(node.op, {"softmax", "log_softmax"}))
    return "    passed on: it keeps the order of the channels, and its reader applies it\n";
  if (input.real) return fmt::format("    {}\n", result.chain(element).steps.back().text());
  if (result.real) {  // the first float functions behind exact values
    std::string steps;
    for (const FloatStep& step : result.chain(element).steps)
      steps += (steps.empty() ? "" : "; ") + step.text();
    return fmt::format("    {}\n", steps);
  }
  return node.op == "relu" ? "    max(x, 0)\n" : "    min(max(x, 0), 6)\n";
}

std::string GraphTerms::quantize_text(const Node& node, std::int64_t element) const {
  const Format &input = format(node.inputs[0]), &result = format(node.name);
  const int decimal = result.decimal(element);
  const Rounding rounding = node.quantize->rounding;
  const std::string limits =
      fmt::format("rounding {}, clamp to [{}, {}] ({} bits)", rounding_name(rounding),
                  lowest_code(result.bits), highest_code(result.bits), result.bits);
  if (input.real) return fmt::format("    x * 2^{} in float32, {}\n", decimal, limits);
  const int drop = input.decimal(element) - decimal;
  return fmt::format("    decimal {} to {}: {} / 2^{}, {}\n", input.decimal(element), decimal,
                     code(node.inputs[0], element), drop, limits);
}

}  // namespace lockstep::verify
