#include "train/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstring>
#include <set>

#include "compile/support/error.h"
#include "train/network_state.h"
#include "train/windows.h"

namespace lockstep::train {
namespace {

// Only in the checkpoint of several processes.
constexpr const char* kWorldSize = "trainer.world_size";

// Text and numbers of TrainingState as tensors; one list for writing and reading.
template <typename State, typename Visitor>
void visit_fields(State& t, std::string& recipe_json, Visitor&& visit) {
  visit("graph_json", t.graph_json);
  visit("recipe_json", recipe_json);
  visit("data", t.data);
  visit("threads", t.threads);
  visit("device", t.machine.device);
  visit("processor", t.machine.processor);
  visit("libtorch", t.machine.libtorch);
  visit("blas", t.machine.blas);
  visit("step", t.step);
  visit("loss_sum", t.loss_sum);
  visit("correct", t.correct);
  visit("seen", t.seen);
}

template <typename T>
constexpr Dtype field_dtype() {
  if constexpr (std::is_same_v<T, std::string>) return Dtype::kUint8;
  if constexpr (std::is_same_v<T, double>) return Dtype::kFloat64;
  return Dtype::kInt64;
}

template <typename T>
Tensor field_tensor(const T& value) {
  Tensor tensor;
  tensor.dtype = field_dtype<T>();
  if constexpr (std::is_same_v<T, std::string>) {
    tensor.shape = {static_cast<std::int64_t>(value.size())};
    tensor.bytes.resize(value.size());
    std::memcpy(tensor.bytes.data(), value.data(), value.size());
  } else {
    tensor.bytes.resize(sizeof value);
    std::memcpy(tensor.bytes.data(), &value, sizeof value);
  }
  return tensor;
}

Tensor float_tensor(const std::vector<float>& values) {
  Tensor tensor;
  tensor.shape = {static_cast<std::int64_t>(values.size())};
  const auto bytes = std::as_bytes(std::span(values));
  tensor.bytes.assign(bytes.begin(), bytes.end());
  return tensor;
}

// A checkpoint's entries, each to be taken once.
class Entries {
 public:
  explicit Entries(StateDict all) : where_(all.name()), all_(std::move(all)) {
    if (all_.find("trainer.step") == nullptr)
      throw InputError(
          fmt::format("{}: not a training checkpoint (it has no 'trainer.step')", where_));
  }
  const std::string& where() const { return where_; }

  const Tensor* find(const std::string& key) {
    taken_.insert(key);
    return all_.find(key);
  }

  const Tensor& take(const std::string& key) {
    const Tensor* const tensor = find(key);
    if (tensor == nullptr)
      throw InputError(fmt::format("{}: the key '{}' is missing", where_, key));
    return *tensor;
  }

  template <typename T>
  void read_field(const std::string& key, T& value) {
    const Tensor& tensor = take(key);
    constexpr bool kIsText = std::is_same_v<T, std::string>;
    if (tensor.dtype != field_dtype<T>() || tensor.shape.size() != (kIsText ? 1u : 0u))
      throw InputError(fmt::format("{}: '{}' is damaged", where_, key));
    if constexpr (kIsText) {
      value.assign(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
    } else {
      std::memcpy(&value, tensor.bytes.data(), sizeof value);
    }
  }

  // The entries whose key starts with `prefix`, without it.
  StateDict take_all(std::string_view prefix) {
    StateDict part;
    for (const auto& [key, tensor] : all_.entries())
      if (key.starts_with(prefix)) part.add(key.substr(prefix.size()), *find(key));
    return part;
  }

  void refuse_leftovers() const {
    for (const auto& [key, tensor] : all_.entries())
      if (!taken_.contains(key))
        throw InputError(fmt::format("{}: '{}' belongs to nothing in this training", where_, key));
  }

 private:
  std::string where_;
  StateDict all_;
  std::set<std::string, std::less<>> taken_;
};

// Of as many values as `initial`, the state that the optimizer starts with.
OptimizerState read_moments(Entries& entries, const std::string& key,
                            const OptimizerState& initial) {
  OptimizerState into;
  into.first = entries.take("optimizer." + key + ".first").floats(key);
  into.second = entries.take("optimizer." + key + ".second").floats(key);
  if (into.first.size() != initial.first.size() || into.second.size() != initial.second.size())
    throw InputError(
        fmt::format("{}: the optimizer's state of '{}' has {} and {} values, expected {} and {}",
                    entries.where(), key, into.first.size(), into.second.size(),
                    initial.first.size(), initial.second.size()));
  return into;
}

std::string window_key(const std::string& label, std::size_t index) {
  return fmt::format("window.{}.{}", label, index);
}

void read_window(Entries& entries, const LayerWindow& window, torch::Device device) {
  window.samples->clear();
  for (std::size_t i = 0;; ++i) {
    const std::string key = window_key(window.label, i);
    const Tensor* const tensor = entries.find(key);
    if (tensor == nullptr) return;
    if (i >= window.capacity || !window.accepts(*tensor))
      throw InputError(fmt::format(
          "{}: '{}' has dtype {} and shape [{}]; the layer collects at most {} of float32 [{}]",
          entries.where(), key, dtype_name(tensor->dtype), fmt::join(tensor->shape, ", "),
          window.capacity, fmt::join(window.sample_shape, ", ")));
    window.samples->push_back(to_torch(*tensor).to(device));
  }
}

}  // namespace

void write_checkpoint(const std::filesystem::path& path, const Network& network,
                      const TrainingState& training) {
  StateDict all;
  std::string recipe_json = to_json(training.recipe);
  visit_fields(training, recipe_json, [&](const char* name, const auto& value) {
    all.add(fmt::format("trainer.{}", name), field_tensor(value));
  });
  if (training.world_size != 1) all.add(kWorldSize, field_tensor(training.world_size));
  const StateDict model = to_state_dict(network);
  for (const auto& [key, tensor] : model.entries()) all.add("model." + key, tensor);
  std::size_t i = 0;
  for (const auto& [key, tensor] : network.trainable()) {
    const OptimizerState& state = training.optimizer_states.at(i++);
    all.add("optimizer." + key + ".first", float_tensor(state.first));
    all.add("optimizer." + key + ".second", float_tensor(state.second));
  }
  for (const auto& [label, samples] : collected_samples(network))
    for (std::size_t k = 0; k < samples->size(); ++k)
      all.add(window_key(label, k), from_torch((*samples)[k]));
  write_pt(path, all);
}

TrainingState read_checkpoint(const std::filesystem::path& path, Network& network) {
  return load_checkpoint(read_state_dict(path), network);
}

TrainingState load_checkpoint(StateDict checkpoint, Network& network) {
  Entries entries(std::move(checkpoint));
  TrainingState training;
  std::string recipe_json;
  visit_fields(training, recipe_json, [&](const char* name, auto& value) {
    entries.read_field(fmt::format("trainer.{}", name), value);
  });
  if (entries.find(kWorldSize) != nullptr) entries.read_field(kWorldSize, training.world_size);
  if (training.graph_json != to_json(network.graph()))
    throw InputError(fmt::format("{}: made for another graph", entries.where()));
  training.recipe = parse_recipe(recipe_json, entries.where());
  if (training.correct < 0 || training.correct > training.seen || !std::isfinite(training.loss_sum))
    throw InputError(fmt::format("{}: the sums of its epoch are damaged: {} of {} correct, loss {}",
                                 entries.where(), training.correct, training.seen,
                                 training.loss_sum));
  // Shapes come from the graph alone, so before anything is loaded.
  const std::vector<LayerWindow> windows = layer_windows(network);
  load_state(network, entries.take_all("model."), entries.where());
  for (const auto& [key, tensor] : network.trainable())
    training.optimizer_states.push_back(read_moments(
        entries, key,
        initial_state(training.recipe.optimizer, static_cast<std::size_t>(tensor.numel()))));
  for (const LayerWindow& window : windows) read_window(entries, window, network.device());
  entries.refuse_leftovers();
  return training;
}

}  // namespace lockstep::train
