#include "compile/passes/rewrite.h"

#include <utility>

namespace lockstep::passes {

std::vector<ir::ValueId> drop_unmade_values(ir::Program& program) {
  std::vector<bool> made(program.values.size(), false);
  for (const ir::ValueId id : program.inputs) made[id] = true;
  for (const ir::Op& op : program.ops) made[op.output] = true;

  std::vector<ir::ValueId> new_id(program.values.size());
  std::vector<ir::ValueId> old_id;
  std::vector<ir::Value> values;
  for (ir::ValueId id = 0; id < program.values.size(); ++id)
    if (made[id]) {
      new_id[id] = values.size();
      old_id.push_back(id);
      values.push_back(std::move(program.values[id]));
    }
  program.values = std::move(values);
  const auto renumber = [&](ir::ValueId& id) { id = new_id[id]; };
  for (ir::Op& op : program.ops) {
    for (ir::ValueId& id : op.inputs) renumber(id);
    renumber(op.output);
  }
  for (ir::ValueId& id : program.inputs) renumber(id);
  for (ir::ValueId& id : program.outputs) renumber(id);
  return old_id;
}

}  // namespace lockstep::passes
