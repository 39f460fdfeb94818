// From graph and parameters to the program that the backends print.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "compile/checkpoint/parameters.h"
#include "compile/graph/graph.h"
#include "compile/ir/ir.h"
#include "compile/passes/choose_storage.h"

namespace lockstep::passes {

struct PipelineOptions {
  bool keep_layers = false;
  Goal goal = {};
  std::function<void(std::string_view pass, const ir::Program&)> after_pass;
};

ir::Program run_pipeline(const Graph& graph, const Parameters& parameters,
                         const PipelineOptions& options);

std::vector<std::string> pipeline_names();  // in order, "lower" first

}  // namespace lockstep::passes
