// Which products a sum of the graph has: convolutions, linear layers, add and sub, means, bilinear
// upsampling, all in one form. Element e of the result is
//   (sum of coefficient * 2^-decimal * input element) + the bias of its channel.
#pragma once

#include <array>
#include <vector>

#include "verify/checker/values.h"

namespace lockstep::checker {

class Sums {
 public:
  // `output` has the result's shape; both must outlive this.
  Sums(const Node& node, const std::vector<Shape>& inputs);
  static bool is_sum(const Node& node);

  const Shape& output() const { return output_; }
  // Calls visit(input, element, coefficient, decimal) for every product of the element at channel
  // o, position (y, x), whose coefficient is not 0.
  template <typename Visit>
  void each(Int o, Int y, Int x, const Visit& visit) const {
    switch (kind_) {
      case Kind::kConvolution:
        return each_of_convolution(o, y, x, visit);
      case Kind::kLinear:
        return each_of_linear(o, visit);
      case Kind::kPair:
        return each_of_pair(o, y, x, visit);
      case Kind::kMean:
        return each_of_mean(o, y, x, visit);
      case Kind::kBilinear:
        return each_of_bilinear(o, y, x, visit);
    }
  }
  // What every sum is divided by, in floating point: of a mean over windows of different sizes what
  // they have in common, and the coefficients make up for it. 1 where that is 2^k: then it is in
  // the coefficients' decimals.
  Int divisor() const { return divisor_; }
  int finest() const { return finest_; }  // the largest decimal of any coefficient
  Value bias(Int o) const;                // 0 without one, and for a float bias

 private:
  enum class Kind { kConvolution, kLinear, kPair, kMean, kBilinear };
  struct Span {  // positions begin .. end - 1; a mean divides by count, and multiplier * count is
                 // the same for all
    Int begin, end, count, multiplier;
  };
  struct Blend {  // (near * (2 * factor - weight) + far * weight) / (2 * factor)
    Int near, far, weight;
  };
  void set_convolution();
  void set_mean();
  void set_bilinear();
  // The input row (axis 0) or column (axis 1) that tap `tap` meets; -1: none.
  Int met(std::size_t axis, Int position, Int tap) const;
  void weigh(Int k, Int input_element, const auto& visit) const {
    const auto i = static_cast<std::size_t>(k);
    const Int code = node_.weights->codes[i];
    if (code != 0) visit(std::size_t{0}, input_element, code, int{decimals_[i]});
  }
  template <typename Visit>
  void each_of_convolution(Int o, Int y, Int x, const Visit& visit) const {
    const Shape& in = inputs_[0];
    const Int group = o / group_outputs_, first = group * group_inputs_;
    for (Int ky = 0; ky < kernel_[0]; ++ky) {
      const Int row = met(0, y, ky);
      if (row < 0) continue;
      for (Int kx = 0; kx < kernel_[1]; ++kx) {
        const Int column = met(1, x, kx);
        if (column < 0) continue;
        const Int tap = ky * kernel_[1] + kx, taps = kernel_[0] * kernel_[1];
        for (Int i = 0; i < group_inputs_; ++i) {
          const Int pair = is_transposed_ ? (first + i) * group_outputs_ + o % group_outputs_
                                          : o * group_inputs_ + i;
          weigh(pair * taps + tap, in.index(first + i, row, column), visit);
        }
      }
    }
  }
  template <typename Visit>
  void each_of_linear(Int o, const Visit& visit) const {
    for (Int k = 0; k < inputs_[0].c; ++k) weigh(o * inputs_[0].c + k, k, visit);
  }
  template <typename Visit>
  void each_of_pair(Int o, Int y, Int x, const Visit& visit) const {
    visit(std::size_t{0}, spread(0, o, y, x), Int{1}, 0);
    visit(std::size_t{1}, spread(1, o, y, x), is_difference_ ? Int{-1} : Int{1}, 0);
  }
  template <typename Visit>
  void each_of_mean(Int o, Int y, Int x, const Visit& visit) const {
    const Span &down = rows_[static_cast<std::size_t>(y)],
               &across = columns_[static_cast<std::size_t>(x)];
    for (Int row = down.begin; row < down.end; ++row)
      for (Int column = across.begin; column < across.end; ++column)
        visit(std::size_t{0}, inputs_[0].index(o, row, column), down.multiplier * across.multiplier,
              finest_);
  }
  template <typename Visit>
  void each_of_bilinear(Int o, Int y, Int x, const Visit& visit) const {
    const Blend &down = blends_[0][static_cast<std::size_t>(y)],
                &across = blends_[1][static_cast<std::size_t>(x)];
    const auto meet = [&](Int row, Int column, Int coefficient) {
      if (coefficient != 0)
        visit(std::size_t{0}, inputs_[0].index(o, row, column), coefficient, finest_);
    };
    const Int up = 2 * factor_[0] - down.weight, left = 2 * factor_[1] - across.weight;
    meet(down.near, across.near, up * left);
    meet(down.near, across.far, up * across.weight);
    meet(down.far, across.near, down.weight * left);
    meet(down.far, across.far, down.weight * across.weight);
  }
  Int spread(std::size_t input, Int o, Int y, Int x) const {
    const Shape& in = inputs_[input];
    return in.index(in.c == 1 ? 0 : o, in.h == 1 ? 0 : y, in.w == 1 ? 0 : x);
  }

  const Node& node_;
  std::vector<Shape> inputs_;
  Kind kind_ = Kind::kPair;
  Shape output_;
  bool is_transposed_ = false, is_difference_ = false;
  std::array<Int, 2> kernel_{1, 1}, stride_{1, 1}, padding_{0, 0}, dilation_{1, 1}, factor_{1, 1};
  Int group_outputs_ = 1, group_inputs_ = 1;
  std::vector<std::int8_t> decimals_;  // per weight
  std::vector<Span> rows_, columns_;
  std::array<std::vector<Blend>, 2> blends_;
  Int divisor_ = 1;
  int finest_ = 0;
};

// The output size of a sliding window along an axis, as PyTorch counts it; Failure when none fits.
Int window_count(const Node& node, std::size_t axis, Int size);

}  // namespace lockstep::checker
