#include "verify/differential/inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

namespace lockstep::verify {
namespace {

// Sebastiano Vigna's splitmix64: a good 64-bit mix of a counter, so every code has a number of its
// own.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

enum Constant : std::int64_t { kLow, kHigh, kZero, kOne, kMinusOne, kConstants };
constexpr const char* kConstantNames[] = {"all lowest", "all highest", "all 0", "all 1",
                                          "all -1 (raw bytes: all 254)"};

// Whether each element of the result comes from the one element at its place.
bool keeps_places(const Node& node) {
  constexpr std::string_view kOps[] = {
      "relu",         "relu6",    "leaky_relu", "hard_sigmoid", "hard_swish", "tanh",
      "sigmoid",      "gelu",     "silu",       "elu",          "softplus",   "batch_norm1d",
      "batch_norm2d", "quantize", "prune",      "flatten",      "dropout",    "identity"};
  return std::ranges::find(kOps, node.op) != std::end(kOps);
}

}  // namespace

GeneratedInputs::GeneratedInputs(const ExactNetwork& network, std::int64_t random_samples,
                                 std::uint64_t seed)
    : network_(network), seed_(seed) {
  if (random_samples <= 0) return;
  add_corners();
  add_extremes();
  first_random_ = count();
  for (std::int64_t i = 0; i < random_samples; ++i)
    kinds_.push_back({Kind::kRandom, i, fmt::format("random {}, seed {}", i, seed)});
}

void GeneratedInputs::add_corners() {
  for (std::int64_t constant = 0; constant < kConstants; ++constant)
    kinds_.push_back({Kind::kConstant, constant, kConstantNames[constant]});
  for (std::int64_t phase = 0; phase < 2; ++phase)
    kinds_.push_back({Kind::kAlternating, phase, "alternating extremes"});
  for (std::int64_t place = 0; place < 6; ++place)
    kinds_.push_back({Kind::kImpulse, place, "impulse"});
}

// The first linear layer but for transposed convolutions, when every element of its input still is
// one element of a graph input, in its place.
void GeneratedInputs::add_extremes() {
  const Graph& graph = network_.graph();
  const auto first = std::ranges::find_if(
      graph.nodes, [&](const Node& node) { return network_.constants(node.name) != nullptr; });
  if (first == graph.nodes.end() || first->op.starts_with("conv_transpose")) return;
  std::string source = first->inputs[0];
  for (const Node* node = graph.find_node(source); node != nullptr;
       node = graph.find_node(source)) {
    if (!keeps_places(*node)) return;
    source = node->inputs[0];
  }
  const auto input = std::ranges::find(graph.inputs, source, &GraphInput::name);
  layer_ = &*first;
  layer_input_ = static_cast<std::size_t>(input - graph.inputs.begin());
  for (std::int64_t channel = 0; channel < network_.constants(first->name)->outputs; ++channel) {
    kinds_.push_back(
        {Kind::kLargest, channel,
         fmt::format("largest accumulator of layer '{}', channel {}", first->name, channel)});
    kinds_.push_back(
        {Kind::kSmallest, channel,
         fmt::format("smallest accumulator of layer '{}', channel {}", first->name, channel)});
  }
}

std::string GeneratedInputs::name(std::int64_t sample) const {
  return kinds_[static_cast<std::size_t>(sample)].name;
}

Batch GeneratedInputs::make(std::int64_t first, std::int64_t count) const {
  Batch batch;
  const Graph& graph = network_.graph();
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    const Format& format = network_.fed_format(graph.inputs[i].name);
    TensorCodes tensor;
    tensor.shape = format.shape;
    tensor.decimals = format.decimals;
    const std::int64_t elements = format.element_count();
    tensor.codes.resize(static_cast<std::size_t>(elements * count));
    for (std::int64_t s = 0; s < count; ++s)
      fill(kinds_[static_cast<std::size_t>(first + s)], i, first + s,
           tensor.codes.data() + s * elements);
    batch.push_back(std::move(tensor));
  }
  return batch;
}

void GeneratedInputs::fill(const Sample& sample, std::size_t input, std::int64_t number,
                           std::int64_t* codes) const {
  const Format& format = network_.fed_format(network_.graph().inputs[input].name);
  const std::int64_t elements = format.element_count();
  const std::int64_t lo = format.lo, hi = format.hi;
  switch (sample.kind) {
    case Kind::kConstant: {
      const std::int64_t values[] = {lo, hi, 0, 1, lo < 0 ? -1 : hi - 1};
      std::fill(codes, codes + elements, values[sample.value]);
      return;
    }
    case Kind::kAlternating:
      for (std::int64_t e = 0; e < elements; ++e) codes[e] = (e + sample.value) % 2 == 0 ? lo : hi;
      return;
    case Kind::kImpulse: {
      const std::int64_t places[] = {0, elements / 2, elements - 1};
      std::fill(codes, codes + elements, 0);
      codes[places[sample.value / 2]] = sample.value % 2 == 0 ? lo : hi;
      return;
    }
    case Kind::kLargest:
    case Kind::kSmallest:
      std::fill(codes, codes + elements, 0);
      if (input == layer_input_)
        fill_extreme(sample.value, sample.kind == Kind::kLargest, lo, hi, codes);
      return;
    case Kind::kRandom: {
      const std::uint64_t stream =
          mix(mix(seed_) + static_cast<std::uint64_t>(number) * 1024 + input);
      const auto range =
          static_cast<std::uint64_t>(hi - lo + 1);  // a power of two, so % has no bias
      for (std::int64_t e = 0; e < elements; ++e)
        codes[e] =
            lo + static_cast<std::int64_t>(mix(stream + static_cast<std::uint64_t>(e)) % range);
      return;
    }
  }
}

// Each code goes to the extreme that the sign of its weight asks for. A convolution gets as many
// windows of this kind as fit without sharing an input element; what none of them reads stays 0.
void GeneratedInputs::fill_extreme(std::int64_t channel, bool largest, std::int64_t lo,
                                   std::int64_t hi, std::int64_t* codes) const {
  const LinearConstants& constants = *network_.constants(layer_->name);
  const auto wanted = [&](std::int64_t k) {
    const std::int64_t weight =
        constants.weights[static_cast<std::size_t>(channel * constants.fan_in + k)];
    return (weight > 0) == largest ? hi : lo;
  };
  if (layer_->op == "linear") {
    for (std::int64_t k = 0; k < constants.fan_in; ++k) codes[k] = wanted(k);
    return;
  }
  const SlidingWindow window = sliding_window(*layer_);
  const auto extent_of = [&](const std::string& name) {
    return spatial_extent(*layer_, network_.format(name).shape, window.axes);
  };
  const HeightWidth output = extent_of(layer_->name);
  const HeightWidth extent = extent_of(layer_->inputs[0]);
  const std::int64_t height = extent.height, width = extent.width;
  const std::int64_t taps = window.kernel.height * window.kernel.width;
  const std::int64_t group_outputs = constants.outputs / layer_->integer("groups");
  const std::int64_t first_channel = (channel / group_outputs) * (constants.fan_in / taps);
  std::vector<std::uint8_t> taken(static_cast<std::size_t>(height * width), 0);
  for (std::int64_t y = 0; y < output.height; ++y)
    for (std::int64_t x = 0; x < output.width; ++x) {
      const auto place = [&](std::int64_t tap) -> std::int64_t {  // in one plane; -1 in the padding
        const std::int64_t row = y * window.stride.height +
                                 (tap / window.kernel.width) * window.dilation.height -
                                 window.padding.height;
        const std::int64_t column = x * window.stride.width +
                                    (tap % window.kernel.width) * window.dilation.width -
                                    window.padding.width;
        return row < 0 || row >= height || column < 0 || column >= width ? -1
                                                                         : row * width + column;
      };
      bool free = true;
      for (std::int64_t tap = 0; tap < taps; ++tap)
        free = free && (place(tap) < 0 || taken[static_cast<std::size_t>(place(tap))] == 0);
      if (!free) continue;
      for (std::int64_t tap = 0; tap < taps; ++tap) {
        const std::int64_t p = place(tap);
        if (p < 0) continue;
        taken[static_cast<std::size_t>(p)] = 1;
        for (std::int64_t i = 0; i < constants.fan_in / taps; ++i)
          codes[(first_channel + i) * height * width + p] = wanted(i * taps + tap);
      }
    }
}

}  // namespace lockstep::verify
