// What this CPU and its operating system can run: one function for each fast variant of kernels
// that is built in, and for what only some of its CPUs have.
#pragma once

namespace intrt {

bool has_avx512vnni();
bool has_avx512vbmi();  // kernels of avx512vnni may use it
bool has_avxvnni();
bool has_avx2();
bool has_neondot();

}  // namespace intrt
