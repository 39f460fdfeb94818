#include "tests/verify/checker_difference.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compile/support/error.h"
#include "verify/semantics/operators.h"
#include "verify/semantics/rounding.h"

namespace lockstep::test {
namespace {

// Collects what differs.
class Differences {
 public:
  template <typename T, typename U>
  void check(const std::string& what, const T& got, const U& expected) {
    if (first_.empty() && !(got == expected)) first_ = what;
  }
  const std::string& first() const { return first_; }

 private:
  std::string first_;
};

// The attributes of a graph's node as Model has them.
void check_attributes(Differences& differ, const Node& node, const checker::Node& got) {
  const bool is_trained = node.op == "quantize" || node.op == "prune";
  if (!is_trained)
    differ.check(node.name + ": number of attributes",
                 got.integers.size() + got.numbers.size() + got.words.size(),
                 node.attributes.size());
  for (const auto& [name, value] : node.attributes) {
    const std::string what = fmt::format("{}: {}", node.name, name);
    if (const auto* number = std::get_if<double>(&value)) {
      differ.check(what, got.numbers.at(name), *number);
    } else if (const auto* text = std::get_if<std::string>(&value)) {
      differ.check(what, got.words.at(name), *text);
    } else if (const auto* flag = std::get_if<bool>(&value)) {
      differ.check(what, got.integer(name), *flag ? 1 : 0);
    } else {
      std::vector<std::int64_t> list = std::get<std::vector<std::int64_t>>(value);
      const bool is_spatial = name == "kernel_size" || name == "stride" || name == "padding" ||
                              name == "dilation" || name == "output_padding" ||
                              name == "output_size";
      if (node.op.ends_with("1d") && is_spatial)
        list.insert(list.begin(), name.ends_with("padding") ? 0 : 1);
      if (node.op == "pad" && list.size() == 2) list.insert(list.end(), {0, 0});
      if (name == "scale_factor" && list.size() == 1) list.push_back(list[0]);
      differ.check(what, got.list(name), list);
    }
  }
}

void check_linear(Differences& differ, const Node& node, const NodeParameters& parameters,
                  const checker::Node& got) {
  const QuantizeSpec& spec = *node.weight_quantize();
  const QuantizeParameters& quantize = *parameters.weight_quantize;
  const std::vector<std::int64_t>& shape = parameters.weight_shape;
  std::vector<std::uint8_t> keep(parameters.weight.size(), 1);
  if (parameters.weight_mask) keep = verify::spread_mask(*parameters.weight_mask, shape, node.name);
  const std::size_t axis = spec.channelwise < 0 ? 0 : static_cast<std::size_t>(spec.channelwise);
  std::size_t inner = 1;
  for (std::size_t d = axis + 1; d < shape.size(); ++d) inner *= static_cast<std::size_t>(shape[d]);
  std::vector<std::int64_t> codes;
  for (std::size_t i = 0; i < keep.size(); ++i) {
    const int decimal = quantize.decimals.size() == 1
                            ? quantize.decimals[0]
                            : quantize.decimals[i / inner % quantize.decimals.size()];
    codes.push_back(keep[i] * verify::quantize_real(parameters.weight[i], decimal, quantize.bits,
                                                    spec.rounding));
  }
  REQUIRE(got.weights.has_value());
  differ.check(node.name + ": weight's shape", got.weights->shape, shape);
  differ.check(node.name + ": weights", got.weights->codes, codes);
  differ.check(node.name + ": decimals", got.weights->decimals.values, quantize.decimals);
  differ.check(node.name + ": axis", got.weights->decimals.axis, axis);

  differ.check(node.name + ": has a bias", got.bias.has_value(), !parameters.bias.empty());
  if (!got.bias) return;
  if (!parameters.bias_quantize) {
    differ.check(node.name + ": float bias", got.bias->floats, parameters.bias);
    differ.check(node.name + ": bias codes", got.bias->codes.size() + got.bias->decimals.size(),
                 0U);
    return;
  }
  std::vector<std::int64_t> bias;
  for (std::size_t o = 0; o < parameters.bias.size(); ++o)
    bias.push_back(verify::quantize_real(parameters.bias[o], parameters.bias_quantize->decimals[o],
                                         parameters.bias_quantize->bits, spec.rounding));
  differ.check(node.name + ": bias", got.bias->codes, bias);
  differ.check(node.name + ": bias decimals", got.bias->decimals,
               parameters.bias_quantize->decimals);
  differ.check(node.name + ": float bias", got.bias->floats.size(), 0U);
}

struct ScaleOffset {
  std::vector<float> scale, offset;
};

// docs/arithmetic.md, "Float functions".
ScaleOffset scale_offset(const Node& node, const BatchNormParameters& norm) {
  ScaleOffset result;
  for (std::size_t c = 0; c < norm.weight.size(); ++c) {
    const double s = static_cast<double>(norm.weight[c]) /
                     std::sqrt(static_cast<double>(norm.running_var[c]) + node.number("eps"));
    result.scale.push_back(static_cast<float>(s));
    result.offset.push_back(static_cast<float>(static_cast<double>(norm.bias[c]) -
                                               static_cast<double>(norm.running_mean[c]) * s));
  }
  return result;
}

}  // namespace

std::string difference(const Graph& graph, const Parameters& parameters,
                       const checker::Model& model) {
  Differences differ;
  differ.check("name", model.name, graph.name);
  REQUIRE(model.inputs.size() == graph.inputs.size());
  REQUIRE(model.nodes.size() == graph.nodes.size());
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    const GraphInput& input = graph.inputs[i];
    const checker::Input& got = model.inputs[i];
    differ.check(input.name + ": name", got.name, input.name);
    differ.check(input.name + ": shape", got.shape, input.shape);
    differ.check(input.name + ": bits", got.bits, input.bits);
    differ.check(input.name + ": decimal", got.decimal, input.decimal);
    differ.check(input.name + ": is raw", got.raw.has_value(), input.raw.has_value());
    if (!got.raw || !input.raw) continue;
    const auto floats = [](const std::vector<double>& values) {
      return std::vector<float>(values.begin(), values.end());
    };
    differ.check(input.name + ": scale", got.raw->scale, input.raw->scale);
    differ.check(input.name + ": mean", got.raw->mean, floats(input.raw->mean));
    differ.check(input.name + ": std", got.raw->std, floats(input.raw->std));
  }
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const NodeParameters& p = parameters.of(node);
    const checker::Node& got = model.nodes[i];
    differ.check(node.name + ": name", got.name, node.name);
    differ.check(node.name + ": op", got.op, node.op);
    std::vector<std::string> inputs;
    for (const std::size_t value : got.inputs) inputs.push_back(model.value_name(value));
    differ.check(node.name + ": inputs", inputs, node.inputs);
    check_attributes(differ, node, got);
    const bool is_linear = !p.weight_shape.empty();
    differ.check(node.name + ": has weights", got.weights.has_value(), is_linear);
    if (is_linear) check_linear(differ, node, p, got);
    const ScaleOffset norm = p.batch_norm ? scale_offset(node, *p.batch_norm) : ScaleOffset();
    differ.check(node.name + ": scale", got.scale, norm.scale);
    differ.check(node.name + ": offset", got.offset, norm.offset);
    differ.check(node.name + ": has decimals", got.quantize.has_value(), p.quantize.has_value());
    if (p.quantize && got.quantize) {
      differ.check(node.name + ": decimals", got.quantize->values, p.quantize->decimals);
      differ.check(node.name + ": axis", static_cast<std::int64_t>(got.quantize->axis),
                   std::max<std::int64_t>(node.quantize->channelwise, 1) - 1);
      differ.check(node.name + ": bits", got.bits, p.quantize->bits);
      differ.check(node.name + ": rounding", static_cast<int>(got.rounding),
                   static_cast<int>(node.quantize->rounding));
    }
    differ.check(node.name + ": has a mask", got.mask.has_value(), p.mask.has_value());
    if (p.mask && got.mask) {
      differ.check(node.name + ": mask", got.mask->keep, p.mask->keep);
      differ.check(node.name + ": mask's shape", got.mask->shape, p.mask->shape);
      differ.check(node.name + ": strict", got.mask->strict, node.prune->strict);
    }
  }
  std::vector<std::string> outputs;
  for (const std::size_t value : model.outputs) outputs.push_back(model.value_name(value));
  differ.check("outputs", outputs, graph.outputs);
  return differ.first();
}

void refuse_what_comes_later(const Graph& graph, const Parameters& parameters) {
  for (const Node& node : graph.nodes) {
    const NodeParameters& p = parameters.of(node);
    if (!p.weight_shape.empty() && !p.weight_quantize) throw InputError("not quantized");
    if (node.quantize && node.quantize->channelwise == 0 && p.quantize->decimals.size() > 1)
      throw InputError("decimals of the batch");
    if (p.mask && p.mask->keep.empty()) throw InputError("an empty mask");
    if (!p.batch_norm) continue;
    const ScaleOffset norm = scale_offset(node, *p.batch_norm);
    for (std::size_t c = 0; c < norm.scale.size(); ++c)
      if (!std::isfinite(norm.scale[c]) || !std::isfinite(norm.offset[c]))
        throw InputError("scale and offset are no float32 numbers");
  }
}

}  // namespace lockstep::test
