// Weights of 16 bits with codes of 8 or 16: what variants with AVX2 have in common. A wide.h
// includes this and defines `dot`.
#pragma once

#include "intrt/kernels/avx2/pairs.h"

namespace intrt {
namespace {

using Weight = int16_t;  // prepared

inline Vector load_weights(const Weight* weights) { return load_codes(weights); }

inline void stack(Code* to, const int16_t* const (&rows)[kDepth]) {
  stack_pairs(to, load_codes(rows[0]), load_codes(rows[1]));
}

}  // namespace
}  // namespace intrt
