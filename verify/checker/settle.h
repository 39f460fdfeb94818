// From what an operator of a plan has computed to what its output tensor claims to hold.
#pragma once

#include <string>
#include <vector>

#include "verify/checker/values.h"

namespace lockstep::checker {

constexpr Int kFloat32Steps = Int{1} << 24;  // float32 holds every integer up to here
constexpr Int kFloat64Steps = Int{1} << 53;

// What is known while the operators of a plan are gone through.
struct State {
  State(GraphValues& values_, const Plan& plan_)
      : values(values_), plan(plan_), held(plan_.tensors.size()) {}
  // Whether the tensor has the shape of the graph's value by its name, or holds channels of it.
  bool fits(const PlanTensor& tensor) const;

  GraphValues& values;
  const Plan& plan;
  // Per tensor, in physical order: which element of the graph it holds, exactly, and on which grid;
  // of a named tensor on its own. Empty until it is made.
  std::vector<Elements> held;
};

// Where an element of a tensor (in physical order) is in the graph's value.
Int graph_index(const PlanTensor& tensor, Int physical);

// What an operator has for an element of its output before its post-op: an integer x in [lo, hi]
// with that element's value * 2^decimal = x / factor + rest, where x is a multiple of factor *
// 2^spare; lo, hi, decimal, factor and spare are those of `of`.
struct Source {
  Element of;
  // At least 0 and less than 1, with a decimal from 0 to 30: bits of a bias that are finer than the
  // weights' grid.
  Value rest{};
  // The graph has the same number for every input: that is `rest`, and x is always lo.
  bool is_constant = false;
};

// One per element of the output in physical order. Throws Failure where the plan computes something
// else than the graph, whatever its post-op is. `facts` (one per channel) gets their bounds.
std::vector<Source> sources_of(State& state, const PlanOp& op, std::vector<ChannelFacts>& facts);

// Throws Failure unless what the post-op makes of the sources is what the output claims. Fills
// `held` of the output, and post, method, arguments of the facts.
void settle(State& state, const PlanOp& op, const std::vector<Source>& sources,
            std::vector<ChannelFacts>& facts);

}  // namespace lockstep::checker
