#include "compile/compile.h"

#include <algorithm>

#include "compile/backends/c_source/emit.h"
#include "compile/backends/plan/writer.h"
#include "compile/backends/weights.h"
#include "compile/checkpoint/parameters.h"
#include "compile/passes/pipeline.h"

namespace lockstep {
namespace {

// What conv2d and linear have in common in the table.
void describe_sum(OperatorReport& report, const xt::xarray<std::int32_t>& weights,
                  const std::vector<std::int64_t>& bias,
                  const std::vector<ir::Accumulator>& accumulators, const ir::Shape& output) {
  const std::int64_t positions = output.h * output.w;
  const auto count = static_cast<std::int64_t>(weights.size());
  const auto zeros = static_cast<std::int64_t>(std::count(weights.begin(), weights.end(), 0));
  report.macs = count * positions;
  report.nonzero_macs = (count - zeros) * positions;
  report.weight_bytes = count * (backends::weight_type(weights) == ir::ElementType::kInt8 ? 1 : 2) +
                        static_cast<std::int64_t>(bias.size()) * 4;
  for (const ir::Accumulator& acc : accumulators)
    report.accumulator_bits =
        std::max(report.accumulator_bits, ir::bits_to_hold(acc.range.lo, acc.range.hi));
}

std::vector<OperatorReport> describe(const ir::Program& program) {
  std::vector<OperatorReport> reports;
  for (const ir::Op& op : program.ops) {
    const ir::Value& output = program.values[op.output];
    OperatorReport report{.node = op.node,
                          .op = std::string(ir::op_name(op.kind)),
                          .output_bytes = output.byte_count()};
    if (const auto* conv = std::get_if<ir::Conv2d>(&op.kind))
      describe_sum(report, conv->weights, conv->bias, conv->accumulators, output.shape);
    if (const auto* linear = std::get_if<ir::Linear>(&op.kind))
      describe_sum(report, linear->weights, linear->bias, linear->accumulators, output.shape);
    reports.push_back(std::move(report));
  }
  return reports;
}

}  // namespace

Compiled compile_network(const Graph& graph, const StateDict& state,
                         const CompileOptions& options) {
  Compiled compiled;
  compiled.program =
      passes::run_pipeline(graph, bind_parameters(graph, state),
                           {.keep_layers = options.keep_layers, .after_pass = options.after_pass});
  compiled.plan = backends::write_plan(compiled.program);
  compiled.operators = describe(compiled.program);
  compiled.arena_bytes = compiled.program.arena_bytes;
  return compiled;
}

std::vector<std::string> pass_names() { return passes::pipeline_names(); }

std::vector<CSourceFile> emit_c(const Compiled& compiled, const CSourceOptions& options) {
  backends::CFacts facts;
  for (const OperatorReport& report : compiled.operators) {
    facts.macs += report.macs;
    facts.nonzero_macs += report.nonzero_macs;
    facts.weight_bytes += report.weight_bytes;
  }
  std::vector<CSourceFile> files;
  for (auto& [name, text] : backends::emit_c_source(compiled.program, facts, options.prefix))
    files.push_back({name, text});
  return files;
}

}  // namespace lockstep
