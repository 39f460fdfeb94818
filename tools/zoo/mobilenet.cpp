// MobileNets: V1 with a quarter of the channels, as in MLPerf Tiny's visual wake words, and V2 in
// the sizes of torchvision (224) and of pytorch-cifar (32).
#include <fmt/format.h>

#include <array>

#include "tools/zoo/builder.h"
#include "tools/zoo/families.h"

namespace lockstep::zoo {
namespace {

Value normalized(Builder& net, const std::string& name, const Value& input,
                 const Attributes& attributes) {
  return net.batch_norm(name + "_bn", net.weighted("conv2d", name, input, attributes));
}

Value activated(Builder& net, std::string_view op, const std::string& name, const Value& input,
                const Attributes& attributes) {
  const Value x = normalized(net, name, input, attributes);
  return net.settle(net.add(op, fmt::format("{}_{}", name, op), {x}));
}

Value average(Builder& net, const Value& input) {
  const Value mean = net.add("adaptive_avg_pool2d", "average", {input}, {{"output_size", 1}});
  return net.add("flatten", "flatten", {net.quantize(mean)});
}

// ---- V1, from TensorFlow: convolutions have biases, and stride 2 pads behind only ----

Value v1_unit(Builder& net, const std::string& name, const Value& input, std::int64_t channels,
              std::int64_t kernel, std::int64_t stride, std::int64_t groups) {
  Value x = input;
  if (stride == 2) x = net.add("pad", name + "_pad", {x}, {{"padding", {0, 1, 0, 1}}});
  return activated(net, "relu", name, x,
                   {{"out_channels", channels},
                    {"kernel_size", kernel},
                    {"stride", stride},
                    {"padding", kernel == 3 && stride == 1 ? 1 : 0},
                    {"groups", groups}});
}

// ---- V2: inverted residuals ----

// `blocks` blocks with `channels` outputs and hidden layers `expansion` times as wide as the input;
// the first one has `stride`.
struct Stage {
  std::int64_t expansion, channels, blocks, stride;
};

struct Variant {
  std::string_view activation;
  bool always_expands;         // also by the factor 1
  bool projects_the_shortcut;  // a 1x1 convolution where only the channels differ
};

Attributes plain(std::int64_t channels, std::int64_t kernel, std::int64_t stride = 1,
                 std::int64_t groups = 1) {
  return {{"out_channels", channels}, {"kernel_size", kernel}, {"stride", stride},
          {"padding", kernel / 2},    {"groups", groups},      {"bias", false}};
}

Value inverted_residual(Builder& net, const Variant& variant, const std::string& name,
                        const Value& input, const Stage& stage, std::int64_t stride) {
  const std::int64_t hidden = input.shape[0] * stage.expansion;
  Value x = input;
  if (stage.expansion != 1 || variant.always_expands)
    x = activated(net, variant.activation, name + "_expand", x, plain(hidden, 1));
  x = activated(net, variant.activation, name + "_depthwise", x, plain(hidden, 3, stride, hidden));
  x = net.quantize(normalized(net, name + "_project", x, plain(stage.channels, 1)));
  Value shortcut = input;
  if (stride != 1) return x;
  if (input.shape[0] != stage.channels) {
    if (!variant.projects_the_shortcut) return x;
    shortcut = net.quantize(normalized(net, name + "_shortcut", input, plain(stage.channels, 1)));
  }
  return net.quantize(net.add("add", name + "_add", {x, shortcut}));
}

Value v2_body(Builder& net, const Variant& variant, std::int64_t first_stride,
              const std::array<Stage, 7>& stages) {
  Value x = activated(net, variant.activation, "conv1", net.input(), plain(32, 3, first_stride));
  for (std::size_t s = 0; s < stages.size(); ++s)
    for (std::int64_t block = 0; block < stages[s].blocks; ++block)
      x = inverted_residual(net, variant, fmt::format("stage{}_{}", s + 1, block), x, stages[s],
                            block == 0 ? stages[s].stride : 1);
  return average(net, activated(net, variant.activation, "conv2", x, plain(1280, 1)));
}

}  // namespace

Graph build_mobilenet_v1_025(const NetworkOptions& options) {
  struct Block {
    std::int64_t channels, stride;
  };
  constexpr Block kBlocks[] = {{16, 1},  {32, 2},  {32, 1},  {64, 2},  {64, 1},  {128, 2}, {128, 1},
                               {128, 1}, {128, 1}, {128, 1}, {128, 1}, {256, 2}, {256, 1}};
  Builder net("mobilenet_v1_025", {3, 96, 96}, options);
  Value x = v1_unit(net, "conv", net.input(), 8, 3, 2, 1);
  int number = 0;
  for (const Block& block : kBlocks) {
    ++number;
    x = v1_unit(net, fmt::format("depthwise{}", number), x, x.shape[0], 3, block.stride,
                x.shape[0]);
    x = v1_unit(net, fmt::format("pointwise{}", number), x, block.channels, 1, 1, 1);
  }
  return net.finish(net.classifier("fc", average(net, x), 2));
}

Graph build_mobilenet_v2_cifar(const NetworkOptions& options) {
  Builder net("mobilenet_v2_cifar", {3, 32, 32}, options);
  const Value x =
      v2_body(net, {.activation = "relu", .always_expands = true, .projects_the_shortcut = true}, 1,
              {{{1, 16, 1, 1},
                {6, 24, 2, 1},
                {6, 32, 3, 2},
                {6, 64, 4, 2},
                {6, 96, 3, 1},
                {6, 160, 3, 2},
                {6, 320, 1, 1}}});
  return net.finish(net.classifier("fc", x, 10));
}

Graph build_mobilenet_v2_224(const NetworkOptions& options) {
  Builder net("mobilenet_v2_224", {3, 224, 224}, options);
  const Value x = v2_body(
      net, {.activation = "relu6", .always_expands = false, .projects_the_shortcut = false}, 2,
      {{{1, 16, 1, 1},
        {6, 24, 2, 2},
        {6, 32, 3, 2},
        {6, 64, 4, 2},
        {6, 96, 3, 1},
        {6, 160, 3, 2},
        {6, 320, 1, 1}}});
  return net.finish(net.classifier("fc", net.add("dropout", "dropout", {x}, {{"p", 0.2}}), 1000));
}

}  // namespace lockstep::zoo
