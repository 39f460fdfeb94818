// Which elements are large enough to stay: QSPARSE's two pruning callbacks, and one for blocks.
#pragma once

#include <torch/types.h>

#include <span>

#include "train/sparse_options.h"

namespace lockstep::train {

// The mask (bool, true = keep) of `sparsity` over the mean of |entry| of the window. With n
// elements, those below the max(int(sparsity * n - 1), 0)-th smallest are pruned; ties with it
// stay, NaN goes.
torch::Tensor unstructured_mask(std::span<const torch::Tensor> window, double sparsity);

// The same on the entries reduced by abs-mean over every dimension not in `dims`; the mask keeps
// size 1 there.
torch::Tensor structured_mask(std::span<const torch::Tensor> window,
                              std::span<const std::int64_t> dims, double sparsity);

// The same on the mean of |entry| over blocks of these extents along the first dimensions, 1 along
// the others; a block at an end has the elements that there are. The mask has the data's shape.
// InputError when the data has fewer dimensions than `extents`, or none is given.
torch::Tensor block_mask(std::span<const torch::Tensor> window,
                         std::span<const std::int64_t> extents, double sparsity);

}  // namespace lockstep::train
