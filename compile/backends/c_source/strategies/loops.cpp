// Plain C loops, for every operator: functions/.
#include <algorithm>

#include "compile/backends/c_source/strategies/strategy.h"
#include "compile/backends/weights.h"

namespace lockstep::backends {
namespace {

using namespace ir;

// Measured on Cortex-M4: about 3 for a multiply-accumulate, more than twice as many where each
// output channel has an input channel of its own; 8 for an element of anything else.
std::int64_t instructions(const Program& program, const Op& op) {
  const std::int64_t elements = program.values.at(op.output).shape.count();
  const auto taps = [&](const auto& kind) {
    return static_cast<std::int64_t>(kind.weights.size()) / program.values.at(op.output).shape.c;
  };
  if (const auto* conv = std::get_if<Conv2d>(&op.kind))
    return elements * (taps(*conv) * (conv->groups > 1 ? 13 : 6) / 2 + 8);
  if (const auto* linear = std::get_if<Linear>(&op.kind)) return elements * (taps(*linear) * 3 + 8);
  return elements * 8;
}

// Weights as they are stored, and a bias.
std::int64_t constant_bytes(const Program& program, const Op& op) {
  const std::int64_t outputs = program.values.at(op.output).shape.c;
  const auto weights = [&](const auto& kind) {
    if (kind.sparse) {
      const SparseWeights sparse = sparse_weights(kind.weights);
      return std::ssize(sparse.nonzero) + std::ssize(sparse.values) + 8 * outputs;
    }
    const std::size_t each = fits_bytes(kind.weights) ? 1 : 2;
    return static_cast<std::ptrdiff_t>(kind.weights.size() * each) + 4 * outputs;
  };
  if (const auto* conv = std::get_if<Conv2d>(&op.kind)) return weights(*conv);
  if (const auto* linear = std::get_if<Linear>(&op.kind)) return weights(*linear);
  return 0;
}

class LoopsStrategy : public Strategy {
 public:
  std::string_view name() const override { return "loops"; }

  std::optional<StrategyCost> cost(const Program& program, const Op& op,
                                   const Target&) const override {
    return StrategyCost{.instructions = instructions(program, op),
                        .code_bytes = 400,
                        .constant_bytes = constant_bytes(program, op)};
  }

  FunctionCalls emit(const FunctionPlace& place) const override {
    return emit_function(place.text, place.program, place.op_index, place.prefix);
  }
};

}  // namespace

const Strategy& loops_strategy() {
  static const LoopsStrategy strategy;
  return strategy;
}

}  // namespace lockstep::backends
