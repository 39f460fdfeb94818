#include "intrt/kernels/neondot/vector.h"

#include "intrt/kernels/vector/avg_pool2d.h"

const intrt::FastKernel intrt_neondot_avg_pool2d = intrt::kAvgPool2d;
