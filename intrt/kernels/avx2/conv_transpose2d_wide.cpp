#include "intrt/kernels/avx2/wide.h"

#include "intrt/kernels/vector/conv_transpose2d.h"

const intrt::FastKernel intrt_avx2_conv_transpose2d_wide = intrt::kConvTranspose2d;
