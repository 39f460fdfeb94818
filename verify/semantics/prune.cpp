// out = keep ? in : 0, by the mask that training left.
#include <fmt/format.h>

#include "compile/support/error.h"
#include "verify/semantics/aligned.h"
#include "verify/semantics/operators.h"

namespace lockstep::verify {
namespace {

class Prune final : public ExactOperator {
 public:
  Prune(const Node& node, const NodeParameters& parameters, const Format& input) {
    if (!parameters.mask)
      throw InputError(fmt::format("layer '{}': no mask for this prune", node.name));
    keep_ = prune_mask(node, *parameters.mask, input.shape);
    format_ = input;
    if (input.real)
      prune_sources();
    else
      prune_ranges(input);
  }
  // Both 0 codes and 0.0 are the integer 0.
  void run(std::span<const Values> inputs, std::span<std::int64_t> output) const override {
    for (std::size_t i = 0; i < output.size(); ++i) output[i] = keep_[i] != 0 ? inputs[0][i] : 0;
  }

 private:
  void prune_sources() {
    const std::uint32_t empty = format_.add_chain({});
    for (std::size_t i = 0; i < keep_.size(); ++i) {
      if (keep_[i] != 0) continue;
      format_.sources[i] = RealSource();
      format_.sources[i].chain = empty;
    }
  }
  void prune_ranges(const Format& input) {
    std::vector<CodeRange> ranges;
    for (std::size_t i = 0; i < keep_.size(); ++i)
      ranges.push_back(keep_[i] != 0 ? input.range(static_cast<std::int64_t>(i)) : CodeRange{});
    set_ranges(format_, std::move(ranges));
  }

  std::vector<std::uint8_t> keep_;
};

}  // namespace

OperatorPointer make_prune(const Node& node, const NodeParameters& parameters, Formats inputs) {
  return std::make_unique<Prune>(node, parameters, *inputs[0]);
}

}  // namespace lockstep::verify
