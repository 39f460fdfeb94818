// The decimals that fit data best: QSPARSE's search by the least squared error.
#pragma once

#include <torch/types.h>

#include <optional>
#include <vector>

#include "train/sparse_options.h"

namespace lockstep::train {

// Clamps `data` to its two quantiles; (0, 1) returns it unchanged.
torch::Tensor saturate(const torch::Tensor& data, double lo, double hi);

// The decimal n in [decimal_lo, decimal_hi) with the strictly smallest float32 error
// sum((t - Q(t, bits, n))^2) over the saturated data; empty when no error is finite. Changes
// nothing. `errors` (may be null) receives the error of every n.
std::optional<int> search_decimal(const torch::Tensor& data, int bits, const QuantizeSpec& spec,
                                  std::vector<float>* errors = nullptr);

// The same with the user's own quantization in place of Q.
std::optional<int> search_decimal(const torch::Tensor& data, int bits, const QuantizeSpec& spec,
                                  const QuantizeCallback& quantize);

}  // namespace lockstep::train
