#include "tests/compile/random_network.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>
#include <functional>
#include <numeric>

namespace lockstep::test {
namespace {

template <typename T>
Tensor tensor(Dtype dtype, std::vector<std::int64_t> shape, const std::vector<T>& values) {
  Tensor result{.dtype = dtype, .shape = std::move(shape), .bytes = {}};
  result.bytes.resize(values.size() * sizeof(T));
  std::memcpy(result.bytes.data(), values.data(), result.bytes.size());
  return result;
}

std::int64_t product(const std::vector<std::int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

// Grows a network node by node. `current` is the value that the next node reads.
class Maker {
 public:
  explicit Maker(std::uint64_t seed) : random_(seed) {}

  Network make() {
    shape_ = {random_.between(1, 3), random_.between(4, 7), random_.between(4, 7)};
    const std::string input =
        fmt::format(R"({{"name":"input","shape":[{}],"bits":{},"decimal":{}}})",
                    fmt::join(shape_, ","), random_.between(4, 9), random_.between(-1, 7));
    current_ = "input";
    is_codes_ = true;
    const std::int64_t convolutions = random_.between(1, 2);
    for (std::int64_t i = 0; i < convolutions; ++i) {
      if (random_.chance(20)) elementwise();
      conv2d();
      decorate();
    }
    if (random_.chance(60)) {
      node("flatten", "{}", "");
      shape_ = {product(shape_)};
      if (random_.chance(50)) decorate();
      if (!is_codes_) quantize();
      linear();
      decorate();
    }
    if (random_.chance(15)) node(random_.chance(50) ? "dropout" : "identity", "{}", "");
    if (outputs_.empty() || outputs_.back() != current_) outputs_.push_back(current_);
    Network network;
    network.json = fmt::format(
        R"({{"format":"lockstep-graph","version":1,"name":"random","inputs":[{}],"nodes":[{}],"outputs":["{}"]}})",
        input, fmt::join(nodes_, ","), fmt::join(outputs_, "\",\""));
    network.graph = parse_graph(network.json, "random");
    network.state = state_.take();
    return network;
  }

 private:
  std::string node(const std::string& op, const std::string& attributes, const std::string& wrap) {
    const std::string name = fmt::format("{}{}", op, nodes_.size());
    nodes_.push_back(fmt::format(R"({{"name":"{}","op":"{}","inputs":["{}"],"attrs":{}{}}})", name,
                                 op, current_, attributes,
                                 wrap.empty() ? "" : fmt::format(",\"wrap\":[{}]", wrap)));
    // Sometimes the value before stays an output too, and so has a second use.
    if (current_ != "input" && random_.chance(8) &&
        std::find(outputs_.begin(), outputs_.end(), current_) == outputs_.end())
      outputs_.push_back(current_);
    current_ = name;
    return name;
  }

  std::string rounding() {
    constexpr const char* kNames[] = {"toward_zero", "floor", "half_even"};
    return kNames[random_.between(0, 2)];
  }

  std::vector<int> decimals(std::int64_t count, std::int64_t lo, std::int64_t hi) {
    std::vector<int> result;
    for (std::int64_t i = 0; i < count; ++i)
      result.push_back(static_cast<int>(random_.between(lo, hi)));
    return result;
  }

  std::vector<std::uint8_t> mask(std::int64_t count) {
    std::vector<std::uint8_t> result;
    for (std::int64_t i = 0; i < count; ++i) result.push_back(random_.chance(60) ? 1 : 0);
    return result;
  }

  // The wrap list of a layer with `weight` shape, and its state. Returns the JSON of the list.
  struct Wrapped {
    std::string wrap;
    std::function<void(const std::string&)> write_state;
  };
  Wrapped weight(const std::vector<std::int64_t>& shape, bool bias) {
    const std::int64_t axis = random_.between(-1, static_cast<std::int64_t>(shape.size()) - 1);
    const int bits = static_cast<int>(random_.between(3, 8));
    const int bias_bits = static_cast<int>(random_.between(4, 12));
    const std::int64_t count = axis < 0 ? 1 : shape[static_cast<std::size_t>(axis)];
    const std::string quantize =
        fmt::format(R"({{"type":"quantize","bits":{},"channelwise":{},"rounding":"{}"{}}})", bits,
                    axis, rounding(), bias ? fmt::format(",\"bias_bits\":{}", bias_bits) : "");
    const std::string prune = R"({"type":"prune"})";
    const bool pruned = random_.chance(60);
    const bool prune_first = random_.chance(50);
    std::string wrap = !pruned       ? quantize
                       : prune_first ? prune + "," + quantize
                                     : quantize + "," + prune;
    return {std::move(wrap), [=, this](const std::string& name) {
              std::vector<float> values;
              for (std::int64_t i = 0; i < product(shape); ++i)
                values.push_back(random_.real(2.0F));
              // Sometimes a whole output channel is dead.
              if (random_.chance(30))
                std::fill_n(values.begin(), values.size() / static_cast<std::size_t>(shape[0]),
                            0.0F);
              state_.floats(name + ".weight", shape, values);
              if (bias) {
                std::vector<float> biases;
                for (std::int64_t i = 0; i < shape[0]; ++i) biases.push_back(random_.real(1.0F));
                state_.floats(name + ".bias", {shape[0]}, biases);
              }
              if (pruned) {
                std::vector<std::int64_t> mask_shape = shape;
                if (random_.chance(30))
                  mask_shape[static_cast<std::size_t>(random_.between(0, 1))] = 1;
                state_.prune(name + ".prune.", mask_shape, mask(product(mask_shape)));
              }
              state_.quantize(name + ".quantize.", decimals(count, 1, 5), bits);
              if (bias)
                state_.quantize(name + ".quantize_bias.", decimals(shape[0], 3, 9), bias_bits);
            }};
  }

  void conv2d() {
    if (!is_codes_) quantize();
    const std::int64_t groups = random_.chance(25) ? shape_[0] : 1;
    const std::int64_t outputs = groups * random_.between(1, groups == 1 ? 6 : 2);
    std::vector<std::int64_t> kernel, stride, padding, dilation, size;
    for (const std::size_t axis : {std::size_t{1}, std::size_t{2}}) {
      kernel.push_back(random_.between(1, std::min<std::int64_t>(3, shape_[axis])));
      stride.push_back(random_.chance(25) ? 2 : 1);
      padding.push_back(random_.chance(40) ? random_.between(0, 2) : 0);
      dilation.push_back(random_.chance(20) ? 2 : 1);
      const std::int64_t reach = dilation.back() * (kernel.back() - 1) + 1;
      if (shape_[axis] + 2 * padding.back() < reach) dilation.back() = 1;
      size.push_back(
          (shape_[axis] + 2 * padding.back() - dilation.back() * (kernel.back() - 1) - 1) /
              stride.back() +
          1);
    }
    const bool bias = random_.chance(50);
    const Wrapped wrapped = weight({outputs, shape_[0] / groups, kernel[0], kernel[1]}, bias);
    const std::string name = node(
        "conv2d",
        fmt::format(
            R"({{"in_channels":{},"out_channels":{},"kernel_size":[{}],"stride":[{}],"padding":[{}],"dilation":[{}],"groups":{},"bias":{}}})",
            shape_[0], outputs, fmt::join(kernel, ","), fmt::join(stride, ","),
            fmt::join(padding, ","), fmt::join(dilation, ","), groups, bias),
        wrapped.wrap);
    wrapped.write_state(name);
    shape_ = {outputs, size[0], size[1]};
    is_codes_ = false;
  }

  void linear() {
    const std::int64_t outputs = random_.between(1, 6);
    const bool bias = random_.chance(50);
    const Wrapped wrapped = weight({outputs, shape_[0]}, bias);
    const std::string name = node("linear",
                                  fmt::format(R"({{"in_features":{},"out_features":{},"bias":{}}})",
                                              shape_[0], outputs, bias),
                                  wrapped.wrap);
    wrapped.write_state(name);
    shape_ = {outputs};
    is_codes_ = false;
  }

  void quantize() {
    const bool per_channel = random_.chance(50);
    const int bits = static_cast<int>(random_.between(3, 10));
    const std::string name = node("quantize",
                                  fmt::format(R"({{"bits":{},"channelwise":{},"rounding":"{}"}})",
                                              bits, per_channel ? 1 : -1, rounding()),
                                  "");
    state_.quantize(name + ".", decimals(per_channel ? shape_[0] : 1, 0, 7), bits);
    is_codes_ = true;
  }

  void prune() {
    std::vector<std::int64_t> mask_shape = shape_;
    if (random_.chance(30))
      mask_shape[static_cast<std::size_t>(
          random_.between(0, static_cast<std::int64_t>(shape_.size()) - 1))] = 1;
    const std::string name = node("prune", "{}", "");
    state_.prune(name + ".", mask_shape, mask(product(mask_shape)));
  }

  void max_pool2d() {
    if (shape_.size() != 3 || shape_[1] < 2 || shape_[2] < 2) return;
    const std::int64_t padding = random_.chance(30) ? 1 : 0, stride = random_.between(1, 2);
    const bool ceil = random_.chance(30);
    node("max_pool2d",
         fmt::format(R"({{"kernel_size":2,"stride":{},"padding":{},"ceil_mode":{}}})", stride,
                     padding, ceil),
         "");
    for (const std::size_t axis : {std::size_t{1}, std::size_t{2}}) {
      const std::int64_t slack = shape_[axis] + 2 * padding - 2;
      std::int64_t size = slack / stride + 1;
      if (ceil && slack % stride != 0 && size * stride < shape_[axis] + padding) ++size;
      shape_[axis] = size;
    }
  }

  void elementwise() {
    switch (random_.between(0, 4)) {
      case 0:
        return quantize();
      case 1:
        return prune();
      case 2:
        return max_pool2d();
      default:
        node("relu", "{}", "");
    }
  }

  // What follows a linear operator: masks, relu, quantize, pooling, in any order.
  void decorate() {
    for (std::int64_t n = random_.between(0, 4); n > 0; --n) elementwise();
  }

  Random random_;
  std::vector<std::string> nodes_, outputs_;
  std::string current_;
  std::vector<std::int64_t> shape_;
  bool is_codes_ = false;
  StateBuilder state_;
};

}  // namespace

std::int64_t Random::between(std::int64_t lo, std::int64_t hi) {
  state_ += 0x9E3779B97F4A7C15U;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  z ^= z >> 31;
  return lo + static_cast<std::int64_t>(z % static_cast<std::uint64_t>(hi - lo + 1));
}

float Random::real(float magnitude) {
  return static_cast<float>(between(-(1 << 20), 1 << 20)) * magnitude / static_cast<float>(1 << 20);
}

void StateBuilder::floats(const std::string& key, std::vector<std::int64_t> shape,
                          const std::vector<float>& values) {
  state_.add(key, tensor(Dtype::kFloat32, std::move(shape), values));
}

void StateBuilder::quantize(const std::string& prefix, const std::vector<int>& decimals, int bits) {
  floats(prefix + "decimal", {static_cast<std::int64_t>(decimals.size())},
         {decimals.begin(), decimals.end()});
  state_.add(prefix + "_n_updates", tensor<std::int32_t>(Dtype::kInt32, {1}, {100}));
  state_.add(prefix + "bits", tensor<std::int32_t>(Dtype::kInt32, {}, {bits}));
  state_.add(prefix + "_quantized", tensor<std::uint8_t>(Dtype::kBool, {1}, {1}));
}

void StateBuilder::prune(const std::string& prefix, std::vector<std::int64_t> shape,
                         const std::vector<std::uint8_t>& mask) {
  state_.add(prefix + "mask", tensor(Dtype::kBool, std::move(shape), mask));
  state_.add(prefix + "_n_updates", tensor<std::int32_t>(Dtype::kInt32, {1}, {100}));
  floats(prefix + "_cur_sparsity", {1}, {0.5F});
}

void StateBuilder::batch_norm(const std::string& prefix, const std::vector<float>& weight,
                              const std::vector<float>& bias,
                              const std::vector<float>& running_mean,
                              const std::vector<float>& running_var) {
  const std::vector<std::int64_t> shape = {static_cast<std::int64_t>(weight.size())};
  floats(prefix + "weight", shape, weight);
  floats(prefix + "bias", shape, bias);
  floats(prefix + "running_mean", shape, running_mean);
  floats(prefix + "running_var", shape, running_var);
  state_.add(prefix + "num_batches_tracked", tensor<std::int64_t>(Dtype::kInt64, {}, {100}));
}

void StateBuilder::unused_quantize(const std::string& prefix) {
  for (const char* entry : {"decimal", "_n_updates", "bits", "_quantized"})
    state_.add(prefix + entry, tensor<std::int32_t>(Dtype::kInt32, {}, {-1}));
}

Network random_network(std::uint64_t seed) { return Maker(seed).make(); }

std::vector<std::vector<std::int64_t>> input_codes(const Graph& graph, std::uint64_t seed,
                                                   int corner) {
  Random random(seed);
  std::vector<std::vector<std::int64_t>> inputs;
  for (const GraphInput& input : graph.inputs) {
    const std::int64_t half = std::int64_t{1} << (input.bits - 1);
    const std::int64_t lo = input.raw ? 0 : -half, hi = input.raw ? 255 : half - 1;
    std::vector<std::int64_t> codes(static_cast<std::size_t>(product(input.shape)));
    for (std::int64_t& code : codes)
      code = corner == 1                         ? lo
             : corner == 2                       ? hi
             : corner == 3 && !random.chance(15) ? 0
                                                 : random.between(lo, hi);
    inputs.push_back(std::move(codes));
  }
  return inputs;
}

}  // namespace lockstep::test
