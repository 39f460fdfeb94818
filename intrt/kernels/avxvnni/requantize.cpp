#include "intrt/kernels/avxvnni/vector.h"

#include "intrt/kernels/vector/requantize.h"

const intrt::FastKernel intrt_avxvnni_requantize = intrt::kRequantize;
