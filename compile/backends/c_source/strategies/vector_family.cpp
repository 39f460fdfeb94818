#include "compile/backends/c_source/strategies/vector_family.h"

#include "compile/backends/c_source/arith_text.h"

namespace lockstep::backends {

constinit const VectorFamily kMveFamily = {MicroKernels::kMve, "intrt_mve", &kMveText,
                                           // Widening takes even and odd lanes apart.
                                           [](std::int64_t c) { return 4 * (c % 4) + c / 4; },
                                           "4 * (c & 3) + (c >> 2)"};
constinit const VectorFamily kNeonFamily = {MicroKernels::kNeon, "intrt_neon", &kNeonText,
                                            [](std::int64_t c) { return c; }, "c"};

}  // namespace lockstep::backends
