// The records of an opened plan, decoded into plain values. Opening has checked every offset.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compile/graph/graph.h"
#include "intrt/plan_format.h"
#include "verify/differential/plan_runner.h"

namespace lockstep::verify {

struct PlanPost {
  std::uint32_t kind = INTRT_POST_NONE;
  Rounding rounding = Rounding::kTowardZero;
  std::int64_t lo = 0, hi = 0;
  std::vector<int> shifts;  // 1, or one per output channel; empty unless kind is a shift
  std::vector<std::uint8_t>
      keep;  // one 0/1 per output element in physical (HWC) order; empty: no mask

  // Of an output channel. Requires a shift.
  int shift(std::int64_t channel) const {
    return shifts.size() == 1 ? shifts[0] : shifts.at(static_cast<std::size_t>(channel));
  }
};

struct PlanWindow {
  std::int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1,
               dilation_w = 1;
  std::int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
};

struct PlanOp {
  enum Code : std::uint32_t {
    kConv2d = 1,
    kLinear = 2,
    kMaxPool2d = 3,
    kRequantize = 4,
    kTranspose = 5
  };

  std::uint32_t code = 0;
  std::string node;
  std::uint32_t output = 0;
  std::vector<std::uint32_t> inputs;
  PlanWindow window;                  // conv2d, max_pool2d
  std::int64_t groups = 1;            // conv2d
  std::vector<std::int64_t> weights;  // conv2d [O][kh][kw][I], linear [O][K]
  int weight_bits = 0;                // of the type that holds a weight: 8 or 16
  std::vector<std::int64_t> bias;     // 32 bits each; empty: none
  PlanPost post;                      // conv2d, linear, requantize
};

// Throws NotUnderstood for an operator code that this checker does not know.
PlanOp read_op(const OpenPlan& plan, std::uint32_t index);

}  // namespace lockstep::verify
