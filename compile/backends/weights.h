// How both backends store constants.
#pragma once

#include <cstdint>
#include <vector>

#include "compile/ir/ir.h"

namespace lockstep::backends {

// The narrowest type that holds all weights: int8 or int16.
ir::ElementType weight_type(const xt::xarray<std::int32_t>& weights);

// One bit per element, element i in bit i % 8 of byte i / 8, unused bits 0.
std::vector<std::uint8_t> pack_mask(const std::vector<std::uint8_t>& mask);

}  // namespace lockstep::backends
