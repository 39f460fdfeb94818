// Nodes that only move values: flatten, reshape, transpose, slice, pad, pixel shuffles, upsampling,
// concat.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "tests/fuzz/random_graph/node_kinds.h"

namespace lockstep::test {
namespace {

// Adds a node that moves values of one input, unless its shape does not fit.
bool add_move(GraphBuilder& graph, std::string_view op, ValueIndex input,
              const std::string& attributes, bool mixes_channels) {
  const auto shape = graph.shape_of(std::string(op), input, attributes);
  if (!shape) return false;
  if (mixes_channels) input = graph.mixable(input);
  GraphValue out = graph.value(input);
  out.shape = *shape;
  if (mixes_channels) {
    out.bits = out.aligned_bits();
    out.lowest_decimal = out.highest_decimal;
  }
  graph.add(std::string(op), input, attributes, std::move(out));
  return true;
}

}  // namespace

bool add_flatten(GraphBuilder& graph, std::string_view op) {
  const ValueIndex input = graph.pick();
  if (graph.value(input).rank() == 1 && !graph.random.chance(10)) return false;
  return add_move(graph, op, input, "{}", false);
}

bool add_reshape(GraphBuilder& graph, std::string_view op) {
  Random& random = graph.random;
  const ValueIndex input = graph.pick();
  std::int64_t left = product(graph.value(input).shape);
  Sizes sizes;
  const std::int64_t rank = random.between(1, 3);
  for (std::int64_t axis = 1; axis < rank; ++axis) {
    Sizes divisors;
    for (std::int64_t d = 1; d <= left; ++d)
      if (left % d == 0) divisors.push_back(d);
    sizes.push_back(divisors[graph.index_below(divisors.size())]);
    left /= sizes.back();
  }
  sizes.insert(sizes.begin() + random.between(0, rank - 1), left);
  if (random.chance(30)) sizes[graph.index_below(sizes.size())] = -1;
  return add_move(graph, op, input, fmt::format(R"({{"shape":[{}]}})", fmt::join(sizes, ",")),
                  true);
}

bool add_transpose(GraphBuilder& graph, std::string_view op) {
  const ValueIndex input = graph.pick();
  const auto rank = static_cast<std::int64_t>(graph.value(input).rank());
  if (rank == 1 && !graph.random.chance(10)) return false;
  return add_move(graph, op, input,
                  fmt::format(R"({{"dim0":{},"dim1":{}}})", graph.random.between(1, rank),
                              graph.random.between(1, rank)),
                  true);
}

bool add_slice(GraphBuilder& graph, std::string_view op) {
  Random& random = graph.random;
  const ValueIndex input = graph.pick();
  const Sizes& shape = graph.value(input).shape;
  const auto axis =
      static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(shape.size()) - 1));
  const std::int64_t start = random.between(0, shape[axis] - 1);
  std::string attributes = fmt::format(R"({{"dim":{},"start":{},"step":{})", axis + 1, start,
                                       random.chance(40) ? random.between(1, 3) : 1);
  if (random.chance(60))
    attributes += fmt::format(R"(,"end":{})", random.between(start + 1, shape[axis] + 2));
  return add_move(graph, op, input, attributes + "}", false);
}

bool add_pad(GraphBuilder& graph, std::string_view op) {
  Random& random = graph.random;
  ValueIndex input = graph.pick();
  const Sizes shape = graph.value(input).shape;
  if (shape.size() == 1) return false;
  constexpr const char* kModes[] = {"zeros", "reflect", "replicate"};
  const std::string mode = kModes[random.between(0, 2)];
  Sizes padding;
  for (std::size_t axis = shape.size(); axis-- > (random.chance(70) ? 1 : shape.size() - 1);)
    for (int side = 0; side < 2; ++side)
      padding.push_back(
          random.between(0, mode == "reflect" ? std::min<std::int64_t>(2, shape[axis] - 1) : 2));
  const GraphValue& value = graph.value(input);
  if (mode == "zeros" && !value.exact() && !value.keeps_zero) input = graph.exact(input);
  return add_move(graph, op, input,
                  fmt::format(R"({{"padding":[{}],"mode":"{}"}})", fmt::join(padding, ","), mode),
                  false);
}

bool add_pixel_shuffle(GraphBuilder& graph, std::string_view op) {
  const ValueIndex input = graph.pick();
  if (graph.value(input).rank() != 3) return false;
  const std::int64_t factor = graph.random.chance(10) ? 1 : graph.random.between(2, 3);
  const bool up = op == "pixel_shuffle";
  return add_move(graph, op, input,
                  fmt::format(R"({{"{}_factor":{}}})", up ? "upscale" : "downscale", factor), up);
}

bool add_upsample(GraphBuilder& graph, std::string_view op) {
  Random& random = graph.random;
  ValueIndex input = graph.pick();
  const std::size_t axes = graph.value(input).rank() - 1;
  if (axes == 0) return false;
  const bool bilinear = axes == 2 && random.chance(50);
  Sizes factors;
  for (std::size_t a = 0; a < axes; ++a)
    factors.push_back(bilinear ? std::int64_t{1} << random.between(0, 2) : random.between(1, 3));
  const std::string attributes =
      random.chance(30) ? fmt::format(R"({{"scale_factor":{},"mode":"{}"}})", factors[0],
                                      bilinear ? "bilinear" : "nearest")
                        : fmt::format(R"({{"scale_factor":[{}],"mode":"{}"}})",
                                      fmt::join(factors, ","), bilinear ? "bilinear" : "nearest");
  if (!bilinear) return add_move(graph, op, input, attributes, false);
  const auto shape = graph.shape_of(std::string(op), input, attributes);
  if (!shape) return false;
  input = graph.codes(input);
  GraphValue out = graph.value(input);
  const std::int64_t elements = product(*shape) / product(out.shape);
  out.shape = *shape;
  for (std::int64_t s = elements; s > 1; s /= 2) {
    ++out.bits;
    ++out.lowest_decimal;
  }
  out.bits += 2;
  out.lowest_decimal += 2;
  out.highest_decimal += out.bits - graph.value(input).bits;
  out.kind = out.bits <= 16 ? ValueKind::kCodes : ValueKind::kSums;
  graph.add(std::string(op), input, attributes, std::move(out));
  return true;
}

bool add_concat(GraphBuilder& graph, std::string_view op) {
  Random& random = graph.random;
  const ValueIndex first = graph.pick();
  const Sizes shape = graph.value(first).shape;
  const auto axis = static_cast<std::size_t>(
      random.chance(60) ? 0 : random.between(0, static_cast<std::int64_t>(shape.size()) - 1));
  std::vector<ValueIndex> inputs = {first};
  for (std::int64_t count = random.between(1, random.chance(20) ? 5 : 3); count > 1; --count)
    if (const auto other = graph.pick_where([&](const GraphValue& value) {
          Sizes same = value.shape;
          if (same.size() != shape.size()) return false;
          same[axis] = shape[axis];
          return same == shape;
        }))
      inputs.push_back(*other);
  const std::string attributes = fmt::format(R"({{"dim":{}}})", axis + 1);
  const auto made = graph.shape_of(std::string(op), inputs, attributes);
  if (!made) return false;
  // Behind each other along the channels, real values may stay as they are.
  const bool stay = axis == 0 && random.chance(40);
  if (!stay)
    for (ValueIndex& input : inputs) input = graph.exact(input);
  const auto aligned = [&] {
    int lowest = 128, highest = -128, bits = 0;
    for (const ValueIndex input : inputs) {
      lowest = std::min(lowest, graph.value(input).lowest_decimal);
      highest = std::max(highest, graph.value(input).highest_decimal);
      bits = std::max(bits, graph.value(input).bits);
    }
    return bits + highest - lowest;
  };
  if (axis > 0 && aligned() > 16 && !graph.careless()) {
    // The grids meet in each channel: narrow codes on grids that lie close together.
    for (ValueIndex& input : inputs) input = graph.quantize(input, 4, false);
    if (aligned() > 16) return false;
  }
  GraphValue out = graph.value(inputs[0]);
  out.shape = *made;
  for (const ValueIndex input : inputs) {
    const GraphValue& value = graph.value(input);
    out.kind = std::max(out.kind, value.kind);
    out.bits = std::max(out.bits, value.bits);
    out.lowest_decimal = std::min(out.lowest_decimal, value.lowest_decimal);
    out.highest_decimal = std::max(out.highest_decimal, value.highest_decimal);
    out.largest = std::max(out.largest, value.largest);
    out.typical = std::max(out.typical, value.typical);
    out.rises = out.rises && (value.exact() || value.rises);
    out.monotone = out.monotone && (value.exact() || value.monotone);
    out.keeps_zero = out.keeps_zero && (value.exact() || value.keeps_zero);
    out.masked = out.masked || (!value.exact() && value.masked);
    out.only_bias = out.only_bias && value.only_bias;
  }
  out.uniform = out.uniform && inputs.size() == 1;
  if (axis > 0 && out.exact()) {
    out.bits = aligned();
    out.lowest_decimal = out.highest_decimal;
  }
  graph.add(std::string(op), inputs, attributes, std::move(out));
  return true;
}

}  // namespace lockstep::test
