// The generator of a DCGAN (Radford et al. 2015) as in PyTorch's example: noise to a 64x64 image.
#include <fmt/format.h>

#include "tools/zoo/builder.h"
#include "tools/zoo/families.h"

namespace lockstep::zoo {
namespace {

Attributes doubling(std::int64_t channels) {
  return {{"out_channels", channels},
          {"kernel_size", 4},
          {"stride", 2},
          {"padding", 1},
          {"bias", false}};
}

}  // namespace

Graph build_dcgan_generator(const NetworkOptions& options) {
  constexpr std::int64_t kNoiseDecimal = 5;  // codes reach four deviations of the noise
  Builder net("dcgan_generator", {100, 1, 1}, options, kNoiseDecimal);
  Value x = net.input();
  int number = 0;
  for (const std::int64_t channels : {512, 256, 128, 64}) {
    ++number;
    const Attributes first = {{"out_channels", channels}, {"kernel_size", 4}, {"bias", false}};
    x = net.weighted("conv_transpose2d", fmt::format("conv{}", number), x,
                     number == 1 ? first : doubling(channels));
    x = net.batch_norm(fmt::format("bn{}", number), x);
    x = net.settle(net.add("relu", fmt::format("relu{}", number), {x}));
  }
  x = net.weighted("conv_transpose2d", "conv5", x, doubling(3), {.is_output = true});
  return net.finish(net.quantize(net.add("tanh", "tanh", {x})));
}

}  // namespace lockstep::zoo
