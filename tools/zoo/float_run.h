// The operators of the zoo in plain float32 loops, for calibration. Not the canonical float path:
// nobody compares codes with what is computed here. What counts is that the same bits come out on
// every machine, so only + - * / and comparisons are used, in a fixed order.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "compile/graph/graph.h"

namespace lockstep::zoo {

// One value of the network for several samples: [sample][element], elements row-major.
struct Samples {
  std::vector<std::int64_t> shape;  // of one sample, without the batch
  std::int64_t count = 0;
  std::vector<float> data;

  std::int64_t elements() const;  // of one sample
  std::int64_t channels() const { return shape[0]; }
  std::int64_t positions() const { return elements() / channels(); }
};

// A convolution, transposed convolution (of one group) or linear layer, with effective weights in
// PyTorch's layout; `bias` is empty or has one value per output. `shape` is the output's.
Samples run_weighted(const Node& node, const Samples& input, std::span<const float> weight,
                     std::span<const float> bias, std::vector<std::int64_t> shape);

// Any operator of the zoo without parameters; another one is our mistake (assert). tanh is a
// rational approximation, good to 3 %.
Samples run_plain(const Node& node, const std::vector<const Samples*>& inputs,
                  std::vector<std::int64_t> shape);

}  // namespace lockstep::zoo
