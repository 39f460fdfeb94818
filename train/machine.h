// What decides the bits of float sums, besides the number of threads: a training that is resumed
// elsewhere may end in other bits.
#pragma once

#include <c10/core/Device.h>

#include <string>

namespace lockstep::train {

struct Machine {
  std::string device;     // what computes: "cpu", or "cuda" with the version of cuDNN
  std::string processor;  // its name and the instructions that LibTorch uses
  std::string libtorch;   // its version and oneDNN's
  std::string blas;       // its version, kernels and threads
};

// Of this process, as it is now, when it computes on `device`.
Machine this_machine(torch::Device device);

}  // namespace lockstep::train
