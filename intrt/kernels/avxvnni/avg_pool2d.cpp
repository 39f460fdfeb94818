#include "intrt/kernels/avxvnni/vector.h"

#include "intrt/kernels/vector/avg_pool2d.h"

const intrt::FastKernel intrt_avxvnni_avg_pool2d = intrt::kAvgPool2d;
