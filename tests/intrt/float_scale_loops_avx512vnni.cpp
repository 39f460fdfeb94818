#include "intrt/kernels/avx512vnni/float_scale.h"

#define FLOAT_LOOPS kFloatLoops_avx512vnni
#include "tests/intrt/float_scale_loops.inl"
