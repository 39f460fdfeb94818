// Convolutions and linear layers: geometry, then a weight with its wraps and a bias, in widths that
// mostly fit 16-bit weights and 32-bit sums.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "tests/fuzz/random_graph/node_kinds.h"

namespace lockstep::test {
namespace {

struct Layer {
  std::string op, attributes;  // without the flag "bias" and the closing brace
  Sizes weight;                // PyTorch's shape
  std::int64_t outputs = 1;
  std::int64_t terms = 1;  // most products in one sum
};

int log2_up(double x) { return static_cast<int>(std::ceil(std::log2(std::max(x, 1e-9)))); }

// The state of one layer and the estimate of its sums.
class Weights {
 public:
  // `wide`: many bits, so that weights may need more than 16 and sums more than 32.
  Weights(GraphBuilder& graph, const Layer& layer, const GraphValue& input, bool wide)
      : graph_(graph), random_(graph.random), layer_(layer), input_(input) {
    choose(wide);
  }

  bool bias() const { return bias_; }
  bool takes_wide_sums() const { return takes_wide_; }

  std::vector<std::string> wraps() const {
    const std::string quantize = fmt::format(
        R"({{"type":"quantize","bits":{},"channelwise":{},"rounding":"{}","decimal_range":[-24,32]{}}})",
        bits_, axis_ < 0 ? -1 : axis_, rounding_,
        bias_bits_ > 0 ? fmt::format(R"(,"bias_bits":{})", bias_bits_) : std::string());
    const std::string prune =
        fmt::format(R"({{"type":"prune","strict":{}}})", strict_ ? "true" : "false");
    if (!pruned_) return {quantize};
    if (prune_first_) return {prune, quantize};
    return {quantize, prune};
  }

  void write_state(const std::string& name) {
    std::vector<float> values;
    for (std::int64_t i = 0; i < product(layer_.weight); ++i)
      values.push_back(random_.real(scale_));
    if (random_.chance(20))  // a dead slice: an output channel, or an input of a transposed one
      std::fill_n(values.begin(), values.size() / static_cast<std::size_t>(layer_.weight[0]), 0.0F);
    graph_.state.floats(name + ".weight", layer_.weight, values);
    if (bias_) {
      std::vector<float> biases;
      for (std::int64_t o = 0; o < layer_.outputs; ++o)
        biases.push_back(random_.chance(10) ? 0.0F : random_.real(bias_scale_));
      graph_.state.floats(name + ".bias", {layer_.outputs}, biases);
    }
    if (pruned_) {
      Sizes shape = graph_.broadcast_shape(layer_.weight);
      if (!strict_) shape[0] = 1;  // whole rows would have to be equal
      graph_.state.prune(name + ".prune.", shape, graph_.mask(shape));
    }
    graph_.state.quantize(name + ".quantize.", decimals_, bits_);
    if (bias_bits_ > 0 && bias_)
      graph_.state.quantize(name + ".quantize_bias.", bias_decimals_, bias_bits_);
    else if (bias_bits_ > 0 && random_.chance(50))
      graph_.state.unused_quantize(name + ".quantize_bias.");
  }

  // What the layer makes.
  GraphValue result(const Sizes& shape) const {
    const auto terms = static_cast<double>(layer_.terms);
    GraphValue out;
    out.shape = shape;
    out.kind = ValueKind::kSums;
    const auto [lo, hi] = std::minmax_element(decimals_.begin(), decimals_.end());
    out.lowest_decimal = input_.lowest_decimal + *lo;
    out.highest_decimal = input_.highest_decimal + *hi;
    if (!bias_decimals_.empty())
      out.highest_decimal = std::max(
          out.highest_decimal, *std::max_element(bias_decimals_.begin(), bias_decimals_.end()));
    out.bits = sum_bits_;
    out.largest = terms * scale_ * input_.largest + (bias_ ? bias_scale_ : 0);
    out.typical = std::sqrt(terms / 3) * scale_ * input_.typical + (bias_ ? bias_scale_ / 3 : 0);
    if (bias_ && bias_bits_ <= 0) {
      out.kind = ValueKind::kReal;
      out.uniform = layer_.outputs == 1;
      out.keeps_zero = false;
      out.only_bias = true;
    }
    return out;
  }

 private:
  void choose(bool wide) {
    const auto rank = static_cast<std::int64_t>(layer_.weight.size());
    axis_ = static_cast<int>(random_.between(-1, rank - 1));
    bias_ = random_.chance(60);
    pruned_ = random_.chance(45);
    prune_first_ = random_.chance(50);
    strict_ = random_.chance(75);
    rounding_ = graph_.rounding();
    scale_ = std::ldexp(1.0F, static_cast<int>(random_.between(-4, random_.chance(10) ? 6 : 1)));

    int spread = axis_ < 0 ? 0 : static_cast<int>(random_.between(0, 4));
    int finer = 0;  // what a bias adds to the sums' grid
    bits_ = static_cast<int>(random_.between(2, random_.chance(20) ? 16 : 9));
    bias_bits_ =
        random_.chance(60) ? static_cast<int>(random_.between(2, random_.chance(10) ? 20 : 12)) : 0;
    if (bias_ && bias_bits_ > 0) finer = static_cast<int>(random_.between(0, 2));
    const int terms = log2_up(static_cast<double>(layer_.terms)) + 1;
    const auto widened = [&] { return bits_ + spread + input_.spread() + finer; };
    const auto sums = [&] { return widened() + input_.bits - 1 + terms; };
    // Sums beyond 32 bits have no float bias and no more than one reader, a quantize node.
    const bool is_float = bias_ && bias_bits_ <= 0;
    const int most_weight = wide ? 31 : 16, most_sum = wide && !is_float ? 60 : 31;
    if (wide) bits_ = static_cast<int>(random_.between(11, 16));
    while (bits_ > 2 && (widened() > most_weight || sums() > most_sum)) --bits_;
    while (spread > 0 && (widened() > most_weight || sums() > most_sum)) --spread;
    sum_bits_ = std::max(sums() + (bias_ ? 1 : 0), 17);
    if (!wide) sum_bits_ = std::min(sum_bits_, 32);
    takes_wide_ = sum_bits_ > 32;

    const int middle = bits_ - 1 - log2_up(scale_) + static_cast<int>(random_.between(-1, 1));
    const std::int64_t count = axis_ < 0 ? 1 : layer_.weight[static_cast<std::size_t>(axis_)];
    decimals_ = graph_.decimals(count, middle, spread);

    const auto typical_sum = static_cast<float>(scale_ * input_.typical);
    bias_scale_ = std::max(typical_sum, 1e-6F) * static_cast<float>(random_.between(1, 4));
    if (bias_ && bias_bits_ > 0) {
      const auto [lo, hi] = std::minmax_element(decimals_.begin(), decimals_.end());
      const int lowest = *lo + input_.lowest_decimal, highest = *hi + input_.lowest_decimal;
      for (std::int64_t o = 0; o < layer_.outputs; ++o) {
        // Coarse enough for the bias's widened code, fine enough to mean something.
        const int wanted =
            bias_bits_ - 1 - log2_up(bias_scale_) - static_cast<int>(random_.between(-1, 1));
        const int least = std::max(-24, highest + input_.spread() + bias_bits_ - 28);
        bias_decimals_.push_back(
            std::clamp(wanted, std::min(least, lowest + finer), lowest + finer));
      }
    }
  }

  GraphBuilder& graph_;
  Random& random_;
  const Layer& layer_;
  const GraphValue input_;
  int axis_ = -1, bits_ = 8, bias_bits_ = 0, sum_bits_ = 32;
  bool bias_ = false, pruned_ = false, prune_first_ = false, strict_ = true, takes_wide_ = false;
  float scale_ = 1, bias_scale_ = 1;
  std::string rounding_;
  std::vector<int> decimals_, bias_decimals_;
};

// The input in as few bits and close grids as a layer can take; or in many bits.
ValueIndex prepare(GraphBuilder& graph, ValueIndex input, bool wide) {
  const GraphValue& value = graph.value(input);
  const bool fits = wide ? value.bits >= 10 && value.spread() <= 12
                         : value.aligned_bits() <= 15 && value.spread() <= 6;
  if ((value.kind == ValueKind::kCodes && fits) || graph.careless()) return input;
  const std::int64_t bits = wide ? graph.random.between(11, 16) : graph.random.between(2, 10);
  return graph.quantize(input, static_cast<int>(bits), graph.random.chance(50));
}

void add_layer(GraphBuilder& graph, const Layer& layer, ValueIndex input, const Sizes& shape) {
  const bool wide = graph.random.chance(14);
  input = prepare(graph, input, wide);
  Weights weights(graph, layer, graph.value(input), wide);
  const ValueIndex added = graph.add(
      layer.op, input,
      fmt::format(R"({},"bias":{}}})", layer.attributes, weights.bias() ? "true" : "false"),
      weights.result(shape), weights.wraps());
  weights.write_state(graph.value(added).name);
  if (!weights.takes_wide_sums() || graph.careless()) return;
  ValueIndex sums = added;
  if (graph.random.chance(50)) {
    sums = graph.add("relu", added, "{}", graph.value(added));
    graph.close(added);
  }
  graph.quantize(sums, static_cast<int>(graph.random.between(2, 16)), graph.random.chance(50));
  graph.close(sums);
}

}  // namespace

bool add_linear(GraphBuilder& graph, std::string_view op) {
  const ValueIndex input = graph.pick();
  if (graph.value(input).rank() != 1) return false;
  const std::int64_t features = graph.value(input).shape[0];
  const std::int64_t outputs = graph.random.between(1, 8);
  const Layer layer{
      .op = std::string(op),
      .attributes = fmt::format(R"({{"in_features":{},"out_features":{})", features, outputs),
      .weight = {outputs, features},
      .outputs = outputs,
      .terms = features};
  add_layer(graph, layer, input, {outputs});
  return true;
}

bool add_convolution(GraphBuilder& graph, std::string_view op) {
  Random& random = graph.random;
  const bool transposed = op.find("transpose") != std::string_view::npos;
  const std::size_t axes = op.back() == 'd' && op[op.size() - 2] == '1' ? 1 : 2;
  const ValueIndex input = graph.pick();
  if (graph.value(input).rank() != axes + 1) return false;
  const Sizes in = graph.value(input).shape;

  std::int64_t groups = 1, outputs = random.between(1, 7);
  if (random.chance(35)) {
    std::vector<std::int64_t> divisors;
    for (std::int64_t g = 2; g <= in[0]; ++g)
      if (in[0] % g == 0) divisors.push_back(g);
    if (!divisors.empty()) {
      groups = random.chance(60) ? in[0] : divisors[graph.index_below(divisors.size())];
      outputs = groups * random.between(1, groups > 4 ? 1 : 2);
    }
  }
  if (outputs > 12) return false;
  Sizes kernel, stride, padding, dilation, more;
  for (std::size_t a = 0; a < axes; ++a) {
    kernel.push_back(random.between(1, random.chance(15) ? 5 : 3));
    stride.push_back(random.chance(30) ? random.between(2, 3) : 1);
    padding.push_back(random.chance(45) ? random.between(0, 2) : 0);
    dilation.push_back(random.chance(20) ? random.between(2, 3) : 1);
    more.push_back(
        random.chance(40) ? random.between(0, std::max(stride.back(), dilation.back()) - 1) : 0);
  }
  Layer layer;
  layer.op = std::string(op);
  layer.attributes = fmt::format(
      R"({{"in_channels":{},"out_channels":{},"kernel_size":[{}],"stride":[{}],"padding":[{}],"dilation":[{}],"groups":{}{})",
      in[0], outputs, fmt::join(kernel, ","), fmt::join(stride, ","), fmt::join(padding, ","),
      fmt::join(dilation, ","), groups,
      transposed ? fmt::format(R"(,"output_padding":[{}])", fmt::join(more, ",")) : std::string());
  const auto shape = graph.shape_of(layer.op, input, layer.attributes + "}");
  if (!shape) return false;
  layer.weight = transposed ? Sizes{in[0], outputs / groups} : Sizes{outputs, in[0] / groups};
  layer.weight.insert(layer.weight.end(), kernel.begin(), kernel.end());
  layer.outputs = outputs;
  layer.terms = in[0] / groups * product(kernel);
  add_layer(graph, layer, input, *shape);
  return true;
}

}  // namespace lockstep::test
