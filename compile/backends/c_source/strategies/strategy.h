// The ways to write an operator in C. Each is one file; strategy.cpp is the list of them, and
// chooses one for each operator.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "compile/backends/c_source/functions/families.h"
#include "compile/backends/c_source/target.h"
#include "compile/ir/ir.h"

namespace lockstep::backends {

// Estimates; only scratch_bytes is exact.
struct StrategyCost {
  std::int64_t instructions = 0;  // of one run of the operator on the target
  std::int64_t code_bytes = 0;    // of its instructions
  std::int64_t constant_bytes = 0;
  std::int64_t scratch_bytes = 0;  // of working memory in the arena, while it runs
  std::int64_t flash_bytes() const { return code_bytes + constant_bytes; }
};

class Strategy {
 public:
  virtual ~Strategy() = default;
  virtual std::string_view name() const = 0;
  // The text of the micro-kernels that its code calls, or none.
  virtual const char* micro_kernels() const { return nullptr; }
  // Nothing where it cannot do this operator.
  virtual std::optional<StrategyCost> cost(const ir::Program& program, const ir::Op& op,
                                           const Target& target) const = 0;
  virtual FunctionCalls emit(const FunctionPlace& place) const = 0;
};

struct StrategyChoice {
  const Strategy* strategy = nullptr;
  StrategyCost cost;
  std::vector<std::pair<const Strategy*, StrategyCost>> alternatives;
};

// What all operators together may take; nothing: as much as is useful.
struct Budget {
  std::optional<std::int64_t> flash_bytes = {};  // of code and constants
  std::optional<std::int64_t> ram_bytes = {};    // of the arena
};

// For each operator of the program the strategy with the fewest instructions, and where that is
// more than the budget, those that cost the fewest more instructions for each byte saved.
// InputError where no choice fits.
std::vector<StrategyChoice> choose_strategies(const ir::Program& program, const Target& target,
                                              const Budget& budget);

// ---- each in a file of its name ----
const Strategy& loops_strategy();        // plain C, for every operator
const Strategy& dsp_panel_strategy();    // convolutions: intrt/micro/dsp.h
const Strategy& dsp_compact_strategy();  // the same with half the bytes of weights
const Strategy& dsp_sparse_strategy();   // those with many weights of 0
const Strategy& dsp_add_strategy();
const Strategy& packed_panel_strategy();     // convolutions: intrt/micro/packed.h
const Strategy& packed_sparse8_strategy();   // those with many weights of 0: intrt/micro/sparse.h
const Strategy& packed_sparse16_strategy();  // the same, 16 positions at a time
const Strategy& dsp_depthwise_strategy();    // those of three rows, each channel by itself
const Strategy& mve_add_strategy();          // sums of two tensors: intrt/micro/mve.h
const Strategy& mve_convolution_strategy();  // convolutions in place
const Strategy& mve_depthwise_strategy();    // those that keep channels apart
const Strategy& mve_panel_strategy();        // convolutions by panels
const Strategy& neon_add_strategy();         // the same for intrt/micro/neon.h
const Strategy& neon_convolution_strategy();
const Strategy& neon_depthwise_strategy();
const Strategy& neon_linear_strategy();
const Strategy& wide_convolution_strategy();  // weights of 16 bits: intrt/micro/wide.h
const Strategy& dsp_linear_strategy();        // linear layers: intrt/micro/linear.h
const Strategy& packed_linear_strategy();
const Strategy& mve_linear_strategy();  // intrt/micro/mve.h

}  // namespace lockstep::backends
