// Merges all dimensions behind the batch. Codes are row-major before and after, so they stay as
// they are.
#include <algorithm>

#include "verify/semantics/operators.h"

namespace lockstep::verify {
namespace {

class Flatten final : public ExactOperator {
 public:
  explicit Flatten(const Format& input) {
    format_ = input;
    format_.shape = {input.element_count()};
  }
  void run(std::span<const Values> inputs, std::span<std::int64_t> output) const override {
    std::ranges::copy(inputs[0], output.begin());
  }
};

}  // namespace

OperatorPointer make_flatten(const Node&, const NodeParameters&, Formats inputs) {
  return std::make_unique<Flatten>(*inputs[0]);
}

}  // namespace lockstep::verify
