#include "verify/worst/fast_sums.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "verify/semantics/float_function.h"
#include "verify/semantics/index.h"

namespace lockstep::verify {
namespace {

constexpr std::int64_t kDoubleSteps = std::int64_t{1} << 53;
// Below that, planes are longer than groups are wide, and the exact semantics are as fast.
constexpr std::int64_t kFewestOutputs = 4;

// In lanes, so that the compiler may use vectors.
template <typename Number>
Number dot(const Number* a, const Number* b, std::size_t count) {
  constexpr std::size_t kLanes = 8;
  Number lanes[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += a[i + lane] * b[i + lane];
  Number sum = 0;
  for (; i < count; ++i) sum += a[i] * b[i];
  for (const Number lane : lanes) sum += lane;
  return sum;
}

}  // namespace

FastSums::FastSums(const ExactNetwork& network) {
  for (const Node& node : network.graph().nodes) {
    const LinearConstants* const constants = network.constants(node.name);
    if (constants == nullptr || constants->largest_sum >= kDoubleSteps) continue;
    Layer layer(network, node);
    if (layer.reach.group_outputs >= kFewestOutputs) layers_.emplace(node.name, std::move(layer));
  }
}

FastSums::Layer::Layer(const ExactNetwork& network, const Node& node)
    : constants(*network.constants(node.name)),
      format(network.format(node.inputs[0])),
      reach(reach_of_node(node, format, network.format(node.name))) {
  if (node.op != "linear") aligned = std::make_unique<Aligned>(node.name, format);
  positions = network.format(node.name).element_count() / constants.outputs;
  const auto fill = [&](auto& weights) {
    weights.resize(constants.aligned_weights.size());
    for (std::int64_t o = 0; o < constants.outputs; ++o)
      for (std::int64_t k = 0; k < reach.fan_in; ++k) {
        const std::int64_t group = o / reach.group_outputs, place = o % reach.group_outputs;
        weights[at((group * reach.fan_in + k) * reach.group_outputs + place)] =
            static_cast<std::remove_reference_t<decltype(weights[0])>>(
                constants.aligned_weights[at(o * reach.fan_in + k)]);
      }
  };
  // Then each weight and each partial sum is a float32, too.
  if (constants.float32_is_exact)
    fill(floats);
  else
    fill(doubles);
}

template <typename Number>
void FastSums::Layer::add_up(const std::vector<Number>& weights, Values codes, std::int64_t first,
                             std::int64_t position, std::vector<Number>& sums) const {
  std::ranges::fill(sums, Number{0});
  const Number* const group = weights.data() + first * reach.fan_in;
  reach.each(first, position, [&](std::int64_t k, std::int64_t element) {
    const auto code = static_cast<Number>(codes[at(element)]);
    if (code == 0) return;
    const Number* const row = group + k * reach.group_outputs;
    for (std::size_t o = 0; o < sums.size(); ++o) sums[o] += code * row[o];
  });
}

std::int64_t FastSums::Layer::with_bias(double sum, std::int64_t channel) const {
  const std::int64_t bias =
      constants.aligned_bias.empty() ? 0 : constants.aligned_bias[at(channel)];
  return static_cast<std::int64_t>(sum) + bias;
}

void FastSums::run(const Node& node, Values input, std::span<std::int64_t> output) const {
  const Layer& layer = find(node);
  const LinearConstants& constants = layer.constants;
  std::vector<std::int64_t> storage;
  const Values codes = layer.aligned_codes(input, storage);
  layer.with_weights([&]<typename Number>(const std::vector<Number>& weights) {
    std::vector<Number> sums(at(layer.reach.group_outputs));
    for (std::int64_t first = 0; first < constants.outputs; first += layer.reach.group_outputs)
      for (std::int64_t position = 0; position < layer.positions; ++position) {
        layer.add_up(weights, codes, first, position, sums);
        for (std::size_t o = 0; o < sums.size(); ++o) {
          const std::size_t channel = at(first) + o;
          std::int64_t sum = layer.with_bias(double{sums[o]}, first + static_cast<std::int64_t>(o));
          if (!constants.float_bias.empty())
            sum = real_to_bits(enter_float(sum, constants.accumulator_decimals[channel]) +
                               constants.float_bias[channel]);
          output[channel * at(layer.positions) + at(position)] = sum;
        }
      }
  });
}

std::vector<std::int64_t> FastSums::sums_at(const Node& node, Values input,
                                            std::int64_t position) const {
  const Layer& layer = find(node);
  std::vector<std::int64_t> storage, result;
  const Values codes = layer.aligned_codes(input, storage);
  layer.with_weights([&]<typename Number>(const std::vector<Number>& weights) {
    std::vector<Number> sums(at(layer.reach.group_outputs));
    for (std::int64_t first = 0; first < layer.constants.outputs;
         first += layer.reach.group_outputs) {
      layer.add_up(weights, codes, first, position, sums);
      for (const Number sum : sums)
        result.push_back(layer.with_bias(double{sum}, std::ssize(result)));
    }
  });
  return result;
}

void FastSums::pass_back(const Node& node, std::span<const double> outputs,
                         std::span<double> inputs) const {
  const Layer& layer = find(node);
  const std::int64_t group_outputs = layer.reach.group_outputs;
  const auto decimal = [&](std::int64_t element) {
    return layer.aligned ? layer.aligned->format().decimal(element) : layer.format.decimal(element);
  };
  layer.with_weights([&]<typename Number>(const std::vector<Number>& weights) {
    std::vector<Number> wishes(at(group_outputs));
    for (std::int64_t first = 0; first < layer.constants.outputs; first += group_outputs)
      for (std::int64_t position = 0; position < layer.positions; ++position) {
        bool any = false;
        for (std::int64_t o = 0; o < group_outputs; ++o) {
          const double wish = outputs[at((first + o) * layer.positions + position)];
          any = any || wish != 0;
          wishes[at(o)] = static_cast<Number>(
              wish == 0 ? 0
                        : std::ldexp(wish, -layer.constants.accumulator_decimals[at(first + o)]));
        }
        if (!any) continue;
        int shift = 0;
        double step = 1;  // 2^shift; nearly always the same for all
        layer.reach.each(first, position, [&](std::int64_t k, std::int64_t element) {
          const Number sum = dot(weights.data() + first * layer.reach.fan_in + k * group_outputs,
                                 wishes.data(), at(group_outputs));
          if (decimal(element) != shift) step = std::ldexp(1.0, shift = decimal(element));
          inputs[at(element)] += double{sum} * step;
        });
      }
  });
}

}  // namespace lockstep::verify
