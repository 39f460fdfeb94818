// out = keep ? in : 0, by the mask that training left.
#include <fmt/format.h>

#include <algorithm>

#include "compile/support/error.h"
#include "verify/semantics/operators.h"

namespace lockstep::verify {
namespace {

class Prune final : public ExactOperator {
 public:
  Prune(const Node& node, const NodeParameters& parameters, const Format& input) {
    if (!parameters.mask)
      throw InputError(fmt::format("layer '{}': no mask for this prune", node.name));
    format_ = input;
    format_.lo = std::min<std::int64_t>(input.lo, 0);
    format_.hi = std::max<std::int64_t>(input.hi, 0);
    keep_ = spread_mask(*parameters.mask, input.shape, node.name);
  }
  void run(std::span<const std::int64_t> input, std::span<std::int64_t> output) const override {
    for (std::size_t i = 0; i < input.size(); ++i) output[i] = keep_[i] != 0 ? input[i] : 0;
  }

 private:
  std::vector<std::uint8_t> keep_;
};

}  // namespace

OperatorPointer make_prune(const Node& node, const NodeParameters& parameters,
                           const Format& input) {
  return std::make_unique<Prune>(node, parameters, input);
}

}  // namespace lockstep::verify
