// DS-CNN (Zhang et al. 2017) as in MLPerf Tiny: keyword spotting on 49 frames of 10 coefficients.
#include <fmt/format.h>

#include "tools/zoo/builder.h"
#include "tools/zoo/families.h"

namespace lockstep::zoo {
namespace {

Value unit(Builder& net, const std::string& name, const Value& input,
           const Attributes& attributes) {
  const Value x = net.batch_norm(name + "_bn", net.weighted("conv2d", name, input, attributes));
  return net.settle(net.add("relu", name + "_relu", {x}));
}

}  // namespace

Graph build_ds_cnn(const NetworkOptions& options) {
  Builder net("ds_cnn", {1, 49, 10}, options);
  // TensorFlow's "same" padding for 49x10 with a 10x4 window and stride 2: 9 rows, 2 columns.
  Value x = net.add("pad", "pad", {net.input()}, {{"padding", {1, 1, 4, 5}}});
  x = unit(net, "conv", x, {{"out_channels", 64}, {"kernel_size", {10, 4}}, {"stride", 2}});
  x = net.add("dropout", "dropout1", {x}, {{"p", 0.2}});
  for (int i = 1; i <= 4; ++i) {
    x = unit(net, fmt::format("depthwise{}", i), x,
             {{"out_channels", 64}, {"kernel_size", 3}, {"padding", 1}, {"groups", 64}});
    x = unit(net, fmt::format("pointwise{}", i), x, {{"out_channels", 64}, {"kernel_size", 1}});
  }
  x = net.add("dropout", "dropout2", {x}, {{"p", 0.4}});
  x = net.quantize(net.add("adaptive_avg_pool2d", "average", {x}, {{"output_size", 1}}));
  return net.finish(net.classifier("fc", net.add("flatten", "flatten", {x}), 12));
}

}  // namespace lockstep::zoo
