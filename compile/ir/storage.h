// How many bytes weights take in a plan, dense and sparse (docs/plan-format.md).
#pragma once

#include <cstdint>

#include "compile/ir/ir.h"

namespace lockstep::ir {

// The type of an operator's weights in a plan: int32 with wide accumulators, else the narrowest
// that holds them all, int8 or int16.
ElementType weight_type(const xt::xarray<std::int32_t>& weights, bool wide);

inline constexpr std::int64_t kSegmentBytes = 8;  // intrt_segment

struct StorageSize {
  std::int64_t outputs = 1, taps = 1, inputs = 1;  // inputs: of one tap
  std::int64_t nonzeros = 0;
  std::int64_t element_bytes = 1;

  std::int64_t weights() const { return outputs * taps * inputs; }
  std::int64_t dense_bytes() const { return weights() * element_bytes; }
  // Of the sparse form: bits, which fill whole bytes for every tap; first weights of the outputs.
  std::int64_t bitmap_bytes() const { return outputs * taps * ((inputs + 7) / 8); }
  std::int64_t starts_bytes() const { return 4 * (outputs + 1); }
  std::int64_t sparse_bytes() const {
    return bitmap_bytes() + starts_bytes() + nonzeros * element_bytes;
  }
};

// Of weights in physical order: their first axis is the output channel, their last one the inputs
// of a tap.
StorageSize storage_size(const xt::xarray<std::int32_t>& weights, bool wide);

// The bytes of weights as `kind` keeps them, with the list of its segments.
template <typename Kind>
std::int64_t stored_weight_bytes(const Kind& kind) {
  const StorageSize size = storage_size(kind.weights, kind.wide);
  if constexpr (requires { kind.sparse; }) {
    if (kind.sparse) return size.sparse_bytes();
    return size.dense_bytes() + static_cast<std::int64_t>(kind.segments.size()) * kSegmentBytes;
  } else {
    return size.dense_bytes();
  }
}

// The bytes of all other constants of an op in a plan: shifts, multipliers, thresholds, masks,
// look-up tables, lists of copies and of windows.
std::int64_t table_bytes(const Program& program, const Op& op);

}  // namespace lockstep::ir
