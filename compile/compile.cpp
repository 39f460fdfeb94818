#include "compile/compile.h"

#include <algorithm>

#include "compile/backends/c_source/emit.h"
#include "compile/backends/c_source/target.h"
#include "compile/backends/plan/plan_source.h"
#include "compile/backends/plan/writer.h"
#include "compile/checkpoint/parameters.h"
#include "compile/ir/buffers.h"
#include "compile/ir/storage.h"
#include "compile/passes/pipeline.h"

namespace lockstep {
namespace {

// What operators with weights have in common in the table. Each weight meets every position of
// `map` once: of the output, or of the input of a transposed convolution.
template <typename Kind>
void describe_sum(OperatorReport& report, const Kind& op, const ir::Shape& map) {
  const std::int64_t positions = map.h * map.w;
  const auto count = static_cast<std::int64_t>(op.weights.size());
  const auto zeros = static_cast<std::int64_t>(std::count(op.weights.begin(), op.weights.end(), 0));
  report.macs = count * positions;
  report.nonzero_macs = (count - zeros) * positions;
  report.weight_bytes = ir::stored_weight_bytes(op) + static_cast<std::int64_t>(op.bias.size()) * 4;
  for (const ir::Accumulator& acc : op.accumulators)
    report.accumulator_bits =
        std::max(report.accumulator_bits, ir::bits_to_hold(acc.range.lo, acc.range.hi));
}

std::vector<OperatorReport> describe(const ir::Program& program) {
  std::vector<OperatorReport> reports;
  for (const ir::Op& op : program.ops) {
    const ir::Value& output = program.values[op.output];
    OperatorReport report{.node = op.node,
                          .op = std::string(ir::op_name(op.kind)),
                          .table_bytes = ir::table_bytes(program, op),
                          .output_bytes = output.byte_count()};
    if (const auto* conv = std::get_if<ir::Conv2d>(&op.kind))
      describe_sum(report, *conv, output.shape);
    if (const auto* conv = std::get_if<ir::ConvTranspose2d>(&op.kind))
      describe_sum(report, *conv, program.values[op.input()].shape);
    if (const auto* linear = std::get_if<ir::Linear>(&op.kind))
      describe_sum(report, *linear, output.shape);
    reports.push_back(std::move(report));
  }
  return reports;
}

PassReport describe_pass(std::string_view pass, const ir::Program& program) {
  PassReport report{.pass = std::string(pass),
                    .ops = static_cast<std::int64_t>(program.ops.size()),
                    .live_bytes = ir::largest_live_set(ir::buffers_of(program))};
  for (const OperatorReport& op : describe(program)) {
    report.macs += op.macs;
    report.nonzero_macs += op.nonzero_macs;
    report.weight_bytes += op.weight_bytes;
    report.table_bytes += op.table_bytes;
  }
  return report;
}

}  // namespace

Compiled compile_network(const Graph& graph, const StateDict& state,
                         const CompileOptions& options) {
  Compiled compiled;
  const auto after_pass = [&](std::string_view pass, const ir::Program& program) {
    compiled.passes.push_back(describe_pass(pass, program));
    if (options.after_pass) options.after_pass(pass, program);
  };
  const passes::Goal goal{options.optimize, options.machine};
  compiled.program = passes::run_pipeline(
      graph, bind_parameters(graph, state),
      {.keep_layers = options.keep_layers, .goal = goal, .after_pass = after_pass});
  compiled.plan = backends::write_plan(compiled.program);
  compiled.operators = describe(compiled.program);
  compiled.storage = passes::storage_choices(compiled.program, goal);
  compiled.arena_bytes = compiled.program.arena_bytes;
  return compiled;
}

std::vector<std::string> pass_names() { return passes::pipeline_names(); }

std::vector<std::string> c_targets() { return backends::target_names(); }

CSources emit_c_sources(const Compiled& compiled, const CSourceOptions& options) {
  backends::CFacts facts;
  for (const OperatorReport& report : compiled.operators) {
    facts.macs += report.macs;
    facts.nonzero_macs += report.nonzero_macs;
    facts.weight_bytes += report.weight_bytes;
  }
  backends::CNetwork made =
      backends::emit_c_source(compiled.program, facts, options.prefix, options.target,
                              {options.flash_budget, options.ram_budget});
  CSources result{.files = {}, .operators = {}, .arena_bytes = made.arena_bytes};
  for (auto& [name, text] : made.files) result.files.push_back({name, std::move(text)});
  const auto cost = [](const std::string& strategy, const backends::StrategyCost& c) {
    return CStrategyCost{strategy, c.instructions, c.code_bytes, c.constant_bytes, c.scratch_bytes};
  };
  for (const backends::CStrategy& row : made.operators) {
    CStrategyReport report{row.node, row.op, cost(row.strategy, row.cost), {}};
    for (const auto& [strategy, c] : row.alternatives)
      report.alternatives.push_back(cost(strategy, c));
    result.operators.push_back(std::move(report));
  }
  return result;
}

std::vector<CSourceFile> emit_c(const Compiled& compiled, const CSourceOptions& options) {
  return emit_c_sources(compiled, options).files;
}

std::vector<CSourceFile> emit_plan_c(const Compiled& compiled, const std::string& prefix) {
  std::vector<CSourceFile> files;
  for (auto& [name, text] : backends::emit_plan_source(compiled.plan, prefix))
    files.push_back({name, std::move(text)});
  return files;
}

}  // namespace lockstep
