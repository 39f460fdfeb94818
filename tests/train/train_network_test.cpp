// Training as a whole, on generated data and a small graph: what it writes, that a resumed run ends
// in the same bits, that an interruption leaves a checkpoint to go on from, and what it refuses.
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

#include "compile/checkpoint/parameters.h"
#include "compile/support/error.h"
#include "compile/support/files.h"
#include "tests/support/input_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/torch_doctest.h"
#include "train/batches.h"
#include "train/network.h"
#include "train/network_state.h"
#include "train/output_folder.h"
#include "train/progress.h"
#include "train/train.h"

using lockstep::Graph;
using lockstep::StateDict;
using lockstep::test::contains;
using lockstep::test::input_error_of;
using lockstep::test::TemporaryFolder;
using lockstep::train::Network;
using lockstep::train::OptimizerKind;
using lockstep::train::train_network;
using lockstep::train::TrainOptions;
using lockstep::train::TrainResult;

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Prunes at steps 40 and 60, quantizes at 70 and 80; an epoch of the generated data has 47 steps.
constexpr const char* kSmall = R"({"format": "lockstep-graph", "version": 1, "name": "small",
 "inputs": [{"name": "input", "shape": [1, 8, 8], "bits": 8, "decimal": 7}],
 "nodes": [
  {"name": "conv", "op": "conv2d", "inputs": ["input"],
   "attrs": {"in_channels": 1, "out_channels": 4, "kernel_size": [3, 3]},
   "wrap": [{"type": "prune", "start": 20, "interval": 20, "repetition": 2},
            {"type": "quantize", "channelwise": 0, "timeout": 70, "bias_bits": 12}]},
  {"name": "thin", "op": "prune", "inputs": ["conv"],
   "attrs": {"start": 20, "interval": 20, "repetition": 2, "window_size": 8}},
  {"name": "code", "op": "quantize", "inputs": ["thin"],
   "attrs": {"channelwise": -1, "timeout": 80, "window_size": 100}},
  {"name": "relu", "op": "relu", "inputs": ["code"]},
  {"name": "flat", "op": "flatten", "inputs": ["relu"]},
  {"name": "drop", "op": "dropout", "inputs": ["flat"], "attrs": {"p": 0.1}},
  {"name": "fc", "op": "linear", "inputs": ["drop"],
   "attrs": {"in_features": 144, "out_features": 10, "bias": false},
   "wrap": [{"type": "quantize", "channelwise": 0, "timeout": 70}]},
  {"name": "logits", "op": "quantize", "inputs": ["fc"], "attrs": {"channelwise": -1, "timeout": 80}}],
 "outputs": ["logits"]})";

Graph small_graph() { return lockstep::parse_graph(kSmall, "small"); }

TrainOptions options_for(const fs::path& out) {
  TrainOptions options;
  options.data = "synthetic";
  options.out = out;
  options.recipe.epochs = 3;
  options.recipe.optimizer.learning_rate = 0.005;
  options.threads = 1;
  options.quiet = true;
  return options;
}

std::vector<json> read_log(const fs::path& path) {
  std::vector<json> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) lines.push_back(json::parse(line));
  return lines;
}

// LibTorch announces each operator that it runs; the loss runs once per step.
std::atomic<bool> interrupted_by_loss = false;
std::int64_t losses_left = 0;

std::unique_ptr<at::ObserverContext> count_loss(const at::RecordFunction& function) {
  if (std::string_view(function.name()) == "aten::cross_entropy_loss" && --losses_left == 0)
    interrupted_by_loss = true;
  return nullptr;
}

// Interrupts in the middle of step `step`.
TrainResult interrupt_in_step(std::int64_t step, TrainOptions options) {
  interrupted_by_loss = false;
  losses_left = step;
  options.interrupted = &interrupted_by_loss;
  const at::CallbackHandle handle =
      at::addThreadLocalCallback(at::RecordFunctionCallback(count_loss));
  const TrainResult result = train_network(small_graph(), options);
  at::removeCallback(handle);
  return result;
}

void check_same_file(const fs::path& a, const fs::path& b) {
  CAPTURE(a.filename().string());
  CHECK(lockstep::sha256_hex(lockstep::read_file(a)) ==
        lockstep::sha256_hex(lockstep::read_file(b)));
}

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

TEST_CASE("an interrupted and resumed run ends in the same bits as one that was not") {
  const TemporaryFolder whole, parts;
  train_network(small_graph(), options_for(whole.path()));

  const TrainResult first = interrupt_in_step(55, options_for(parts.path()));
  REQUIRE(first.interrupted);
  REQUIRE(first.steps == 55);  // in the second epoch, between the two masks
  CHECK(!fs::exists(parts / "state.pt"));
  TrainOptions again = options_for(parts.path());
  again.resume = parts / "checkpoint.pt";
  CHECK(!train_network(small_graph(), again).interrupted);
  for (const char* const file : {"state.pt", "state.safetensors", "checkpoint.pt", "log.jsonl"})
    check_same_file(whole / file, parts / file);
}

TEST_CASE(
    "an interruption before the first step leaves a checkpoint, and no old output looks new") {
  const TemporaryFolder whole, parts;
  train_network(small_graph(), options_for(whole.path()));
  for (const char* const file : {"state.pt", "state.safetensors", "log.jsonl"})
    std::ofstream(parts / file) << "old";
  const std::atomic<bool> interrupted = true;
  TrainOptions options = options_for(parts.path());
  options.interrupted = &interrupted;
  const TrainResult result = train_network(small_graph(), options);
  CHECK(result.interrupted);
  CHECK(result.steps == 0);
  CHECK(!fs::exists(parts / "state.pt"));
  CHECK(!fs::exists(parts / "state.safetensors"));
  options.interrupted = nullptr;
  options.resume = parts / "checkpoint.pt";
  train_network(small_graph(), options);
  check_same_file(whole / "state.safetensors", parts / "state.safetensors");
}

TEST_CASE("a resumed run must have the options and the graph of the checkpoint") {
  const TemporaryFolder folder, other;
  TrainOptions options = options_for(folder.path());
  options.recipe.epochs = 1;
  train_network(small_graph(), options);
  const auto error = [&](auto change, const Graph& graph) {
    TrainOptions changed = options;
    changed.resume = folder / "checkpoint.pt";
    changed.out = other.path();
    change(changed);
    return input_error_of([&] { train_network(graph, changed); });
  };
  CHECK(contains(error([](TrainOptions& o) { o.recipe.batch_size = 32; }, small_graph()),
                 "made with batch_size = 64, but this run has 32"));
  CHECK(contains(error([](TrainOptions& o) { o.recipe.seed = 2; }, small_graph()),
                 "made with seed = 1"));
  CHECK(contains(error(
                     [](TrainOptions& o) {
                       o.recipe.optimizer = lockstep::train::default_optimizer(OptimizerKind::kSgd);
                     },
                     small_graph()),
                 "made with optimizer.type = \"adam\", but this run has \"sgd\""));
  CHECK(contains(error([](TrainOptions& o) { o.threads = 2; }, small_graph()),
                 "made with threads = 1"));
  Graph graph = small_graph();
  graph.name = "another";
  CHECK(contains(error([](TrainOptions&) {}, graph), "made for another graph"));
  CHECK(contains(error([&](TrainOptions& o) { o.resume = folder / "state.pt"; }, small_graph()),
                 "not a training checkpoint"));
}

TEST_CASE("another number of threads, processor or library is refused unless it may be another") {
  const TemporaryFolder whole, folder;
  train_network(small_graph(), options_for(whole.path()));
  TrainOptions options = options_for(folder.path());
  interrupt_in_step(55, options);
  options.resume = folder / "checkpoint.pt";
  const StateDict good = lockstep::read_state_dict(options.resume);
  const auto text_of = [](const StateDict& state, const std::string& key) {
    const lockstep::Tensor& tensor = state.at(key);
    return std::string(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  };
  CHECK(contains(text_of(good, "trainer.libtorch"), TORCH_VERSION));
  for (const std::string field : {"processor", "libtorch", "blas"}) {
    CAPTURE(field);
    const std::string key = "trainer." + field, here = text_of(good, key);
    CHECK(here.size() > 3);
    StateDict elsewhere;
    for (auto [name, tensor] : good.entries()) {
      if (name == key) tensor.bytes.back() = std::byte{'~'};
      elsewhere.add(name, tensor);
    }
    lockstep::train::write_pt(options.resume, elsewhere);
    options.resume_anyway = false;
    const std::string message = input_error_of([&] { train_network(small_graph(), options); });
    CHECK(contains(message, "checkpoint.pt: made with " + field + " = " +
                                here.substr(0, here.size() - 1) + "~, but this run has " + here));
    CHECK(contains(message, "--resume-anyway"));
    options.resume_anyway = true;
    train_network(small_graph(), options);
    // It was this machine after all, and the next checkpoint says so.
    for (const char* const file : {"state.pt", "checkpoint.pt"})
      check_same_file(whole / file, folder / file);
  }

  lockstep::train::write_pt(options.resume, good);
  options.threads = 2;
  options.resume_anyway = false;
  CHECK(contains(input_error_of([&] { train_network(small_graph(), options); }),
                 "made with threads = 1, but this run has 2"));
  options.resume_anyway = true;
  CHECK(train_network(small_graph(), options).steps == 141);
  options.resume_anyway = false;  // now a checkpoint of two threads
  CHECK(train_network(small_graph(), options).steps == 141);
  options.recipe.seed = 2;
  options.resume_anyway = true;
  CHECK(contains(input_error_of([&] { train_network(small_graph(), options); }),
                 "made with seed = 1, but this run has 2"));
}

TEST_CASE("training on from a state goes on with the schedules where its counters stand") {
  const TemporaryFolder first, second;
  TrainOptions options = options_for(first.path());
  options.recipe.epochs = 1;  // 47 steps: one mask of two is computed, nothing is quantized
  train_network(small_graph(), options);
  options.state = first / "state.safetensors";
  options.out = second.path();
  options.recipe.seed = 5;
  CHECK(train_network(small_graph(), options).steps == 47);

  std::vector<std::string> events;
  for (const json& line : read_log(second / "log.jsonl"))
    if (line.contains("events"))
      for (const json& event : line.at("events"))
        events.push_back(event.get<std::string>() + " in step " + line.at("step").dump());
  REQUIRE(events.size() == 7);
  CHECK(contains(events[0], "[Prune @ conv.prune] [Step 60] active 0.5"));
  CHECK(contains(events[0], "in step 14"));  // the 61st of both
  CHECK(contains(events[2], "[Quantize @ conv.quantize] (channelwise) avg decimal = "));
  CHECK(contains(events[2], "in step 24"));
  CHECK(contains(events[6], "[Quantize @ logits] decimal = "));

  // Another two epochs, in two parts: no more events, the same masks and decimals, and the bits of
  // a run that was not interrupted.
  const TemporaryFolder whole, parts;
  options.recipe.epochs = 2;
  options.state = second / "state.pt";
  options.out = whole.path();
  train_network(small_graph(), options);
  options.out = parts.path();
  REQUIRE(interrupt_in_step(60, options).steps == 60);
  options.state.clear();
  options.resume = parts / "checkpoint.pt";
  train_network(small_graph(), options);
  for (const char* const file : {"state.pt", "checkpoint.pt", "log.jsonl"})
    check_same_file(whole / file, parts / file);
  for (const json& line : read_log(whole / "log.jsonl")) CHECK(!line.contains("events"));
  const StateDict before = lockstep::read_state_dict(second / "state.pt");
  const StateDict after = lockstep::read_state_dict(whole / "state.pt");
  for (const auto& [key, tensor] : before.entries()) {
    CAPTURE(key);
    const lockstep::Tensor& now = after.at(key);
    if (key.ends_with("_n_updates"))
      CHECK(now.int32s(key).at(0) == tensor.int32s(key).at(0) + 94);
    else
      CHECK((now.bytes == tensor.bytes) != (key.ends_with("weight") || key.ends_with("bias")));
  }
}

TEST_CASE(
    "a bias quantizer without a bias never sees data, and its state is trained on all the same") {
  std::string text = kSmall;
  const std::string wrap = R"("wrap": [{"type": "quantize", "channelwise": 0, "timeout": 70}]})";
  REQUIRE(text.find(wrap) != std::string::npos);
  text.replace(
      text.find(wrap), wrap.size(),
      R"("wrap": [{"type": "quantize", "channelwise": 0, "timeout": 70, "bias_bits": 9}]})");
  const Graph graph = lockstep::parse_graph(text, "small");
  const TemporaryFolder first, second;
  TrainOptions options = options_for(first.path());
  options.recipe.epochs = 1;
  train_network(graph, options);
  options.state = first / "state.pt";
  options.out = second.path();
  train_network(graph, options);
  const StateDict state = lockstep::read_state_dict(second / "state.pt");
  CHECK(lockstep::is_placeholder(state.at("fc.quantize_bias.decimal")));
  CHECK(state.at("fc.quantize._n_updates").int32s("counter").at(0) == 94);
}

TEST_CASE("a state that training cannot go on from is refused with file and key") {
  const TemporaryFolder first, folder;
  TrainOptions options = options_for(first.path());
  options.recipe.epochs = 2;  // everything is pruned and quantized
  train_network(small_graph(), options);
  const StateDict good = lockstep::read_state_dict(first / "state.pt");
  options.out = folder / "out";
  options.state = folder / "changed.pt";
  const auto error = [&](auto change) {
    StateDict changed;
    for (auto [key, tensor] : good.entries())
      if (change(key, tensor)) changed.add(key, tensor);
    lockstep::train::write_pt(options.state, changed);
    const std::string message = input_error_of([&] { train_network(small_graph(), options); });
    CHECK((message == "(no error)" || message.starts_with(options.state.string() + ": ")));
    return message;
  };
  const auto placeholder = [](lockstep::Tensor& tensor) {
    tensor.dtype = lockstep::Dtype::kInt32;
    tensor.shape = {};
    tensor.bytes.assign(4, std::byte{0xff});
  };
  CHECK(error([](const std::string&, lockstep::Tensor&) { return true; }) == "(no error)");
  CHECK(
      contains(error([](const std::string& key, lockstep::Tensor&) { return key != "thin.mask"; }),
               "the key 'thin.mask' is missing"));
  CHECK(contains(error([](const std::string& key, lockstep::Tensor&) {
                   return key.ends_with("weight") || key == "conv.bias";
                 }),
                 "the key 'conv.prune.mask' is missing, and so is all that quantize and prune "
                 "layers learn; --weights starts"));
  CHECK(contains(error([&](const std::string& key, lockstep::Tensor& tensor) {
                   if (key == "thin._n_updates") placeholder(tensor);
                   return true;
                 }),
                 "'thin._n_updates' is not initialised, unlike its layer's first entry"));
  CHECK(contains(error([&](const std::string& key, lockstep::Tensor& tensor) {
                   if (key.starts_with("code.")) placeholder(tensor);
                   return true;
                 }),
                 "'code.decimal' has seen no data, but 'conv.prune.mask' has"));
  const auto with_bits = [&](const std::string& changed, std::uint32_t bits) {
    return error([&](const std::string& key, lockstep::Tensor& tensor) {
      if (key == changed) std::memcpy(tensor.bytes.data(), &bits, sizeof bits);
      return true;
    });
  };
  CHECK(contains(with_bits("conv.quantize.decimal", 0x7fc00000),
                 "'conv.quantize.decimal' holds nan, not a finite number"));
  CHECK(
      contains(with_bits("fc.weight", 0xff800000), "'fc.weight' holds -inf, not a finite number"));
  CHECK(contains(with_bits("code.decimal", 0x40d00000),
                 "'code.decimal' holds 6.5, allowed are the integers from -64 to 64"));
  CHECK(contains(with_bits("conv.quantize.decimal", 0xc2820000), "holds -65, allowed are"));
  CHECK(contains(with_bits("thin._cur_sparsity", 0x40e00000),
                 "'thin._cur_sparsity' holds 7, allowed are 0 to 1"));
  CHECK(with_bits("code._n_updates", 2147483647 - 94) == "(no error)");
  CHECK(contains(with_bits("code._n_updates", 2147483647 - 93),
                 "'code._n_updates' is 2147483554; with the 94 steps of this training it would "
                 "exceed 2147483647"));
  CHECK(contains(error([&](const std::string& key, lockstep::Tensor& tensor) {
                   if (key == "thin.mask") tensor.shape = {6, 4, 6};
                   return true;
                 }),
                 "'thin.mask' has shape [6, 4, 6], but this network needs [4, 6, 6], or 1 along"));
  // A state of layers that have seen nothing is one to start from.
  CHECK(error([&](const std::string& key, lockstep::Tensor& tensor) {
          if (!key.ends_with("weight") && key != "conv.bias") placeholder(tensor);
          return true;
        }) == "(no error)");

  options.weights = first / "state.pt";
  CHECK(contains(input_error_of([&] { train_network(small_graph(), options); }),
                 "from weights, from a state or from a checkpoint: give one"));
  options.weights.clear();
  options.state = first / "state.pt";
  options.out = first.path();
  CHECK(contains(input_error_of([&] { train_network(small_graph(), options); }),
                 "state.pt: this state lies in the output folder"));
  CHECK(fs::exists(first / "state.pt"));
}

TEST_CASE("a mistyped --resume leaves the earlier run's files as they were") {
  const TemporaryFolder folder;
  TrainOptions options = options_for(folder.path());
  options.recipe.epochs = 1;
  train_network(small_graph(), options);
  constexpr std::array kFiles = {"state.pt", "state.safetensors", "log.jsonl", "checkpoint.pt"};
  std::vector<std::string> before;
  for (const char* const file : kFiles)
    before.push_back(lockstep::sha256_hex(lockstep::read_file(folder / file)));
  const auto refused = [&](auto change) {
    TrainOptions changed = options;
    changed.resume = folder / "checkpoint.pt";
    change(changed);
    CHECK(input_error_of([&] { train_network(small_graph(), changed); }) != "(no error)");
    for (std::size_t i = 0; i < kFiles.size(); ++i) {
      CAPTURE(kFiles[i]);
      REQUIRE(fs::exists(folder / kFiles[i]));
      CHECK(lockstep::sha256_hex(lockstep::read_file(folder / kFiles[i])) == before[i]);
    }
  };
  refused([&](TrainOptions& o) { o.resume = folder / "chekpoint.pt"; });
  refused([&](TrainOptions& o) { o.resume = folder / "state.pt"; });
  refused([](TrainOptions& o) { o.data = "idx:/none"; });
  refused([](TrainOptions& o) { o.recipe.seed = 2; });
}

TEST_CASE("a mistyped option of a new training costs old states, but not the checkpoint") {
  const TemporaryFolder folder, elsewhere;
  TrainOptions options = options_for(folder.path());
  options.recipe.epochs = 1;
  train_network(small_graph(), options);
  const std::string checkpoint =
      lockstep::sha256_hex(lockstep::read_file(folder / "checkpoint.pt"));
  const auto refused = [&](auto change) {
    TrainOptions changed = options;
    change(changed);
    CHECK(input_error_of([&] { train_network(small_graph(), changed); }) != "(no error)");
    CHECK(!fs::exists(folder / "state.pt"));
    CHECK(!fs::exists(folder / "state.safetensors"));
    CHECK(fs::exists(folder / "log.jsonl"));
    CHECK(fs::exists(folder / "recipe.json"));
    REQUIRE(fs::exists(folder / "checkpoint.pt"));
    CHECK(lockstep::sha256_hex(lockstep::read_file(folder / "checkpoint.pt")) == checkpoint);
  };
  refused([](TrainOptions& o) { o.data = "idx:/none"; });
  refused([&](TrainOptions& o) { o.weights = elsewhere / "none.pt"; });
  refused([&](TrainOptions& o) { o.state = elsewhere / "none.pt"; });
  // From it the states are made again.
  options.resume = folder / "checkpoint.pt";
  train_network(small_graph(), options);
  CHECK(fs::exists(folder / "state.pt"));
}

TEST_CASE("a damaged checkpoint is refused with the entry that is wrong") {
  const TemporaryFolder folder;
  TrainOptions options = options_for(folder.path());
  interrupt_in_step(100, options);  // everything is pruned and quantized
  options.resume = folder / "checkpoint.pt";
  const StateDict good = lockstep::read_state_dict(options.resume);
  const auto error = [&](std::string_view changed_key, const lockstep::Tensor& changed) {
    REQUIRE(good.find(changed_key) != nullptr);
    StateDict damaged;
    for (const auto& [key, tensor] : good.entries())
      damaged.add(key, key == changed_key ? changed : tensor);
    lockstep::train::write_pt(options.resume, damaged);
    return input_error_of([&] { train_network(small_graph(), options); });
  };
  const auto empty = [](lockstep::Dtype dtype, std::vector<std::int64_t> shape) {
    lockstep::Tensor tensor;
    tensor.dtype = dtype;
    tensor.shape = std::move(shape);
    return tensor;
  };
  const auto int32 = [](std::vector<std::int64_t> shape, std::int32_t value) {
    lockstep::Tensor tensor;
    tensor.dtype = lockstep::Dtype::kInt32;
    tensor.shape = std::move(shape);
    tensor.bytes.resize(sizeof value);
    std::memcpy(tensor.bytes.data(), &value, sizeof value);
    return tensor;
  };
  using lockstep::Dtype;
  CHECK(contains(error("optimizer.conv.weight.second", empty(Dtype::kFloat32, {0})),
                 "the optimizer's state of 'conv.weight' has 36 and 0 values, expected 36 and 36"));
  CHECK(contains(error("model.thin.mask", empty(Dtype::kBool, {4, 0, 6})),
                 "'thin.mask' has dtype bool and shape [4, 0, 6]"));
  CHECK(contains(error("model.code.decimal", empty(Dtype::kFloat32, {0})),
                 "'code.decimal' has dtype float32 and shape [0]"));
  CHECK(contains(error("model.code.decimal", int32({}, -1)),
                 "'code._n_updates' is initialised, unlike its layer's first entry"));
  CHECK(contains(error("model.thin._n_updates", int32({}, -1)),
                 "'thin._n_updates' is not initialised"));
  CHECK(contains(error("model.thin._n_updates", int32({1}, -7)), "'thin._n_updates' is -7"));
  CHECK(contains(error("model.code.bits", int32({}, 33)), "'code.bits' is 33"));
}

TEST_CASE("impossible numbers and texts of a damaged checkpoint are refused") {
  const TemporaryFolder folder;
  TrainOptions options = options_for(folder.path());
  interrupt_in_step(60, options);
  options.resume = folder / "checkpoint.pt";
  const StateDict good = lockstep::read_state_dict(options.resume);
  const auto error = [&](std::string_view changed_key, std::uint64_t bits) {
    StateDict damaged;
    for (auto [key, tensor] : good.entries()) {
      if (key == changed_key) std::memcpy(tensor.bytes.data(), &bits, sizeof bits);
      damaged.add(key, tensor);
    }
    lockstep::train::write_pt(options.resume, damaged);
    return input_error_of([&] { train_network(small_graph(), options); });
  };
  CHECK(contains(error("trainer.step", 142), "made after step 142, but the training has 141"));
  CHECK(contains(error("trainer.step", ~std::uint64_t{0}), "made after step -1"));
  CHECK(contains(error("trainer.correct", 1 << 20), "the sums of its epoch are damaged"));
  CHECK(
      contains(error("trainer.loss_sum", 0x7ff8000000000000), "the sums of its epoch are damaged"));
  CHECK(contains(error("trainer.recipe_json", 0), "checkpoint.pt: "));
  CHECK(contains(error("trainer.graph_json", 0), "made for another graph"));
  CHECK(
      contains(error("trainer.data", 0), "made with data = ????????c, but this run has synthetic"));
}

TEST_CASE("collected data of a damaged checkpoint are refused, and so are entries of nothing") {
  const TemporaryFolder folder;
  TrainOptions options = options_for(folder.path());
  interrupt_in_step(80, options);  // 'code' collects its window of 100
  options.resume = folder / "checkpoint.pt";
  const StateDict good = lockstep::read_state_dict(options.resume);
  REQUIRE(good.find("window.code.99") != nullptr);
  const auto error = [&](const std::string& key, lockstep::Dtype dtype,
                         std::vector<std::int64_t> shape) {
    lockstep::Tensor changed;
    changed.dtype = dtype;
    changed.shape = std::move(shape);
    changed.bytes.resize(static_cast<std::size_t>(changed.element_count()) * byte_size(dtype));
    StateDict damaged;
    for (const auto& [name, tensor] : good.entries())
      if (name != key) damaged.add(name, tensor);
    damaged.add(key, changed);
    lockstep::train::write_pt(options.resume, damaged);
    return input_error_of([&] { train_network(small_graph(), options); });
  };
  using lockstep::Dtype;
  const std::string form = "the layer collects at most 100 of float32 [1, 4, 6, 6]";
  CHECK(contains(error("window.code.3", Dtype::kFloat32, {1, 4, 6, 5}),
                 "'window.code.3' has dtype float32 and shape [1, 4, 6, 5]; " + form));
  CHECK(contains(error("window.code.3", Dtype::kFloat32, {144}), form));
  CHECK(contains(error("window.code.3", Dtype::kFloat32, {}), form));
  CHECK(contains(error("window.code.3", Dtype::kFloat32, {0, 4, 6, 6}), form));
  CHECK(contains(error("window.code.3", Dtype::kInt32, {1, 4, 6, 6}), "has dtype int32"));
  CHECK(contains(error("window.code.100", Dtype::kFloat32, {1, 4, 6, 6}),
                 "'window.code.100' has dtype float32 and shape [1, 4, 6, 6]; " + form));
  CHECK(contains(error("window.code.102", Dtype::kFloat32, {1, 4, 6, 6}),
                 "'window.code.102' belongs to nothing in this training"));
  CHECK(contains(error("window.cod.0", Dtype::kFloat32, {1, 4, 6, 6}), "'window.cod.0' belongs"));
  CHECK(contains(error("trainer.mood", Dtype::kInt64, {}), "'trainer.mood' belongs to nothing"));
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

TEST_CASE("a log of more than 64 MiB can be resumed from") {
  const TemporaryFolder folder;
  std::ofstream(folder / "old.jsonl")
      << "{\"step\":1,\"events\":[\"" << std::string(std::size_t{65} << 20, 'a') << "\"]}\n"
      << "{\"step\":2}\n";
  lockstep::train::JsonLog log(folder / "new.jsonl");
  CHECK(!log.take_over(folder / "none.jsonl", 1));
  CHECK(log.take_over(folder / "old.jsonl", 1));
  log.write();
  CHECK(fs::file_size(folder / "new.jsonl") == fs::file_size(folder / "old.jsonl") - 11);
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

TEST_CASE("load_state names what does not fit") {
  const TemporaryFolder folder;
  const StateDict good = lockstep::train::to_state_dict(Network(small_graph(), 1));
  const auto error = [&](auto change) {
    StateDict changed;
    for (auto [key, tensor] : good.entries()) {
      if (key == "fc.weight" && !change(tensor)) continue;
      changed.add(key, tensor);
    }
    Network network(small_graph(), 2);
    return input_error_of([&] { lockstep::train::load_state(network, changed, "file"); });
  };
  CHECK(error([](lockstep::Tensor&) { return true; }) == "(no error)");
  CHECK(contains(error([](lockstep::Tensor&) { return false; }),
                 "file: the key 'fc.weight' is missing"));
  CHECK(contains(error([](lockstep::Tensor& t) {
                   t.shape = {144, 10};
                   return true;
                 }),
                 "'fc.weight' has dtype float32 and shape [144, 10]"));
  CHECK(contains(error([](lockstep::Tensor& t) {
                   t.dtype = lockstep::Dtype::kInt32;
                   return true;
                 }),
                 "'fc.weight' has dtype int32"));
}
