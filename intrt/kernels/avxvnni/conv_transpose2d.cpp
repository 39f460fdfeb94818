#include "intrt/kernels/avxvnni/vector.h"

#include "intrt/kernels/vector/conv_transpose2d.h"

const intrt::FastKernel intrt_avxvnni_conv_transpose2d = intrt::kConvTranspose2d;
