// Inputs of the network that bring the accumulators of its linear layers as near as possible to
// their largest and smallest value. What the layers before allow is found by trying: the weights
// say in which direction each input code has to go (gradient.h), codes jump to their ends, and the
// exact semantics say what came of it. Inputs that helped one channel are tried for all channels of
// the layer. What is found depends on the network, the seed and the work alone, never on time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "verify/semantics/exact_network.h"
#include "verify/verify.h"

namespace lockstep::verify {

// What the network is fed with: one entry per graph input, its codes or the bytes of a raw input.
using FedCodes = std::vector<std::vector<std::int16_t>>;

// One end of one channel's accumulators.
struct WorstCase {
  std::string layer;
  std::int64_t channel = 0;
  bool largest = false;  // else the smallest
  // The end that is proved for every input, from the interval of each element that the layer reads.
  // The layer alone attains it: with each element at the end that the sign of its weight asks for.
  std::int64_t bound = 0;
  std::int64_t attained = 0;  // through the network, with the input below
  std::size_t input = 0;      // of WorstInputs::inputs

  bool is_attained() const { return attained == bound; }
};

// An input near that of a case, on which a float32 sum may round visibly (witness.h).
struct WitnessTry {
  std::string layer;
  std::int64_t channel = 0;
  bool largest = false;
  FedCodes input;
};

struct WorstInputs {
  std::vector<WorstCase> cases;  // layer by layer, the shortest way to the input first
  std::vector<FedCodes> inputs;  // each one the best that was found for some case
  std::int64_t channels = 0;     // of all linear layers, searched or not; each has two cases
  std::vector<WitnessTry> tries;
};

// The layers with the fewest channels come first. Each has an equal share of `work`, counted in
// multiplications, and what those before it did not need; what is left in the end goes to the
// layers that have the least before them. Cases for which nothing was left are not searched. A run
// of the layers before one costs their multiplications, and more for each element. Two threads; the
// result does not depend on that.
WorstInputs find_worst_inputs(const ExactNetwork& network, std::uint64_t seed, std::int64_t work);

// What a run with these options uses, witness tries included: nothing where they ask for no made-up
// samples.
WorstInputs worst_inputs_for(const ExactNetwork& network, const Options& options);

}  // namespace lockstep::verify
