#include "compile/backends/c_source/strategies/panel_memory.h"

#include <algorithm>

namespace lockstep::backends {
namespace {

using namespace ir;
using Loop = PanelMemory::Loop;

std::int64_t bytes_of(ElementType type) {
  return type == ElementType::kInt8 ? 1 : type == ElementType::kInt16 ? 2 : 4;
}

std::string_view variable_of(Loop loop) {
  return loop == Loop::kRows ? "y" : loop == Loop::kColumns ? "x" : "i";
}

std::vector<Step> steps_of(const Program& program, const Op& op, const PanelShape& shape, Loop loop,
                           std::int64_t positions) {
  const Axis &rows = shape.rows, &columns = shape.columns;
  const std::int64_t bytes = shape.outputs * program.values.at(op.output).element_bytes();
  const auto first = [](const Axis& axis, std::int64_t at) {
    return std::max<std::int64_t>(0, at * axis.stride - axis.pad);
  };
  const auto row_begin = [&](std::int64_t y) {
    return first(rows, y) * columns.input * shape.inputs;
  };
  std::vector<Step> steps;
  if (loop == Loop::kRows) {
    for (std::int64_t y = 0; y < rows.output; ++y)
      steps.push_back({y, (y + 1) * columns.output * bytes, row_begin(y)});
    return steps;
  }
  // The last positions may overlap those before.
  const std::int64_t count = shape.positions();
  for (std::int64_t u = 0; u < count; u += positions) {
    const std::int64_t i = std::min(u, count - positions);
    // Where there are several rows, later positions may begin further left.
    const std::int64_t column = rows.output == 1 ? std::min(first(columns, i), columns.input) : 0;
    steps.push_back(
        {i, (i + positions) * bytes, row_begin(i / columns.output) + column * shape.inputs});
  }
  return steps;
}

}  // namespace

PanelMemory::PanelMemory(const Program& program, const Op& op, const PanelShape& shape, Loop loop,
                         std::int64_t positions, ElementType type, std::int64_t count)
    : PanelMemory(program, op, variable_of(loop), steps_of(program, op, shape, loop, positions),
                  type, count) {}

PanelMemory::PanelMemory(const Program& program, const Op& op, std::string_view variable,
                         const std::vector<Step>& steps, ElementType type, std::int64_t count)
    : variable_(variable), type_(c_type(type)), bytes_(count * bytes_of(type)) {
  if (program.values.at(op.output).type() != type)
    spare_ = spare_memory(program, op, bytes_, steps);
}

std::string PanelMemory::parameters(std::string_view name) const {
  return spare_ ? fmt::format("{0} *early, {0} *late", type_) : fmt::format("{} *{}", type_, name);
}

void PanelMemory::declare(CText& text, std::string_view name) const {
  if (spare_)
    text.line("{} *const {} = {} < {} ? early : late;", type_, name, variable_, spare_->turn);
}

void PanelMemory::add_to(FunctionCall& call) const {
  if (spare_)
    call.spare = {spare_->early, spare_->late};
  else
    call.scratch_bytes = bytes_;
}

}  // namespace lockstep::backends
