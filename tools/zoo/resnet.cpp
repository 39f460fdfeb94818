// Residual networks: ResNet-8 of MLPerf Tiny and torchvision's ResNet-18.
#include <fmt/format.h>

#include "tools/zoo/builder.h"
#include "tools/zoo/families.h"

namespace lockstep::zoo {
namespace {

Value normalized(Builder& net, const std::string& name, const Value& input, Attributes attributes) {
  return net.batch_norm(name + "_bn", net.weighted("conv2d", name, input, attributes));
}

Value relu(Builder& net, const std::string& name, const Value& input) {
  return net.settle(net.add("relu", name + "_relu", {input}));
}

// TensorFlow's "same" padding of a 3x3 window: with stride 2 and an even size it pads behind only.
struct Same {
  Value input;
  std::int64_t padding;
};
Same same_3x3(Builder& net, const std::string& name, const Value& input, std::int64_t stride) {
  if (stride == 1) return {input, 1};
  return {net.add("pad", name + "_pad", {input}, {{"padding", {0, 1, 0, 1}}}), 0};
}

Value resnet8_stack(Builder& net, const std::string& name, const Value& input,
                    std::int64_t channels, std::int64_t stride) {
  const auto [padded, padding] = same_3x3(net, name + "_conv1", input, stride);
  Value y = normalized(
      net, name + "_conv1", padded,
      {{"out_channels", channels}, {"kernel_size", 3}, {"stride", stride}, {"padding", padding}});
  y = relu(net, name + "_conv1", y);
  y = normalized(net, name + "_conv2", y,
                 {{"out_channels", channels}, {"kernel_size", 3}, {"padding", 1}});
  y = net.quantize(y);
  Value shortcut = input;
  if (stride != 1)
    shortcut = net.quantize(
        net.weighted("conv2d", name + "_shortcut", input,
                     {{"out_channels", channels}, {"kernel_size", 1}, {"stride", stride}}));
  return relu(net, name, net.add("add", name + "_add", {shortcut, y}));
}

Value resnet18_block(Builder& net, const std::string& name, const Value& input,
                     std::int64_t channels, std::int64_t stride) {
  Value y = normalized(net, name + "_conv1", input,
                       {{"out_channels", channels},
                        {"kernel_size", 3},
                        {"stride", stride},
                        {"padding", 1},
                        {"bias", false}});
  y = relu(net, name + "_conv1", y);
  y = net.quantize(normalized(
      net, name + "_conv2", y,
      {{"out_channels", channels}, {"kernel_size", 3}, {"padding", 1}, {"bias", false}}));
  Value shortcut = input;
  if (stride != 1)
    shortcut = net.quantize(normalized(
        net, name + "_shortcut", input,
        {{"out_channels", channels}, {"kernel_size", 1}, {"stride", stride}, {"bias", false}}));
  return relu(net, name, net.add("add", name + "_add", {y, shortcut}));
}

Value averaged(Builder& net, const Value& input) {
  const Value mean = net.add("adaptive_avg_pool2d", "average", {input}, {{"output_size", 1}});
  return net.add("flatten", "flatten", {net.quantize(mean)});
}

}  // namespace

Graph build_resnet8(const NetworkOptions& options) {
  Builder net("resnet8", {3, 32, 32}, options);
  Value x = normalized(net, "conv", net.input(),
                       {{"out_channels", 16}, {"kernel_size", 3}, {"padding", 1}});
  x = relu(net, "conv", x);
  x = resnet8_stack(net, "stack1", x, 16, 1);
  x = resnet8_stack(net, "stack2", x, 32, 2);
  x = resnet8_stack(net, "stack3", x, 64, 2);
  return net.finish(net.classifier("fc", averaged(net, x), 10));
}

Graph build_resnet18(const NetworkOptions& options) {
  Builder net("resnet18", {3, 224, 224}, options);
  Value x = normalized(
      net, "conv1", net.input(),
      {{"out_channels", 64}, {"kernel_size", 7}, {"stride", 2}, {"padding", 3}, {"bias", false}});
  x = relu(net, "conv1", x);
  x = net.add("max_pool2d", "pool", {x}, {{"kernel_size", 3}, {"stride", 2}, {"padding", 1}});
  std::int64_t channels = 64;
  for (int layer = 1; layer <= 4; ++layer) {
    for (int block = 0; block < 2; ++block)
      x = resnet18_block(net, fmt::format("layer{}_{}", layer, block), x, channels,
                         layer > 1 && block == 0 ? 2 : 1);
    channels *= 2;
  }
  return net.finish(net.classifier("fc", averaged(net, x), 1000));
}

}  // namespace lockstep::zoo
