// argmax: at each place the number of the channel with the largest value, the first of equal ones.
// Channels on different grids are compared on the finest.
#include <algorithm>

#include "verify/semantics/aligned.h"
#include "verify/semantics/index.h"
#include "verify/semantics/operators.h"

namespace lockstep::verify {
namespace {

class ArgMax final : public ExactOperator {
 public:
  ArgMax(const Node& node, const Format& input) {
    require_exact(input, node.inputs[0], node.name);
    format_.shape = input.shape;
    format_.shape[0] = 1;
    format_.decimals = {0};
    format_.lo = 0;
    format_.hi = input.shape[0] - 1;
    const std::int64_t plane = format_.element_count();
    std::vector<int> finest_at;  // each place
    for (std::int64_t e = 0; e < input.element_count(); ++e) {
      if (e < plane) finest_at.push_back(input.decimal(e));
      finest_at[at(e % plane)] = std::max(finest_at[at(e % plane)], input.decimal(e));
    }
    for (std::int64_t e = 0; e < input.element_count(); ++e) {
      const int finest = finest_at[at(e % plane)];
      const CodeRange range = input.range(e);
      const int shift = range == CodeRange{} ? 0 : finest - input.decimal(e);
      shift_code(node.name, range.lo, shift);
      shift_code(node.name, range.hi, shift);
      factors_.push_back(std::int64_t{1} << shift);
    }
  }

  void run(std::span<const Values> inputs, std::span<std::int64_t> output) const override {
    const std::size_t plane = output.size();
    for (std::size_t p = 0; p < plane; ++p) {
      std::size_t largest = p;
      for (std::size_t e = p; e < inputs[0].size(); e += plane)
        if (inputs[0][e] * factors_[e] > inputs[0][largest] * factors_[largest]) largest = e;
      output[p] = static_cast<std::int64_t>(largest / plane);
    }
  }

 private:
  std::vector<std::int64_t> factors_;  // per element: 2^(finest decimal of its place - its decimal)
};

}  // namespace

OperatorPointer make_argmax(const Node& node, const NodeParameters&, Formats inputs) {
  return std::make_unique<ArgMax>(node, *inputs[0]);
}

}  // namespace lockstep::verify
