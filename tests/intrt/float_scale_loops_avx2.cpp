#include "intrt/kernels/avx2/vector.h"

#include "intrt/kernels/vector/post.h"

#define FLOAT_LOOPS kFloatLoops_avx2
#include "tests/intrt/float_scale_loops.inl"
