#include "tools/report/worst_cases.h"

#include <fmt/format.h>

#include <algorithm>

namespace lockstep::cli {
namespace {

std::int64_t attained_of(const verify::Report& report) {
  return std::ranges::count_if(report.worst_cases, [](const verify::WorstCaseReport& one) {
    return one.attained == one.bound;
  });
}

}  // namespace

std::string worst_cases_text(const verify::Report& report) {
  const std::int64_t searched = std::ssize(report.worst_cases), attained = attained_of(report);
  return fmt::format(
      "worst-case inputs  {} of the {} ends of {} channels searched, {} attained through the "
      "network, {} only by the layer alone",
      searched, 2 * report.channels, report.channels, attained, searched - attained);
}

nlohmann::ordered_json worst_cases_json(const verify::Report& report) {
  nlohmann::ordered_json cases = nlohmann::ordered_json::array();
  for (const verify::WorstCaseReport& one : report.worst_cases)
    cases.push_back({{"layer", one.layer},
                     {"channel", one.channel},
                     {"end", one.largest ? "largest" : "smallest"},
                     {"bound", one.bound},
                     {"attained", one.attained},
                     {"attained_by", one.attained == one.bound ? "network" : "layer alone"},
                     {"sample", one.sample}});
  const std::int64_t searched = std::ssize(report.worst_cases), attained = attained_of(report);
  return {{"channels", report.channels},
          {"ends", 2 * report.channels},
          {"searched", searched},
          {"attained_through_the_network", attained},
          {"attained_by_the_layer_alone", searched - attained},
          {"cases", std::move(cases)}};
}

}  // namespace lockstep::cli
