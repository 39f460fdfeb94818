// The two ways in which something can be wrong, and nothing else:
//   InputError       the user's mistake: a file, an option, a network that has no exact lowering.
//                    One line, which names the file or layer, the value found and the values
//                    allowed. Exit 2.
//   LOCKSTEP_ASSERT  our mistake. On in every build type; prints the condition and aborts. Exit 4.
#pragma once

#include <stdexcept>
#include <string>

namespace lockstep {

struct InputError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);

}  // namespace lockstep

#define LOCKSTEP_ASSERT(condition) \
  ((condition) ? (void)0 : ::lockstep::assertion_failed(#condition, __FILE__, __LINE__))
