#include "tools/commands/bench_target.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "compile/support/error.h"
#include "compile/support/files.h"
#include "tools/commands/command.h"
#include "tools/inspect/lifetime.h"
#include "tools/report/cost_page.h"
#include "tools/support/open_plan.h"
#include "tools/support/outputs.h"
#include "tools/support/table.h"
#include "verify/differential/emulated_bench.h"

namespace lockstep::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string per_mac(const OperatorCost& row) {
  if (row.macs == 0) return "-";
  return fmt::format("{:.3f}",
                     static_cast<double>(row.counts.instructions) / static_cast<double>(row.macs));
}

Json counts_json(const OperatorCost& row) {
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

// The symbols of operator `index`, by the C's way to name them.
bool is_of_operator(const verify::SymbolCost& symbol, const std::string& prefix,
                    std::uint32_t index) {
  return symbol.name.starts_with(fmt::format("{}_op{}_", prefix, index));
}

void add_symbol(OperatorCost& row, const verify::SymbolCost& symbol) {
  (symbol.is_code ? row.code_bytes : row.constant_bytes) += symbol.bytes;
  if (symbol.stack_bound_bytes)
    row.stack_bound_bytes = std::max(row.stack_bound_bytes.value_or(0), *symbol.stack_bound_bytes);
}

CoreCost run_target(const verify::CTarget& target, const verify::CProgram& program,
                    const PlanFile& file, const verify::OpenPlan& plan,
                    const verify::Batch& inputs) {
  const verify::EmulatedBench bench = verify::run_emulated(target, program, plan, inputs);
  const verify::EmulatedTarget& core = *target.emulated;
  if (!bench.failure.empty())
    throw InputError(fmt::format("{}: on {}: {}",
                                 program.plan != nullptr ? file.path() : program.folder.string(),
                                 core.name, bench.failure));
  std::vector<PlanOperator> operators;
  for (std::uint32_t op = 0; op < intrt_op_count(file.plan()); ++op)
    operators.push_back(plan_operator(file, op));
  const std::vector<Lifetime> memory = lifetimes(file, operators);
  CoreCost result{.target = std::string(core.name),
                  .processor = std::string(core.processor),
                  .compiler = fmt::format("{} {} {}", core.compiler, core.optimization,
                                          fmt::join(core.flags, " ")),
                  .operators = {},
                  .outside = {.name = "outside of operators", .kind = "", .counts = bench.outside},
                  .whole = {.name = "total",
                            .kind = "",
                            .counts = bench.whole.counts,
                            .code_bytes = bench.whole.code_bytes,
                            .constant_bytes = bench.whole.constant_bytes,
                            .ram_bytes = bench.arena_bytes,
                            .stack_bound_bytes = bench.whole.stack_bound_bytes},
                  .opening_instructions = bench.whole.opening.instructions,
                  .arena_bytes = bench.arena_bytes,
                  .stack_bytes = bench.whole.stack_bytes};
  result.outside.code_bytes = result.whole.code_bytes;
  result.outside.constant_bytes = result.whole.constant_bytes;
  for (const verify::TensorCost& cost : bench.operators) {
    const auto made = std::ranges::find(operators, cost.tensor, &PlanOperator::output);
    const auto index = static_cast<std::uint32_t>(made - operators.begin());
    OperatorCost row{.name = made->node,
                     .kind = made->name,
                     .macs = made->macs,
                     .counts = cost.counts,
                     .ram_bytes = bytes_in_use(file, memory, index)};
    for (const verify::SymbolCost& symbol : bench.symbols)
      if (is_of_operator(symbol, program.prefix, index)) add_symbol(row, symbol);
    result.whole.macs += row.macs;
    result.outside.code_bytes -= row.code_bytes;
    result.outside.constant_bytes -= row.constant_bytes;
    result.operators.push_back(std::move(row));
  }
  return result;
}

std::string bound_text(const OperatorCost& row) {
  return row.stack_bound_bytes ? fmt::to_string(*row.stack_bound_bytes) : "-";
}

std::string operators_text(const CoreCost& result) {
  using enum Table::Align;
  Table table({{result.target, kLeft},
               {"operator", kLeft},
               {"MACs", kRight},
               {"instructions", kRight},
               {"per MAC", kRight},
               {"reads", kRight},
               {"writes", kRight},
               {"code bytes", kRight},
               {"constant bytes", kRight},
               {"RAM bytes", kRight},
               {"stack bound", kRight}});
  const auto add = [&](const OperatorCost& row) {
    table.add_row({row.name, row.kind, fmt::to_string(row.macs),
                   fmt::to_string(row.counts.instructions), per_mac(row),
                   fmt::to_string(row.counts.reads), fmt::to_string(row.counts.writes),
                   fmt::to_string(row.code_bytes), fmt::to_string(row.constant_bytes),
                   row.ram_bytes == 0 ? "-" : fmt::to_string(row.ram_bytes), bound_text(row)});
  };
  for (const OperatorCost& row : result.operators) add(row);
  add(result.outside);
  add(result.whole);
  return table.to_text();
}

std::string cores_text(const std::vector<CoreCost>& results) {
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
  for (const CoreCost& result : results) {
    const OperatorCost& whole = result.whole;
    table.add_row({result.target, fmt::to_string(whole.counts.instructions), per_mac(whole),
                   fmt::to_string(whole.counts.reads), fmt::to_string(whole.counts.writes),
                   fmt::to_string(whole.code_bytes), fmt::to_string(whole.constant_bytes),
                   fmt::to_string(result.arena_bytes), fmt::to_string(result.stack_bytes),
                   bound_text(whole)});
  }
  return table.to_text();
}

Json bound_json(const OperatorCost& row) {
  return row.stack_bound_bytes ? Json(*row.stack_bound_bytes) : Json();
}

Json result_json(const CoreCost& result) {
  Json operators = Json::array();
  for (const OperatorCost& row : result.operators) {
    Json entry = {{"node", row.name}, {"op", row.kind}};
    entry.update(counts_json(row));
    entry["code_bytes"] = row.code_bytes;
    entry["constant_bytes"] = row.constant_bytes;
    entry["ram_bytes"] = row.ram_bytes;
    entry["stack_bound_bytes"] = bound_json(row);
    operators.push_back(std::move(entry));
  }
  Json outside = counts_json(result.outside);
  outside["code_bytes"] = result.outside.code_bytes;
  outside["constant_bytes"] = result.outside.constant_bytes;
  return {{"target", result.target},
          {"compiler", result.compiler},
          {"operators", std::move(operators)},
          {"outside_of_operators", std::move(outside)},
          {"total", counts_json(result.whole)},
          {"code_bytes", result.whole.code_bytes},
          {"constant_bytes", result.whole.constant_bytes},
          {"arena_bytes", result.arena_bytes},
          {"opening_instructions", result.opening_instructions},
          {"stack_bytes", result.stack_bytes},
          {"stack_bound_bytes", bound_json(result.whole)}};
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
  Outputs outputs({options.plan});
  if (!options.report.empty()) outputs.claim(options.report);
  std::vector<CoreCost> results;
  if (!is_plan) verify::require_c_files(program);
  for (const verify::CTarget& target :
       is_plan ? verify::plan_targets(names) : verify::c_targets(names)) {
    console.progress(fmt::format("{}: compiling and running", target.emulated->name));
    results.push_back(run_target(target, program, file, plan, inputs));
  }
  Json targets = Json::array();
  for (const CoreCost& result : results) {
    console.print(operators_text(result) + "\n");
    targets.push_back(result_json(result));
  }
  console.print(cores_text(results));
  console.print_json({{"plan", file.path()},
                      {"c", is_plan ? Json() : Json(options.c_folder.string())},
                      {"report", options.report.empty() ? Json() : Json(options.report.string())},
                      {"targets", std::move(targets)}});
  if (!options.report.empty()) {
    write_file_atomically(
        options.report,
        cost_page(intrt_network_name(file.plan()),
                  is_plan ? "its plan, run by intrt," : "its generated C", results));
    console.print(fmt::format("\nreport  {}", options.report.string()));
  }
  outputs.keep();
  return kExitOk;
}

}  // namespace lockstep::cli
