// What quantization and pruning cost in training: a step of the tutorial's network against the
// plain float LibTorch step, and the search for decimals against a chain of tensor operations.
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/torch.h>

#include <CLI/CLI.hpp>

#include "compile/graph/graph.h"
#include "compile/support/error.h"
#include "tools/bench/paired_timing.h"
#include "tools/bench/tensor_op_layers.h"
#include "train/blas.h"
#include "train/decimal_search.h"
#include "train/network.h"
#include "train/optimizer.h"
#include "train/parameter_update.h"
#include "train/process_settings.h"
#include "train/sparse_layers.h"

namespace lockstep::bench {
namespace {

using train::OptimizerKind;
using train::PruneOptions;
using train::QuantizeOptions;

struct Arguments {
  std::string graph = LOCKSTEP_TUTORIAL "/graph.json";
  std::string float_graph = LOCKSTEP_TUTORIAL "/float.json";
  std::int64_t batch_size = 64;
  int rounds = 30, threads = 0;
};

// Schedules short enough that after kWarmUp steps all masks are at their sparsity and every weight,
// bias and activation is quantized.
constexpr std::int64_t kWarmUp = 8;

PruneSpec at_once(PruneSpec spec) {
  spec.start = 0, spec.interval = 1, spec.repetition = 4;
  return spec;
}

QuantizeSpec at_once(QuantizeSpec spec) {
  spec.timeout = 6;
  return spec;
}

Graph with_schedules_at_once(Graph graph) {
  for (Node& node : graph.nodes) {
    if (node.prune) node.prune = at_once(*node.prune);
    if (node.quantize) node.quantize = at_once(*node.quantize);
    for (Wrap& wrap : node.wraps) std::visit([](auto& spec) { spec = at_once(spec); }, wrap);
  }
  return graph;
}

train::OptimizerSpec sgd() {
  train::OptimizerSpec spec = train::default_optimizer(OptimizerKind::kSgd);
  spec.momentum = 0.9, spec.learning_rate = 1e-3;
  return spec;
}

// Lockstep's optimizer over the parameters of any network.
class OwnSgd {
 public:
  explicit OwnSgd(std::vector<torch::Tensor> parameters) : parameters_(std::move(parameters)) {
    for (const torch::Tensor& p : parameters_)
      states_.push_back(train::initial_state(sgd(), static_cast<std::size_t>(p.numel())));
  }

  void step() {
    ++steps_;
    for (std::size_t i = 0; i < parameters_.size(); ++i)
      train::update_parameter(sgd(), steps_, sgd().learning_rate, parameters_[i], states_[i]);
  }

 private:
  std::vector<torch::Tensor> parameters_;
  std::vector<train::OptimizerState> states_;
  std::int64_t steps_ = 0;
};

struct Data {
  torch::Tensor images, labels;
};

Data random_data(std::int64_t batch_size) {
  torch::manual_seed(1);
  return {torch::randint(-128, 128, {batch_size, 1, 28, 28}).to(torch::kFloat32) / 128,
          torch::randint(0, 10, {batch_size}, torch::kInt64)};
}

void backward_from(const torch::Tensor& logits, const Data& data) {
  torch::nn::functional::cross_entropy(logits, data.labels).backward();
}

// The network as a LibTorch user writes it, with LibTorch's own optimizer.
Contestant plain_float(const Data& data) {
  torch::nn::Sequential net(
      torch::nn::Conv2d(1, 32, 3), torch::nn::ReLU(), torch::nn::Conv2d(32, 64, 3),
      torch::nn::ReLU(), torch::nn::MaxPool2d(2), torch::nn::Flatten(),
      torch::nn::Linear(9216, 128), torch::nn::ReLU(), torch::nn::Linear(128, 10));
  auto optimizer = std::make_shared<torch::optim::SGD>(
      net->parameters(), torch::optim::SGDOptions(sgd().learning_rate).momentum(sgd().momentum));
  return {"float, LibTorch", [=]() mutable {
            net->zero_grad(true);
            backward_from(net->forward(data.images), data);
            optimizer->step();
          }};
}

Contestant graph_network(const std::string& name, const Graph& graph, const Data& data) {
  auto net = std::make_shared<train::Network>(graph, 1);
  std::vector<torch::Tensor> parameters;
  for (const auto& [key, tensor] : net->trainable()) parameters.push_back(tensor);
  auto optimizer = std::make_shared<OwnSgd>(parameters);
  const auto step = [=] {
    net->train();
    net->zero_grad(true);
    backward_from(net->forward({data.images}).at(0), data);
    optimizer->step();
  };
  for (std::int64_t i = 0; i < kWarmUp; ++i) step();
  for (const train::QuantizeImpl* layer : net->quantize_layers())
    LOCKSTEP_ASSERT(layer->quantized());
  for (const train::PruneImpl* layer : net->prune_layers())
    LOCKSTEP_ASSERT(layer->current_sparsity.item<float>() == 0.5f);
  return {name, step};
}

// The same network from layers in C++; `callback` may be empty.
Contestant layer_network(const std::string& name, const train::QuantizeCallback& callback,
                         const Data& data) {
  train::set_sparse_options({.log_on_created = false, .sink = [](auto, auto&) {}});
  const PruneOptions pruned(at_once(PruneSpec{.window_size = 64}));
  const auto weight = [&] {
    QuantizeSpec spec{.channelwise = 0, .bias_bits = 16};
    return QuantizeOptions(at_once(spec)).callback(callback);
  };
  const auto activation = [&] {
    QuantizeSpec spec{.channelwise = -1, .window_size = 64};
    return train::quantize(QuantizeOptions(at_once(spec)).callback(callback));
  };
  const auto sparse = [&](auto layer) {
    return train::quantize(train::prune(layer, PruneOptions(at_once(PruneSpec{}))), weight());
  };
  torch::nn::Sequential net(
      sparse(torch::nn::Conv2d(1, 32, 3)), train::prune(pruned), activation(), torch::nn::ReLU(),
      sparse(torch::nn::Conv2d(32, 64, 3)), train::prune(pruned), activation(), torch::nn::ReLU(),
      torch::nn::MaxPool2d(2), torch::nn::Flatten(), sparse(torch::nn::Linear(9216, 128)),
      train::prune(pruned), activation(), torch::nn::ReLU(), sparse(torch::nn::Linear(128, 10)),
      activation());
  std::vector<torch::Tensor> parameters;
  for (const torch::Tensor& p : net->parameters())
    if (p.requires_grad()) parameters.push_back(p);
  auto optimizer = std::make_shared<OwnSgd>(parameters);
  auto step = [=]() mutable {
    net->zero_grad(true);
    backward_from(net->forward(data.images), data);
    optimizer->step();
  };
  for (std::int64_t i = 0; i < kWarmUp; ++i) step();
  return {name, step};
}

void bench_step(const Arguments& arguments) {
  const Data data = random_data(arguments.batch_size);
  const Graph graph = with_schedules_at_once(read_graph(arguments.graph));
  const Contestant contestants[] = {
      plain_float(data),
      graph_network("float, graph", read_graph(arguments.float_graph), data),
      graph_network("quantized and pruned, graph", graph, data),
      layer_network("quantized and pruned, layers", {}, data),
      layer_network("quantized and pruned, tensor operations", tensor_op_quantize, data),
  };
  print_timings(fmt::format("training step of the tutorial's network, batch {}, {} threads",
                            arguments.batch_size, at::get_num_threads()),
                time_paired(contestants, arguments.rounds));
}

// A window of 64 samples of 100,000 values, for one decimal, and for one of each of 64 channels.
void bench_search(const Arguments& arguments) {
  torch::manual_seed(2);
  const torch::Tensor window = torch::randn({64, 100000});
  const QuantizeSpec spec;
  for (const std::int64_t rows : {1, 64}) {
    const torch::Tensor data = window.view({rows, -1});
    std::vector<int> ours, theirs;
    const Contestant contestants[] = {
        {"tensor operations",
         [&] {
           theirs = tensor_op_search(data, spec.bits, static_cast<int>(spec.decimal_lo),
                                     static_cast<int>(spec.decimal_hi));
         }},
        {"one pass",
         [&] {
           ours.clear();
           for (const std::optional<int> found :
                train::search_decimals(data, static_cast<int>(spec.bits), spec))
             ours.push_back(found.value());
         }},
    };
    print_timings(
        fmt::format("search for {} of {} candidates in a window of 64 x 100000",
                    rows == 1 ? "1 decimal" : "64 decimals", spec.decimal_hi - spec.decimal_lo),
        time_paired(contestants, std::max(arguments.rounds / 6, 1)));
    LOCKSTEP_ASSERT(ours == theirs);
  }
}

int run(int argc, char** argv) {
  CLI::App app("Times training steps and the search for decimals; ratios are to the first line.");
  Arguments arguments;
  app.add_option("--graph", arguments.graph, "Quantized and pruned network");
  app.add_option("--float-graph", arguments.float_graph, "Its float twin");
  app.add_option("--batch-size", arguments.batch_size, "Images per step")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--rounds", arguments.rounds, "Measured steps of each kind")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--threads", arguments.threads, "0: LibTorch's choice");
  CLI11_PARSE(app, argc, argv);
  train::prepare_process(arguments.threads);  // as lockstep train does; all contestants profit
  if (!train::has_optimized_blas())
    fmt::print(stderr, "train_bench: warning: no optimized BLAS; install libopenblas0-pthread\n");
  bench_step(arguments);
  bench_search(arguments);
  return 0;
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) {
  try {
    return lockstep::bench::run(argc, argv);
  } catch (const lockstep::InputError& error) {
    fmt::print(stderr, "train_bench: error: {}\n", error.what());
    return 2;
  }
}
