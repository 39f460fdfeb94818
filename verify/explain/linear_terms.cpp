#include "verify/explain/linear_terms.h"

#include <fmt/format.h>

#include "verify/explain/text.h"
#include "verify/semantics/index.h"
#include "verify/semantics/operators.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
LinearTerms::LinearTerms(const Node& node, const NodeParameters& parameters,
                         const LinearConstants& constants, const Format& input,
                         const Format& output)
    : node_(node),
      parameters_(parameters),
      constants_(constants),
      input_(input),
      output_(output),
      aligned_(node.name, input),
      channel_decimals_(finest_channel_decimals(aligned_.format())),
      reach_(reach_of_node(node, input, output)),
      taps_(reach_.window.kernel_h * reach_.window.kernel_w) {}

std::int64_t LinearTerms::stored_index(std::int64_t output, std::int64_t k) const {
  if (!reach_.transposed) return output * reach_.fan_in + k;
  const std::int64_t channel = output / reach_.group_outputs * reach_.group_inputs + k / taps_;
  return (channel * reach_.group_outputs + output % reach_.group_outputs) * taps_ + k % taps_;
}

int LinearTerms::input_decimal(std::int64_t output, std::int64_t k) const {
  if (node_.op == "linear") return input_.decimal(k);
  return channel_decimals_[at(output / reach_.group_outputs * reach_.group_inputs + k / taps_)];
}

LinearElement LinearTerms::element(std::span<const std::int64_t> codes,
                                   std::int64_t element) const {
  const std::int64_t plane = output_.element_count() / output_.shape[0];
  LinearElement result;
  result.channel = element / plane;
  result.decimal = constants_.accumulator_decimals[at(result.channel)];
  std::vector<std::int64_t> met(at(reach_.fan_in), -1);
  reach_.each(result.channel, element % plane,
              [&](std::int64_t k, std::int64_t from) { met[at(k)] = from; });
  std::vector<std::uint8_t> keep(parameters_.weight.size(), 1);
  if (parameters_.weight_mask)
    keep = spread_mask(*parameters_.weight_mask, parameters_.weight_shape, node_.name);

  std::vector<std::vector<std::string>> rows = {
      {"weight", "float", "code", "decimal", "mask", "input", "code", "decimal", "product"}};
  for (std::int64_t k = 0; k < reach_.fan_in; ++k) {
    const std::int64_t stored = stored_index(result.channel, k);
    const std::size_t i = at(result.channel * reach_.fan_in + k);
    const int in_decimal = input_decimal(result.channel, k);
    const int decimal = constants_.product_decimals[i] - in_decimal;
    std::int64_t in = 0;
    if (met[at(k)] >= 0) {
      in = codes[at(met[at(k)])];
      if (node_.op != "linear") in = aligned_.code(met[at(k)], in);
    }
    const std::int64_t product = constants_.aligned_weights[i] * in;
    result.sum += product;
    const float weight = parameters_.weight[at(stored)];
    rows.push_back(
        {element_name("", parameters_.weight_shape, stored), fmt::format("{:.9g}", weight),
         fmt::to_string(quantize_real(weight, decimal, parameters_.weight_quantize->bits,
                                      node_.weight_quantize()->rounding)),
         fmt::to_string(decimal), fmt::to_string(keep[at(stored)]),
         met[at(k)] < 0 ? "(padding)" : element_name(node_.inputs[0], input_.shape, met[at(k)]),
         fmt::to_string(in), fmt::to_string(in_decimal), fmt::to_string(product)});
  }
  result.text = columns(rows);
  result.text +=
      fmt::format("    products are on the grid of the accumulator, 2^{}\n", -result.decimal);
  const std::int64_t products = result.sum;
  if (!constants_.aligned_bias.empty()) result.sum += constants_.aligned_bias[at(result.channel)];
  result.text += fmt::format("    sum of products   {}\n", products);
  result.text += bias_text(result.channel, result.sum);
  result.text +=
      fmt::format("    accumulator       {}\n", code_and_value(result.sum, result.decimal));
  return result;
}

std::string LinearTerms::bias_text(std::int64_t output, std::int64_t sum) const {
  if (parameters_.bias.empty()) return "";
  const float bias = parameters_.bias[at(output)];
  if (!constants_.float_bias.empty())
    return fmt::format("    float bias        {:.9g}, added to fl({} * 2^{}) in float32\n", bias,
                       sum, -constants_.accumulator_decimals[at(output)]);
  return fmt::format(
      "    bias              {:.9g}, code {}, on the accumulator's grid {}\n", bias,
      code_and_value(constants_.bias[at(output)], constants_.bias_decimals[at(output)]),
      constants_.aligned_bias[at(output)]);
}

}  // namespace lockstep::verify
