// intrt/arith.h as generated C holds it.
#pragma once

namespace lockstep::c_proof {

extern const char* const kArithmeticText;

}  // namespace lockstep::c_proof
