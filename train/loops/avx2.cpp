#include "train/loops/loops.inl"

namespace lockstep::train {

constinit const Loops kAvx2Loops = loops_named("avx2");

}  // namespace lockstep::train
