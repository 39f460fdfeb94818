// One step, its batch shared out among three processes, against one process with the whole batch.
// The processes are threads here: each has its own group, network and layers.
#include "train/shared_step.h"

#include <memory>

#include "tests/support/input_error.h"
#include "tests/support/torch_doctest.h"
#include "tests/train/in_group.h"
#include "train/agreement.h"
#include "train/shares.h"

using lockstep::Graph;
using lockstep::test::in_group;
using lockstep::test::input_error_of;
using namespace lockstep::train;

namespace {

constexpr std::int64_t kImages = 11;  // 3, 4 and 4

constexpr const char* kGraph = R"({"format": "lockstep-graph", "version": 1, "name": "shared",
 "inputs": [{"name": "x", "shape": [2, 5, 5], "bits": 8, "decimal": 4}],
 "nodes": [
  {"name": "code", "op": "quantize", "inputs": ["x"],
   "attrs": {"bits": 4, "timeout": 0, "window_size": 8}},
  {"name": "thin", "op": "prune", "inputs": ["code"],
   "attrs": {"sparsity": 0.5, "start": 0, "interval": 1, "repetition": 2, "window_size": 5}},
  {"name": "conv", "op": "conv2d", "inputs": ["thin"],
   "attrs": {"in_channels": 2, "out_channels": 3, "kernel_size": [3, 3]},
   "wrap": [{"type": "prune", "sparsity": 0.3, "start": 0, "interval": 1, "repetition": 1},
            {"type": "quantize", "bits": 8, "channelwise": 0, "timeout": 1, "bias_bits": 12,
             "decimal_range": [13, 14]}]},
  {"name": "norm", "op": "batch_norm2d", "inputs": ["conv"], "attrs": {"num_features": 3}},
  {"name": "flat", "op": "flatten", "inputs": ["norm"]},
  {"name": "spare", "op": "linear", "inputs": ["flat"],
   "attrs": {"in_features": 27, "out_features": 2}},
  {"name": "fc", "op": "linear", "inputs": ["flat"],
   "attrs": {"in_features": 27, "out_features": 4},
   "wrap": [{"type": "quantize", "bits": 3, "channelwise": -1, "timeout": 0, "bias_bits": 3},
            {"type": "prune", "sparsity": 0.3, "start": 0, "interval": 1, "repetition": 1}]}],
 "outputs": ["fc", "spare"]})";

// Without the batch norm, which in training sees its own share only.
std::string without_norm() {
  std::string text = kGraph;
  const std::size_t at = text.find("batch_norm2d");
  text.replace(at, std::string("batch_norm2d").size(), "relu");
  text.erase(text.find(R"(, "attrs": {"num_features": 3})"),
             std::string(R"(, "attrs": {"num_features": 3})").size());
  return text;
}

Graph graph(const std::string& text) { return lockstep::parse_graph(text, "shared"); }

torch::Tensor images() {
  torch::manual_seed(5);
  return (torch::randn({kImages, 2, 5, 5}) * 16).round() / 16;
}

torch::Tensor labels() { return torch::arange(kImages) % 4; }

torch::Tensor mean_loss(Network& network, const torch::Tensor& x, const torch::Tensor& target) {
  return torch::nn::functional::cross_entropy(network.forward({x}).at(0), target);
}

}  // namespace

TEST_CASE("a shared step has the gradients, loss and decisions of the whole batch") {
  const Graph plain = graph(without_norm());
  Network whole(plain, 3);
  std::vector<std::unique_ptr<Network>> parts;
  for (int rank = 0; rank < 3; ++rank) parts.push_back(std::make_unique<Network>(plain, 3));
  const torch::Tensor x = images(), target = labels();
  for (int step = 0; step < 4; ++step) {
    CAPTURE(step);
    whole.train();
    whole.zero_grad();
    const torch::Tensor loss = mean_loss(whole, x, target);
    loss.backward();
    std::vector<SharedStep::Figures> figures(3);
    const std::vector<std::string> errors = in_group(3, [&](ProcessGroup& group) {
      const auto rank = static_cast<std::size_t>(group.rank());
      Network& network = *parts[rank];
      network.train();
      network.zero_grad();
      const auto trainable = network.trainable();
      SharedStep shared_step(group, network, trainable);
      const Share share = share_of(kImages, group.rank(), group.size());
      const SharedBatch shared_batch(head_of_shared_batch(group, kImages));
      const torch::Tensor mine = mean_loss(network, x.narrow(0, share.begin, share.count),
                                           target.narrow(0, share.begin, share.count));
      const double weight = static_cast<double>(share.count) / kImages;
      (mine * weight).backward();
      figures[rank] = shared_step.exchange(weight, {.loss = mine.item<double>() * weight,
                                                    .correct = group.rank() + 1,
                                                    .interrupted = step == 2 && rank == 1});
    });
    for (const std::string& error : errors) CHECK(error.empty());
    for (const SharedStep::Figures& each : figures) {
      CHECK(std::abs(each.loss - loss.item<double>()) < 1e-5);
      CHECK(each.correct == 6);
      CHECK(each.interrupted == (step == 2));
    }
    const auto expected = whole.state();
    for (std::size_t rank = 0; rank < parts.size(); ++rank) {
      CAPTURE(rank);
      const auto found = parts[rank]->state();
      for (std::size_t i = 0; i < expected.size(); ++i) {
        CAPTURE(expected[i].key);
        CHECK(torch::equal(found[i].tensor, expected[i].tensor));  // masks, decimals, counters
        const torch::Tensor gradient = expected[i].tensor.grad();
        REQUIRE(gradient.defined() == found[i].tensor.grad().defined());  // none of the spare layer
        if (!gradient.defined()) continue;
        CHECK(torch::allclose(found[i].tensor.grad(), gradient, 1e-5, 1e-6));
        CHECK(torch::equal(found[i].tensor.grad(), parts[0]->state()[i].tensor.grad()));
      }
    }
  }
  // Clamped to Q's range, which the parts' gradients reach only together.
  const torch::Tensor clamped = whole.wrapped_layer("conv")->weight.grad();
  CHECK(clamped.max().item<float>() == 127.0f / 8192);
  CHECK(clamped.min().item<float>() == -128.0f / 8192);
  CHECK(whole.quantize_layers()[0]->quantized());
  CHECK(whole.prune_layers()[0]->mask.sum().item<std::int64_t>() < 50);
  CHECK(whole.prune_layers()[0]->mask.sum().item<std::int64_t>() > 0);
}

TEST_CASE("running statistics of batch norms become the mean weighted by images") {
  const Graph with_norm = graph(kGraph);
  std::vector<std::unique_ptr<Network>> parts, apart;
  for (int rank = 0; rank < 3; ++rank) {
    parts.push_back(std::make_unique<Network>(with_norm, 3));
    apart.push_back(std::make_unique<Network>(with_norm, 3));
  }
  const torch::Tensor x = images(), target = labels();
  const std::vector<std::string> errors = in_group(3, [&](ProcessGroup& group) {
    const auto rank = static_cast<std::size_t>(group.rank());
    const Share share = share_of(kImages, group.rank(), group.size());
    const SharedBatch shared_batch(head_of_shared_batch(group, kImages));
    const double weight = static_cast<double>(share.count) / kImages;
    for (Network* const network : {apart[rank].get(), parts[rank].get()}) {
      network->train();
      (mean_loss(*network, x.narrow(0, share.begin, share.count),
                 target.narrow(0, share.begin, share.count)) *
       weight)
          .backward();
    }
    const auto trainable = parts[rank]->trainable();
    SharedStep(group, *parts[rank], trainable).exchange(weight, {});
  });
  for (const std::string& error : errors) CHECK(error.empty());
  std::size_t compared = 0;
  for (std::size_t i = 0; i < apart[0]->state().size(); ++i) {
    const StateEntry entry = parts[0]->state()[i];
    if (!entry.key.starts_with("norm.running_")) continue;
    CAPTURE(entry.key);
    ++compared;
    torch::Tensor mean = torch::zeros_like(entry.tensor);
    for (std::int64_t rank = 0; rank < 3; ++rank)
      mean += apart[static_cast<std::size_t>(rank)]->state()[i].tensor *
              (static_cast<double>(share_of(kImages, rank, 3).count) / kImages);
    CHECK(torch::allclose(entry.tensor, mean, 1e-5, 1e-6));
    CHECK_FALSE(torch::allclose(apart[0]->state()[i].tensor, mean, 1e-5, 1e-6));
    for (const auto& part : parts) CHECK(torch::equal(part->state()[i].tensor, entry.tensor));
  }
  CHECK(compared == 2);
}

TEST_CASE("a replica that differs in one bit is named, on every rank") {
  const Graph plain = graph(without_norm());
  std::vector<std::unique_ptr<Network>> parts;
  for (int rank = 0; rank < 3; ++rank) parts.push_back(std::make_unique<Network>(plain, 3));
  const auto compare = [&](ProcessGroup& group) {
    TrainingState training;
    training.step = 7;
    training.optimizer_states.assign(parts[0]->trainable().size(), {{0.5f}, {}});
    if (group.rank() == 1) training.optimizer_states[2].first[0] = 0.25f;  // found last
    require_same_state(group, *parts[static_cast<std::size_t>(group.rank())], training);
  };
  for (const std::string& error : in_group(3, compare))
    CHECK(error.find("after step 7 rank 1 has another 'optimizer.spare.weight.first'") !=
          std::string::npos);
  {
    const torch::NoGradGuard values_only;
    torch::Tensor weight = parts[2]->state()[0].tensor;
    for (const StateEntry& entry : parts[2]->state())
      if (entry.key == "fc.bias") weight = entry.tensor;
    *weight.data_ptr<float>() = std::nextafter(*weight.data_ptr<float>(), 1.0f);
  }
  for (const std::string& error : in_group(3, compare))
    CHECK(error.find("after step 7 rank 2 has another 'fc.bias'") != std::string::npos);
}

TEST_CASE("what several processes cannot share is refused, naming the layer or the numbers") {
  const auto refused = [](const std::string& text, std::int64_t batch, std::int64_t count) {
    return input_error_of([&] { require_shareable(graph(text), batch, count, 3); });
  };
  CHECK(refused(kGraph, 64, 2) ==
        "a batch (batch_size = 64) has 2 images, too few for 3 processes: "
        "each needs one");
  CHECK(refused(kGraph, 64, 130).starts_with("the last batch of an epoch (batch_size = 64, 130"));
  require_shareable(graph(kGraph), 64, 131, 3);
  require_shareable(graph(kGraph), 64, 128, 3);
  std::string text = kGraph;
  text.replace(text.find(R"("window_size": 5)"), 16, R"("collapse": -1)");
  CHECK(refused(text, 64, 128).starts_with("layer 'thin': collapse = -1"));
  text = kGraph;
  text.replace(text.find(R"("window_size": 8)"), 16, R"("channelwise": 0)");
  CHECK(refused(text, 64, 128).starts_with("layer 'code': channelwise = 0"));
}
