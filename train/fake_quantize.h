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

// The codes of `bits` bits: -2^(bits-1) to 2^(bits-1) - 1.
struct CodeRange {
  double lo, hi;
};
CodeRange code_range(int bits);

// Where a relu stands that is computed together with Q.
enum class Relu : std::uint8_t { kNone, kBefore, kAfter };

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

  // What stands around Q: Q(x * mask), Q(relu(x) * mask) or relu(Q(x * mask)).
  struct Around {
    RepeatedMask mask = {};
    Relu relu = Relu::kNone;
  };

  // y[i] = Q(x[i]) for begin <= i < end; y may be x. True when every x[i] * 2^d fits int32; when
  // not, the results are still defined (train/loops/loops.h).
  bool forward(const float* x, float* y, std::int64_t begin, std::int64_t end) const {
    return forward({}, x, y, begin, end);
  }
  bool forward(const Around& around, const float* x, float* y, std::int64_t begin,
               std::int64_t end) const;

  // Straight through: gx[i] = gy[i] clamped to the range of Q. Ignores whether x saturated; NaN
  // stays. `gate`: forward's x with a relu before Q, its y with one after; not read without a relu.
  void backward(const float* gy, float* gx, std::int64_t begin, std::int64_t end) const {
    backward({}, gy, nullptr, gx, begin, end);
  }
  void backward(const Around& around, const float* gy, const float* gate, float* gx,
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
