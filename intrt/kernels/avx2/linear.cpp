#include "intrt/kernels/avx2/vector.h"

#include "intrt/kernels/vector/convolution.h"

#include "intrt/kernels/vector/linear_nonzeros.h"

#include "intrt/kernels/vector/linear_either.h"

const intrt::FastKernel intrt_avx2_linear = intrt::kLinear;
const intrt::FastKernel intrt_avx2_linear_sparse = intrt::kLinear;
