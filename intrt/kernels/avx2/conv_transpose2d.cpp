#include "intrt/kernels/avx2/vector.h"

#include "intrt/kernels/vector/conv_transpose2d.h"

const intrt::FastKernel intrt_avx2_conv_transpose2d = intrt::kConvTranspose2d;
