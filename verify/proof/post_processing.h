// What happens to sums and codes on their way out: shifts, scales, steps, tables, masks, compared
// with the graph's relu, quantize, prune and float functions as functions, at every argument that
// can occur. Nothing is assumed about which nodes an operator computes: its output tensor says what
// it must hold.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "verify/proof/plan_check.h"
#include "verify/proof/plan_function.h"
#include "verify/proof/plan_reader.h"

namespace lockstep::verify {

// What goes into the post-processing of an operator, per element of the output in (C,H,W) order.
struct Arguments {
  ElementFacts expected;         // the graph's
  std::vector<CodeRange> found;  // the plan's, on the same grids; empty: as expected
  // Per channel, why the two may differ; empty where they are proved equal.
  std::vector<std::string> differences;
  // Per channel, what all arguments lack of the graph's; empty: nothing.
  std::vector<LowBits> low_bits = {};
};

using ChannelFunction = std::function<PlanFunction(std::int64_t channel)>;

// Throws Difference, or NotUnderstood, unless `function_of` makes of the arguments what the output
// tensor must hold. Fills `held` of the output. Arguments may differ where nothing of them can be
// seen: where both sides give the same constant.
void check_post(PlanCheck& check, const PlanOp& op, const Arguments& before,
                const ChannelFunction& function_of);
// With the operator's own post-processing.
void check_post(PlanCheck& check, const PlanOp& op, const Arguments& before);

}  // namespace lockstep::verify
