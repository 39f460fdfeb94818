#include "compile/backends/c_source/strategies/strategy.h"

#include "compile/support/error.h"

namespace lockstep::backends {

namespace {

// Estimates err: more flash must be worth a tenth of the instructions.
bool is_better(const StrategyCost& a, const StrategyCost& b) {
  const bool is_larger = a.flash_bytes() > b.flash_bytes();
  return is_larger ? a.instructions < b.instructions * 9 / 10 : a.instructions < b.instructions;
}

}  // namespace

std::vector<StrategyChoice> choose_strategies(const ir::Program& program, const Target& target) {
  const Strategy* const all[] = {&loops_strategy(), &dsp_panel_strategy(), &dsp_sparse_strategy(),
                                 &dsp_depthwise_strategy(), &dsp_add_strategy()};
  std::vector<StrategyChoice> choices;
  for (const ir::Op& op : program.ops) {
    StrategyChoice best;
    for (const Strategy* strategy : all)
      if (const std::optional<StrategyCost> cost = strategy->cost(program, op, target))
        if (best.strategy == nullptr || is_better(*cost, best.cost)) best = {strategy, *cost};
    LOCKSTEP_ASSERT(best.strategy != nullptr);
    choices.push_back(best);
  }
  return choices;
}

}  // namespace lockstep::backends
