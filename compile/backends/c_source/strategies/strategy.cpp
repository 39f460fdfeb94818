#include "compile/backends/c_source/strategies/strategy.h"

#include <fmt/format.h>

#include <algorithm>

#include "compile/backends/c_source/scratch.h"
#include "compile/support/error.h"

namespace lockstep::backends {
namespace {

constexpr std::int64_t kCommonCode = 1500;  // of what all operators share

// Estimates err: more flash must be worth a tenth of the instructions.
bool is_better(const StrategyCost& a, const StrategyCost& b) {
  const bool is_larger = a.flash_bytes() > b.flash_bytes();
  return is_larger ? a.instructions < b.instructions * 9 / 10 : a.instructions < b.instructions;
}

std::int64_t arena_with_scratch(const ir::Program& program, std::size_t op, std::int64_t scratch) {
  return scratch == 0 ? program.arena_bytes
                      : std::max(program.arena_bytes, scratch_for(program, op, scratch).end);
}

StrategyChoice choose(const ir::Program& program, std::size_t index, const Target& target,
                      const Budget& budget) {
  const Strategy* const all[] = {
      &loops_strategy(),          &dsp_panel_strategy(),       &dsp_compact_strategy(),
      &dsp_sparse_strategy(),     &dsp_depthwise_strategy(),   &dsp_add_strategy(),
      &packed_panel_strategy(),   &packed_sparse8_strategy(),  &packed_sparse16_strategy(),
      &mve_add_strategy(),        &mve_convolution_strategy(), &mve_depthwise_strategy(),
      &mve_panel_strategy(),      &neon_add_strategy(),        &neon_convolution_strategy(),
      &neon_depthwise_strategy(), &neon_linear_strategy(),     &wide_convolution_strategy(),
      &dsp_linear_strategy(),     &packed_linear_strategy(),   &mve_linear_strategy()};
  StrategyChoice choice;
  for (const Strategy* strategy : all) {
    const std::optional<StrategyCost> cost = strategy->cost(program, program.ops[index], target);
    if (!cost || (budget.ram_bytes &&
                  arena_with_scratch(program, index, cost->scratch_bytes) > *budget.ram_bytes))
      continue;
    choice.alternatives.emplace_back(strategy, *cost);
    if (choice.strategy == nullptr || is_better(*cost, choice.cost)) {
      choice.strategy = strategy;
      choice.cost = *cost;
    }
  }
  if (choice.strategy == nullptr)
    throw InputError(fmt::format("the arena takes {} bytes, more than the RAM budget of {}",
                                 program.arena_bytes, *budget.ram_bytes));
  return choice;
}

// The change of one operator that saves flash at the least cost; false where nothing is smaller.
bool shrink(std::vector<StrategyChoice>& choices) {
  StrategyChoice* best = nullptr;
  std::pair<const Strategy*, StrategyCost> taken;
  double least = 0;
  for (StrategyChoice& choice : choices)
    for (const auto& [strategy, cost] : choice.alternatives) {
      const std::int64_t saved = choice.cost.flash_bytes() - cost.flash_bytes();
      if (saved <= 0) continue;
      const double price = static_cast<double>(cost.instructions - choice.cost.instructions) /
                           static_cast<double>(saved);
      if (best != nullptr && price >= least) continue;
      best = &choice;
      taken = {strategy, cost};
      least = price;
    }
  if (best == nullptr) return false;
  best->strategy = taken.first;
  best->cost = taken.second;
  return true;
}

}  // namespace

std::vector<StrategyChoice> choose_strategies(const ir::Program& program, const Target& target,
                                              const Budget& budget) {
  std::vector<StrategyChoice> choices;
  for (std::size_t i = 0; i < program.ops.size(); ++i)
    choices.push_back(choose(program, i, target, budget));
  const auto flash = [&] {
    std::int64_t bytes = kCommonCode;
    for (const StrategyChoice& choice : choices) bytes += choice.cost.flash_bytes();
    return bytes;
  };
  while (budget.flash_bytes && flash() > *budget.flash_bytes)
    if (!shrink(choices))
      throw InputError(
          fmt::format("the network takes about {} bytes of flash, more than the flash budget of {}",
                      flash(), *budget.flash_bytes));
  return choices;
}

}  // namespace lockstep::backends
