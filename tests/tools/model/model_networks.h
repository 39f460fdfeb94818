// Plans of the zoo for tests of lockstep::Model.
#pragma once

#include <string_view>
#include <vector>

#include "compile/compile.h"
#include "tools/zoo/zoo.h"

namespace lockstep::test {

inline std::vector<std::byte> zoo_plan(std::string_view name) {
  const Graph graph = zoo::find_network(name).build({});
  return compile_network(graph, zoo::calibrated_state(graph, 1), {}).plan;
}

}  // namespace lockstep::test
