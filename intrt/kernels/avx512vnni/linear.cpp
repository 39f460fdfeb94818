#include "intrt/kernels/avx512vnni/convolution.h"
#include "intrt/kernels/avx512vnni/linear_nonzeros.h"

#include "intrt/kernels/vector/linear_either.h"

const intrt::FastKernel intrt_avx512vnni_linear = intrt::kLinear;
const intrt::FastKernel intrt_avx512vnni_linear_sparse = intrt::kLinear;
