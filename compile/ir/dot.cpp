// A program as a picture: operators as boxes, values as arrows. Graphviz's dot language.
#include <fmt/format.h>

#include "compile/ir/ir.h"

namespace lockstep::ir {
namespace {

std::string dot_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

std::string shape_text(const Value& value) {
  const Shape& s = value.shape;
  const std::string size = s.logical_rank == 3   ? fmt::format("{}x{}x{}", s.c, s.h, s.w)
                           : s.logical_rank == 2 ? fmt::format("{}x{}", s.c, s.w)
                                                 : fmt::format("{}", s.count());
  return fmt::format("{} {}{}", size, value.bytes ? "uint" : "int", value.bits);
}

}  // namespace

std::string to_dot(const Program& program) {
  std::string text = fmt::format("digraph {} {{\n  node [shape=box];\n", dot_string(program.name));
  std::vector<std::string> maker(program.values.size());  // the node of the picture
  for (const ValueId id : program.inputs) {
    maker[id] = fmt::format("input{}", id);
    text += fmt::format("  {} [shape=ellipse, label={}];\n", maker[id],
                        dot_string(program.values[id].node));
  }
  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    const Op& op = program.ops[i];
    const std::string name = fmt::format("op{}", i);
    text += fmt::format("  {} [label={}];\n", name,
                        dot_string(fmt::format("{} {}", op_name(op.kind), op.node)));
    for (const ValueId id : op.inputs)
      text += fmt::format("  {} -> {} [label={}];\n", maker[id], name,
                          dot_string(shape_text(program.values[id])));
    maker[op.output] = name;
  }
  for (const ValueId id : program.outputs)
    text += fmt::format(
        "  output{0} [shape=ellipse, label={1}];\n  {2} -> output{0} [label={3}];\n", id,
        dot_string(program.values[id].node), maker[id], dot_string(shape_text(program.values[id])));
  return text + "}\n";
}

}  // namespace lockstep::ir
