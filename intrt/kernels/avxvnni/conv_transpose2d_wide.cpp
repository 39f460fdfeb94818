#include "intrt/kernels/avxvnni/wide.h"

#include "intrt/kernels/vector/conv_transpose2d.h"

const intrt::FastKernel intrt_avxvnni_conv_transpose2d_wide = intrt::kConvTranspose2d;
