#include "intrt/kernels/avx2/vector.h"

#include "intrt/kernels/vector/requantize.h"

const intrt::FastKernel intrt_avx2_requantize = intrt::kRequantize;
