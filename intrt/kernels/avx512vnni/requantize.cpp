#include "intrt/kernels/avx512vnni/vector.h"

#include "intrt/kernels/vector/requantize.h"

const intrt::FastKernel intrt_avx512vnni_requantize = intrt::kRequantize;
