// The training library in a user's program: layers of one's own around LibTorch's, trained, saved
// and loaded again; and the trainer, which refuses data that do not exist by their name.
#include <compile/checkpoint/state_dict.h>
#include <compile/support/error.h>
#include <compile/support/files.h>
#include <torch/torch.h>
#include <train/sparse_layers.h>
#include <train/train.h>

#include <cstdio>
#include <cstring>

namespace {

using namespace lockstep::train;

torch::nn::Sequential make_network() {
  torch::nn::Sequential network(
      quantize(prune(torch::nn::Conv2d(1, 4, 3), PruneOptions().start(2).interval(2).repetition(2)),
               QuantizeOptions().channelwise(0).timeout(8).bias_bits(12)),
      quantize(QuantizeOptions().channelwise(-1).timeout(10)), torch::nn::Flatten(),
      torch::nn::Linear(144, 2));
  auto_name_prune_quantize_layers(*network);
  return network;
}

torch::Tensor evaluate(torch::nn::Sequential& network, const torch::Tensor& images) {
  const torch::NoGradGuard values_only;
  network->eval();
  return network->forward(images);
}

bool layers_work() {
  torch::manual_seed(1);
  const torch::Tensor images = torch::randn({16, 1, 8, 8});
  const torch::Tensor labels = images.mean({1, 2, 3}).gt(0).to(torch::kInt64);
  torch::nn::Sequential network = make_network();
  torch::optim::Adam optimizer(network->parameters(), 0.01);
  float first = 0, last = 0;
  for (int step = 0; step < 30; ++step) {
    optimizer.zero_grad();
    const torch::Tensor loss =
        torch::nn::functional::cross_entropy(network->forward(images), labels);
    loss.backward();
    optimizer.step();
    last = loss.item<float>();
    if (step == 0) first = last;
  }
  std::printf("loss %g, then %g\n", first, last);
  if (!(last < first / 2)) return false;

  // Into a file, and from it into layers that have seen nothing.
  const std::vector<std::byte> file = lockstep::to_pt(to_state_dict(*network));
  lockstep::write_file_atomically("state.pt", std::span<const std::byte>(file));
  const lockstep::StateDict saved = lockstep::read_state_dict("state.pt");
  if (saved.find("0.prune.mask") == nullptr || saved.find("0.quantize_bias.decimal") == nullptr)
    return false;
  torch::nn::Sequential loaded = make_network();
  load_state(*loaded, saved, "state.pt");
  return torch::equal(evaluate(network, images), evaluate(loaded, images));
}

bool trainer_refuses_by_name() {
  const lockstep::Graph graph = lockstep::parse_graph(R"({
    "format": "lockstep-graph", "version": 1, "name": "trainer",
    "inputs": [{"name": "input", "shape": [4]}],
    "nodes": [{"name": "fc", "op": "linear", "inputs": ["input"],
               "attrs": {"in_features": 4, "out_features": 2}}],
    "outputs": ["fc"]})",
                                                      "trainer");
  try {
    train_network(graph, {.data = "idx:no-such-folder", .out = "trained"});
  } catch (const lockstep::InputError& error) {
    std::printf("%s\n", error.what());
    return std::strstr(error.what(), "no-such-folder") != nullptr;
  }
  return false;
}

}  // namespace

int main() { return layers_work() && trainer_refuses_by_name() ? 0 : 1; }
