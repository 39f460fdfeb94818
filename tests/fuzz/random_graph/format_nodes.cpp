// Nodes that act on each element: quantize, prune, batch norm, activations.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tests/fuzz/random_graph/node_kinds.h"

namespace lockstep::test {
namespace {

// Non-monotone functions are looked at sum by sum; that takes time.
constexpr int kWidestSearchBits = 17, kMostTableBits = 12;

// A float function will follow: it must keep zero where a mask is pending.
ValueIndex unmasked(GraphBuilder& graph, ValueIndex input, bool keeps_zero) {
  const GraphValue& value = graph.value(input);
  if (!value.masked || keeps_zero || graph.careless()) return input;
  return graph.quantize(input, static_cast<int>(graph.random.between(2, 12)), true);
}

GraphValue as_real(GraphValue value) {
  if (value.exact()) {
    value.kind = ValueKind::kReal;
    value.rises = value.monotone = value.keeps_zero = true;
    value.uniform = value.spread() == 0;
    value.masked = false;
  }
  value.only_bias = false;
  return value;
}

struct Function {
  std::string_view op;
  bool keeps_zero, monotone;
};
constexpr Function kFunctions[] = {
    {"relu", true, true},       {"relu6", true, true},         {"leaky_relu", true, true},
    {"elu", true, true},        {"tanh", true, true},          {"sigmoid", false, true},
    {"silu", true, false},      {"gelu", true, false},         {"hard_swish", true, false},
    {"softplus", false, false}, {"hard_sigmoid", false, true},
};

}  // namespace

bool add_quantize(GraphBuilder& graph, std::string_view) {
  const ValueIndex input = graph.pick();
  graph.quantize(input, static_cast<int>(graph.random.between(2, graph.random.chance(30) ? 16 : 9)),
                 graph.random.chance(50));
  return true;
}

bool add_prune(GraphBuilder& graph, std::string_view) {
  Random& random = graph.random;
  const ValueIndex input = graph.pick();
  GraphValue out = graph.value(input);
  const bool strict = random.chance(65);
  Sizes shape = graph.broadcast_shape(out.shape);
  if (!strict && random.chance(70))
    for (std::int64_t& size : shape) size = random.between(1, size + 2);
  out.masked = true;
  out.only_bias = false;
  const ValueIndex added =
      graph.add("prune", input, strict ? "{}" : R"({"strict":false})", std::move(out));
  graph.state.prune(graph.value(added).name + ".", shape, graph.mask(shape));
  return true;
}

bool add_identity(GraphBuilder& graph, std::string_view op) {
  const ValueIndex input = graph.pick();
  graph.add(std::string(op), input, "{}", graph.value(input));
  return true;
}

bool add_batch_norm(GraphBuilder& graph, std::string_view op) {
  Random& random = graph.random;
  ValueIndex input = graph.pick();
  const bool is_1d = op == "batch_norm1d";
  if ((graph.value(input).rank() == 3) == is_1d) return false;
  input = unmasked(graph, input, false);
  GraphValue out = as_real(graph.value(input));
  const std::int64_t channels = out.shape[0];
  const double eps = random.chance(50) ? 1e-5 : 0.01;
  std::vector<float> weight, bias, mean, variance;
  double largest = 0, typical = 0;
  for (std::int64_t c = 0; c < channels; ++c) {
    weight.push_back(random.chance(10) ? 0.0F : random.real(2.0F));
    bias.push_back(random.real(1.0F));
    mean.push_back(random.real(static_cast<float>(out.typical)));
    variance.push_back(std::fabs(random.real(static_cast<float>(out.typical * out.typical * 2))));
    const double scale = weight.back() / std::sqrt(static_cast<double>(variance.back()) + eps);
    largest = std::max(largest, std::fabs(scale) * (out.largest + std::fabs(mean.back())) +
                                    std::fabs(bias.back()));
    typical += std::fabs(scale) * out.typical + 0.3;
    out.rises = out.rises && scale >= 0;
  }
  out.largest = largest;
  out.typical = std::min(largest, typical / static_cast<double>(channels));
  out.uniform = out.uniform && channels == 1;
  out.keeps_zero = false;
  const ValueIndex added =
      graph.add(std::string(op), input,
                fmt::format(R"({{"num_features":{},"eps":{}}})", channels, eps), std::move(out));
  graph.state.batch_norm(graph.value(added).name + ".", weight, bias, mean, variance);
  return true;
}

bool add_activation(GraphBuilder& graph, std::string_view op) {
  Random& random = graph.random;
  Function function = *std::ranges::find(kFunctions, op, &Function::op);
  ValueIndex input = graph.pick();

  std::string attributes = "{}";
  double slope = 1, added_reach = 0;
  if (op == "leaky_relu") {
    slope = random.chance(15)   ? -0.5
            : random.chance(20) ? 0.0
                                : static_cast<double>(random.between(1, 200)) / 100;
    attributes = random.chance(20) ? "{}" : fmt::format(R"({{"negative_slope":{}}})", slope);
    function.monotone = slope >= 0;
  } else if (op == "elu") {
    slope = random.chance(15) ? -0.7 : static_cast<double>(random.between(0, 30)) / 10;
    attributes = random.chance(20) ? "{}" : fmt::format(R"({{"alpha":{}}})", slope);
    if (attributes == "{}") slope = 1;
    function.monotone = slope >= 0;
    added_reach = std::fabs(slope);
  } else if (op == "softplus") {
    const double beta = static_cast<double>(random.between(2, 40)) / 10;
    const std::int64_t threshold = random.chance(50) ? 20 : random.between(-1, 30);
    attributes = fmt::format(R"({{"beta":{},"threshold":{}}})", beta, threshold);
    added_reach = 1 / beta;
  }

  const GraphValue& before = graph.value(input);
  const bool stays_exact =
      before.exact() &&
      (op == "relu" || (op == "relu6" && before.lowest_decimal >= -1 &&
                        (before.kind == ValueKind::kCodes || before.spread() == 0)));
  if (stays_exact) {
    GraphValue out = before;
    if (op == "relu6") out.largest = std::min(out.largest, 6.0);
    out.typical = std::min(out.typical, out.largest);
    graph.add(std::string(op), input, attributes, std::move(out));
    return true;
  }
  const int most_bits =
      graph.value(input).kind == ValueKind::kCodes || graph.value(input).bits <= 16
          ? kMostTableBits
          : kWidestSearchBits;
  if (op == "relu6" && before.exact() && before.bits > 25 && !graph.careless())
    input = graph.quantize(input, static_cast<int>(random.between(2, 16)), random.chance(50));
  else if ((!function.monotone || !before.monotone) && before.bits > most_bits && !graph.careless())
    input = graph.quantize(input, static_cast<int>(random.between(2, 10)), random.chance(50));
  input = unmasked(graph, input, function.keeps_zero);
  GraphValue out = as_real(graph.value(input));
  out.monotone = out.monotone && function.monotone;
  out.rises = out.rises && function.monotone;
  out.keeps_zero = out.keeps_zero && function.keeps_zero;
  if (op == "relu6" || op == "hard_sigmoid" || op == "tanh" || op == "sigmoid")
    out.largest = std::min(out.largest + 1, op == "relu6" ? 6.0 : 1.0);
  else
    out.largest =
        out.largest * std::max(1.0, op == "leaky_relu" ? std::fabs(slope) : 1.0) + added_reach;
  out.typical = std::min(out.typical + added_reach / 4, out.largest);
  graph.add(std::string(op), input, attributes, std::move(out));
  return true;
}

}  // namespace lockstep::test
