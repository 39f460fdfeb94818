// Which elements of its inputs an element of a result combines, for operators of graphs and of
// plans alike: sums (convolutions, linear layers, add and sub, means, bilinear upsampling),
// products of two, the largest of a window. Of a sum the element is
//   (sum of coefficient * 2^-decimal * input element) + the bias of its channel.
#pragma once

#include <array>
#include <vector>

#include "verify/checker/functions.h"

namespace lockstep::checker {

// Dimensions as channels, height, width: [N] is {N, 1, 1}, [C, L] is {C, 1, L}. Row-major.
struct Shape {
  std::size_t rank = 3;
  Int c = 1, h = 1, w = 1;
  Int count() const { return c * h * w; }
  std::array<Int, 3> sizes() const { return {c, h, w}; }
  // Which of them dimension `axis` is.
  std::size_t place_axis(std::size_t axis) const { return rank == 2 && axis == 1 ? 2 : axis; }
  Int index(Int channel, Int y, Int x) const { return (channel * h + y) * w + x; }
  std::array<Int, 3> place(Int e) const { return {e / (h * w), e / w % h, e % w}; }
  bool operator==(const Shape&) const = default;
};
Shape shape_of(const std::vector<Int>& dims);
// Throws Failure unless there are 1 to 2^28 elements.
void need_size(const std::string& layer, const Shape& shape);

// The rows (or columns) of an input that a row of a result meets, and those of the weights that
// each is multiplied by: place, place + place_step ..; number, number + number_step ...
struct Run {
  Int place = 0, number = 0, count = 0, place_step = 0, number_step = 0, coefficient = 1;
};
using Runs = std::vector<Run>;  // one for each row of the result

// What slides over an axis of an input or, transposed, over one of the result.
struct Slide {
  Int kernel = 1, stride = 1, padding = 0, dilation = 1;
  bool is_transposed = false;
};
Runs slide_runs(Int outputs, Int inputs, const Slide& slide);
// Position by position; an input of one position is met by all.
inline Runs spread_runs(Int outputs, Int inputs) {
  return slide_runs(outputs, inputs, {1, inputs == 1 ? 0 : 1});
}

// What an operator takes of one of its inputs. Of the output channels in a group, each combines the
// input channels of that group.
struct Operand {
  std::size_t input = 0;
  std::array<Int, 3> steps{};  // from an element to the next channel, row, column
  std::array<Runs, 2> runs{};  // rows, columns
  Int group_outputs = 1, group_inputs = 1;
  const std::vector<Int>* weights = nullptr;  // null: all are 1
  // From a weight to that of the next group, output, input, row and column of the kernel.
  Int per_group = 0, per_output = 0, per_input = 0, per_row = 0, per_column = 0;
  Int sign = 1;
};

// Calls visit(input, element of it, coefficient, weight) for all that the element at channel o,
// position (y, x) combines with a coefficient that is not 0.
template <typename Visit>
void each_term(const std::vector<Operand>& operands, Int o, Int y, Int x, const Visit& visit) {
  for (const Operand& in : operands) {
    const Run &down = in.runs[0][at(y)], &across = in.runs[1][at(x)];
    const Int group = o / in.group_outputs,
              factor = in.sign * down.coefficient * across.coefficient,
              first = group * in.group_inputs * in.steps[0],
              first_weight = group * in.per_group + o % in.group_outputs * in.per_output;
    const Int* const weights = in.weights == nullptr ? nullptr : in.weights->data();
    const Int channels = in.group_inputs, step = in.steps[0], weight_step = in.per_input;
    for (Int r = 0; r < down.count; ++r)
      for (Int c = 0; c < across.count; ++c) {
        Int element = first + (down.place + r * down.place_step) * in.steps[1] +
                      (across.place + c * across.place_step) * in.steps[2];
        Int weight = first_weight + (down.number + r * down.number_step) * in.per_row +
                     (across.number + c * across.number_step) * in.per_column;
        for (Int k = 0; k < channels; ++k, element += step, weight += weight_step) {
          const Int coefficient = weights == nullptr ? factor : factor * weights[weight];
          if (coefficient != 0) visit(in.input, element, coefficient, weight);
        }
      }
  }
}

// Of a node of a graph, which must outlive this. Failure where the inputs do not fit.
class Terms {
 public:
  Terms(const Node& node, const std::vector<Shape>& inputs);
  static bool has_sum(const Node& node);
  static bool has_terms(const Node& node);  // a sum, a product or a largest

  const Shape& output() const { return output_; }
  // Calls visit(input, element, coefficient, decimal).
  template <typename Visit>
  void each(Int o, Int y, Int x, const Visit& visit) const {
    each_term(operands_, o, y, x, [&](std::size_t input, Int element, Int coefficient, Int weight) {
      visit(input, element, coefficient, decimals_.empty() ? finest_ : int{decimals_[at(weight)]});
    });
  }
  // What every sum is divided by, in floating point: of a mean over windows of different sizes what
  // they have in common, and the coefficients make up for it. 1 where that is 2^k: then it is in
  // the coefficients' decimals.
  Int divisor() const { return divisor_; }
  int finest() const { return finest_; }  // the largest decimal of any coefficient
  Value bias(Int o) const;                // 0 without one, and for a float bias

 private:
  void set_pair(const std::vector<Shape>& inputs);
  void set_weights(const Shape& in, Operand& operand);
  void set_bilinear(const Shape& in);
  void set_windows(const Shape& in);
  Int size_along(std::size_t axis, Int size, const Slide& slide) const;
  Runs runs_along(Int size, Int outputs, const Slide& slide);

  const Node& node_;
  Shape output_;
  std::vector<Operand> operands_;
  std::vector<std::int8_t> decimals_;  // per weight
  Int divisor_ = 1;
  int finest_ = 0;
};

}  // namespace lockstep::checker
