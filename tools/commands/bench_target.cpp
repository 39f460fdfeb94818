#include "tools/commands/bench_target.h"

#include <fmt/format.h>

#include <map>
#include <optional>

#include "compile/support/error.h"
#include "tools/commands/command.h"
#include "tools/inspect/plan_operator.h"
#include "tools/support/open_plan.h"
#include "tools/support/table.h"
#include "verify/differential/emulated_bench.h"

namespace lockstep::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Row {
  std::string name, kind;
  std::uint64_t macs = 0;
  verify::ExecutionCounts counts;
};

std::string per_mac(const Row& row) {
  if (row.macs == 0) return "-";
  return fmt::format("{:.3f}",
                     static_cast<double>(row.counts.instructions) / static_cast<double>(row.macs));
}

Json counts_json(const Row& row) {
  const verify::ExecutionCounts& counts = row.counts;
  Json json = {{"macs", row.macs}, {"instructions", counts.instructions}};
  if (row.macs > 0)
    json["instructions_per_mac"] =
        static_cast<double>(counts.instructions) / static_cast<double>(row.macs);
  json["reads"] = counts.reads;
  json["writes"] = counts.writes;
  json["multiplications"] = counts.multiplications;
  json["branches"] = counts.branches;
  json["vector_instructions"] = counts.vector_instructions;
  return json;
}

// One core's figures: the operators, what lies outside of them, and the whole.
struct Result {
  std::string target;
  std::vector<Row> operators;
  Row outside, whole;
  verify::EmulatedCost cost;
};

Result run_target(const verify::CTarget& target, const verify::CProgram& program,
                  const PlanFile& file, const verify::OpenPlan& plan, const verify::Batch& inputs) {
  const verify::EmulatedBench bench = verify::run_emulated(target, program, plan, inputs);
  const std::string name(target.emulated->name);
  if (!bench.failure.empty())
    throw InputError(fmt::format("{}: on {}: {}",
                                 program.plan != nullptr ? file.path() : program.folder.string(),
                                 name, bench.failure));
  std::map<std::uint32_t, PlanOperator> makers;  // by their output
  for (std::uint32_t op = 0; op < intrt_op_count(file.plan()); ++op) {
    PlanOperator decoded = plan_operator(file, op);
    makers.emplace(decoded.output, std::move(decoded));
  }
  Result result{.target = name,
                .operators = {},
                .outside = {"outside of operators", "", 0, bench.outside},
                .whole = {"total", "", 0, bench.whole.counts},
                .cost = bench.whole};
  for (const verify::TensorCost& cost : bench.operators) {
    const PlanOperator& op = makers.at(cost.tensor);
    result.operators.push_back({op.node, op.name, op.macs, cost.counts});
    result.whole.macs += op.macs;
  }
  return result;
}

std::string operators_text(const Result& result) {
  using enum Table::Align;
  Table table({{result.target, kLeft},
               {"operator", kLeft},
               {"MACs", kRight},
               {"instructions", kRight},
               {"per MAC", kRight},
               {"reads", kRight},
               {"writes", kRight}});
  const auto add = [&](const Row& row) {
    table.add_row({row.name, row.kind, fmt::to_string(row.macs),
                   fmt::to_string(row.counts.instructions), per_mac(row),
                   fmt::to_string(row.counts.reads), fmt::to_string(row.counts.writes)});
  };
  for (const Row& row : result.operators) add(row);
  add(result.outside);
  add(result.whole);
  return table.to_text();
}

std::string cores_text(const std::vector<Result>& results, std::uint32_t arena_bytes) {
  using enum Table::Align;
  Table table({{"core", kLeft},
               {"instructions", kRight},
               {"per MAC", kRight},
               {"reads", kRight},
               {"writes", kRight},
               {"code bytes", kRight},
               {"constant bytes", kRight},
               {"arena bytes", kRight},
               {"stack bytes", kRight},
               {"stack bound", kRight}});
  for (const Result& result : results) {
    const verify::ExecutionCounts& counts = result.whole.counts;
    const std::optional<std::uint64_t> bound = result.cost.stack_bound_bytes;
    table.add_row({result.target, fmt::to_string(counts.instructions), per_mac(result.whole),
                   fmt::to_string(counts.reads), fmt::to_string(counts.writes),
                   fmt::to_string(result.cost.code_bytes),
                   fmt::to_string(result.cost.constant_bytes), fmt::to_string(arena_bytes),
                   fmt::to_string(result.cost.stack_bytes), bound ? fmt::to_string(*bound) : "-"});
  }
  return table.to_text();
}

Json bound_json(const verify::EmulatedCost& cost) {
  return cost.stack_bound_bytes ? Json(*cost.stack_bound_bytes) : Json();
}

Json result_json(const Result& result, std::uint32_t arena_bytes) {
  Json operators = Json::array();
  for (const Row& row : result.operators) {
    Json entry = {{"node", row.name}, {"op", row.kind}};
    entry.update(counts_json(row));
    operators.push_back(std::move(entry));
  }
  return {{"target", result.target},
          {"operators", std::move(operators)},
          {"outside_of_operators", counts_json(result.outside)},
          {"total", counts_json(result.whole)},
          {"code_bytes", result.cost.code_bytes},
          {"constant_bytes", result.cost.constant_bytes},
          {"arena_bytes", arena_bytes},
          {"opening_instructions", result.cost.opening.instructions},
          {"stack_bytes", result.cost.stack_bytes},
          {"stack_bound_bytes", bound_json(result.cost)}};
}

std::vector<std::string> core_names() {
  std::vector<std::string> names;
  for (const verify::EmulatedTarget& target : verify::emulated_targets())
    names.emplace_back(target.name);
  return names;
}

}  // namespace

std::vector<std::string> bench_target_names() {
  std::vector<std::string> names = core_names();
  names.emplace_back("all");
  return names;
}

int bench_targets(const TargetBenchOptions& options, Console& console) {
  const PlanFile file(options.plan);
  const verify::OpenPlan plan(file.bytes());
  const bool is_plan = options.c_folder.empty();
  const verify::CProgram program = {.folder = options.c_folder,
                                    .prefix = options.prefix,
                                    .timeout = std::chrono::minutes(5),
                                    .plan = is_plan ? &plan : nullptr};
  std::vector<std::string> names;
  for (const std::string& target : options.targets) {
    const std::vector<std::string> more =
        target == "all" ? core_names() : std::vector<std::string>{target};
    names.insert(names.end(), more.begin(), more.end());
  }
  const verify::Batch inputs = verify::random_inputs(plan, 1);
  std::vector<Result> results;
  for (const verify::CTarget& target :
       is_plan ? verify::plan_targets(names) : verify::c_targets(names, program)) {
    console.progress(fmt::format("{}: compiling and running", target.emulated->name));
    results.push_back(run_target(target, program, file, plan, inputs));
  }
  Json targets = Json::array();
  for (const Result& result : results) {
    console.print(operators_text(result) + "\n");
    targets.push_back(result_json(result, file.arena_bytes()));
  }
  console.print(cores_text(results, file.arena_bytes()));
  console.print_json({{"plan", file.path()},
                      {"c", is_plan ? Json() : Json(options.c_folder.string())},
                      {"targets", std::move(targets)}});
  return kExitOk;
}

}  // namespace lockstep::cli
