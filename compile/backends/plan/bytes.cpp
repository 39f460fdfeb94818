#include "compile/backends/plan/bytes.h"

#include <limits>

#include "compile/support/error.h"

namespace lockstep::backends {
namespace {

template <typename T>
T narrow(std::int64_t x) {
  LOCKSTEP_ASSERT(x >= std::numeric_limits<T>::min() && x <= std::numeric_limits<T>::max());
  return static_cast<T>(x);
}

}  // namespace

std::uint32_t u32(std::int64_t x) { return narrow<std::uint32_t>(x); }

std::int32_t i32(std::int64_t x) { return narrow<std::int32_t>(x); }

std::int8_t i8(std::int64_t x) { return narrow<std::int8_t>(x); }

std::uint32_t size32(std::size_t size) { return u32(static_cast<std::int64_t>(size)); }

}  // namespace lockstep::backends
