// Element by element: the float functions of docs/arithmetic.md, operation by operation, and sums
// and products of two values. Every operation is a tensor operation of its own, so none is
// contracted with the next, and each rounds to float32; exp, log1p, erf and tanh are taken in
// double and rounded once.
#include <torch/torch.h>

#include <cmath>

#include "verify/float_path/layers.h"

namespace lockstep::verify {
namespace {

using torch::Tensor;

// `function` in double, rounded to float32 once.
template <typename Function>
Tensor rounded_once(const Tensor& x, Function function) {
  return function(x.to(torch::kFloat64)).to(torch::kFloat32);
}

Tensor exp_of(const Tensor& x) {
  return rounded_once(x, [](const Tensor& wide) { return torch::exp(wide); });
}

// Scalars in float32. As tensors, so that a division is a division and no product with a
// reciprocal.
Tensor scalar(double value) { return torch::full({}, value, torch::kFloat32); }

Tensor hard_gate(const Tensor& x) { return torch::clamp(x + scalar(3), 0, 6); }

Tensor one_and_exp_of_minus(const Tensor& x) { return exp_of(-x) + scalar(1); }

Tensor gelu(const Tensor& x) {
  const Tensor inner = x * scalar(std::sqrt(0.5));
  const Tensor gate =
      rounded_once(inner, [](const Tensor& wide) { return torch::erf(wide); }) + scalar(1);
  return x * scalar(0.5) * gate;
}

Layer leaky_relu(const Node& node) {
  return of_one_input([slope = scalar(node.number("negative_slope"))](const Tensor& x) {
    return torch::where(x > 0, x, x * slope);
  });
}

Layer elu(const Node& node) {
  return of_one_input([alpha = scalar(node.number("alpha"))](const Tensor& x) {
    return torch::where(x > 0, x, (exp_of(x) - scalar(1)) * alpha);
  });
}

Layer softplus(const Node& node) {
  return of_one_input([beta = scalar(node.number("beta")),
                       threshold = scalar(node.number("threshold"))](const Tensor& x) {
    const Tensor scaled = x * beta;
    const Tensor curve =
        rounded_once(exp_of(scaled), [](const Tensor& wide) { return torch::log1p(wide); });
    return torch::where(scaled > threshold, x, curve / beta);
  });
}

}  // namespace

Layer make_function_layer(const Node& node) {
  const std::string_view op = node.op;
  if (op == "relu") return of_one_input([](const Tensor& x) { return torch::relu(x); });
  if (op == "relu6") return of_one_input([](const Tensor& x) { return torch::clamp(x, 0, 6); });
  if (op == "leaky_relu") return leaky_relu(node);
  if (op == "hard_sigmoid")
    return of_one_input([](const Tensor& x) { return hard_gate(x) / scalar(6); });
  if (op == "hard_swish")
    return of_one_input([](const Tensor& x) { return x * hard_gate(x) / scalar(6); });
  if (op == "tanh")
    return of_one_input([](const Tensor& x) {
      return rounded_once(x, [](const Tensor& wide) { return torch::tanh(wide); });
    });
  if (op == "sigmoid")
    return of_one_input([](const Tensor& x) { return scalar(1) / one_and_exp_of_minus(x); });
  if (op == "silu")
    return of_one_input([](const Tensor& x) { return x / one_and_exp_of_minus(x); });
  if (op == "gelu") return of_one_input(gelu);
  if (op == "elu") return elu(node);
  if (op == "softplus") return softplus(node);
  if (op == "add") return [](std::span<const Tensor> inputs) { return inputs[0] + inputs[1]; };
  if (op == "sub") return [](std::span<const Tensor> inputs) { return inputs[0] - inputs[1]; };
  if (op == "mul") return [](std::span<const Tensor> inputs) { return inputs[0] * inputs[1]; };
  return {};
}

}  // namespace lockstep::verify
