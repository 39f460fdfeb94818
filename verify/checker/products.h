// What an operator of a plan computes for each element of its output, and that it is what the graph
// says: every product of a sum, whatever operator makes it, every element of a window, every copy.
#pragma once

#include <string>
#include <vector>

#include "verify/checker/settle.h"
#include "verify/checker/sums.h"

namespace lockstep::checker {

class OpChecker {
 public:
  OpChecker(State& state, const PlanOp& op);

  // Each returns one source per element of the output, in physical order, and throws Failure where
  // the plan computes something else than the graph. `facts` gets the bounds of each channel.
  std::vector<Source> sums(std::vector<ChannelFacts>& facts, Int& weights_checked) const;
  std::vector<Source> products(std::vector<ChannelFacts>& facts) const;
  std::vector<Source> largest() const;
  std::vector<Source> argmax() const;
  std::vector<Source> moved() const;
  std::vector<Source> codes() const;

 private:
  // Calls visit(input, element in physical order, coefficient) for all that is added up for an
  // element of the output.
  template <typename Visit>
  void each_product(Int channel, Int y, Int x, const Visit& visit) const;
  template <typename Visit>
  void each_of_window(Int y, Int x, const Visit& visit) const;
  Int spread(std::size_t input, Int channel, Int y, Int x) const;
  const PlanTensor& tensor(std::size_t input) const {
    return state_.plan.tensors[op_.inputs[input]];
  }
  const Elements& held(std::size_t input) const { return state_.held[op_.inputs[input]]; }
  const Node& graph_node() const;
  // The element of the operator's node at a place of the output.
  Int node_element(Int channel, Int y, Int x) const;
  void need_shape(bool holds, const char* what) const;
  Source copy_of(const Element& element) const;
  Value rest_of(const Value& graph_constant, int exponent, Wide plan_constant, Int factor,
                const std::string& where) const;
  void narrow(Source& source, Int e) const;
  [[noreturn]] void refuse_window(Int channel, Int y, Int x) const;
  std::string place(Int channel, Int y, Int x) const;

  State& state_;
  const PlanOp& op_;
  const PlanTensor& output_;
  std::size_t value_;  // of the node that the operator is named after
};

}  // namespace lockstep::checker
