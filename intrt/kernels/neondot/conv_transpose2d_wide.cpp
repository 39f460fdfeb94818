#include "intrt/kernels/neondot/wide.h"

#include "intrt/kernels/vector/conv_transpose2d.h"

const intrt::FastKernel intrt_neondot_conv_transpose2d_wide = intrt::kConvTranspose2d;
