#include "tools/commands/storage_report.h"

#include <fmt/format.h>

#include "tools/support/table.h"

namespace lockstep::cli {

std::string storage_text(const std::vector<passes::StorageChoice>& choices) {
  using enum Table::Align;
  Table table({{"layer", kLeft},
               {"zeros", kRight},
               {"dense bytes", kRight},
               {"sparse bytes", kRight},
               {"dense us", kRight},
               {"sparse us", kRight},
               {"stored", kLeft}});
  bool any = false;
  for (const passes::StorageChoice& c : choices) {
    constexpr std::int64_t kShownPercent = 5;
    if (c.zeros * 100 <= c.weights * kShownPercent && !c.several_decimals) continue;
    any = true;
    const bool may_be_sparse = c.segments == 0;
    table.add_row({c.node,
                   fmt::format("{:.1f} %", 100.0 * static_cast<double>(c.zeros) /
                                               static_cast<double>(c.weights)),
                   fmt::to_string(c.dense_bytes),
                   may_be_sparse ? fmt::to_string(c.sparse_bytes) : "-",
                   fmt::format("{:.2f}", c.dense_us),
                   may_be_sparse ? fmt::format("{:.2f}", c.sparse_us) : "-", c.reason});
  }
  return any ? "how weights are stored; times are estimates for comparing\n" + table.to_text()
             : std::string();
}

nlohmann::ordered_json storage_json(const std::vector<passes::StorageChoice>& choices) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const passes::StorageChoice& c : choices)
    rows.push_back({{"node", c.node},
                    {"weights", c.weights},
                    {"zeros", c.zeros},
                    {"dense_bytes", c.dense_bytes},
                    {"sparse_bytes", c.sparse_bytes},
                    {"dense_us", c.dense_us},
                    {"sparse_us", c.sparse_us},
                    {"several_decimals", c.several_decimals},
                    {"segments", c.segments},
                    {"sparse", c.sparse},
                    {"reason", c.reason}});
  return rows;
}

}  // namespace lockstep::cli
