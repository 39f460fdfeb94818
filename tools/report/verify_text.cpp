#include "tools/report/verify_text.h"

#include <fmt/format.h>

#include "tools/support/table.h"

namespace lockstep::cli {

using Json = nlohmann::ordered_json;
using enum Table::Align;

namespace {

// What the C or the plan took on the emulated cores, per sample; empty when it ran on none.
std::string costs_text(const verify::Report& report) {
  Table table({{"per sample", kLeft},
               {"instructions", kRight},
               {"reads", kRight},
               {"writes", kRight},
               {"multiplications", kRight},
               {"branches", kRight},
               {"vector", kRight},
               {"stack bytes", kRight},
               {"code bytes", kRight},
               {"constant bytes", kRight}});
  bool any = false;
  for (const verify::PathReport& path : report.paths) {
    if (!path.cost) continue;
    any = true;
    const verify::ExecutionCounts& counts = path.cost->counts;
    std::vector<std::string> row = {path.path};
    for (const std::uint64_t figure :
         {counts.instructions, counts.reads, counts.writes, counts.multiplications, counts.branches,
          counts.vector_instructions, path.cost->stack_bytes, path.cost->code_bytes,
          path.cost->constant_bytes})
      row.push_back(fmt::to_string(figure));
    table.add_row(row);
  }
  return any ? "\n\n" + table.to_text() : "";
}

}  // namespace

std::string paths_text(const verify::Report& report) {
  Table table({{"path", kLeft},
               {"samples", kRight},
               {"tensors", kRight},
               {"values", kRight},
               {"differing", kRight}});
  for (const verify::PathReport& path : report.paths)
    table.add_row({path.path, fmt::to_string(path.samples), fmt::to_string(path.tensors),
                   fmt::to_string(path.values), fmt::to_string(path.differing)});
  std::string text = table.to_text() + costs_text(report);
  if (report.c_probes)
    text +=
        fmt::format("\n\n{}: {} on every operator", report.c_probes->path, report.c_probes->probes);
  return text;
}

std::string accuracy_text(const Accuracy& accuracy) {
  const auto line = [&](const char* network, std::int64_t correct) {
    return fmt::format("accuracy of the {} network  {:.2f} %  ({} of {} images)\n", network,
                       100.0 * accuracy.fraction(correct), correct, accuracy.images);
  };
  std::string text;
  if (accuracy.has_float) text += line("float  ", accuracy.float_correct);
  text += line("integer", accuracy.integer_correct);
  if (accuracy.has_float)
    text += fmt::format("their predictions differ on   {} images\n", accuracy.differing);
  return text;
}

Accuracy accuracy_of(const verify::Report& report, std::span<const std::int32_t> labels) {
  Accuracy accuracy{.images = std::ssize(labels), .has_float = !report.float_predictions.empty()};
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::int64_t integer = report.plan_predictions.at(i);
    accuracy.integer_correct += integer == labels[i];
    if (!accuracy.has_float) continue;
    accuracy.float_correct += report.float_predictions.at(i) == labels[i];
    accuracy.differing += report.float_predictions[i] != integer;
  }
  return accuracy;
}

nlohmann::ordered_json paths_json(const verify::Report& report) {
  Json paths = Json::array();
  for (const verify::PathReport& path : report.paths) {
    Json entry{{"path", path.path},
               {"samples", path.samples},
               {"tensors", path.tensors},
               {"values", path.values},
               {"differing", path.differing}};
    if (path.cost) {
      const verify::ExecutionCounts& counts = path.cost->counts;
      entry["instructions_per_sample"] = counts.instructions;
      entry["reads_per_sample"] = counts.reads;
      entry["writes_per_sample"] = counts.writes;
      entry["multiplications_per_sample"] = counts.multiplications;
      entry["branches_per_sample"] = counts.branches;
      entry["vector_instructions_per_sample"] = counts.vector_instructions;
      entry["stack_bytes"] = path.cost->stack_bytes;
      entry["stack_bound_bytes"] =
          path.cost->stack_bound_bytes ? Json(*path.cost->stack_bound_bytes) : Json();
      entry["code_bytes"] = path.cost->code_bytes;
      entry["constant_bytes"] = path.cost->constant_bytes;
    }
    paths.push_back(std::move(entry));
  }
  return paths;
}

nlohmann::ordered_json accuracy_json(const Accuracy& accuracy) {
  Json json{{"images", accuracy.images},
            {"integer_correct", accuracy.integer_correct},
            {"integer", accuracy.fraction(accuracy.integer_correct)}};
  if (accuracy.has_float) {
    json["float_correct"] = accuracy.float_correct;
    json["float"] = accuracy.fraction(accuracy.float_correct);
    json["differing_predictions"] = accuracy.differing;
  }
  return json;
}

}  // namespace lockstep::cli
