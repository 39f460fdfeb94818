// conv_transpose2d, and conv_transpose1d, which is conv_transpose2d over one row: every product
// in[c,y,x] * w[c,o,ky,kx] is added at row y*sy - py + ky*dy and column x*sx - px + kx*dx of output
// channel o of c's group, where that lies inside the output.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "compile/support/error.h"
#include "verify/semantics/aligned.h"
#include "verify/semantics/index.h"
#include "verify/semantics/linear_sum.h"

namespace lockstep::verify {
namespace {

class TransposedConvolution final : public LinearSum {
 public:
  TransposedConvolution(const Node& node, const NodeParameters& parameters, const Format& input)
      : window_(sliding_window(node)), groups_(node.integer("groups")) {
    require_exact(input, node.inputs[0], node.name);
    in_channels_ = node.integer("in_channels");
    const std::int64_t out_channels = node.integer("out_channels");
    input_ = spatial_extent(node, input.shape, window_.axes);
    require_convolution_shapes(node, parameters, input, window_, in_channels_, out_channels);
    const HeightWidth extra = height_width(node, "output_padding", 0);
    output_ = {extent(node, input_.height, window_.stride.height, window_.padding.height,
                      window_.dilation.height, window_.kernel.height, extra.height),
               extent(node, input_.width, window_.stride.width, window_.padding.width,
                      window_.dilation.width, window_.kernel.width, extra.width)};
    std::vector<std::int64_t> shape = {out_channels};
    if (window_.axes == 2) shape.push_back(output_.height);
    shape.push_back(output_.width);
    require_countable(node.name, shape);
    aligned_.emplace(node.name, input);
    derive(node, parameters, out_channels);
    set_formats(node, std::move(shape));
  }

 private:
  static std::int64_t extent(const Node& node, std::int64_t input, std::int64_t stride,
                             std::int64_t padding, std::int64_t dilation, std::int64_t kernel,
                             std::int64_t extra) {
    const std::int64_t result =
        (input - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1 + extra;
    if (result < 1)
      throw InputError(
          fmt::format("layer '{}': an output of {} positions along an axis: padding "
                      "{} leaves nothing of {} inputs",
                      node.name, result, padding, input));
    return result;
  }

  void derive(const Node& node, const NodeParameters& parameters, std::int64_t out_channels) {
    const std::vector<int> decimals = finest_channel_decimals(aligned_->format());
    const std::vector<CodeRange> ranges = channel_ranges_with_zero(aligned_->format());
    const std::int64_t taps = window_.kernel.height * window_.kernel.width;
    const std::int64_t group_inputs = in_channels_ / groups_;
    const std::int64_t group_outputs = out_channels / groups_;
    const auto channel = [=](std::int64_t o, std::int64_t k) {
      return (o / group_outputs) * group_inputs + k / taps;
    };
    constants_ = derive_linear_constants(
        node, parameters, aligned_->format().magnitude(),
        {.outputs = out_channels,
         .fan_in = group_inputs * taps,
         .stored =
             [=](std::int64_t o, std::int64_t k) {
               return (channel(o, k) * group_outputs + o % group_outputs) * taps + k % taps;
             },
         .input_decimal = [&](std::int64_t o,
                              std::int64_t k) { return decimals[at(channel(o, k))]; },
         .input_range = [&](std::int64_t o, std::int64_t k) { return ranges[at(channel(o, k))]; }});
  }

  void run_sums(Values unaligned, std::span<std::int64_t> output) const override {
    std::vector<std::int64_t> storage;
    const Values input = aligned_->codes(unaligned, storage);
    const std::int64_t plane = output_.height * output_.width;
    const std::int64_t group_outputs = constants_.outputs / groups_;
    const std::int64_t taps = window_.kernel.height * window_.kernel.width;
    const std::int64_t group_inputs = in_channels_ / groups_;
    for (std::int64_t o = 0; o < constants_.outputs; ++o) {
      std::int64_t* out = output.data() + o * plane;
      std::fill(out, out + plane,
                constants_.aligned_bias.empty() ? 0 : constants_.aligned_bias[at(o)]);
      for (std::int64_t k = 0; k < constants_.fan_in; ++k) {
        const std::int64_t weight = constants_.aligned_weights[at(o * constants_.fan_in + k)];
        if (weight == 0) continue;
        const std::int64_t c = (o / group_outputs) * group_inputs + k / taps;
        const std::int64_t ky = (k % taps) / window_.kernel.width;
        const std::int64_t kx = k % window_.kernel.width;
        add_products(input.data() + c * input_.height * input_.width, weight, ky, kx, out);
      }
    }
  }

  // Adds weight * input, for one kernel position, wherever it falls inside one output plane.
  void add_products(const std::int64_t* in, std::int64_t weight, std::int64_t ky, std::int64_t kx,
                    std::int64_t* out) const {
    for (std::int64_t y = 0; y < input_.height; ++y) {
      const std::int64_t row =
          y * window_.stride.height - window_.padding.height + ky * window_.dilation.height;
      if (row < 0 || row >= output_.height) continue;
      for (std::int64_t x = 0; x < input_.width; ++x) {
        const std::int64_t column =
            x * window_.stride.width - window_.padding.width + kx * window_.dilation.width;
        if (column < 0 || column >= output_.width) continue;
        out[row * output_.width + column] += weight * in[y * input_.width + x];
      }
    }
  }

  SlidingWindow window_;
  std::int64_t groups_ = 1, in_channels_ = 0;
  HeightWidth input_, output_;
  std::optional<Aligned> aligned_;
};

}  // namespace

OperatorPointer make_transposed_convolution(const Node& node, const NodeParameters& parameters,
                                            Formats inputs) {
  return std::make_unique<TransposedConvolution>(node, parameters, *inputs[0]);
}

}  // namespace lockstep::verify
