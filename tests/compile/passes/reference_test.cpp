// Lowering against the definition. The reference below computes with real numbers, node by node,
// straight from the graph and the state dict: doubles are exact here, because every value is a
// small multiple of a power of two. It knows nothing of integer codes, grids or alignment.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "compile/checkpoint/parameters.h"
#include "compile/compile.h"
#include "compile/support/error.h"
#include "tests/compile/random_network.h"

namespace lockstep {
namespace {

// C,H,W; a vector has h = w = 1.
struct Real {
  std::int64_t c = 0, h = 1, w = 1;
  std::vector<double> values;
  double& at(std::int64_t i, std::int64_t y, std::int64_t x) {
    return values[static_cast<std::size_t>((i * h + y) * w + x)];
  }
};

double round_by(double x, Rounding mode) {
  if (mode == Rounding::kTowardZero) return std::trunc(x);
  if (mode == Rounding::kFloor) return std::floor(x);
  return std::nearbyint(x);  // to nearest even, the default environment
}

double quantize(double x, int decimal, int bits, Rounding mode) {
  const double limit = std::ldexp(1.0, bits - 1);
  return std::ldexp(std::clamp(round_by(std::ldexp(x, decimal), mode), -limit, limit - 1),
                    -decimal);
}

// The entry of `small`, of shape `extent`, that is broadcast over element `index` of shape `shape`.
std::size_t broadcast(std::int64_t index, const std::vector<std::int64_t>& shape,
                      const std::vector<std::int64_t>& extent) {
  std::int64_t result = 0, step = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    if (extent[axis] != 1) result += index % shape[axis] * step;
    step *= extent[axis];
    index /= shape[axis];
  }
  return static_cast<std::size_t>(result);
}

std::vector<double> effective_weight(const Node& node, const NodeParameters& p) {
  std::vector<double> weight(p.weight.size());
  std::vector<std::int64_t> extent(p.weight_shape.size(), 1);
  const QuantizeSpec& spec = *node.weight_quantize();
  if (spec.channelwise >= 0)
    extent[static_cast<std::size_t>(spec.channelwise)] =
        static_cast<std::int64_t>(p.weight_quantize->decimals.size());
  for (std::size_t i = 0; i < weight.size(); ++i) {
    const auto index = static_cast<std::int64_t>(i);
    weight[i] =
        quantize(p.weight[i], p.weight_quantize->decimals[broadcast(index, p.weight_shape, extent)],
                 p.weight_quantize->bits, spec.rounding);
    if (p.weight_mask &&
        p.weight_mask->keep[broadcast(index, p.weight_shape, p.weight_mask->shape)] == 0)
      weight[i] = 0;
  }
  return weight;
}

std::vector<double> effective_bias(const Node& node, const NodeParameters& p,
                                   std::int64_t outputs) {
  std::vector<double> bias(static_cast<std::size_t>(outputs), 0.0);
  for (std::size_t o = 0; o < p.bias.size(); ++o)
    bias[o] = quantize(p.bias[o], p.bias_quantize->decimals[o], p.bias_quantize->bits,
                       node.weight_quantize()->rounding);
  return bias;
}

Real conv2d(const Node& node, const NodeParameters& p, Real in) {
  const auto weight = effective_weight(node, p);
  const std::int64_t outputs = node.integer("out_channels"), groups = node.integer("groups");
  const auto &k = node.integers("kernel_size"), &s = node.integers("stride"),
             &pad = node.integers("padding"), &d = node.integers("dilation");
  Real out{outputs,
           (in.h + 2 * pad[0] - d[0] * (k[0] - 1) - 1) / s[0] + 1,
           (in.w + 2 * pad[1] - d[1] * (k[1] - 1) - 1) / s[1] + 1,
           {}};
  out.values.resize(static_cast<std::size_t>(out.c * out.h * out.w));
  const auto bias = effective_bias(node, p, outputs);
  const std::int64_t inputs = in.c / groups;
  for (std::int64_t o = 0; o < outputs; ++o)
    for (std::int64_t y = 0; y < out.h; ++y)
      for (std::int64_t x = 0; x < out.w; ++x) {
        double sum = bias[static_cast<std::size_t>(o)];
        for (std::int64_t i = 0; i < inputs; ++i)
          for (std::int64_t ky = 0; ky < k[0]; ++ky)
            for (std::int64_t kx = 0; kx < k[1]; ++kx) {
              const std::int64_t iy = y * s[0] - pad[0] + ky * d[0],
                                 ix = x * s[1] - pad[1] + kx * d[1];
              if (iy < 0 || iy >= in.h || ix < 0 || ix >= in.w) continue;
              sum += weight[static_cast<std::size_t>(((o * inputs + i) * k[0] + ky) * k[1] + kx)] *
                     in.at(o / (outputs / groups) * inputs + i, iy, ix);
            }
        out.at(o, y, x) = sum;
      }
  return out;
}

Real linear(const Node& node, const NodeParameters& p, const Real& in) {
  const auto weight = effective_weight(node, p);
  Real out{node.integer("out_features"), 1, 1, {}};
  out.values = effective_bias(node, p, out.c);
  for (std::size_t o = 0; o < out.values.size(); ++o)
    for (std::size_t i = 0; i < in.values.size(); ++i)
      out.values[o] += weight[o * in.values.size() + i] * in.values[i];
  return out;
}

Real max_pool2d(const Node& node, Real in) {
  const std::int64_t k = node.integers("kernel_size")[0], s = node.integers("stride")[0],
                     pad = node.integers("padding")[0];
  const auto size = [&](std::int64_t n) {
    const std::int64_t slack = n + 2 * pad - k;
    std::int64_t result = slack / s + 1;
    if (node.flag("ceil_mode") && slack % s != 0 && result * s < n + pad) ++result;
    return result;
  };
  Real out{in.c, size(in.h), size(in.w), {}};
  out.values.assign(static_cast<std::size_t>(out.c * out.h * out.w), -INFINITY);
  for (std::int64_t c = 0; c < out.c; ++c)
    for (std::int64_t y = 0; y < out.h; ++y)
      for (std::int64_t x = 0; x < out.w; ++x)
        for (std::int64_t iy = y * s - pad; iy < y * s - pad + k; ++iy)
          for (std::int64_t ix = x * s - pad; ix < x * s - pad + k; ++ix)
            if (iy >= 0 && iy < in.h && ix >= 0 && ix < in.w)
              out.at(c, y, x) = std::max(out.at(c, y, x), in.at(c, iy, ix));
  return out;
}

Real node_value(const Node& node, const NodeParameters& p, const Real& in) {
  if (node.op == "conv2d") return conv2d(node, p, in);
  if (node.op == "linear") return linear(node, p, in);
  if (node.op == "max_pool2d") return max_pool2d(node, in);
  Real out = in;
  const auto positions = static_cast<std::size_t>(in.h * in.w);
  if (node.op == "flatten") {
    out = {in.c * in.h * in.w, 1, 1, in.values};
  } else if (node.op == "relu") {
    for (double& x : out.values) x = std::max(x, 0.0);
  } else if (node.op == "quantize") {
    const auto& decimals = p.quantize->decimals;
    for (std::size_t i = 0; i < out.values.size(); ++i)
      out.values[i] = quantize(out.values[i], decimals[decimals.size() == 1 ? 0 : i / positions],
                               p.quantize->bits, node.quantize->rounding);
  } else if (node.op == "prune") {
    std::vector<std::int64_t> shape{in.c, in.h, in.w};
    shape.resize(p.mask->shape.size());
    for (std::size_t i = 0; i < out.values.size(); ++i)
      if (p.mask->keep[broadcast(static_cast<std::int64_t>(i), shape, p.mask->shape)] == 0)
        out.values[i] = 0;
  } else {
    CHECK((node.op == "dropout" || node.op == "identity"));
  }
  return out;
}

TEST_CASE("lowered networks hold the real numbers that the graph defines, at every node") {
  std::size_t values_compared = 0;
  for (std::uint64_t seed = 5000; seed < 5200; ++seed) {
    const test::Network network = test::random_network(seed);
    CAPTURE(seed);
    CAPTURE(network.json);
    std::optional<ir::Program> program;
    try {
      compile_network(
          network.graph, network.state,
          {.keep_layers = true, .after_pass = [&](std::string_view pass, const ir::Program& p) {
             if (pass == "lower") program = p;
           }});
    } catch (const InputError&) {
      continue;
    }
    const Parameters parameters = bind_parameters(network.graph, network.state);
    const GraphInput& input = network.graph.inputs.at(0);
    for (const int corner : {0, 1, 2}) {
      const auto inputs = test::input_codes(network.graph, seed, corner);
      const auto codes = ir::evaluate(*program, inputs);
      std::map<std::string, Real> reals;
      Real& first = reals[input.name];
      first = {input.shape.at(0), input.shape.at(1), input.shape.at(2), {}};
      for (const std::int64_t code : inputs.at(0))
        first.values.push_back(
            std::ldexp(static_cast<double>(code), -static_cast<int>(input.decimal)));
      for (const Node& node : network.graph.nodes)
        reals[node.name] = node_value(node, parameters.of(node), reals.at(node.inputs.at(0)));
      for (ir::ValueId id = 0; id < program->values.size(); ++id) {
        const ir::Value& value = program->values[id];
        const Real& real = reals.at(value.node);
        REQUIRE(real.values.size() == codes[id].size());
        std::size_t differing = 0;
        for (std::size_t i = 0; i < codes[id].size(); ++i) {
          const auto channel = static_cast<std::int64_t>(i) / (value.shape.h * value.shape.w);
          if (std::ldexp(static_cast<double>(codes[id][i]), -value.decimal(channel)) !=
              real.values[i])
            ++differing;
        }
        CHECK_MESSAGE(differing == 0, value.node);
        values_compared += codes[id].size();
      }
    }
  }
  CHECK(values_compared > 100000);
}

}  // namespace
}  // namespace lockstep
