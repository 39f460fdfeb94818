// The decimals that fit data best: QSPARSE's search by the least squared error.
#pragma once

#include <torch/types.h>

#include <optional>
#include <vector>

#include "train/sparse_options.h"

namespace lockstep::train {

// Clamps `data` to its two quantiles; (0, 1) returns it unchanged.
torch::Tensor saturate(const torch::Tensor& data, double lo, double hi);

// For each row of `rows` (2-d, a row holds the data of one channel), the decimal n in [decimal_lo,
// decimal_hi) with the strictly smallest float32 error sum((t - Q(t, bits, n))^2) over the row,
// saturated; empty when no error is finite. Changes nothing.
//
// The sum is LibTorch's, in its order, as in QSPARSE. Few candidates need it: errors are first
// summed in double, for several candidates in one pass over the data, and those that are not within
// rounding of the least are out. Candidates that cannot win are not looked at: below the largest n
// that saturates nothing the error only grows, as those grids are coarser, and above it the error
// of the saturated values only grows.
std::vector<std::optional<int>> search_decimals(const torch::Tensor& rows, int bits,
                                                const QuantizeSpec& spec);

// The error of one candidate over saturated data (float32), as the search compares them.
float decimal_error(const torch::Tensor& data, int bits, Rounding rounding, int decimal);

// The same with the user's own quantization in place of Q, and `data` of any shape.
std::optional<int> search_decimal(const torch::Tensor& data, int bits, const QuantizeSpec& spec,
                                  const QuantizeCallback& quantize);

}  // namespace lockstep::train
