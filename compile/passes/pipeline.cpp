// The compiler's table of contents: read it from top to bottom. The program is validated after
// every row.
#include "compile/passes/pipeline.h"

#include "compile/passes/lower.h"
#include "compile/passes/pass.h"

namespace lockstep::passes {
namespace {

struct Pass {
  std::string_view name;
  ir::Program (*run)(ir::Program) = nullptr;
  ir::Program (*run_for)(ir::Program, const Goal&) = nullptr;  // in its place
};
constexpr std::string_view kLower = "lower";
constexpr Pass kPipeline[] = {
    {"remove-dead", remove_dead},
    {"resolve-flatten", resolve_flatten},
    {"fuse-prune", fuse_prune},
    {"fuse-requantize", fuse_requantize},
    {"fuse-relu", fuse_relu},
    {"fold-pad", fold_pad},
    {"remove-channels", remove_channels},
    {"narrow-weights", narrow_weights},
    {"group-channels", nullptr, group_channels},
    {"assign-layout", assign_layout},
    {"choose-storage", nullptr, choose_storage},
    {"plan-memory", plan_memory},
};

}  // namespace

ir::Program run_pipeline(const Graph& graph, const Parameters& parameters,
                         const PipelineOptions& options) {
  const auto finish = [&](std::string_view name, const ir::Program& program) {
    ir::validate(program);
    if (options.after_pass) options.after_pass(name, program);
  };
  ir::Program program = lower(graph, parameters, options.keep_layers);
  finish(kLower, program);
  for (const Pass& pass : kPipeline) {
    program = pass.run != nullptr ? pass.run(std::move(program))
                                  : pass.run_for(std::move(program), options.goal);
    finish(pass.name, program);
  }
  return program;
}

std::vector<std::string> pipeline_names() {
  std::vector<std::string> names{std::string(kLower)};
  for (const Pass& pass : kPipeline) names.emplace_back(pass.name);
  return names;
}

}  // namespace lockstep::passes
