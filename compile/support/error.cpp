#include "compile/support/error.h"

#include <cstdio>
#include <cstdlib>

namespace lockstep {

void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "lockstep: internal error: %s:%d: assertion '%s' failed\n", file, line,
               condition);
  std::abort();
}

}  // namespace lockstep
