// The texts of intrt/arith.h and of the micro-kernels, so that generated C computes with the
// runtime's own arithmetic.
#pragma once

namespace lockstep::backends {

extern const char* const kArithText;
extern const char* const kDspText;     // intrt/micro/dsp.h
extern const char* const kPackedText;  // intrt/micro/packed.h
extern const char* const kSparseText;  // intrt/micro/sparse.h
extern const char* const kMveText;     // intrt/micro/mve.h
extern const char* const kNeonText;    // intrt/micro/neon.h
extern const char* const kWideText;    // intrt/micro/wide.h
extern const char* const kLinearText;  // intrt/micro/linear.h

}  // namespace lockstep::backends
