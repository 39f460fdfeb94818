// Inputs on which a float32 sum that may round probably does, and shows it: near those that drive
// the sum to its ends, with odd codes, and with the exact sum next to a place where the quantize
// node behind it changes its code. Whether LibTorch's float32 really differs there, a run says.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "verify/semantics/exact_network.h"
#include "verify/worst/worst_inputs.h"

namespace lockstep::verify {

// About `tries` inputs, the same number for each layer whose float32 sum may round and whose cases
// were searched; fewer where running them would cost more than `work` multiplications. Next to a
// change of code exactly where the layer is the first one, else as near as the gradient can tell.
std::vector<WitnessTry> find_witness_tries(const ExactNetwork& network, const WorstInputs& worst,
                                           std::uint64_t seed, std::int64_t tries,
                                           std::int64_t work);

}  // namespace lockstep::verify
