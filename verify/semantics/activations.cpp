// relu, relu6 and the activation functions. relu and relu6 of exact values are exact; everything
// else is a float function (docs/arithmetic.md).
#include <algorithm>

#include "compile/support/error.h"
#include "verify/semantics/aligned.h"
#include "verify/semantics/float_layer.h"

namespace lockstep::verify {
namespace {

class Relu final : public ExactOperator {
 public:
  explicit Relu(const Format& input) {
    format_ = input;
    format_.lo = std::max<std::int64_t>(input.lo, 0);
    format_.hi = std::max<std::int64_t>(input.hi, 0);
    for (CodeRange& range : format_.ranges)
      range = {std::max<std::int64_t>(range.lo, 0), std::max<std::int64_t>(range.hi, 0)};
  }
  void run(std::span<const Values> inputs, std::span<std::int64_t> output) const override {
    for (std::size_t i = 0; i < output.size(); ++i)
      output[i] = std::max<std::int64_t>(inputs[0][i], 0);
  }
};

// min(max(x, 0), 6), each element on its own grid; where 6 does not lie on that, on the coarsest
// that holds it.
class Relu6 final : public ExactOperator {
 public:
  explicit Relu6(const Format& input) {
    format_ = input;
    format_.decimals.clear();
    std::vector<CodeRange> ranges;
    for (std::int64_t e = 0; e < input.element_count(); ++e) {
      const CodeRange range = input.range(e);
      shifts_.push_back(std::max(0, kCoarsest - input.decimal(e)));
      format_.decimals.push_back(std::max(kCoarsest, input.decimal(e)));
      ranges.push_back({clip(range.lo, e), clip(range.hi, e)});
    }
    if (std::ranges::any_of(shifts_, [](int shift) { return shift > 0; })) format_.bits = 0;
    if (input.decimals.size() == 1) format_.decimals.resize(1);
    set_ranges(format_, std::move(ranges));
  }
  void run(std::span<const Values> inputs, std::span<std::int64_t> output) const override {
    for (std::size_t i = 0; i < output.size(); ++i)
      output[i] = clip(inputs[0][i], static_cast<std::int64_t>(i));
  }

 private:
  static constexpr int kCoarsest = -1;  // 6 = 3 * 2^1

  std::int64_t clip(std::int64_t code, std::int64_t element) const {
    const auto i = static_cast<std::size_t>(element);
    const std::int64_t six = six_on(format_.decimal(element));
    if (code <= 0) return 0;
    if (shifts_[i] > 1) return six;  // even a code of 1 is beyond
    return std::min(std::min(code, six) << shifts_[i], six);
  }
  // Of decimals from -1 on; INT64_MAX where 6 * 2^decimal is more.
  static std::int64_t six_on(int decimal) {
    if (decimal < 0) return 3;
    return decimal > 60 ? INT64_MAX : std::int64_t{6} << decimal;
  }

  std::vector<int> shifts_;
};

FloatStep function_of(const Node& node) {
  const auto number = [&](std::string_view attribute) {
    return static_cast<float>(node.number(attribute));
  };
  if (node.op == "leaky_relu") return {FloatFunction::kLeakyRelu, number("negative_slope")};
  if (node.op == "elu") return {FloatFunction::kElu, number("alpha")};
  if (node.op == "softplus") return {FloatFunction::kSoftplus, number("beta"), number("threshold")};
  if (node.op == "hard_sigmoid") return {FloatFunction::kHardSigmoid};
  if (node.op == "hard_swish") return {FloatFunction::kHardSwish};
  if (node.op == "tanh") return {FloatFunction::kTanh};
  if (node.op == "sigmoid") return {FloatFunction::kSigmoid};
  if (node.op == "silu") return {FloatFunction::kSilu};
  LOCKSTEP_ASSERT(node.op == "gelu");
  return {FloatFunction::kGelu};
}

OperatorPointer float_layer(const Node& node, const Format& input, FloatStep step) {
  return std::make_unique<FloatLayer>(node, input, std::vector<FloatStep>{step});
}

}  // namespace

OperatorPointer make_relu(const Node& node, const NodeParameters&, Formats inputs) {
  if (inputs[0]->real) return float_layer(node, *inputs[0], {FloatFunction::kRelu});
  return std::make_unique<Relu>(*inputs[0]);
}

OperatorPointer make_relu6(const Node& node, const NodeParameters&, Formats inputs) {
  if (inputs[0]->real) return float_layer(node, *inputs[0], {FloatFunction::kRelu6});
  return std::make_unique<Relu6>(*inputs[0]);
}

OperatorPointer make_float_function(const Node& node, const NodeParameters&, Formats inputs) {
  return float_layer(node, *inputs[0], function_of(node));
}

}  // namespace lockstep::verify
