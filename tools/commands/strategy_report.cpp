#include "tools/commands/strategy_report.h"

#include <fmt/format.h>

#include "tools/support/table.h"

namespace lockstep::cli {
namespace {

std::string alternatives_text(const CStrategyReport& row) {
  std::string text;
  for (const CStrategyCost& cost : row.alternatives)
    if (cost.strategy != row.taken.strategy)
      text += fmt::format("{}{}: {} in {} bytes", text.empty() ? "" : "; ", cost.strategy,
                          cost.instructions, cost.code_bytes + cost.constant_bytes);
  return text;
}

nlohmann::ordered_json to_json(const CStrategyCost& cost) {
  return {{"strategy", cost.strategy},
          {"instructions", cost.instructions},
          {"code_bytes", cost.code_bytes},
          {"constant_bytes", cost.constant_bytes},
          {"scratch_bytes", cost.scratch_bytes}};
}

}  // namespace

std::string strategy_text(const CSources& sources, const std::vector<OperatorReport>& operators) {
  using enum Table::Align;
  Table table({{"operator", kLeft},
               {"written as", kLeft},
               {"instructions", kRight},
               {"per MAC", kRight},
               {"code bytes", kRight},
               {"constants", kRight},
               {"scratch", kRight},
               {"instead", kLeft}});
  CStrategyCost total;
  for (std::size_t i = 0; i < sources.operators.size(); ++i) {
    const CStrategyReport& row = sources.operators[i];
    const CStrategyCost& cost = row.taken;
    const std::int64_t macs = operators.at(i).macs;
    table.add_row({row.node, cost.strategy, fmt::to_string(cost.instructions),
                   macs == 0 ? ""
                             : fmt::format("{:.2f}", static_cast<double>(cost.instructions) /
                                                         static_cast<double>(macs)),
                   fmt::to_string(cost.code_bytes), fmt::to_string(cost.constant_bytes),
                   fmt::to_string(cost.scratch_bytes), alternatives_text(row)});
    total.instructions += cost.instructions;
    total.code_bytes += cost.code_bytes;
    total.constant_bytes += cost.constant_bytes;
  }
  table.add_row({"all", "", fmt::to_string(total.instructions), "",
                 fmt::to_string(total.code_bytes), fmt::to_string(total.constant_bytes), "", ""});
  return fmt::format(
      "how operators are written in C; instructions and code bytes are estimates\n{}",
      table.to_text());
}

nlohmann::ordered_json strategy_json(const CSources& sources) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const CStrategyReport& row : sources.operators) {
    nlohmann::ordered_json alternatives = nlohmann::ordered_json::array();
    for (const CStrategyCost& cost : row.alternatives) alternatives.push_back(to_json(cost));
    nlohmann::ordered_json entry{{"node", row.node}, {"op", row.op}};
    entry.update(to_json(row.taken));
    entry["alternatives"] = std::move(alternatives);
    rows.push_back(std::move(entry));
  }
  return {{"arena_bytes", sources.arena_bytes}, {"operators", std::move(rows)}};
}

}  // namespace lockstep::cli
