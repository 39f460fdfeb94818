// The text of intrt/arith.h, so that generated C computes with the runtime's own arithmetic.
#pragma once

namespace lockstep::backends {

extern const char* const kArithText;

}  // namespace lockstep::backends
