// A temporal convolutional network (Bai et al. 2018) for sequential MNIST: eight levels of two
// causal convolutions with 25 channels, dilated by 1 to 128, and the answer at the last step.
#include <fmt/format.h>

#include "tools/zoo/builder.h"
#include "tools/zoo/families.h"

namespace lockstep::zoo {
namespace {

constexpr std::int64_t kChannels = 25, kKernel = 7, kLevels = 8, kSteps = 784;

// Padding before the first step only, so that no output sees a later input.
Value causal(Builder& net, const std::string& name, const Value& input, std::int64_t dilation) {
  const Value padded =
      net.add("pad", name + "_pad", {input}, {{"padding", {(kKernel - 1) * dilation, 0}}});
  const Value x =
      net.weighted("conv1d", name, padded,
                   {{"out_channels", kChannels}, {"kernel_size", kKernel}, {"dilation", dilation}});
  const Value y = net.settle(net.add("relu", name + "_relu", {x}));
  return net.add("dropout", name + "_dropout", {y}, {{"p", 0.05}});
}

}  // namespace

Graph build_tcn(const NetworkOptions& options) {
  Builder net("tcn", {1, kSteps}, options);
  Value x = net.input();
  for (std::int64_t level = 0; level < kLevels; ++level) {
    const std::string name = fmt::format("level{}", level);
    const std::int64_t dilation = std::int64_t{1} << level;
    Value y = causal(net, name + "_conv1", x, dilation);
    y = causal(net, name + "_conv2", y, dilation);
    if (x.shape[0] != kChannels)
      x = net.quantize(net.weighted("conv1d", name + "_shortcut", x,
                                    {{"out_channels", kChannels}, {"kernel_size", 1}}));
    const Value sum = net.add("add", name + "_add", {y, x});
    x = net.settle(net.add("relu", name + "_relu", {sum}));
  }
  x = net.add("slice", "last_step", {x}, {{"dim", 2}, {"start", kSteps - 1}});
  return net.finish(net.classifier("fc", net.add("flatten", "flatten", {x}), 10));
}

}  // namespace lockstep::zoo
