// What this CPU and its operating system can run: one function for each fast variant of kernels
// that is built in.
#pragma once

namespace intrt {

bool has_avx512vnni();
bool has_avxvnni();
bool has_avx2();
bool has_neondot();

}  // namespace intrt
