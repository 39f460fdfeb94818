// How both backends store constants.
#pragma once

#include <cstdint>
#include <vector>

#include "compile/ir/ir.h"

namespace lockstep::backends {

// The type of an operator's weights in a plan: int32 with wide accumulators, else the narrowest
// that holds them all, int8 or int16.
ir::ElementType weight_type(const xt::xarray<std::int32_t>& weights, bool wide);
std::int64_t weight_element_bytes(const xt::xarray<std::int32_t>& weights, bool wide);

// One bit per element, element i in bit i % 8 of byte i / 8, unused bits 0.
std::vector<std::uint8_t> pack_mask(const std::vector<std::uint8_t>& mask);

}  // namespace lockstep::backends
