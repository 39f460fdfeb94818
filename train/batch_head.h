// The first samples of a batch, on which quantize and prune layers decide.
//
// When several processes share a batch, each runs its layers on its part, and all must decide
// alike: on the first samples of the whole batch. While a SharedBatch lives, the layers of this
// thread get those; and quantizers of weights leave the gradient as it is, since only the sum over
// all processes can be clamped. Works as FreezeGuard does.
#pragma once

#include <torch/types.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>

namespace lockstep::train {

class SharedBatch {
 public:
  // What batch_head does while this lives.
  using Head = std::function<torch::Tensor(const torch::Tensor& part, std::int64_t count)>;
  explicit SharedBatch(Head head) : head_(std::move(head)), outer_(innermost_) {
    innermost_ = this;
  }
  ~SharedBatch() { innermost_ = outer_; }
  static bool is_active() { return innermost_ != nullptr; }
  SharedBatch(const SharedBatch&) = delete;
  SharedBatch& operator=(const SharedBatch&) = delete;

 private:
  friend torch::Tensor batch_head(const torch::Tensor& part, std::int64_t count);
  static inline thread_local const SharedBatch* innermost_ = nullptr;
  Head head_;
  const SharedBatch* outer_;
};

// The first `count` samples, along axis 0, of the batch that `part` belongs to; all of them when
// there are fewer. Without a SharedBatch `part` is the whole, and the result shares its memory.
inline torch::Tensor batch_head(const torch::Tensor& part, std::int64_t count) {
  if (SharedBatch::innermost_ != nullptr) return SharedBatch::innermost_->head_(part, count);
  return part.narrow(0, 0, std::min(count, part.size(0)));
}

}  // namespace lockstep::train
