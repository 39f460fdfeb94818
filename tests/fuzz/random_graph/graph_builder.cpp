#include "tests/fuzz/random_graph/graph_builder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "compile/graph/shapes.h"
#include "compile/support/error.h"

namespace lockstep::test {
namespace {

constexpr std::int64_t kMostElements = 600;

std::string graph_json(const std::vector<std::string>& inputs,
                       const std::vector<std::string>& nodes,
                       const std::vector<std::string>& outputs) {
  return fmt::format(
      R"({{"format":"lockstep-graph","version":1,"name":"random","inputs":[{}],"nodes":[{}],"outputs":["{}"]}})",
      fmt::join(inputs, ","), fmt::join(nodes, ","), fmt::join(outputs, "\",\""));
}

std::string input_json(const std::string& name, const Sizes& shape, int bits, int decimal,
                       const std::string& raw = {}) {
  return fmt::format(R"({{"name":"{}","shape":[{}],"bits":{},"decimal":{}{}}})", name,
                     fmt::join(shape, ","), bits, decimal,
                     raw.empty() ? "" : fmt::format(R"(,"raw":{})", raw));
}

std::string node_json(const std::string& name, const std::string& op,
                      const std::vector<std::string>& inputs, const std::string& attributes,
                      const std::vector<std::string>& wraps) {
  return fmt::format(
      R"({{"name":"{}","op":"{}","inputs":["{}"],"attrs":{}{}}})", name, op,
      fmt::join(inputs, "\",\""), attributes,
      wraps.empty() ? std::string() : fmt::format(R"(,"wrap":[{}])", fmt::join(wraps, ",")));
}

}  // namespace

std::int64_t product(const Sizes& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies<>());
}

GraphBuilder::GraphBuilder(std::uint64_t seed) : random(seed) { careless_ = random.chance(8); }

void GraphBuilder::add_input(GraphValue value, const std::string& raw) {
  value.name = fmt::format("in{}", inputs_.size());
  inputs_.push_back(input_json(value.name, value.shape, value.bits, value.lowest_decimal, raw));
  values_.push_back(std::move(value));
  first_node_ = values_.size();
}

ValueIndex GraphBuilder::pick() {
  std::vector<ValueIndex> unread;
  for (ValueIndex i = 0; i < values_.size(); ++i)
    if (!read_.contains(values_[i].name)) unread.push_back(i);
  if (!unread.empty() && random.chance(70))
    return random.chance(60) ? unread.back() : unread[index_below(unread.size())];
  const std::size_t late = std::min<std::size_t>(values_.size(), 5);
  const ValueIndex picked =
      random.chance(60) ? values_.size() - 1 - index_below(late) : index_below(values_.size());
  // The last value is never closed: what reads a closed one comes behind it.
  return values_[picked].closed && !careless() ? values_.size() - 1 : picked;
}

std::optional<Sizes> GraphBuilder::shape_of(const std::string& op,
                                            const std::vector<ValueIndex>& inputs,
                                            const std::string& attributes) {
  std::vector<std::string> input_texts, names;
  std::set<std::string> seen;
  for (const ValueIndex i : inputs) {
    names.push_back(values_[i].name);
    if (seen.insert(names.back()).second)
      input_texts.push_back(input_json(values_[i].name, values_[i].shape, 8, 0));
  }
  try {
    const Graph graph = parse_graph(
        graph_json(input_texts, {node_json("node", op, names, attributes, {})}, {"node"}), "one");
    const Shapes shapes = infer_shapes(graph, "one");
    const Sizes& shape = shapes.at("node");
    if (product(shape) > kMostElements) return std::nullopt;
    return shape;
  } catch (const InputError&) {
    return std::nullopt;
  }
}

ValueIndex GraphBuilder::add(const std::string& op, const std::vector<ValueIndex>& inputs,
                             const std::string& attributes, GraphValue value,
                             const std::vector<std::string>& wraps) {
  std::vector<std::string> names;
  for (const ValueIndex i : inputs) {
    names.push_back(values_[i].name);
    read_.insert(values_[i].name);
  }
  value.name = fmt::format("{}_{}", op, nodes_.size());
  nodes_.push_back(node_json(value.name, op, names, attributes, wraps));
  values_.push_back(std::move(value));
  return values_.size() - 1;
}

ValueIndex GraphBuilder::codes(ValueIndex index, int most_bits) {
  const GraphValue& value = values_[index];
  if ((value.kind == ValueKind::kCodes && value.bits <= most_bits) || careless()) return index;
  const int bits = static_cast<int>(random.between(2, std::min(most_bits, 10)));
  return quantize(index, bits, random.chance(50));
}

ValueIndex GraphBuilder::exact(ValueIndex index) {
  if (values_[index].exact() || careless()) return index;
  return codes(index);
}

ValueIndex GraphBuilder::mixable(ValueIndex index) {
  const GraphValue& value = values_[index];
  const bool fits = value.exact() ? value.aligned_bits() <= (value.bits <= 16 ? 16 : 32)
                                  : value.uniform && value.aligned_bits() <= 30;
  if (fits || careless()) return index;
  return quantize(index, static_cast<int>(random.between(2, 10)), false);
}

ValueIndex GraphBuilder::quantize(ValueIndex index, int bits, bool per_channel) {
  const GraphValue in = values_[index];
  const auto log2 = [](double x) {
    return static_cast<int>(std::ceil(std::log2(std::max(x, 1e-9))));
  };
  int middle = bits - 1 - log2(in.typical) - static_cast<int>(random.between(0, 3));
  int spread = per_channel ? static_cast<int>(random.between(0, std::min(4, 18 - bits))) : 0;
  middle = std::clamp(middle, -20, std::min(24, 29 - spread - log2(in.largest)));
  const std::vector<int> all = decimals(per_channel ? in.shape[0] : 1, middle, spread);
  const auto [lo, hi] = std::minmax_element(all.begin(), all.end());
  GraphValue out;
  out.shape = in.shape;
  out.bits = bits;
  out.lowest_decimal = *lo;
  out.highest_decimal = *hi;
  out.largest = std::min(in.largest, std::ldexp(1.0, bits - 1 - *lo));
  out.typical = std::min(in.typical, out.largest / 2);
  const std::string channelwise =
      per_channel ? "1" : fmt::to_string(-random.between(1, random.chance(10) ? 4 : 1));
  const ValueIndex result =
      add("quantize", index,
          fmt::format(R"({{"bits":{},"channelwise":{},"rounding":"{}","decimal_range":[-24,32]}})",
                      bits, channelwise, rounding()),
          std::move(out));
  state.quantize(values_[result].name + ".", all, bits);
  return result;
}

bool GraphBuilder::may_be_output(const GraphValue& value) const {
  return value.exact() || (value.only_bias && !value.masked && value.bits > 16);
}

void GraphBuilder::add_order_output() {
  if (!random.chance(15)) return;
  const auto found = pick_where([&](const GraphValue& value) {
    return may_be_output(value) && !outputs_.contains(value.name) && value.name.rfind("in", 0) != 0;
  });
  if (!found) return;
  const GraphValue in = values_[*found];
  ValueIndex last = add(random.chance(50) ? "softmax" : "log_softmax", *found, R"({"dim":1})", in);
  if (random.chance(30)) last = add(random.chance(50) ? "identity" : "dropout", last, "{}", in);
  if (careless()) add("relu", last, "{}", in);
  outputs_.insert(in.name);
  output_order_.push_back(values_[last].name);
}

Network GraphBuilder::finish() {
  const auto output = [&](ValueIndex index) {
    if (outputs_.insert(values_[index].name).second) output_order_.push_back(values_[index].name);
  };
  std::vector<ValueIndex> unread;
  for (ValueIndex i = first_node_; i < values_.size(); ++i)
    if (!read_.contains(values_[i].name)) unread.push_back(i);
  for (const ValueIndex i : unread) {
    if (i != unread.back() && random.chance(10)) continue;  // a dead end
    const bool fits = may_be_output(values_[i]) || careless();
    output(fits ? i : codes(i));
  }
  for (ValueIndex i = first_node_; i < values_.size(); ++i)
    if (random.chance(3) && may_be_output(values_[i]) && !values_[i].closed) output(i);
  add_order_output();
  Network network;
  network.json = graph_json(inputs_, nodes_, output_order_);
  network.graph = parse_graph(network.json, "random");
  network.state = state.take();
  return network;
}

std::string GraphBuilder::rounding() {
  constexpr const char* kNames[] = {"toward_zero", "floor", "half_even"};
  return kNames[random.between(0, 2)];
}

std::vector<int> GraphBuilder::decimals(std::int64_t count, int middle, int spread) {
  std::vector<int> result;
  const int lo = middle - spread / 2;
  for (std::int64_t i = 0; i < count; ++i)
    result.push_back(static_cast<int>(random.between(lo, lo + spread)));
  return result;
}

std::vector<std::uint8_t> GraphBuilder::mask(const Sizes& shape) {
  std::vector<std::uint8_t> keep;
  const int percent = static_cast<int>(random.between(40, 95));
  for (std::int64_t i = 0; i < product(shape); ++i) keep.push_back(random.chance(percent) ? 1 : 0);
  // Whole rows along one dimension: channels, or inputs of a layer.
  if (random.chance(40)) {
    const auto axis = static_cast<std::size_t>(random.between(0, shape.size() > 1 ? 1 : 0));
    std::int64_t inner = 1;
    for (std::size_t d = axis + 1; d < shape.size(); ++d) inner *= shape[d];
    std::vector<std::uint8_t> rows;
    for (std::int64_t i = 0; i < shape[axis]; ++i) rows.push_back(random.chance(50) ? 1 : 0);
    for (std::size_t i = 0; i < keep.size(); ++i)
      keep[i] = rows[i / static_cast<std::size_t>(inner) % rows.size()];
  }
  return keep;
}

Sizes GraphBuilder::broadcast_shape(Sizes shape) {
  for (std::int64_t& size : shape)
    if (random.chance(25)) size = 1;
  return shape;
}

}  // namespace lockstep::test
