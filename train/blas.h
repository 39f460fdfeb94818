// Debian's LibTorch takes its BLAS from a system alternative; the reference one is many times
// slower.
#pragma once

namespace lockstep::train {

// Is an optimized BLAS (OpenBLAS, BLIS, ATLAS or MKL) loaded into this process?
bool has_optimized_blas();

}  // namespace lockstep::train
