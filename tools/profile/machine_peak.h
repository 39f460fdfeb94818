// What this machine can do at most: measured, for comparison with what kernels do.
#pragma once

#include <string>

namespace lockstep::cli {

struct MachinePeak {
  double macs_per_second = 0;          // multiply-accumulates of codes in registers
  double cache_bytes_per_second = 0;   // read from 256 KB of each thread
  double memory_bytes_per_second = 0;  // read from 64 MB of all
};

// With the instructions of a kernel variant that runs here, on `threads` threads at the same time.
// Takes about half a second.
MachinePeak measure_peak(const std::string& kernels, int threads);

}  // namespace lockstep::cli
