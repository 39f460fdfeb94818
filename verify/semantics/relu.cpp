// out = max(in, 0). The decimals stay, because zero is zero on every grid.
#include <algorithm>

#include "verify/semantics/operators.h"

namespace lockstep::verify {
namespace {

class Relu final : public ExactOperator {
 public:
  explicit Relu(const Format& input) {
    format_ = input;
    format_.lo = std::max<std::int64_t>(input.lo, 0);
    format_.hi = std::max<std::int64_t>(input.hi, 0);
  }
  void run(std::span<const std::int64_t> input, std::span<std::int64_t> output) const override {
    for (std::size_t i = 0; i < input.size(); ++i) output[i] = std::max<std::int64_t>(input[i], 0);
  }
};

}  // namespace

OperatorPointer make_relu(const Node&, const NodeParameters&, const Format& input) {
  return std::make_unique<Relu>(input);
}

}  // namespace lockstep::verify
