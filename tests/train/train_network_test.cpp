// Training as a whole, on generated data and a small graph: what it writes and what it refuses.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "compile/checkpoint/parameters.h"
#include "compile/support/files.h"
#include "tests/support/input_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/torch_doctest.h"
#include "tests/train/small_training.h"
#include "train/batches.h"
#include "train/network.h"
#include "train/output_folder.h"
#include "train/train.h"

using lockstep::Graph;
using lockstep::StateDict;
using lockstep::test::check_same_file;
using lockstep::test::contains;
using lockstep::test::input_error_of;
using lockstep::test::kSmall;
using lockstep::test::options_for;
using lockstep::test::read_log;
using lockstep::test::small_graph;
using lockstep::test::TemporaryFolder;
using lockstep::train::Network;
using lockstep::train::OptimizerKind;
using lockstep::train::train_network;
using lockstep::train::TrainOptions;
using lockstep::train::TrainResult;

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

}  // namespace

TEST_CASE("training learns, logs every step and event, and writes one state in two forms") {
  const TemporaryFolder folder;
  const TrainResult result = train_network(small_graph(), options_for(folder.path()));
  CHECK(!result.interrupted);
  CHECK(result.steps == 141);
  CHECK(result.test_images == 600);
  CHECK(result.test_accuracy > 0.5);  // ten classes

  const std::vector<json> log = read_log(folder / "log.jsonl");
  std::int64_t steps = 0;
  std::vector<std::string> events;
  for (const json& line : log) {
    if (line.contains("test_accuracy")) continue;
    CHECK(line.at("step") == ++steps);
    CHECK(line.at("loss").is_number_float());
    if (line.contains("events"))
      for (const json& event : line.at("events")) events.push_back(event);
  }
  CHECK(steps == 141);
  CHECK(log.back().at("test_accuracy").get<double>() == result.test_accuracy);
  REQUIRE(events.size() == 9);
  CHECK(events[0] ==
        "[Prune @ conv.prune] [Step 40] active 0.61, pruned 0.39, window_size = 1");  // int(36 *
                                                                                      // 0.4375 - 1)
                                                                                      // = 14 of 36
  CHECK(contains(events[1], "[Prune @ thin] [Step 40] active 0.5"));
  CHECK(contains(events[1], ", window_size = 8"));
  CHECK(contains(events[2], "[Prune @ conv.prune] [Step 60] active 0.5"));
  CHECK(contains(events[4], "[Quantize @ conv.quantize] (channelwise) avg decimal = "));
  CHECK(contains(events[5], "[Quantize @ conv.quantize_bias] (channelwise) avg decimal = "));
  CHECK(contains(events[6], "[Quantize @ fc.quantize] (channelwise) avg decimal = "));
  CHECK(contains(events[7], "[Quantize @ code] decimal = "));
  CHECK(contains(events[8], "[Quantize @ logits] decimal = "));

  const StateDict pt = lockstep::read_state_dict(folder / "state.pt");
  const StateDict safetensors = lockstep::read_state_dict(folder / "state.safetensors");
  const bool same_state = lockstep::to_safetensors(pt) == lockstep::to_safetensors(safetensors);
  CHECK(same_state);
  CHECK(lockstep::bind_parameters(small_graph(), pt).nodes.size() == small_graph().nodes.size());
}

TEST_CASE("a network trains on raw bytes through their normalisation") {
  Graph graph = small_graph();
  graph.inputs[0].raw = {.scale = {1.0 / 255.0}, .mean = {0.5}, .std = {0.5}};
  const lockstep::datasets::Images source = {.codes = {0, 127, 128, 255}, .labels = {1}};
  lockstep::GraphInput two = {.name = "x", .shape = {2, 2}, .bits = 8, .decimal = 6};
  two.raw = {.scale = {1.0 / 255.0}, .mean = {0.0, 0.5}, .std = {1.0, 0.25}};
  const std::vector<std::int64_t> first = {0};
  const torch::Tensor values = lockstep::train::gather(source, two, first).images.flatten();
  // 127 / 255 * 64 = 31.87; (128 / 255 - 0.5) / 0.25 * 64 = 0.50; the last saturates at 127.
  const std::vector<float> expected = {0.0f, 31.0f / 64, 0.0f, 127.0f / 64};
  for (std::int64_t i = 0; i < 4; ++i)
    CHECK(values[i].item<float>() == expected[static_cast<std::size_t>(i)]);

  const TemporaryFolder folder;
  TrainOptions options = options_for(folder.path());
  options.recipe.augmentation = {.flip = 0.5, .crop_padding = 1};
  const TrainResult result = train_network(graph, options);
  CHECK(result.test_accuracy > 0.4);  // ten classes
}

TEST_CASE("the state's keys come in QSPARSE's order") {
  const Network network(small_graph(), 1);
  std::vector<std::string> keys;
  for (const lockstep::train::StateEntry& entry : network.state()) keys.push_back(entry.key);
  const std::vector<std::string> expected = {"conv.weight",
                                             "conv.bias",
                                             "conv.prune.mask",
                                             "conv.prune._n_updates",
                                             "conv.prune._cur_sparsity",
                                             "conv.quantize.decimal",
                                             "conv.quantize._n_updates",
                                             "conv.quantize.bits",
                                             "conv.quantize._quantized",
                                             "conv.quantize_bias.decimal",
                                             "conv.quantize_bias._n_updates",
                                             "conv.quantize_bias.bits",
                                             "conv.quantize_bias._quantized",
                                             "thin.mask",
                                             "thin._n_updates",
                                             "thin._cur_sparsity",
                                             "code.decimal",
                                             "code._n_updates",
                                             "code.bits",
                                             "code._quantized",
                                             "fc.weight",
                                             "fc.quantize.decimal",
                                             "fc.quantize._n_updates",
                                             "fc.quantize.bits",
                                             "fc.quantize._quantized",
                                             "logits.decimal",
                                             "logits._n_updates",
                                             "logits.bits",
                                             "logits._quantized"};
  REQUIRE(keys.size() == expected.size());
  for (std::size_t i = 0; i < keys.size(); ++i) CHECK(keys[i] == expected[i]);
}

TEST_CASE("Python's torch.load reads state.pt: same keys, order, dtypes and values") {
  const TemporaryFolder folder;
  TrainOptions options = options_for(folder.path());
  options.recipe.epochs = 2;
  train_network(small_graph(), options);
  const std::string command = "/usr/bin/python3 " LOCKSTEP_TEST_DATA "/train/compare_state.py " +
                              (folder / "state.pt").string() + " " +
                              (folder / "state.safetensors").string();
  const int status = std::system(command.c_str());
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);  // 77: /usr/bin/python3 has no torch (install python3-torch)
}

TEST_CASE("one training at a time writes to a folder") {
  const TemporaryFolder folder;
  TrainOptions options = options_for(folder.path());
  options.recipe.epochs = 1;
  {
    const lockstep::train::OutputFolder held(folder.path());
    CHECK(contains(input_error_of([&] { train_network(small_graph(), options); }),
                   "another training is writing to this folder"));
  }
  CHECK(input_error_of([&] { train_network(small_graph(), options); }) == "(no error)");
}

TEST_CASE("a network trains on a GPU, where there is one, as well as on the CPU") {
  if (!torch::cuda::is_available()) {
    MESSAGE("skipped: no CUDA");
    return;
  }
  const TemporaryFolder folder;
  TrainOptions options = options_for(folder / "cpu");
  const double on_cpu = train_network(small_graph(), options).test_accuracy;
  options.out = folder / "cuda";
  options.device = "cuda";
  const double on_gpu = train_network(small_graph(), options).test_accuracy;
  CHECK(std::abs(on_gpu - on_cpu) < 0.05);
}

TEST_CASE("the recipe that was used lies beside the states and trains the same network") {
  const TemporaryFolder first, second;
  TrainOptions options = options_for(first.path());
  options.recipe.epochs = 2;
  options.recipe.label_smoothing = 0.1;
  options.recipe.augmentation = {.flip = 0.5, .shift = 1, .crop_padding = 1};
  options.recipe.schedule = {.kind = lockstep::train::ScheduleKind::kOneCycle};
  options.recipe.optimizer = lockstep::train::default_optimizer(OptimizerKind::kAdamW);
  train_network(small_graph(), options);
  options.recipe = lockstep::train::read_recipe(first / "recipe.json");
  options.out = second.path();
  train_network(small_graph(), options);
  check_same_file(first / "state.safetensors", second / "state.safetensors");
  check_same_file(first / "recipe.json", second / "recipe.json");
}

TEST_CASE("augmented images do not depend on the number of threads") {
  const auto input = small_graph().inputs[0];
  const auto data = lockstep::datasets::load_dataset("synthetic", input, {});
  lockstep::train::Recipe recipe;
  recipe.augmentation = {.flip = 0.5, .shift = 2, .crop_padding = 2};
  const auto batch = [&](int threads, std::int64_t step) {
    at::set_num_threads(threads);
    lockstep::train::TrainingBatches batches(data.train, input, recipe);
    return batches.batch(step).images;
  };
  CHECK(torch::equal(batch(1, 60), batch(4, 60)));
  CHECK(!torch::equal(batch(1, 60), batch(1, 13)));  // the same place in another epoch
  at::set_num_threads(1);
}

TEST_CASE("a weight or generated data that fit no memory are refused by name") {
  std::string text = kSmall;
  text.replace(text.find("\"kernel_size\": [3, 3]"), 21, "\"kernel_size\": [65536, 65536]");
  text.replace(text.find("\"out_channels\": 4"), 17, "\"out_channels\": 65536");
  Graph graph = lockstep::parse_graph(text, "huge");
  CHECK(contains(input_error_of([&] { Network(graph, 1); }), "layer 'conv': "));
  const TemporaryFolder folder;
  graph = small_graph();
  graph.inputs[0].shape = {1, 60000, 60000};
  graph.nodes.resize(3);  // without the linear layer, which that shape does not fit
  graph.outputs = {"code"};
  CHECK(contains(input_error_of([&] { train_network(graph, options_for(folder.path())); }),
                 "input 'input': shape [1, 60000, 60000] is too large for synthetic data"));
}

TEST_CASE("a layer whose input has another size is named in one line") {
  std::string text = kSmall;
  text.replace(text.find("\"in_features\": 144"), 18, "\"in_features\": 100");
  const Graph graph = lockstep::parse_graph(text, "small");
  CHECK(input_error_of([&] { Network(graph, 1); }) ==
        "graph 'small': layer 'fc': in_features is 100, but its input has 144 elements");
}

TEST_CASE("two nodes with the same state key are refused") {
  Graph graph = small_graph();
  for (lockstep::Node& node : graph.nodes) {
    if (node.name == "code") node.name = "conv.quantize";
    for (std::string& input : node.inputs)
      if (input == "code") input = "conv.quantize";
  }
  CHECK(contains(input_error_of([&] { Network(graph, 1); }),
                 "layer 'conv.quantize': its state entry 'conv.quantize.decimal' is also one of "
                 "layer 'conv'"));
}

TEST_CASE("bad options are refused") {
  const TemporaryFolder folder;
  const auto error = [&](auto change) {
    TrainOptions options = options_for(folder.path());
    change(options);
    return input_error_of([&] { train_network(small_graph(), options); });
  };
  CHECK(contains(error([](TrainOptions& o) { o.recipe.epochs = 0; }), "epochs = 0"));
  CHECK(contains(error([](TrainOptions& o) { o.recipe.batch_size = -1; }), "batch_size = -1"));
  CHECK(
      contains(error([](TrainOptions& o) { o.recipe.batch_size = 9223372036854775807; }),
               "batch_size = 9223372036854775807, but it must be an integer from 1 to 2147483647"));
  CHECK(contains(error([](TrainOptions& o) { o.recipe.epochs = 2147483647; }),
                 "epochs = 2147483647, but with 47 steps each at most 45691141"));
  CHECK(contains(error([](TrainOptions& o) { o.recipe.optimizer.learning_rate = 0; }),
                 "optimizer: lr = 0.0, but"));
  CHECK(contains(error([](TrainOptions& o) { o.checkpoint_every = -1; }),
                 "checkpoint every = -1 steps"));
  CHECK(contains(error([](TrainOptions& o) { o.recipe.augmentation.shift = 8; }),
                 "shift = 8, but images of 8x8 allow 0 to 7"));
  if (!torch::cuda::is_available()) {
    CHECK(contains(error([](TrainOptions& o) { o.device = "cuda"; }),
                   "device 'cuda' is not available: this LibTorch has no CUDA"));
    CHECK(contains(error([](TrainOptions& o) { o.device = "cuda:1"; }),
                   "device 'cuda:1' is not available"));
  }
  for (const std::string name : {"cuda:x", "cuda:", "cuda:-1", "cuda1", "gpu", ""})
    CHECK(contains(error([&](TrainOptions& o) { o.device = name; }),
                   "device '" + name + "' is unknown; there are cpu, cuda and cuda:N"));
  CHECK(contains(error([](TrainOptions& o) { o.data = "idx:/none"; }), "/none: no such folder"));
  CHECK(contains(error([](TrainOptions& o) { o.out = "/dev/null/x"; }), "/dev/null/x"));
}

TEST_CASE("a network that ends in too few values, or in none per class, is refused by name") {
  const TemporaryFolder folder;
  std::string text = kSmall;
  text.replace(text.find("\"out_features\": 10"), 18, "\"out_features\": 9");
  const auto error = [&](const Graph& graph) {
    return input_error_of([&] { train_network(graph, options_for(folder.path())); });
  };
  CHECK(contains(error(lockstep::parse_graph(text, "nine")),
                 "data 'synthetic': label 9 of the training images is 9, but layer 'logits' has 9 "
                 "outputs, for the labels 0 to 8"));
  Graph cut = small_graph();
  cut.outputs = {"code"};
  CHECK(contains(error(cut), "layer 'code': the first output has shape [4, 6, 6]"));
}

TEST_CASE("a last softmax, log_softmax or argmax changes nothing about training") {
  const TemporaryFolder folder;
  TrainOptions options = options_for(folder.path());
  options.recipe.epochs = 1;
  options.recipe.label_smoothing = 0.1;
  const TrainResult plain = train_network(small_graph(), options);
  CHECK(plain.test_accuracy > 0.3);  // ten classes
  for (const std::string op : {"softmax", "log_softmax", "argmax"}) {
    CAPTURE(op);
    Graph graph = small_graph();
    lockstep::Node node;
    node.name = "last";
    node.op = op;
    node.inputs = {"logits"};
    node.attributes["dim"] = std::vector<std::int64_t>{1};
    graph.nodes.push_back(node);
    graph.outputs = {"last"};
    const TrainResult result = train_network(graph, options);
    CHECK(result.state_sha256 == plain.state_sha256);
    CHECK(result.test_accuracy == plain.test_accuracy);
  }
}

TEST_CASE("an argmax that the classes are computed from is refused, since it has no gradient") {
  const TemporaryFolder folder;
  Graph graph = small_graph();
  for (lockstep::Node& node : graph.nodes)
    if (node.name == "drop") {
      node.op = "argmax";
      node.attributes = {{"dim", std::vector<std::int64_t>{1}}};
    }
  const auto fc = std::ranges::find(graph.nodes, std::string("fc"), &lockstep::Node::name);
  fc->attributes["in_features"] = std::vector<std::int64_t>{1};
  CHECK(contains(input_error_of([&] { train_network(graph, options_for(folder.path())); }),
                 "layer 'drop': argmax has no gradient, so no layer before it can train"));
}

TEST_CASE("a learning rate that explodes is reported with a layer, not trained on") {
  const TemporaryFolder folder;
  TrainOptions options = options_for(folder.path());
  options.recipe.optimizer = lockstep::train::default_optimizer(OptimizerKind::kSgd);
  options.recipe.optimizer.learning_rate = 1e30;
  const std::string message = input_error_of([&] { train_network(small_graph(), options); });
  CAPTURE(message);
  CHECK(contains(message, "layer '"));
  CHECK(!fs::exists(folder / "state.pt"));
}
