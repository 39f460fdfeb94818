// conv2d, and conv1d, which is conv2d over one row:
// out[o,y,x] = bias[o] + sum over i,ky,kx of in[g*I+i, y*sy - py + ky*dy, x*sx - px + kx*dx] *
// w[o,i,ky,kx], with 0 outside the input, on the common grid of output channel o.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "compile/support/error.h"
#include "verify/semantics/aligned.h"
#include "verify/semantics/index.h"
#include "verify/semantics/linear_sum.h"

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

class Convolution final : public LinearSum {
 public:
  Convolution(const Node& node, const NodeParameters& parameters, const Format& input)
      : window_(sliding_window(node)), groups_(node.integer("groups")) {
    require_exact(input, node.inputs[0], node.name);
    const std::int64_t in_channels = node.integer("in_channels");
    const std::int64_t out_channels = node.integer("out_channels");
    const HeightWidth extent = spatial_extent(node, input.shape, window_.axes);
    require_convolution_shapes(node, parameters, input, window_, out_channels, in_channels);
    input_height_ = extent.height;
    input_width_ = extent.width;
    const HeightWidth result = output_extent(node, window_, extent);
    output_height_ = result.height;
    output_width_ = result.width;
    std::vector<std::int64_t> shape = {out_channels};
    if (window_.axes == 2) shape.push_back(output_height_);
    shape.push_back(output_width_);
    require_countable(node.name, shape);
    aligned_.emplace(node.name, input);
    derive(node, parameters, in_channels, out_channels);
    set_formats(node, std::move(shape));
  }

 private:
  void derive(const Node& node, const NodeParameters& parameters, std::int64_t in_channels,
              std::int64_t out_channels) {
    const std::vector<int> decimals = finest_channel_decimals(aligned_->format());
    const bool has_padding = window_.padding.height != 0 || window_.padding.width != 0;
    const std::vector<CodeRange> ranges = has_padding ? channel_ranges_with_zero(aligned_->format())
                                                      : channel_ranges(aligned_->format());
    const std::int64_t taps = window_.kernel.height * window_.kernel.width;
    const std::int64_t group_inputs = in_channels / groups_;
    const std::int64_t group_outputs = out_channels / groups_;
    const auto channel = [=](std::int64_t o, std::int64_t k) {
      return at((o / group_outputs) * group_inputs + k / taps);
    };
    const std::int64_t fan_in = group_inputs * taps;
    constants_ = derive_linear_constants(
        node, parameters, aligned_->format().magnitude(),
        {.outputs = out_channels,
         .fan_in = fan_in,
         .stored = [=](std::int64_t o, std::int64_t k) { return o * fan_in + k; },
         .input_decimal = [&](std::int64_t o, std::int64_t k) { return decimals[channel(o, k)]; },
         .input_range = [&](std::int64_t o, std::int64_t k) { return ranges[channel(o, k)]; }});
  }

  void run_sums(Values unaligned, std::span<std::int64_t> output) const override {
    std::vector<std::int64_t> storage;
    const Values input = aligned_->codes(unaligned, storage);
    const std::int64_t plane = output_height_ * output_width_;
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

  // Adds weight * input at one kernel position into every output position of one plane.
  void add_products(const std::int64_t* in, std::int64_t weight, std::int64_t ky, std::int64_t kx,
                    std::int64_t* out) const {
    const std::int64_t offset_y = ky * window_.dilation.height - window_.padding.height;
    const std::int64_t offset_x = kx * window_.dilation.width - window_.padding.width;
    const Positions ys =
        positions_inside(output_height_, window_.stride.height, offset_y, input_height_);
    const Positions xs =
        positions_inside(output_width_, window_.stride.width, offset_x, input_width_);
    for (std::int64_t y = ys.first; y < ys.last; ++y) {
      const std::int64_t* row =
          in + (y * window_.stride.height + offset_y) * input_width_ + offset_x;
      std::int64_t* sums = out + y * output_width_;
      for (std::int64_t x = xs.first; x < xs.last; ++x)
        sums[x] += weight * row[x * window_.stride.width];
    }
  }

  SlidingWindow window_;
  std::int64_t groups_ = 1, input_height_ = 0, input_width_ = 0, output_height_ = 0,
               output_width_ = 0;
  std::optional<Aligned> aligned_;
};

}  // namespace

OperatorPointer make_convolution(const Node& node, const NodeParameters& parameters,
                                 Formats inputs) {
  return std::make_unique<Convolution>(node, parameters, *inputs[0]);
}

}  // namespace lockstep::verify
