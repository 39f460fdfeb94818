// out[c,y,x] = the largest code of the window; positions outside the input do not take part. Codes
// compare like values, because one channel has one decimal.
#include <fmt/format.h>

#include <algorithm>

#include "compile/support/error.h"
#include "verify/semantics/operators.h"

namespace lockstep::verify {
namespace {

class MaxPool2d final : public ExactOperator {
 public:
  MaxPool2d(const Node& node, const Format& input) {
    if (input.shape.size() != 3)
      throw InputError(fmt::format("layer '{}': input of shape {}, but max_pool2d takes [C, H, W]",
                                   node.name, shape_text(input.shape)));
    window_ = sliding_window(node);
    input_height_ = input.shape[1];
    input_width_ = input.shape[2];
    format_ = input;
    const HeightWidth extent = output_extent(node, window_, {input_height_, input_width_});
    format_.shape = {input.shape[0], extent.height, extent.width};
    require_countable(node.name, format_.shape);
    const std::vector<int> decimals = channel_decimals(input, node.name);
    if (input.decimals.size() != 1) {
      format_.decimals.clear();
      for (const int decimal : decimals)
        format_.decimals.insert(format_.decimals.end(),
                                static_cast<std::size_t>(format_.shape[1] * format_.shape[2]),
                                decimal);
    }
  }

  void run(std::span<const std::int64_t> input, std::span<std::int64_t> output) const override {
    std::size_t next = 0;
    for (std::int64_t c = 0; c < format_.shape[0]; ++c)
      for (std::int64_t y = 0; y < format_.shape[1]; ++y)
        for (std::int64_t x = 0; x < format_.shape[2]; ++x)
          output[next++] = largest(input.data() + c * input_height_ * input_width_, y, x);
  }

 private:
  std::int64_t largest(const std::int64_t* plane, std::int64_t y, std::int64_t x) const {
    std::int64_t result = INT64_MIN;
    for (std::int64_t ky = 0; ky < window_.kernel.height; ++ky) {
      const std::int64_t row =
          y * window_.stride.height + ky * window_.dilation.height - window_.padding.height;
      if (row < 0 || row >= input_height_) continue;
      for (std::int64_t kx = 0; kx < window_.kernel.width; ++kx) {
        const std::int64_t column =
            x * window_.stride.width + kx * window_.dilation.width - window_.padding.width;
        if (column < 0 || column >= input_width_) continue;
        result = std::max(result, plane[row * input_width_ + column]);
      }
    }
    return result;
  }

  SlidingWindow window_;
  std::int64_t input_height_ = 0, input_width_ = 0;
};

}  // namespace

OperatorPointer make_max_pool2d(const Node& node, const NodeParameters&, const Format& input) {
  return std::make_unique<MaxPool2d>(node, input);
}

}  // namespace lockstep::verify
