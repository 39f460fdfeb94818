// Q(x), its straight-through gradient and its squared error over tensors whose elements have one
// format each channel: cuts the data into runs for the loops of train/loops. No LibTorch here: the
// layers hand in plain pointers and split the range among threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "compile/graph/graph.h"
#include "train/loops/loops.h"

namespace lockstep::train {

// A binary mask that repeats: element i has keep[i % period]. A null `keep` keeps everything.
struct RepeatedMask {
  const std::uint8_t* keep = nullptr;
  std::int64_t period = 0;
};

// y[i] = x[i] * mask for begin <= i < end. y may be x.
void multiply_mask(RepeatedMask mask, const float* x, float* y, std::int64_t begin,
                   std::int64_t end);

// One format per channel (or one for all). Element i belongs to channel (i / inner) % channels.
class FakeQuantizer {
 public:
  // `decimals` has one entry, or one per channel; non-integers are legal real scales. 1 <= bits
  // <= 32.
  FakeQuantizer(std::span<const float> decimals, int bits, Rounding rounding,
                std::int64_t inner = 1);

  // What stands around Q: relu(Q(x * mask)).
  struct Around {
    RepeatedMask mask = {};
    bool relu = false;
  };

  // y[i] = Q(x[i]) for begin <= i < end; y may be x. True when every x[i] * 2^d fits int32; when
  // not, the results are still defined (train/loops/loops.h).
  bool forward(const float* x, float* y, std::int64_t begin, std::int64_t end) const {
    return forward({}, x, y, begin, end);
  }
  bool forward(const Around& around, const float* x, float* y, std::int64_t begin,
               std::int64_t end) const;

  // Straight through: gx[i] = gy[i] clamped to the range of Q. Ignores whether x saturated; NaN
  // stays. `y`: what forward returned; read only with relu, and may be null without.
  void backward(const float* gy, float* gx, std::int64_t begin, std::int64_t end) const {
    backward({}, gy, nullptr, gx, begin, end);
  }
  void backward(const Around& around, const float* gy, const float* y, float* gx,
                std::int64_t begin, std::int64_t end) const;

  // error[i] = (x[i] - Q(x[i]))^2 in float32.
  void squared_error(const float* x, float* error, std::int64_t begin, std::int64_t end) const;

 private:
  template <typename Run>
  void for_each_run(std::int64_t begin, std::int64_t end, std::int64_t period, Run run) const;

  // One entry per channel; where channels are short, one per element of all channels.
  std::vector<float> scales_, inverses_, value_los_, value_his_;
  CodeLimits limits_;
  Rounding rounding_;
  std::int64_t run_length_;  // neighbours with one entry; 1 where each element has its own
};

}  // namespace lockstep::train
