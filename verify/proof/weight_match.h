// Which of the graph's weights each weight of a plan's linear operator is, where the tensors of the
// plan hold some channels only, and what the graph adds for the channels that the plan leaves out:
// nothing, where their weights are 0, or what belongs into the bias, where they are the same for
// every input and at every position.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "verify/proof/plan_check.h"
#include "verify/proof/plan_reader.h"
#include "verify/proof/reach.h"
#include "verify/semantics/linear_constants.h"

namespace lockstep::verify {

// Of the output channels of one group of the plan.
struct WeightMatch {
  std::vector<std::int64_t> graph_weight;  // per weight k of the plan (reach.h): the graph's k
  std::vector<bool> is_missing;  // per weight of the graph: the plan does not read what it meets
  bool any_missing = false;
};

// The sums of products that a plan leaves out of one output channel.
struct LeftOut {
  std::vector<CodeRange> sums;  // per position, in steps of the graph's accumulator; empty: all 0
  // A weight k of the graph that meets what is not always the same, and that, on the graph's grid.
  std::optional<std::int64_t> varying_weight;
  CodeRange varying_codes;

  // One sum for every input and at every position, that may be part of the bias.
  bool is_constant() const {
    return !varying_weight && std::ranges::adjacent_find(sums, std::not_equal_to<>()) == sums.end();
  }
  std::int64_t constant() const { return sums.empty() ? 0 : sums[0].lo; }
};

class WeightMatcher {
 public:
  // `source`: the node whose value the operator reads; `reach`: of the plan's operator, whose
  // window is the graph's, with what the graph pads before `node` as padding. Keeps references.
  WeightMatcher(const PlanCheck& check, const PlanOp& op, const Node& node,
                const std::string& source, const Reach& reach);

  // Of the group that begins with the plan's output channel `output`. Throws Difference where an
  // output would be made of inputs of another group than the graph says.
  WeightMatch match(std::int64_t output) const;
  // Of the plan's output channel `output`, which belongs to the group of `match`.
  LeftOut left_out(const WeightMatch& match, std::int64_t output);

  // On which grid the graph counts what each element of the plan's input is.
  const std::vector<int>& input_decimals() const { return plan_decimals_; }

 private:
  const PlanCheck& check_;
  const PlanOp& op_;
  const VisibleTensor &input_, &output_;
  const Format& format_;  // of the input
  const LinearConstants& constants_;
  const Reach& reach_;
  Reach graph_reach_;
  std::vector<int> graph_decimals_, plan_decimals_;
  std::vector<CodeRange> ranges_;  // per element of the graph's input, on graph_decimals_; or empty
};

}  // namespace lockstep::verify
