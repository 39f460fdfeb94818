// Folds batch norms into the layers before them: the same real-valued function in eval mode, with
// one layer fewer. Folding changes weights, and with them the decimals and masks that fit, so it
// comes before quantization.
#pragma once

#include <string>
#include <vector>

#include "compile/checkpoint/state_dict.h"
#include "compile/graph/graph.h"

namespace lockstep::train {

struct FusedNetwork {
  Graph graph;
  StateDict state;
  std::vector<std::string> folded;  // the batch norms that are gone, in order
};

// For each convolution or linear layer whose value only a batch norm reads, with
// scale = weight / sqrt(running_var + eps) of the batch norm, computed in double and rounded once:
//   weight' = weight * scale per output channel, bias' = (bias - running_mean) * scale + offset.
// The layer gets a bias if it had none; readers of the batch norm read the layer. Other batch norms
// stay. InputError names a key that is missing or has a wrong shape, and a layer whose wraps have
// seen data already.
FusedNetwork fuse_batch_norm(Graph graph, const StateDict& state);

}  // namespace lockstep::train
