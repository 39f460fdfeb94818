#include "compile/backends/c_source/functions/function.h"

#include <algorithm>

namespace lockstep::backends {

Function::Function(CText& text, const ir::Program& program, std::size_t index,
                   std::string_view prefix)
    : text_(text),
      program_(program),
      op_(program.ops.at(index)),
      out_(program.values.at(op_.output)),
      name_(fmt::format("{}_op{}_{}", prefix, index, ir::op_name(op_.kind))),
      keep_(fmt::format("{}_keeps", prefix)) {}

std::string Function::in_name(std::size_t k) const {
  return op_.inputs.size() == 1 ? "in" : fmt::format("in{}", k);
}

void Function::open() {
  std::string parameters;
  for (std::size_t k = 0; k < op_.inputs.size(); ++k)
    parameters += fmt::format("const {} *{}, ", in_type(k), in_name(k));
  text_.line("static INTRT_NOINLINE void {}({}{} *out) {{", name_, parameters, out_type());
}

std::string Function::table(std::string_view suffix, const std::vector<std::int64_t>& elements) {
  std::string name = fmt::format("{}_{}", name_, suffix);
  text_.array(narrowest_type(elements), name, elements);
  return name;
}

std::string Function::constant(std::string_view suffix, const std::vector<std::int64_t>& elements,
                               std::string_view index) {
  const bool alike = std::all_of(elements.begin(), elements.end(),
                                 [&](std::int64_t x) { return x == elements.front(); });
  return alike ? c_integer(elements.front())
               : fmt::format("{}[{}]", table(suffix, elements), index);
}

std::string Function::cast(const std::string& value) const {
  const bool is_sum = value.find(' ') < value.find('(');
  return fmt::format("({}){}", out_type(), is_sum ? fmt::format("({})", value) : value);
}

std::string Function::keeps(const std::string& element) const {
  return fmt::format("{}({}_mask, {})", keep_, name_, element);
}

}  // namespace lockstep::backends
