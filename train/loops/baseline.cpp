#include "train/loops/loops.inl"

namespace lockstep::train {

constinit const Loops kBaselineLoops = loops_named("baseline");

}  // namespace lockstep::train
