// out[o,y,x] = bias[o] + sum over i,ky,kx of in[g*I+i, y*sy - py + ky*dy, x*sx - px + kx*dx] *
// w[o,i,ky,kx], with 0 outside the input, on the common grid of output channel o.
#include <fmt/format.h>

#include <algorithm>

#include "compile/support/error.h"
#include "verify/semantics/index.h"
#include "verify/semantics/operators.h"

namespace lockstep::verify {
namespace {

// Output positions [first, last) whose input coordinate position * stride + offset lies in [0,
// extent).
struct Positions {
  std::int64_t first, last;
};
Positions positions_inside(std::int64_t outputs, std::int64_t stride, std::int64_t offset,
                           std::int64_t extent) {
  const std::int64_t first = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
  const std::int64_t last = extent - 1 - offset < 0 ? 0 : (extent - 1 - offset) / stride + 1;
  return {first, std::max(first, std::min(last, outputs))};
}

class Conv2d final : public ExactOperator {
 public:
  Conv2d(const Node& node, const NodeParameters& parameters, const Format& input) {
    window_ = sliding_window(node);
    groups_ = node.integer("groups");
    const std::int64_t in_channels = node.integer("in_channels");
    const std::int64_t out_channels = node.integer("out_channels");
    if (input.shape.size() != 3 || input.shape[0] != in_channels)
      throw InputError(fmt::format("layer '{}': input of shape {}, but the layer takes [{}, H, W]",
                                   node.name, shape_text(input.shape), in_channels));
    if (groups_ < 1 || in_channels % groups_ != 0 || out_channels % groups_ != 0)
      throw InputError(fmt::format("layer '{}': groups = {} divides not both {} and {} channels",
                                   node.name, groups_, in_channels, out_channels));
    const std::vector<std::int64_t> weight_shape = {out_channels, in_channels / groups_,
                                                    window_.kernel.height, window_.kernel.width};
    if (parameters.weight_shape != weight_shape)
      throw InputError(fmt::format("layer '{}': weight of shape {}, but its attributes say {}",
                                   node.name, shape_text(parameters.weight_shape),
                                   shape_text(weight_shape)));
    input_height_ = input.shape[1];
    input_width_ = input.shape[2];
    const HeightWidth extent = output_extent(node, window_, {input_height_, input_width_});
    format_.shape = {out_channels, extent.height, extent.width};
    require_countable(node.name, format_.shape);

    const std::vector<int> decimals = channel_decimals(input, node.name);
    const std::int64_t taps = window_.kernel.height * window_.kernel.width;
    const std::int64_t group_inputs = in_channels / groups_;
    const std::int64_t group_outputs = out_channels / groups_;
    constants_ = derive_linear_constants(
        node, parameters, input.magnitude(), [&](std::int64_t output, std::int64_t k) {
          return decimals[at((output / group_outputs) * group_inputs + k / taps)];
        });
    const std::int64_t plane = format_.shape[1] * format_.shape[2];
    for (const int decimal : constants_.accumulator_decimals)
      format_.decimals.insert(format_.decimals.end(), at(plane), decimal);
    format_.lo = -constants_.largest_sum;
    format_.hi = constants_.largest_sum;
  }

  const LinearConstants* constants() const override { return &constants_; }

  void run(std::span<const std::int64_t> input, std::span<std::int64_t> output) const override {
    const std::int64_t plane = format_.shape[1] * format_.shape[2];
    const std::int64_t group_outputs = format_.shape[0] / groups_;
    const std::int64_t taps = window_.kernel.height * window_.kernel.width;
    const std::int64_t group_inputs = constants_.fan_in / taps;
    for (std::int64_t o = 0; o < format_.shape[0]; ++o) {
      std::int64_t* out = output.data() + o * plane;
      std::fill(out, out + plane,
                constants_.aligned_bias.empty() ? 0 : constants_.aligned_bias[at(o)]);
      for (std::int64_t k = 0; k < constants_.fan_in; ++k) {
        const std::int64_t weight = constants_.aligned_weights[at(o * constants_.fan_in + k)];
        if (weight == 0) continue;
        const std::int64_t channel = (o / group_outputs) * group_inputs + k / taps;
        const std::int64_t ky = (k % taps) / window_.kernel.width;
        const std::int64_t kx = k % window_.kernel.width;
        add_products(input.data() + channel * input_height_ * input_width_, weight, ky, kx, out);
      }
    }
  }

 private:
  // Adds weight * input at one kernel position into every output position of one plane.
  void add_products(const std::int64_t* in, std::int64_t weight, std::int64_t ky, std::int64_t kx,
                    std::int64_t* out) const {
    const std::int64_t width = format_.shape[2];
    const std::int64_t offset_y = ky * window_.dilation.height - window_.padding.height;
    const std::int64_t offset_x = kx * window_.dilation.width - window_.padding.width;
    const Positions ys =
        positions_inside(format_.shape[1], window_.stride.height, offset_y, input_height_);
    const Positions xs = positions_inside(width, window_.stride.width, offset_x, input_width_);
    for (std::int64_t y = ys.first; y < ys.last; ++y) {
      const std::int64_t* row =
          in + (y * window_.stride.height + offset_y) * input_width_ + offset_x;
      std::int64_t* sums = out + y * width;
      for (std::int64_t x = xs.first; x < xs.last; ++x)
        sums[x] += weight * row[x * window_.stride.width];
    }
  }

  SlidingWindow window_;
  std::int64_t groups_ = 1, input_height_ = 0, input_width_ = 0;
  LinearConstants constants_;
};

}  // namespace

OperatorPointer make_conv2d(const Node& node, const NodeParameters& parameters,
                            const Format& input) {
  return std::make_unique<Conv2d>(node, parameters, input);
}

}  // namespace lockstep::verify
