#include "train/loops/loops.inl"

namespace lockstep::train {

constinit const Loops kAvx512Loops = loops_named("avx512");

}  // namespace lockstep::train
