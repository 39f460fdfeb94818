// What an operator of a plan computes for each element of its output, and that it is what the graph
// says: every product of a sum, whatever operator makes it (products.cpp); every element of a
// window, every copy (picks.cpp).
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
  // Calls visit(tap, pixel of the input) for every tap of a window that meets the input.
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

template <typename Visit>
void OpChecker::each_of_window(Int y, Int x, const Visit& visit) const {
  const PlanTensor& in = tensor(0);
  const bool is_transposed = op_.code == OpCode::kConvTranspose2d;
  const auto met = [&](std::size_t axis, Int position, Int tap) -> Int {
    const Int size = axis == 0 ? in.height : in.width;
    Int place = position * op_.stride[axis] - op_.pad_before[axis] + tap * op_.dilation[axis];
    if (is_transposed) {
      const Int scaled = position + op_.pad_before[axis] - tap * op_.dilation[axis];
      if (scaled < 0 || scaled % op_.stride[axis] != 0) return -1;
      place = scaled / op_.stride[axis];
    }
    return place < size ? place : -1;
  };
  for (Int ky = 0; ky < op_.kernel[0]; ++ky) {
    const Int row = met(0, y, ky);
    if (row < 0) continue;
    for (Int kx = 0; kx < op_.kernel[1]; ++kx)
      if (const Int column = met(1, x, kx); column >= 0)
        visit(ky * op_.kernel[1] + kx, row * in.width + column);
  }
}

}  // namespace lockstep::checker
