// The recorded networks, compiled.
#pragma once

#include <vector>

#include "compile/compile.h"
#include "tests/verify/recorded_net.h"

namespace lockstep::test {

inline std::vector<std::byte> compile_plan(const Recorded& net, bool keep_layers) {
  return compile_network(net.graph, net.state, {.keep_layers = keep_layers, .after_pass = {}}).plan;
}

}  // namespace lockstep::test
