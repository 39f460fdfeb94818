// The mutation score of the proof of generated C.
#pragma once

#include <cstdint>

#include "verify/mutate/score.h"

namespace lockstep::bench {

// At least so many changes of the C of random networks whose inputs have at most 14 bits together.
// One that is accepted must, compiled with gcc's sanitizers, run on every input there is, give the
// same outputs and have the same tables; else it survives. InputError without gcc.
mutate::Score c_mutation_score(std::int64_t mutants, std::uint64_t seed, int jobs);

}  // namespace lockstep::bench
