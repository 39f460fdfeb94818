#include "intrt/kernels/avx512vnni/wide.h"

#include "intrt/kernels/vector/conv_transpose2d.h"

const intrt::FastKernel intrt_avx512vnni_conv_transpose2d_wide = intrt::kConvTranspose2d;
