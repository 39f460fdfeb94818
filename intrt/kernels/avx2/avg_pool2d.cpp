#include "intrt/kernels/avx2/vector.h"

#include "intrt/kernels/vector/avg_pool2d.h"

const intrt::FastKernel intrt_avx2_avg_pool2d = intrt::kAvgPool2d;
