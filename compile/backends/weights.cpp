#include "compile/backends/weights.h"

#include <algorithm>

#include "compile/support/error.h"

namespace lockstep::backends {

ir::ElementType weight_type(const xt::xarray<std::int32_t>& weights, bool wide) {
  LOCKSTEP_ASSERT(weights.size() > 0);
  if (wide) return ir::ElementType::kInt32;
  const auto [lo, hi] = std::minmax_element(weights.begin(), weights.end());
  return ir::bits_to_hold(*lo, *hi) <= 8 ? ir::ElementType::kInt8 : ir::ElementType::kInt16;
}

std::int64_t weight_element_bytes(const xt::xarray<std::int32_t>& weights, bool wide) {
  const ir::ElementType type = weight_type(weights, wide);
  return type == ir::ElementType::kInt8 ? 1 : type == ir::ElementType::kInt16 ? 2 : 4;
}

std::vector<std::uint8_t> pack_mask(const std::vector<std::uint8_t>& mask) {
  std::vector<std::uint8_t> bits((mask.size() + 7) / 8, 0);
  for (std::size_t i = 0; i < mask.size(); ++i)
    if (mask[i] != 0) bits[i / 8] = static_cast<std::uint8_t>(bits[i / 8] | (1U << (i % 8)));
  return bits;
}

}  // namespace lockstep::backends
