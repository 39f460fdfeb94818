// Sizes and places are signed here, as in PyTorch; containers want them unsigned.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lockstep::verify {

// Requires 0 <= index.
constexpr std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

}  // namespace lockstep::verify
