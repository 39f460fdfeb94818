// Looking without touching: while a FreezeGuard lives, the quantize and prune layers of this thread
// apply what they have learnt and change nothing. Measuring accuracy needs it, because in QSPARSE a
// forward in eval mode may collect data and even start the quantization. Works as
// torch::NoGradGuard does.
#pragma once

namespace lockstep::train {

class FreezeGuard {
 public:
  FreezeGuard() : outer_(active_) { active_ = true; }
  ~FreezeGuard() { active_ = outer_; }
  FreezeGuard(const FreezeGuard&) = delete;
  FreezeGuard& operator=(const FreezeGuard&) = delete;

  static bool is_active() { return active_; }

 private:
  static inline thread_local bool active_ = false;
  bool outer_;
};

}  // namespace lockstep::train
