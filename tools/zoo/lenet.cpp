// LeNet-5 (LeCun et al. 1998) as it is trained today, with relu and max pooling, and the NetPQ of
// QSPARSE's tutorial, whose batch norms stay unfolded.
#include "tools/zoo/builder.h"
#include "tools/zoo/families.h"

namespace lockstep::zoo {

Graph build_lenet(const NetworkOptions& options) {
  Builder net("lenet", {1, 28, 28}, options);
  Value x = net.weighted("conv2d", "conv1", net.input(),
                         {{"out_channels", 6}, {"kernel_size", 5}, {"padding", 2}});
  x = net.settle(net.add("relu", "relu1", {x}));
  x = net.add("max_pool2d", "pool1", {x}, {{"kernel_size", 2}});
  x = net.weighted("conv2d", "conv2", x, {{"out_channels", 16}, {"kernel_size", 5}});
  x = net.settle(net.add("relu", "relu2", {x}));
  x = net.add("max_pool2d", "pool2", {x}, {{"kernel_size", 2}});
  x = net.add("flatten", "flatten", {x});
  x = net.weighted("linear", "fc1", x, {{"out_features", 120}});
  x = net.settle(net.add("relu", "relu3", {x}));
  x = net.weighted("linear", "fc2", x, {{"out_features", 84}});
  x = net.settle(net.add("relu", "relu4", {x}));
  return net.finish(net.classifier("fc3", x, 10));
}

namespace {

// Layer, batch norm, prune, quantize and relu, in the tutorial's order. Biases stay float.
Value netpq_block(Builder& net, const std::string& number, const Value& layer) {
  const Value x = net.settle(net.batch_norm("bn" + number, layer));
  return net.add("relu", "relu" + number, {x});
}

}  // namespace

Graph build_netpq(const NetworkOptions& options) {
  Builder net("netpq", {1, 28, 28}, options);
  const WeightOptions float_bias{.is_output = false, .prune = true, .bias_bits = -1};
  const WeightOptions end{.is_output = true, .prune = false, .bias_bits = -1};
  Value x = net.quantize(net.input());
  x = net.weighted("conv2d", "conv1", x, {{"out_channels", 32}, {"kernel_size", 3}},
                   {.is_output = false, .prune = false, .bias_bits = -1});
  x = netpq_block(net, "1", x);
  x = net.weighted("conv2d", "conv2", x, {{"out_channels", 64}, {"kernel_size", 3}}, float_bias);
  x = netpq_block(net, "2", x);
  x = net.add("max_pool2d", "pool", {x}, {{"kernel_size", 2}});
  x = net.add("dropout", "dropout1", {x}, {{"p", 0.25}});
  x = net.add("flatten", "flatten", {x});
  x = net.weighted("linear", "fc1", x, {{"out_features", 128}}, float_bias);
  x = netpq_block(net, "3", x);
  x = net.add("dropout", "dropout2", {x}, {{"p", 0.5}});
  return net.finish(net.weighted("linear", "fc2", x, {{"out_features", 10}}, end));
}

}  // namespace lockstep::zoo
