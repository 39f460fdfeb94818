// What decides the bits of float sums, besides the number of threads: a training that is resumed
// elsewhere may end in other bits.
#pragma once

#include <string>

namespace lockstep::train {

struct Machine {
  std::string processor;  // its name and the instructions that LibTorch uses
  std::string libtorch;   // its version and oneDNN's
  std::string blas;       // its version, kernels and threads
};

// Of this process, as it is now.
Machine this_machine();

}  // namespace lockstep::train
