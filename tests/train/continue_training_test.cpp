// Training that goes on: from a checkpoint, in the same bits as if it had never stopped, and from a
// state. What an interruption leaves, and which checkpoints and states are refused.
#include <array>
#include <atomic>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

#include "compile/checkpoint/parameters.h"
#include "compile/support/files.h"
#include "tests/support/input_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/torch_doctest.h"
#include "tests/train/small_training.h"
#include "train/network.h"
#include "train/network_state.h"
#include "train/progress.h"
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

}  // namespace

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
