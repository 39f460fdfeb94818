// How the C library keeps memory.
#pragma once

namespace lockstep::train {

// From here on this process keeps the memory that it frees for its next use. By default glibc gives
// large blocks back, and for each tensor of each step the kernel hands out and clears new pages.
void keep_freed_memory();

}  // namespace lockstep::train
