#include "intrt/kernels/neondot/vector.h"

#include "intrt/kernels/vector/conv_transpose2d.h"

const intrt::FastKernel intrt_neondot_conv_transpose2d = intrt::kConvTranspose2d;
