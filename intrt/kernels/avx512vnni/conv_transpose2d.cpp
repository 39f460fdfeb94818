#include "intrt/kernels/avx512vnni/vector.h"

#include "intrt/kernels/vector/conv_transpose2d.h"

const intrt::FastKernel intrt_avx512vnni_conv_transpose2d = intrt::kConvTranspose2d;
