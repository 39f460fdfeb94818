// The quantize and prune layers one by one. docs/guide/layers.md shows these lines with what they
// print; a test holds both to this program.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <iostream>

#include "compile/support/error.h"
#include "train/sparse_layers.h"

using namespace lockstep::train;

namespace {

void print_shape(const torch::Tensor& tensor) {
  fmt::print("[{}]\n", fmt::join(tensor.sizes(), ", "));
}

void channelwise() {
  const torch::Tensor tensor = torch::rand({10, 20, 30});

  auto by_channel = quantize(QuantizeOptions().bits(8));
  by_channel->forward(tensor);
  print_shape(by_channel->decimal);

  auto by_column = quantize(QuantizeOptions().bits(8).channelwise(2));
  by_column->forward(tensor);
  print_shape(by_column->decimal);

  auto for_all = quantize(QuantizeOptions().bits(8).channelwise(-1));
  for_all->forward(tensor);
  print_shape(for_all->decimal);
}

void bias() {
  std::cout << *quantize(torch::nn::Conv2d(1, 1, 1), QuantizeOptions().bits(8).bias_bits(12))
            << "\n";
}

void saturation() {
  const auto range = [](const Quantize& layer) {
    const lockstep::QuantizeSpec& spec = layer->options().spec();
    fmt::print("({}, {})\n", spec.saturate_lo, spec.saturate_hi);
  };
  range(quantize(QuantizeOptions().bits(8)));
  range(quantize(QuantizeOptions().bits(8).saturate_range(0.0001, 0.9999)));
}

void structured() {
  const torch::Tensor tensor = torch::rand({10, 20, 30, 40});

  auto elements = prune(PruneOptions().sparsity(0.5).collapse(-1));
  elements->forward(tensor);
  print_shape(elements->mask);

  auto slices = prune(PruneOptions().sparsity(0.5).collapse(-1).callback(structured_prune({0, 1})));
  slices->forward(tensor);
  print_shape(slices->mask);

  auto blocks = prune(PruneOptions().sparsity(0.75).collapse(-1).callback(block_prune({32, 4})));
  blocks->forward(torch::ones({64, 64, 3, 3}));
  print_shape(blocks->mask);
}

void window() {
  fmt::print("{}\n", prune(PruneOptions().sparsity(0.5))->options().spec().window_size);
  fmt::print("{}\n",
             prune(PruneOptions().sparsity(0.5).window_size(10))->options().spec().window_size);
}

void changed_size() {
  const torch::Tensor data = torch::rand({1, 10, 32, 32});
  const torch::Tensor data2x = torch::rand({1, 10, 64, 64});

  auto strict = prune(PruneOptions().sparsity(0.5).name("thin"));
  strict->forward(data);
  strict->eval();
  try {
    strict->forward(data2x);
  } catch (const lockstep::InputError& error) {
    fmt::print("{}\n", error.what());
  }

  auto tiling = prune(PruneOptions().sparsity(0.5).strict(false));
  tiling->forward(data);
  tiling->eval();
  tiling->forward(data2x);
  fmt::print("with strict(false) the input's size may change in eval mode\n");
}

auto make_conv() {
  return quantize(prune(torch::nn::Conv2d(1, 32, 3),
                        PruneOptions().sparsity(0.5).start(200).interval(10).repetition(4)),
                  QuantizeOptions().bits(8).timeout(100));
}

void resume() {
  auto conv = make_conv();
  for (int step = 0; step <= 240; ++step) conv->forward(torch::rand({10, 1, 28, 28}));

  auto resumed = make_conv();
  load_state(*resumed, to_state_dict(*conv), "the state of conv");

  const torch::Tensor tensor = torch::rand({10, 1, 28, 28});
  fmt::print("the same output: {}\n",
             torch::equal(conv->forward(tensor), resumed->forward(tensor)));
}

torch::nn::Sequential named_network() {
  torch::nn::Sequential net;
  net->push_back("conv",
                 quantize(prune(torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 32, 3).bias(false)),
                                PruneOptions().sparsity(0.5).start(200).interval(10)),
                          QuantizeOptions().bits(8).timeout(100).channelwise(0)));
  net->push_back("conv_output_pruning",
                 prune(PruneOptions().sparsity(0.5).start(200).interval(10)));
  net->push_back("conv_output_quantization", quantize(QuantizeOptions().bits(8).timeout(100)));
  auto_name_prune_quantize_layers(*net);
  return net;
}

void names_and_parameters() {
  auto net = named_network();
  for (int step = 0; step <= 240; ++step) net->forward(torch::rand({10, 1, 28, 28}));

  for (const StateEntry& entry : state_entries(*net))
    fmt::print("{} ({})\n", entry.key, fmt::join(entry.tensor.sizes(), ", "));
}

void callbacks() {
  // Keeps every second column of a weight, whatever it holds.
  const PruneCallback columns = [](const std::vector<torch::Tensor>& data, double) {
    torch::Tensor mask = torch::zeros(data[0].sizes(), torch::kBool);
    mask.slice(1, 0, torch::nullopt, 2).fill_(true);
    return mask;
  };
  // Rounds to the nearest code instead of toward zero.
  const QuantizeCallback nearest = [](const torch::Tensor& x, std::int64_t bits,
                                      const torch::Tensor& decimals, std::int64_t) {
    const double highest = std::exp2(static_cast<double>(bits - 1)) - 1;
    const torch::Tensor scale = torch::exp2(decimals);  // one decimal: channelwise is -1
    return torch::round(x * scale).clamp(-highest - 1, highest) / scale;
  };
  auto fc = quantize(
      prune(torch::nn::Linear(6, 2), PruneOptions().start(0).interval(1).callback(columns)),
      QuantizeOptions().bits(4).channelwise(-1).timeout(1).callback(nearest));
  for (int step = 0; step <= 4; ++step) fc->forward(torch::rand({1, 6}));
  fmt::print("{} of 12 weights are not pruned\n", fc->pruner()->mask.sum().item<int>());
}

}  // namespace

int main() {
  torch::manual_seed(1);
  set_sparse_options({.log_on_created = false});
  struct Section {
    const char* title;
    void (*run)();
  };
  constexpr Section kSections[] = {
      {"One decimal per channel", channelwise},
      {"Biases", bias},
      {"Outliers", saturation},
      {"Structured pruning", structured},
      {"The window", window},
      {"Other input sizes", changed_size},
      {"Resuming", resume},
      {"Names and parameters", names_and_parameters},
      {"Callbacks of your own", callbacks},
  };
  for (const Section& section : kSections) {
    fmt::print("## {}\n", section.title);
    section.run();
  }
}
