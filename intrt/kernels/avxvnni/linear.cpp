#include "intrt/kernels/avxvnni/vector.h"

#include "intrt/kernels/vector/convolution.h"

#include "intrt/kernels/vector/linear_nonzeros.h"

#include "intrt/kernels/vector/linear_either.h"

const intrt::FastKernel intrt_avxvnni_linear = intrt::kLinear;
const intrt::FastKernel intrt_avxvnni_linear_sparse = intrt::kLinear;
