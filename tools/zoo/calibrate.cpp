// A state dict by calibration: node after node, weights are drawn and pruned, decimals and
// statistics are read off what the layers before it, already in fixed point, make of a few drawn
// inputs. `lockstep train --calibrate` does the same with trained weights and real images.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <span>

#include "compile/graph/op_schema.h"
#include "compile/graph/shapes.h"
#include "compile/support/error.h"
#include "tools/zoo/float_run.h"
#include "tools/zoo/zoo.h"
#include "train/datasets/random.h"

namespace lockstep::zoo {
namespace {

using train::Random;

// Multiply-accumulates that a calibration may take: seconds.
constexpr std::int64_t kMostMacs = 3'000'000'000;
constexpr std::int64_t kLeastSamples = 2, kMostSamples = 16;
// Decimals of one activation differ by at most so much: products of all its channels meet on the
// finest grid, and weights must not need more than 16 bits there.
constexpr int kWidestSpread = 4;
// The least variance of a batch norm, as a share of the mean variance of its channels.
constexpr float kLeastVariance = 0.01F;
constexpr std::int32_t kSteps = 1000;  // counters of a training that has ended

template <typename T>
Tensor tensor(Dtype dtype, std::vector<std::int64_t> shape, const std::vector<T>& values) {
  Tensor result{.dtype = dtype, .shape = std::move(shape), .bytes = {}};
  result.bytes.resize(values.size() * sizeof(T));
  std::memcpy(result.bytes.data(), values.data(), result.bytes.size());
  return result;
}

// Sums of uniform numbers: normal enough, and the same on every machine, which a logarithm is not.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed) {}
  double uniform(double lo, double hi) {
    return lo + (hi - lo) * static_cast<double>(random_.next() >> 11) * 0x1p-53;
  }
  // Variance 1, at most 6 in magnitude (Irwin and Hall).
  double normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += uniform(0, 1);
    return sum;
  }
  std::int64_t below(std::int64_t bound) { return random_.below(bound); }

 private:
  Random random_;
};

float power_of_two(int exponent) { return std::ldexp(1.0F, exponent); }

// The largest decimal of `spec` with which no value up to `largest` saturates; its lowest one where
// there is none, and for zero.
int fitting_decimal(float largest, std::int64_t bits, const QuantizeSpec& spec) {
  const auto lo = static_cast<int>(spec.decimal_lo), hi = static_cast<int>(spec.decimal_hi);
  const auto limit = static_cast<float>((std::int64_t{1} << (bits - 1)) - 1);
  int decimal = lo;
  while (largest > 0 && decimal + 1 < hi && largest * power_of_two(decimal + 1) <= limit) ++decimal;
  return decimal;
}

float fake_quantize(float value, int decimal, std::int64_t bits) {
  const float half = power_of_two(static_cast<int>(bits) - 1);
  const float code = std::trunc(value * power_of_two(decimal));
  return std::clamp(code, -half, half - 1) * power_of_two(-decimal);
}

// QSPARSE's rule: elements below the (sparsity * n - 1)-th smallest go.
std::vector<std::uint8_t> keep_largest(const std::vector<float>& saliency, double sparsity) {
  std::vector<float> sorted = saliency;
  const auto n = static_cast<double>(sorted.size());
  const auto index = static_cast<std::ptrdiff_t>(std::max(sparsity * n - 1, 0.0));
  std::nth_element(sorted.begin(), sorted.begin() + index, sorted.end());
  const float threshold = sorted[static_cast<std::size_t>(index)];
  std::vector<std::uint8_t> keep;
  for (const float s : saliency) keep.push_back(s >= threshold ? 1 : 0);
  return keep;
}

struct Mask {
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> keep;
  std::vector<std::uint8_t> spread;  // one for each element that is pruned
};

// Mean magnitudes along the axes that are not pruned decide, as in QSPARSE.
Mask make_mask(const PruneSpec& spec, const std::vector<std::int64_t>& shape,
               const std::vector<float>& magnitudes) {
  LOCKSTEP_ASSERT(!spec.block);  // the zoo has none
  Mask mask{.shape = shape, .keep = {}, .spread = {}};
  if (spec.structured_dims)
    for (std::size_t axis = 0; axis < shape.size(); ++axis)
      if (std::ranges::count(*spec.structured_dims, static_cast<std::int64_t>(axis)) == 0)
        mask.shape[axis] = 1;
  std::size_t size = 1;
  for (const std::int64_t extent : mask.shape) size *= static_cast<std::size_t>(extent);
  std::vector<std::size_t> place(magnitudes.size());  // in the mask, of each element
  for (std::size_t i = 0; i < place.size(); ++i) {
    std::size_t rest = i, stride = 1;
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      const auto extent = static_cast<std::size_t>(shape[axis]);
      if (mask.shape[axis] != 1) place[i] += rest % extent * stride;
      rest /= extent;
      stride *= static_cast<std::size_t>(mask.shape[axis]);
    }
  }
  std::vector<float> saliency(size);
  for (std::size_t i = 0; i < place.size(); ++i) saliency[place[i]] += magnitudes[i];
  mask.keep = keep_largest(saliency, spec.sparsity);
  for (const std::size_t p : place) mask.spread.push_back(mask.keep[p]);
  return mask;
}

// One value of the network while it is calibrated.
struct Traced {
  Samples samples;
  // The least decimal of its channels where it consists of codes.
  std::optional<int> coarsest;
  std::size_t readers = 0;  // nodes still to come
};

class Calibrator {
 public:
  Calibrator(const Graph& graph, std::uint64_t seed)
      : graph_(graph), shapes_(infer_shapes(graph, graph.name)), draw_(seed) {
    for (const Node& node : graph.nodes)
      for (const std::string& input : node.inputs) ++values_[input].readers;
  }

  StateDict run() {
    const std::int64_t macs = std::max<std::int64_t>(size_of(graph_).macs, 1);
    const std::int64_t count = std::clamp(kMostMacs / macs, kLeastSamples, kMostSamples);
    for (const GraphInput& input : graph_.inputs) draw_input(input, count);
    for (const Node& node : graph_.nodes) {
      Traced& value = values_[node.name];
      std::vector<const Samples*> inputs;
      std::optional<int> coarsest = values_.at(node.inputs[0]).coarsest;
      for (const std::string& name : node.inputs) {
        const Traced& input = values_.at(name);
        inputs.push_back(&input.samples);
        coarsest = coarsest && input.coarsest ? std::optional(std::min(*coarsest, *input.coarsest))
                                              : std::nullopt;
      }
      value.coarsest = coarsest;
      value.samples = run_node(node, inputs, value.coarsest);
      for (const std::string& name : node.inputs)
        if (--values_.at(name).readers == 0) values_.at(name).samples = {};
    }
    return std::move(state_);
  }

 private:
  // Blocks of one brightness, and noise on top of them.
  void draw_input(const GraphInput& input, std::int64_t count) {
    Traced& value = values_[input.name];
    value.coarsest = static_cast<int>(input.decimal);
    Samples& samples = value.samples;
    samples.shape = input.shape;
    samples.count = count;
    const std::int64_t half = std::int64_t{1} << (input.bits - 1);
    const std::int64_t rows = input.shape.size() == 3 ? input.shape[1] : 1;
    const std::int64_t columns = samples.positions() / rows;
    constexpr std::int64_t kBlocks = 4;
    std::array<std::int64_t, kBlocks * kBlocks> blocks{};
    for (std::int64_t plane = 0; plane < count * samples.channels(); ++plane) {
      for (std::int64_t& block : blocks) block = draw_.below(half + 1) - half / 2;
      for (std::int64_t y = 0; y < rows; ++y)
        for (std::int64_t x = 0; x < columns; ++x) {
          const std::int64_t block = blocks[static_cast<std::size_t>(y * kBlocks / rows * kBlocks +
                                                                     x * kBlocks / columns)];
          const std::int64_t code = block + draw_.below(half + 1) - half / 2;
          samples.data.push_back(static_cast<float>(std::clamp(code, -half, half - 1)) *
                                 power_of_two(-static_cast<int>(input.decimal)));
        }
    }
  }

  Samples run_node(const Node& node, const std::vector<const Samples*>& inputs,
                   std::optional<int>& coarsest) {
    const OpSchema& schema = schema_of(node);
    if (node.quantize) return quantize(node, *inputs[0], coarsest);
    if (node.prune) return prune(node, *inputs[0]);
    if (schema.weight_shape != nullptr) {
      const Effective effective = draw_weight(node, schema, coarsest);
      coarsest = std::nullopt;
      return run_weighted(node, *inputs[0], effective.weight, effective.bias,
                          shapes_.at(node.name));
    }
    if (!schema.normalized_channels.empty()) {
      coarsest = std::nullopt;
      return normalize(node, *inputs[0]);
    }
    return run_plain(node, inputs, shapes_.at(node.name));
  }

  // ---- weights ----

  struct Effective {  // as the layer uses them
    std::vector<float> weight, bias;
  };

  Effective draw_weight(const Node& node, const OpSchema& schema,
                        std::optional<int> input_decimal) {
    const std::vector<std::int64_t> shape = schema.weight_shape(node);
    std::int64_t elements = 1;
    for (const std::int64_t extent : shape) elements *= extent;
    const bool transposed = node.op.starts_with("conv_transpose");
    const std::int64_t outputs = node.integer(schema.bias_length);
    // He et al. 2015. Of a transposed convolution, a stride leaves out most products of an output.
    double fan_in = static_cast<double>(elements) / static_cast<double>(outputs);
    if (transposed)
      for (const std::int64_t stride : node.integers("stride"))
        fan_in /= static_cast<double>(stride);
    const double deviation = std::sqrt(2 / fan_in);

    Effective effective;
    for (std::int64_t i = 0; i < elements; ++i)
      effective.weight.push_back(static_cast<float>(draw_.normal() * deviation));
    add_floats(state_key(node.name, "weight"), shape, effective.weight);
    if (node.flag("bias")) {
      for (std::int64_t i = 0; i < outputs; ++i)
        effective.bias.push_back(static_cast<float>(draw_.uniform(-0.25, 0.25)));
      add_floats(state_key(node.name, "bias"), {outputs}, effective.bias);
    }
    for (const Wrap& wrap : node.wraps) {
      if (const auto* const prune = std::get_if<PruneSpec>(&wrap))
        prune_weight(node, *prune, shape, effective.weight);
      else
        quantize_weight(node, std::get<QuantizeSpec>(wrap), shape, effective, input_decimal);
    }
    return effective;
  }

  void prune_weight(const Node& node, const PruneSpec& spec, const std::vector<std::int64_t>& shape,
                    std::vector<float>& weight) {
    std::vector<float> magnitudes;
    for (const float w : weight) magnitudes.push_back(std::fabs(w));
    const Mask mask = make_mask(spec, shape, magnitudes);
    for (std::size_t i = 0; i < weight.size(); ++i)
      if (mask.spread[i] == 0) weight[i] = 0;
    add_prune(state_key(node.name, "prune."), spec, mask);
  }

  void quantize_weight(const Node& node, const QuantizeSpec& spec,
                       const std::vector<std::int64_t>& shape, Effective& effective,
                       std::optional<int> input_decimal) {
    std::vector<float>& weight = effective.weight;
    // Elements along the axis of the decimals repeat after `inner` of them.
    std::size_t groups = 1, inner = weight.size();
    if (spec.channelwise >= 0) {
      const auto axis = static_cast<std::size_t>(spec.channelwise);
      groups = static_cast<std::size_t>(shape[axis]);
      for (std::size_t i = 0; i <= axis; ++i) inner /= static_cast<std::size_t>(shape[i]);
    }
    std::vector<float> largest(groups);
    for (std::size_t i = 0; i < weight.size(); ++i) {
      float& most = largest[i / inner % groups];
      most = std::max(most, std::fabs(weight[i]));
    }
    std::vector<int> decimals;
    for (const float most : largest) decimals.push_back(fitting_decimal(most, spec.bits, spec));
    for (std::size_t i = 0; i < weight.size(); ++i)
      weight[i] = fake_quantize(weight[i], decimals[i / inner % groups], spec.bits);
    add_quantize(state_key(node.name, "quantize."), decimals, spec.bits);
    if (spec.bias_bits < 0 || effective.bias.empty()) return;

    // A bias on a finer grid than the products would make all weights wider.
    LOCKSTEP_ASSERT(input_decimal);
    std::vector<int> bias_decimals;
    for (std::size_t o = 0; o < effective.bias.size(); ++o) {
      float& bias = effective.bias[o];
      const int finest = *input_decimal + decimals[groups == 1 ? 0 : o];
      const int decimal =
          std::max(std::min(fitting_decimal(std::fabs(bias), spec.bias_bits, spec), finest),
                   static_cast<int>(spec.decimal_lo));
      bias = fake_quantize(bias, decimal, spec.bias_bits);
      bias_decimals.push_back(decimal);
    }
    add_quantize(state_key(node.name, "quantize_bias."), bias_decimals, spec.bias_bits);
  }

  // ---- activations ----

  // Calls `each` with every element and its channel.
  template <typename Data, typename Each>
  static void for_each_channel(Data& samples, Each each) {
    const auto positions = static_cast<std::size_t>(samples.positions());
    const auto channels = static_cast<std::size_t>(samples.channels());
    for (std::size_t i = 0; i < samples.data.size(); ++i)
      each(samples.data[i], i / positions % channels);
  }

  Samples quantize(const Node& node, Samples samples, std::optional<int>& coarsest) {
    const QuantizeSpec& spec = *node.quantize;
    const bool per_channel = spec.channelwise >= 0;
    const auto group = [&](std::size_t channel) { return per_channel ? channel : 0; };
    std::vector<float> largest(per_channel ? static_cast<std::size_t>(samples.channels()) : 1);
    for_each_channel(samples, [&](float value, std::size_t channel) {
      largest[group(channel)] = std::max(largest[group(channel)], std::fabs(value));
    });
    std::vector<int> decimals;
    int least = std::numeric_limits<int>::max();
    for (const float most : largest) {
      decimals.push_back(fitting_decimal(most, spec.bits, spec));
      if (most > 0) least = std::min(least, decimals.back());
    }
    if (least == std::numeric_limits<int>::max()) least = static_cast<int>(spec.decimal_lo);
    for (std::size_t c = 0; c < decimals.size(); ++c)
      decimals[c] = std::clamp(decimals[c], least, least + kWidestSpread);
    for_each_channel(samples, [&](float& value, std::size_t channel) {
      value = fake_quantize(value, decimals[group(channel)], spec.bits);
    });
    add_quantize(state_key(node.name, ""), decimals, spec.bits);
    coarsest = least;
    return samples;
  }

  Samples prune(const Node& node, Samples samples) {
    const auto elements = static_cast<std::size_t>(samples.elements());
    std::vector<float> magnitudes(elements);
    for (std::size_t i = 0; i < samples.data.size(); ++i)
      magnitudes[i % elements] += std::fabs(samples.data[i]);
    const Mask mask = make_mask(*node.prune, samples.shape, magnitudes);
    for (std::size_t i = 0; i < samples.data.size(); ++i)
      if (mask.spread[i % elements] == 0) samples.data[i] = 0;
    add_prune(state_key(node.name, ""), *node.prune, mask);
    return samples;
  }

  Samples normalize(const Node& node, Samples samples) {
    const auto channels = static_cast<std::size_t>(samples.channels());
    const auto per_channel = static_cast<float>(samples.data.size() / channels);
    std::vector<float> mean(channels), variance(channels), scale, offset;
    for_each_channel(samples, [&](float value, std::size_t c) { mean[c] += value; });
    for (float& m : mean) m /= per_channel;
    for_each_channel(samples, [&](float value, std::size_t c) {
      variance[c] += (value - mean[c]) * (value - mean[c]);
    });
    float total = 0;
    for (float& v : variance) total += v /= per_channel;
    for (float& v : variance)
      v = std::max(v, kLeastVariance * total / static_cast<float>(channels));
    for (std::size_t c = 0; c < channels; ++c) {
      scale.push_back(static_cast<float>(draw_.uniform(0.5, 1.5)));
      offset.push_back(static_cast<float>(draw_.uniform(-0.5, 0.5)));
    }
    const std::vector<std::int64_t> shape = {samples.channels()};
    add_floats(state_key(node.name, "weight"), shape, scale);
    add_floats(state_key(node.name, "bias"), shape, offset);
    add_floats(state_key(node.name, "running_mean"), shape, mean);
    add_floats(state_key(node.name, "running_var"), shape, variance);
    state_.add(state_key(node.name, "num_batches_tracked"),
               tensor<std::int64_t>(Dtype::kInt64, {}, {kSteps}));
    const auto eps = static_cast<float>(node.number("eps"));
    for_each_channel(samples, [&](float& value, std::size_t c) {
      value = (value - mean[c]) * (scale[c] / std::sqrt(variance[c] + eps)) + offset[c];
    });
    return samples;
  }

  // ---- entries, as QSPARSE orders them ----

  void add_floats(const std::string& key, std::vector<std::int64_t> shape,
                  const std::vector<float>& values) {
    state_.add(key, tensor(Dtype::kFloat32, std::move(shape), values));
  }
  void add_counter(const std::string& prefix) {
    state_.add(prefix + "_n_updates", tensor<std::int32_t>(Dtype::kInt32, {1}, {kSteps}));
  }
  void add_quantize(const std::string& prefix, const std::vector<int>& decimals,
                    std::int64_t bits) {
    add_floats(prefix + "decimal", {static_cast<std::int64_t>(decimals.size())},
               {decimals.begin(), decimals.end()});
    add_counter(prefix);
    state_.add(prefix + "bits",
               tensor<std::int32_t>(Dtype::kInt32, {}, {static_cast<std::int32_t>(bits)}));
    state_.add(prefix + "_quantized", tensor<std::uint8_t>(Dtype::kBool, {1}, {1}));
  }
  void add_prune(const std::string& prefix, const PruneSpec& spec, const Mask& mask) {
    state_.add(prefix + "mask", tensor(Dtype::kBool, mask.shape, mask.keep));
    add_counter(prefix);
    add_floats(prefix + "_cur_sparsity", {1}, {static_cast<float>(spec.sparsity)});
  }

  const Graph& graph_;
  const Shapes shapes_;
  Draw draw_;
  std::map<std::string, Traced, std::less<>> values_;
  StateDict state_;
};

}  // namespace

StateDict calibrated_state(const Graph& graph, std::uint64_t seed) {
  return Calibrator(graph, seed).run();
}

}  // namespace lockstep::zoo
