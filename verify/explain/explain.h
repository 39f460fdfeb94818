// One value of one layer for one sample, worked out in the open: term by term as the graph and its
// state dict mean it, beside what LibTorch gets, and term by term as the plan's operator computes
// it, beside what a run of the plan holds. For people who look for the place where two paths part.
#pragma once

#include <cstdint>
#include <string>

#include "verify/verify.h"

namespace lockstep::verify {

struct ExplainedPlace {
  std::string layer;  // a node or an input of the graph, also one inside a fused operator
  // In the layer's shape; y is 0 of [C, L], y and x are 0 of [C].
  std::int64_t channel = 0, y = 0, x = 0;
  std::int64_t sample = 0;  // as verify_plan numbers them: the data, then what it makes up
};

// Lines of text. InputError says what there is for a layer, a place or a sample that is not there,
// and for bad input like verify_plan. A plan that is wrong is explained like any other.
std::string explain_value(const Graph& graph, const StateDict& state, const ExplainedPlace& place,
                          const Options& options);

}  // namespace lockstep::verify
