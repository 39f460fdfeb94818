// The recorded networks, compiled; those that keep their layers for size, with sparse weights.
#pragma once

#include <vector>

#include "compile/compile.h"
#include "tests/verify/recorded_net.h"

namespace lockstep::test {

inline std::vector<std::byte> compile_plan(const Recorded& net, bool keep_layers) {
  return compile_network(
             net.graph, net.state,
             {.keep_layers = keep_layers,
              .optimize = keep_layers ? passes::Objective::kSize : passes::Objective::kSpeed,
              .after_pass = {}})
      .plan;
}

}  // namespace lockstep::test
