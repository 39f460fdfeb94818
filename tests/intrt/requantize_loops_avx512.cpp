#include "tests/intrt/requantize_loops.inl"

namespace lockstep::test {

constinit const Loops kAvx512Loops = loops_named("avx512");

}  // namespace lockstep::test
