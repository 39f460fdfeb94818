// An input of lowest and highest codes that drives the sums of the first linear operator to their
// ends, as a bit for each element: for the self test of generated C, where it must be small.
#pragma once

#include <cstdint>
#include <vector>

#include "compile/ir/ir.h"

namespace lockstep::backends {

// A bit, 0 or 1, for each element of the program's inputs, one input after the other, each in
// (H,W,C) order; only for the first `most` of them. Where the bits say highest and lowest code, a
// convolution's windows that share no element have, one after the other, each of its output
// channels at its largest and, once all had their turn, at its smallest sum; the complement of the
// bits has them the other way round. A linear layer has one channel there, of the largest sums.
// Empty where no convolution or linear layer reads an input, as it is or requantized. The layout is
// physical.
std::vector<std::uint8_t> aligned_bits(const ir::Program& program, std::int64_t most);

}  // namespace lockstep::backends
