// out[o] = bias[o] + sum over k of in[k] * w[o,k], on the common grid of output o.
#include <fmt/format.h>

#include "compile/support/error.h"
#include "verify/semantics/linear_sum.h"

namespace lockstep::verify {
namespace {

class Linear final : public LinearSum {
 public:
  Linear(const Node& node, const NodeParameters& parameters, const Format& input) {
    require_exact(input, node.inputs[0], node.name);
    const std::int64_t in_features = node.integer("in_features");
    const std::int64_t out_features = node.integer("out_features");
    if (input.shape != std::vector<std::int64_t>{in_features})
      throw InputError(fmt::format("layer '{}': input of shape {}, but the layer takes [{}]",
                                   node.name, shape_text(input.shape), in_features));
    require_countable(node.name, std::vector<std::int64_t>{out_features});
    const std::vector<std::int64_t> weight_shape = {out_features, in_features};
    if (parameters.weight_shape != weight_shape)
      throw InputError(fmt::format("layer '{}': weight of shape {}, but its attributes say {}",
                                   node.name, shape_text(parameters.weight_shape),
                                   shape_text(weight_shape)));
    constants_ = derive_linear_constants(
        node, parameters, input.magnitude(),
        {.outputs = out_features,
         .fan_in = in_features,
         .stored = [=](std::int64_t o, std::int64_t k) { return o * in_features + k; },
         .input_decimal = [&](std::int64_t, std::int64_t k) { return input.decimal(k); },
         .input_range = [&](std::int64_t, std::int64_t k) { return input.range(k); }});
    set_formats(node, {out_features});
  }

 private:
  void run_sums(Values input, std::span<std::int64_t> output) const override {
    for (std::size_t o = 0; o < output.size(); ++o) {
      const std::int64_t* weights = constants_.aligned_weights.data() + o * input.size();
      std::int64_t sum = constants_.aligned_bias.empty() ? 0 : constants_.aligned_bias[o];
      for (std::size_t k = 0; k < input.size(); ++k) sum += input[k] * weights[k];
      output[o] = sum;
    }
  }
};

}  // namespace

OperatorPointer make_linear(const Node& node, const NodeParameters& parameters, Formats inputs) {
  return std::make_unique<Linear>(node, parameters, *inputs[0]);
}

}  // namespace lockstep::verify
