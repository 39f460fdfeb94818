// Debian's LibTorch takes its BLAS from a system alternative; the reference one is many times
// slower.
#pragma once

#include <string>

namespace lockstep::train {

// Is an optimized BLAS (OpenBLAS, BLIS, ATLAS or MKL) loaded into this process?
bool has_optimized_blas();

// For OpenBLAS, which otherwise takes one thread per core, whatever LibTorch was told. `threads` is
// at least 1.
void set_blas_threads(int threads);

// Its name; of OpenBLAS and BLIS also the version, of OpenBLAS the kernels and the threads, too.
std::string blas_description();

}  // namespace lockstep::train
