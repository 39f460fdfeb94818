// ESPCN (Shi et al. 2016), super-resolution by three: tanh, and a pixel shuffle at the end.
#include <fmt/format.h>

#include "tools/zoo/builder.h"
#include "tools/zoo/families.h"

namespace lockstep::zoo {
namespace {

Graph build_espcn(std::int64_t height, std::int64_t width, const NetworkOptions& options) {
  constexpr std::int64_t kFactor = 3;
  Builder net(fmt::format("espcn_{}x{}", height, width), {1, height, width}, options);
  Value x = net.weighted("conv2d", "conv1", net.input(),
                         {{"out_channels", 64}, {"kernel_size", 5}, {"padding", 2}});
  x = net.settle(net.add("tanh", "tanh1", {x}));
  x = net.weighted("conv2d", "conv2", x,
                   {{"out_channels", 32}, {"kernel_size", 3}, {"padding", 1}});
  x = net.settle(net.add("tanh", "tanh2", {x}));
  x = net.weighted("conv2d", "conv3", x,
                   {{"out_channels", kFactor * kFactor}, {"kernel_size", 3}, {"padding", 1}},
                   {.is_output = true});
  x = net.quantize(x);
  return net.finish(net.add("pixel_shuffle", "shuffle", {x}, {{"upscale_factor", kFactor}}));
}

}  // namespace

// 17x17 are the patches of the paper's training.
Graph build_espcn_17x17(const NetworkOptions& options) { return build_espcn(17, 17, options); }
Graph build_espcn_48x64(const NetworkOptions& options) { return build_espcn(48, 64, options); }
Graph build_espcn_90x160(const NetworkOptions& options) { return build_espcn(90, 160, options); }

}  // namespace lockstep::zoo
