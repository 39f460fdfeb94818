#include "compile/backends/c_source/strategies/strategy.h"

#include "compile/support/error.h"

namespace lockstep::backends {

std::vector<StrategyChoice> choose_strategies(const ir::Program& program, const Target& target) {
  const Strategy* const all[] = {&loops_strategy(), &dsp_panel_strategy(),
                                 &dsp_depthwise_strategy(), &dsp_add_strategy()};
  std::vector<StrategyChoice> choices;
  for (const ir::Op& op : program.ops) {
    StrategyChoice best;
    for (const Strategy* strategy : all)
      if (const std::optional<StrategyCost> cost = strategy->cost(program, op, target))
        if (best.strategy == nullptr || cost->instructions < best.cost.instructions)
          best = {strategy, *cost};
    LOCKSTEP_ASSERT(best.strategy != nullptr);
    choices.push_back(best);
  }
  return choices;
}

}  // namespace lockstep::backends
