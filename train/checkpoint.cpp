#include "train/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/serialize.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "compile/support/error.h"
#include "compile/support/files.h"

namespace lockstep::train {
namespace {

struct DtypePair {
  Dtype ours;
  torch::ScalarType theirs;
};
constexpr DtypePair kDtypes[] = {
    {Dtype::kBool, torch::kBool},       {Dtype::kUint8, torch::kUInt8},
    {Dtype::kInt8, torch::kInt8},       {Dtype::kInt16, torch::kInt16},
    {Dtype::kInt32, torch::kInt32},     {Dtype::kInt64, torch::kInt64},
    {Dtype::kFloat32, torch::kFloat32}, {Dtype::kFloat64, torch::kFloat64},
};

Tensor from_torch(const torch::Tensor& tensor) {
  const torch::Tensor flat = tensor.detach().contiguous();
  const auto* const pair = std::ranges::find(kDtypes, flat.scalar_type(), &DtypePair::theirs);
  LOCKSTEP_ASSERT(pair != std::end(kDtypes));
  Tensor result;
  result.dtype = pair->ours;
  result.shape.assign(flat.sizes().begin(), flat.sizes().end());
  const auto* const bytes = static_cast<const std::byte*>(flat.data_ptr());
  result.bytes.assign(bytes, bytes + flat.nbytes());
  return result;
}

torch::Tensor to_torch(const Tensor& tensor) {
  torch::ScalarType dtype = torch::kFloat32;
  for (const auto& pair : kDtypes)
    if (pair.ours == tensor.dtype) dtype = pair.theirs;
  torch::Tensor result = torch::empty(tensor.shape, dtype);
  LOCKSTEP_ASSERT(result.nbytes() == tensor.bytes.size());
  if (!tensor.bytes.empty())
    std::memcpy(result.data_ptr(), tensor.bytes.data(), tensor.bytes.size());
  return result;
}

// What a prune or quantize entry must look like once it is initialised.
struct EntryForm {
  std::string_view suffix;
  Dtype dtype;
  std::int64_t rank;  // -1: any
};
constexpr EntryForm kEntryForms[] = {
    {"decimal", Dtype::kFloat32, 1},
    {"_n_updates", Dtype::kInt32, 1},
    {"bits", Dtype::kInt32, 0},
    {"_quantized", Dtype::kBool, 1},
    {"_cur_sparsity", Dtype::kFloat32, 1},
    {"mask", Dtype::kBool, -1},
};

bool is_placeholder(const std::string& key, const Tensor& tensor) {
  return tensor.dtype == Dtype::kInt32 && tensor.shape.empty() && tensor.int32s(key).at(0) == -1;
}

void require_form(const std::string& where, const std::string& key, const Tensor& tensor) {
  if (is_placeholder(key, tensor)) return;
  const std::string_view suffix = std::string_view(key).substr(key.rfind('.') + 1);
  for (const EntryForm& form : kEntryForms) {
    if (form.suffix != suffix) continue;
    const auto rank = static_cast<std::int64_t>(tensor.shape.size());
    const std::int64_t count = tensor.element_count();
    const bool right_count = suffix == "decimal" || suffix == "mask" ? count > 0 : count == 1;
    if (tensor.dtype != form.dtype || (form.rank >= 0 && rank != form.rank) || !right_count)
      throw InputError(
          fmt::format("{}: '{}' has dtype {} and shape [{}], which this entry cannot have", where,
                      key, dtype_name(tensor.dtype), fmt::join(tensor.shape, ", ")));
    if (form.dtype != Dtype::kInt32) return;
    const std::int32_t value = tensor.int32s(key).at(0);
    const bool is_bits = suffix == "bits";
    if (is_bits && (value < 2 || value > 32))
      throw InputError(fmt::format("{}: '{}' is {}, allowed are 2 to 32", where, key, value));
    if (!is_bits && value < 0)
      throw InputError(fmt::format("{}: '{}' is {}, but it counts from 0", where, key, value));
    return;
  }
  LOCKSTEP_ASSERT(!"a state entry without a form");
}

void assign(torch::Tensor target, const std::string& where, const std::string& key,
            const Tensor& tensor) {
  if (!target.requires_grad()) {
    require_form(where, key, tensor);
    target.set_data(to_torch(tensor));
    return;
  }
  const bool same =
      tensor.dtype == Dtype::kFloat32 && target.sizes() == at::IntArrayRef(tensor.shape);
  if (!same)
    throw InputError(fmt::format(
        "{}: '{}' has dtype {} and shape [{}], the graph needs float32 [{}]", where, key,
        dtype_name(tensor.dtype), fmt::join(tensor.shape, ", "), fmt::join(target.sizes(), ", ")));
  target.copy_(to_torch(tensor));
}

// The entries of `state` whose key starts with `prefix`, without it.
StateDict with_prefix(const StateDict& state, std::string_view prefix) {
  StateDict part;
  for (const auto& [key, tensor] : state.entries())
    if (key.starts_with(prefix)) part.add(key.substr(prefix.size()), tensor);
  return part;
}

std::vector<std::pair<std::string, std::deque<torch::Tensor>*>> windows_of(const Network& network) {
  std::vector<std::pair<std::string, std::deque<torch::Tensor>*>> windows;
  for (PruneLayer* const layer : network.prune_layers())
    windows.emplace_back(layer->label(), &layer->window);
  for (QuantizeLayer* const layer : network.quantize_layers())
    windows.emplace_back(layer->label(), &layer->window);
  return windows;
}

// Text and numbers of TrainingState as tensors; one list for writing and reading.
template <typename Visitor>
void visit_fields(TrainingState& t, Visitor&& visit) {
  visit("graph_json", t.graph_json);
  visit("data", t.data);
  visit("optimizer", t.optimizer);
  visit("batch_size", t.batch_size);
  visit("threads", t.threads);
  visit("seed", t.seed);
  visit("learning_rate", t.learning_rate);
  visit("step", t.step);
  visit("epochs", t.epochs);
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

template <typename T>
void read_field(const std::string& where, const std::string& key, const Tensor& tensor, T& value) {
  const bool text = std::is_same_v<T, std::string>;
  if (tensor.dtype != field_dtype<T>() || tensor.shape.size() != (text ? 1u : 0u))
    throw InputError(fmt::format("{}: '{}' is damaged", where, key));
  if constexpr (std::is_same_v<T, std::string>) {
    value.assign(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  } else {
    std::memcpy(&value, tensor.bytes.data(), sizeof value);
  }
}

const Tensor& entry_of(const StateDict& state, const std::string& where, const std::string& key) {
  const Tensor* const tensor = state.find(key);
  if (tensor == nullptr) throw InputError(fmt::format("{}: the key '{}' is missing", where, key));
  return *tensor;
}

// Sizes as those of `initial`, the state that the optimizer starts with.
OptimizerState read_moments(const StateDict& state, const std::string& where,
                            const std::string& key, const OptimizerState& initial) {
  OptimizerState into;
  into.first = entry_of(state, where, "optimizer." + key + ".first").floats(key);
  into.second = entry_of(state, where, "optimizer." + key + ".second").floats(key);
  if (into.first.size() != initial.first.size() || into.second.size() != initial.second.size())
    throw InputError(fmt::format(
        "{}: the optimizer's state of '{}' has {} and {} values, expected {} and {}", where, key,
        into.first.size(), into.second.size(), initial.first.size(), initial.second.size()));
  return into;
}

}  // namespace

StateDict to_state_dict(const Network& network) {
  StateDict state;
  for (const auto& [key, tensor] : network.state()) state.add(key, from_torch(tensor));
  return state;
}

void load_state(Network& network, const StateDict& state, const std::string& name_for_errors) {
  const torch::NoGradGuard values_only;
  std::set<std::string, std::less<>> known;
  std::map<std::string, bool> initialised;  // by layer
  for (const auto& [key, target] : network.state()) {
    const Tensor& tensor = entry_of(state, name_for_errors, key);
    assign(target, name_for_errors, key, tensor);
    known.insert(key);
    if (target.requires_grad()) continue;
    const bool here = !is_placeholder(key, tensor);
    if (initialised.try_emplace(key.substr(0, key.rfind('.')), here).first->second != here)
      throw InputError(fmt::format("{}: '{}' is {}initialised, unlike its layer's first entry",
                                   name_for_errors, key, here ? "" : "not "));
  }
  for (const auto& [key, tensor] : state.entries())
    if (!known.contains(key))
      throw InputError(fmt::format("{}: the graph has no '{}'", name_for_errors, key));
  for (PruneLayer* const layer : network.prune_layers()) layer->mask_changed();
}

void write_pt(const std::filesystem::path& path, const StateDict& state) {
  c10::Dict<std::string, torch::Tensor> dict;
  for (const auto& [key, tensor] : state.entries()) dict.insert(key, to_torch(tensor));
  const std::vector<char> archive = torch::pickle_save(dict);
  write_file_atomically(path, std::as_bytes(std::span(archive)));
}

void write_checkpoint(const std::filesystem::path& path, const Network& network,
                      const TrainingState& training) {
  StateDict all;
  for (const auto& [key, tensor] : network.state()) all.add("model." + key, from_torch(tensor));
  const auto trainable = network.trainable();
  LOCKSTEP_ASSERT(trainable.size() == training.optimizer_states.size());
  for (std::size_t i = 0; i < trainable.size(); ++i) {
    const OptimizerState& moments = training.optimizer_states[i];
    const std::string key = "optimizer." + trainable[i].first;
    all.add(key + ".first", from_torch(torch::tensor(moments.first, torch::kFloat32)));
    all.add(key + ".second", from_torch(torch::tensor(moments.second, torch::kFloat32)));
  }
  for (const auto& [label, window] : windows_of(network))
    for (std::size_t i = 0; i < window->size(); ++i)
      all.add(fmt::format("window.{}.{}", label, i), from_torch((*window)[i]));
  TrainingState copy = training;
  visit_fields(copy, [&](const char* name, const auto& value) {
    all.add(fmt::format("trainer.{}", name), field_tensor(value));
  });
  write_pt(path, all);
}

TrainingState read_checkpoint(const std::filesystem::path& path, Network& network) {
  const std::string where = path.string();
  const StateDict all = read_state_dict(path);
  if (all.find("trainer.step") == nullptr)
    throw InputError(
        fmt::format("{}: not a training checkpoint (it has no 'trainer.step')", where));
  TrainingState training;
  visit_fields(training, [&](const char* name, auto& value) {
    const std::string key = fmt::format("trainer.{}", name);
    read_field(where, key, entry_of(all, where, key), value);
  });
  if (training.graph_json != to_json(network.graph()))
    throw InputError(fmt::format("{}: made for another graph", where));
  load_state(network, with_prefix(all, "model."), where);
  const OptimizerKind kind = parse_optimizer(training.optimizer);
  for (const auto& [key, tensor] : network.trainable())
    training.optimizer_states.push_back(read_moments(
        all, where, key, initial_state(kind, static_cast<std::size_t>(tensor.numel()))));
  for (const auto& [label, window] : windows_of(network)) {
    window->clear();
    while (const Tensor* const entry = all.find(fmt::format("window.{}.{}", label, window->size())))
      window->push_back(to_torch(*entry));
  }
  return training;
}

}  // namespace lockstep::train
