#include "tools/commands/storage_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "tools/support/table.h"

namespace lockstep::cli {

std::string storage_text(const std::vector<passes::StorageChoice>& choices) {
  constexpr std::int64_t kShownPercent = 5;
  std::vector<passes::StorageChoice> shown;
  std::ranges::copy_if(choices, std::back_inserter(shown), [](const passes::StorageChoice& c) {
    return c.zeros * 100 > c.weights * kShownPercent || c.several_decimals;
  });
  if (shown.empty()) return {};
  const bool segments = std::ranges::any_of(shown, &passes::StorageChoice::several_decimals);
  using enum Table::Align;
  std::vector<Table::Column> columns = {
      {"layer", kLeft}, {"zeros", kRight}, {"dense bytes", kRight}, {"sparse bytes", kRight}};
  if (segments) columns.push_back({"segment bytes", kRight});
  columns.insert(columns.end(), {{"dense us", kRight}, {"sparse us", kRight}});
  if (segments) columns.push_back({"segment us", kRight});
  columns.push_back({"stored", kLeft});
  Table table(columns);
  for (const passes::StorageChoice& c : shown) {
    const auto if_possible = [&](std::string text) { return c.segments > 0 ? text : "-"; };
    std::vector<std::string> cells = {c.node,
                                      fmt::format("{:.1f} %", 100.0 * static_cast<double>(c.zeros) /
                                                                  static_cast<double>(c.weights)),
                                      fmt::to_string(c.dense_bytes),
                                      fmt::to_string(c.sparse_bytes)};
    if (segments) cells.push_back(if_possible(fmt::to_string(c.segment_bytes)));
    for (const double us : {c.dense_us, c.sparse_us})
      cells.push_back(c.equally_fast ? "-" : fmt::format("{:.2f}", us));
    if (segments) cells.push_back(if_possible(fmt::format("{:.2f}", c.segment_us)));
    cells.push_back(c.reason);
    table.add_row(std::move(cells));
  }
  return "how weights are stored; times are estimates for comparing\n" + table.to_text();
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
                    {"equally_fast", c.equally_fast},
                    {"several_decimals", c.several_decimals},
                    {"segments", c.segments},
                    {"segment_bytes", c.segment_bytes},
                    {"segment_us", c.segment_us},
                    {"sparse", c.sparse},
                    {"in_segments", c.in_segments},
                    {"reason", c.reason}});
  return rows;
}

}  // namespace lockstep::cli
