// softmax keeps the order of the channels, and that is all that an integer network promises of it:
// an output that is a softmax is the value of its input.
#include "compile/ops/lowering.h"

namespace lockstep::ops {

NodeValue lower_softmax(Lowering& lowering) {
  NodeValue result = lowering.input();
  result.order_of = lowering.node().inputs.at(0);
  return result;
}

}  // namespace lockstep::ops
