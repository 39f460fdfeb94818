// One convolution with quantized and pruned weights and outputs, computed twice: by LibTorch in
// float32, and here in integers. The two must agree in every value.
//
//   lockstep_documented_check                 trains a fresh network by 241 forwards of random data
//   lockstep_documented_check --state FILE    takes a recorded one (.pt or .safetensors)
//
// Exit 0: they agree. 1: they do not, and the first difference is named. 2: bad input.
#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "compile/checkpoint/parameters.h"
#include "compile/support/error.h"
#include "train/datasets/random.h"
#include "train/network.h"
#include "train/network_state.h"

namespace {

using lockstep::InputError;

constexpr std::int64_t kImages = 10, kSize = 28, kKernel = 3, kOut = kSize - kKernel + 1;
constexpr std::int64_t kChannels = 32;
constexpr int kInputDecimal = 7;

std::size_t index(std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t bs,
                  std::int64_t cs) {
  return static_cast<std::size_t>((a * bs + b) * cs + c);
}

std::int64_t clamp_to_int8(std::int64_t x) { return std::clamp<std::int64_t>(x, -128, 127); }

// x / 2^shift toward zero, as C++ divides; a negative shift multiplies.
std::int64_t divide_by_power(std::int64_t x, int shift) {
  return shift >= 0 ? x / (std::int64_t{1} << shift) : x * (std::int64_t{1} << -shift);
}

int decimal_of(const lockstep::QuantizeParameters& quantize, std::int64_t channel) {
  return quantize.decimals.at(quantize.decimals.size() == 1 ? 0
                                                            : static_cast<std::size_t>(channel));
}

// Random codes; the first image holds both extremes.
std::vector<std::int64_t> make_images(std::uint64_t seed) {
  lockstep::train::Random random(seed);
  std::vector<std::int64_t> codes(kImages * kSize * kSize);
  for (std::int64_t& code : codes) code = random.below(256) - 128;
  codes[0] = 127;
  codes[1] = -128;
  return codes;
}

void require_size(const char* what, std::size_t found, std::size_t expected) {
  if (found != expected)
    throw InputError(fmt::format("{}: {} values, expected {}", what, found, expected));
}

// A state may hold masks and decimals of other sizes than this network makes.
void require_sizes(const lockstep::NodeParameters& conv, const lockstep::MaskParameters& mask,
                   const lockstep::QuantizeParameters& out) {
  require_size("layer 'conv': prune.mask", conv.weight_mask->keep.size(), conv.weight.size());
  require_size("layer 'conv_output_pruning': mask", mask.keep.size(),
               index(kChannels, 0, 0, kOut, kOut));
  if (conv.weight_quantize->decimals.size() != 1)
    require_size("layer 'conv': quantize.decimal", conv.weight_quantize->decimals.size(),
                 kChannels);
  if (out.decimals.size() != 1)
    require_size("layer 'conv_output_quantization': decimal", out.decimals.size(), kChannels);
}

// The integer convolution, [image][channel][row][column]: everything the float network does, from
// its state alone.
std::vector<std::int64_t> integer_network(const lockstep::Parameters& parameters,
                                          const std::vector<std::int64_t>& images) {
  const lockstep::NodeParameters& conv = parameters.nodes.at("conv");
  const lockstep::MaskParameters& mask = *parameters.nodes.at("conv_output_pruning").mask;
  const lockstep::QuantizeParameters& out =
      *parameters.nodes.at("conv_output_quantization").quantize;
  require_sizes(conv, mask, out);

  std::vector<std::int64_t> weights;
  for (std::size_t i = 0; i < conv.weight.size(); ++i) {
    const int decimal =
        decimal_of(*conv.weight_quantize, static_cast<std::int64_t>(i) / (kKernel * kKernel));
    const double scaled = std::trunc(std::ldexp(static_cast<double>(conv.weight[i]), decimal));
    weights.push_back(clamp_to_int8(static_cast<std::int64_t>(scaled)) * conv.weight_mask->keep[i]);
  }

  std::vector<std::int64_t> codes;
  for (std::int64_t image = 0; image < kImages; ++image) {
    for (std::int64_t channel = 0; channel < kChannels; ++channel) {
      const int shift =
          kInputDecimal + decimal_of(*conv.weight_quantize, channel) - decimal_of(out, channel);
      for (std::int64_t row = 0; row < kOut; ++row) {
        for (std::int64_t column = 0; column < kOut; ++column) {
          std::int64_t sum = 0;
          for (std::int64_t dy = 0; dy < kKernel; ++dy)
            for (std::int64_t dx = 0; dx < kKernel; ++dx)
              sum += weights[index(channel, dy, dx, kKernel, kKernel)] *
                     images[index(image, row + dy, column + dx, kSize, kSize)];
          codes.push_back(clamp_to_int8(divide_by_power(sum, shift)) *
                          mask.keep[index(channel, row, column, kOut, kOut)]);
        }
      }
    }
  }
  return codes;
}

std::vector<float> float_network(lockstep::train::Network& network,
                                 const std::vector<std::int64_t>& images) {
  const torch::NoGradGuard values_only;
  network.eval();
  torch::Tensor x = torch::empty({kImages, 1, kSize, kSize}, torch::kFloat32);
  for (std::size_t i = 0; i < images.size(); ++i)
    x.data_ptr<float>()[i] = std::ldexp(static_cast<float>(images[i]), -kInputDecimal);
  const torch::Tensor y = network.forward({x}).at(0).contiguous();
  return {y.data_ptr<float>(), y.data_ptr<float>() + y.numel()};
}

// Forwards alone calibrate the decimals and the masks; the weights stay as they were initialised.
void train(lockstep::train::Network& network) {
  network.train();
  for (int step = 0; step <= 240; ++step) {
    network.forward({torch::rand({10, 1, kSize, kSize})});
    for (const std::string& event : network.events()) fmt::print("{}\n", event);
    network.events().clear();
  }
}

int compare(const std::vector<float>& floats, const std::vector<std::int64_t>& codes,
            const lockstep::QuantizeParameters& out) {
  if (floats.size() != codes.size())
    throw InputError(
        fmt::format("the network has {} output values, expected {}", floats.size(), codes.size()));
  double largest = 0;
  std::size_t differing = 0;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const auto channel = static_cast<std::int64_t>(i) / (kOut * kOut) % kChannels;
    const double value = std::ldexp(static_cast<double>(codes[i]), -decimal_of(out, channel));
    const double difference = std::abs(value - static_cast<double>(floats[i]));
    if (difference == 0) continue;
    if (differing++ == 0)
      fmt::print(
          "first difference: image {}, channel {}, position {}: float {}, integer {} (code {})\n",
          static_cast<std::int64_t>(i) / (kOut * kOut * kChannels), channel,
          static_cast<std::int64_t>(i) % (kOut * kOut), floats[i], value, codes[i]);
    largest = std::max(largest, difference);
  }
  fmt::print("{} values compared, {} differ, largest difference {}\n", codes.size(), differing,
             largest);
  if (differing != 0) return 1;
  fmt::print("Fully match with integer arithmetic!\n");
  return 0;
}

int run(const std::string& state_file) {
  const lockstep::Graph graph = lockstep::read_graph(LOCKSTEP_EXAMPLE_GRAPH);
  lockstep::train::Network network(graph, 1);
  if (state_file.empty()) {
    train(network);
  } else {
    lockstep::train::load_state(network, lockstep::read_state_dict(state_file), state_file);
  }
  const lockstep::StateDict state = lockstep::train::to_state_dict(network);
  const lockstep::Parameters parameters = lockstep::bind_parameters(graph, state);
  const std::vector<std::int64_t> images = make_images(1);
  return compare(float_network(network, images), integer_network(parameters, images),
                 *parameters.nodes.at("conv_output_quantization").quantize);
}

}  // namespace

int main(int argc, char** argv) {
  const bool recorded = argc == 3 && std::string_view(argv[1]) == "--state";
  if (argc != 1 && !recorded) {
    fmt::print(stderr, "usage: lockstep_documented_check [--state FILE]\n");
    return 2;
  }
  try {
    return run(recorded ? argv[2] : "");
  } catch (const InputError& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 2;
  }
}
