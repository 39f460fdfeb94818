// From the last op to the first: an op is needed when its value is kept or a needed op reads it.
#include <algorithm>

#include "compile/passes/pass.h"
#include "compile/passes/rewrite.h"

namespace lockstep::passes {

ir::Program remove_dead(ir::Program program) {
  std::vector<bool> needed(program.values.size(), false);
  for (ir::ValueId id = 0; id < needed.size(); ++id) needed[id] = program.values[id].keep;
  std::vector<ir::Op> ops;
  for (auto op = program.ops.rbegin(); op != program.ops.rend(); ++op) {
    if (!needed[op->output]) continue;
    for (const ir::ValueId id : op->inputs) needed[id] = true;
    ops.push_back(std::move(*op));
  }
  std::reverse(ops.begin(), ops.end());
  program.ops = std::move(ops);
  drop_unmade_values(program);
  return program;
}

}  // namespace lockstep::passes
