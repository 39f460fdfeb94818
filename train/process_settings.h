// How this process computes.
#pragma once

namespace lockstep::train {

// Sets LibTorch's and OpenBLAS's threads (0: leaves both their choice), and has the C library keep
// freed memory for its next use: by default glibc gives large blocks back, and for each tensor of
// each step the kernel hands out and clears new pages.
void prepare_process(int threads);

}  // namespace lockstep::train
