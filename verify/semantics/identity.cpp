// What passes its input on: identity; dropout, in eval mode; softmax and log_softmax, which keep
// the order of the channels and are allowed only on the way to an output (exact_network.cpp checks
// that), whose value is then their input's.
#include <algorithm>

#include "verify/semantics/operators.h"

namespace lockstep::verify {
namespace {

class Identity final : public ExactOperator {
 public:
  explicit Identity(const Format& input) { format_ = input; }
  void run(std::span<const Values> inputs, std::span<std::int64_t> output) const override {
    std::ranges::copy(inputs[0], output.begin());
  }
};

}  // namespace

OperatorPointer make_identity(const Node&, const NodeParameters&, Formats inputs) {
  return std::make_unique<Identity>(*inputs[0]);
}

OperatorPointer make_softmax(const Node&, const NodeParameters&, Formats inputs) {
  return std::make_unique<Identity>(*inputs[0]);
}

}  // namespace lockstep::verify
