#include "tests/intrt/requantize_loops.inl"

namespace lockstep::test {

constinit const Loops kAvx2Loops = loops_named("avx2");

}  // namespace lockstep::test
