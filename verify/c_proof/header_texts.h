// Headers of intrt as generated C holds them.
#pragma once

namespace lockstep::c_proof {

extern const char* const kArithmeticText;
extern const char* const kDspText;
extern const char* const kPackedText;
extern const char* const kSparseText;
extern const char* const kMveText;
extern const char* const kNeonText;
extern const char* const kWideText;
extern const char* const kLinearText;

}  // namespace lockstep::c_proof
