// identity, and dropout, which in eval mode passes its input on.
#include <algorithm>

#include "verify/semantics/operators.h"

namespace lockstep::verify {
namespace {

class Identity final : public ExactOperator {
 public:
  explicit Identity(const Format& input) { format_ = input; }
  void run(std::span<const std::int64_t> input, std::span<std::int64_t> output) const override {
    std::copy(input.begin(), input.end(), output.begin());
  }
};

}  // namespace

OperatorPointer make_identity(const Node&, const NodeParameters&, const Format& input) {
  return std::make_unique<Identity>(input);
}

}  // namespace lockstep::verify
