// QSPARSE's two pruning callbacks: which elements are large enough to stay.
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

}  // namespace lockstep::train
