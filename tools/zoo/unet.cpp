// A small U-Net (Ronneberger et al. 2015): three levels of 16, 32 and 64 channels, batch norms, and
// a mask of two classes for a 64x64 image. The way up has transposed convolutions, as published, or
// nearest upsampling and a convolution.
#include <fmt/format.h>

#include <array>

#include "tools/zoo/builder.h"
#include "tools/zoo/families.h"

namespace lockstep::zoo {
namespace {

constexpr std::array<std::int64_t, 3> kChannels = {16, 32, 64};

Value unit(Builder& net, const std::string& name, const Value& input, std::int64_t channels) {
  const Value x = net.weighted(
      "conv2d", name, input,
      {{"out_channels", channels}, {"kernel_size", 3}, {"padding", 1}, {"bias", false}});
  return net.settle(net.add("relu", name + "_relu", {net.batch_norm(name + "_bn", x)}));
}

Value two_units(Builder& net, const std::string& name, const Value& input, std::int64_t channels) {
  return unit(net, name + "_conv2", unit(net, name + "_conv1", input, channels), channels);
}

enum class WayUp { kTransposed, kUpsample };

Value rise(Builder& net, const std::string& name, const Value& input, std::int64_t channels,
           WayUp way) {
  if (way == WayUp::kUpsample)
    return unit(net, name + "_conv",
                net.add("upsample", name + "_upsample", {input}, {{"scale_factor", 2}}), channels);
  return net.quantize(
      net.weighted("conv_transpose2d", name + "_conv", input,
                   {{"out_channels", channels}, {"kernel_size", 2}, {"stride", 2}}));
}

Graph build_unet(std::string name, WayUp way, const NetworkOptions& options) {
  Builder net(std::move(name), {3, 64, 64}, options);
  Value x = net.input();
  std::array<Value, kChannels.size() - 1> skipped;
  for (std::size_t level = 0; level < skipped.size(); ++level) {
    skipped[level] = two_units(net, fmt::format("down{}", level + 1), x, kChannels[level]);
    x = net.add("max_pool2d", fmt::format("pool{}", level + 1), {skipped[level]},
                {{"kernel_size", 2}});
  }
  x = two_units(net, "bottom", x, kChannels.back());
  for (std::size_t level = skipped.size(); level-- > 0;) {
    const std::string up = fmt::format("up{}", level + 1);
    x = rise(net, up, x, kChannels[level], way);
    x = net.add("concat", up + "_concat", {skipped[level], x});
    x = two_units(net, up, x, kChannels[level]);
  }
  x = net.weighted("conv2d", "mask", x, {{"out_channels", 2}, {"kernel_size", 1}},
                   {.is_output = true});
  return net.finish(net.quantize(x));
}

}  // namespace

Graph build_unet_small(const NetworkOptions& options) {
  return build_unet("unet_small", WayUp::kTransposed, options);
}
Graph build_unet_small_upsample(const NetworkOptions& options) {
  return build_unet("unet_small_upsample", WayUp::kUpsample, options);
}

}  // namespace lockstep::zoo
