#include "intrt/kernels/neondot/vector.h"

#include "intrt/kernels/vector/requantize.h"

const intrt::FastKernel intrt_neondot_requantize = intrt::kRequantize;
