#include "tests/intrt/requantize_loops.inl"

namespace lockstep::test {

constinit const Loops kBaselineLoops = loops_named("baseline");

}  // namespace lockstep::test
