// Sizes that come from a file, multiplied without overflow. Internal to compile/checkpoint.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace lockstep {

constexpr std::size_t kMaxTensors = 65536;
constexpr std::size_t kMaxTensorRank = 64;  // LibTorch's own limit

// The product of all dimensions. Nothing when one is negative, there are more than kMaxTensorRank,
// or the product of the nonzero ones does not fit 63 bits.
std::optional<std::int64_t> checked_element_count(std::span<const std::int64_t> shape);

}  // namespace lockstep
