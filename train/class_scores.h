// Which value of a graph says how likely each class is: the loss and the accuracy look at it.
#pragma once

#include <string>

#include "compile/graph/graph.h"

namespace lockstep::train {

// The name of the first output, or of the value that a softmax, log_softmax or argmax reads which
// makes it, identities aside: cross entropy takes the softmax itself, and none of the three changes
// which class is first.
std::string class_scores_name(const Graph& graph);

// InputError names an argmax on the way to the class scores: it has no gradient, so whatever comes
// before it would never train.
void require_gradients(const Graph& graph);

}  // namespace lockstep::train
