#include "train/module_state.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <set>
#include <string_view>

#include "compile/checkpoint/parameters.h"
#include "compile/support/error.h"
#include "train/sparse_module.h"

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

Dtype dtype_of(const torch::Tensor& tensor) {
  const auto* const pair = std::ranges::find(kDtypes, tensor.scalar_type(), &DtypePair::theirs);
  if (pair == std::end(kDtypes))
    throw InputError(fmt::format("a tensor of dtype {} has no place in a state dict",
                                 c10::toString(tensor.scalar_type())));
  return pair->ours;
}

// What a prune or quantize entry must look like once it is initialised.
struct LearntForm {
  std::string_view name;
  Dtype dtype;
  std::int64_t rank;  // -1: any
};
constexpr LearntForm kLearntForms[] = {
    {"decimal", Dtype::kFloat32, 1},
    {"_n_updates", Dtype::kInt32, 1},
    {"bits", Dtype::kInt32, 0},
    {"_quantized", Dtype::kBool, 1},
    {"_cur_sparsity", Dtype::kFloat32, 1},
    {"mask", Dtype::kBool, -1},
};

// "a.b" of "a.b.c"; empty for "c".
std::string owner_of(const std::string& key) {
  const std::size_t dot = key.rfind('.');
  return dot == std::string::npos ? std::string() : key.substr(0, dot);
}

std::string last_part(const std::string& key) { return key.substr(key.rfind('.') + 1); }

std::string form_text(const Tensor& tensor) {
  return fmt::format("dtype {} and shape [{}]", dtype_name(tensor.dtype),
                     fmt::join(tensor.shape, ", "));
}

void require_learnt(const std::string& where, const StateEntry& entry, const Tensor& tensor) {
  const std::string& key = entry.key;
  if (is_placeholder(tensor)) return;
  const std::string name = last_part(key);
  const auto* const form = std::ranges::find(kLearntForms, name, &LearntForm::name);
  LOCKSTEP_ASSERT(form != std::end(kLearntForms));
  const auto rank = static_cast<std::int64_t>(tensor.shape.size());
  const std::int64_t count = tensor.element_count();
  const bool right_count = name == "decimal" || name == "mask" ? count > 0 : count == 1;
  if (tensor.dtype != form->dtype || (form->rank >= 0 && rank != form->rank) || !right_count)
    throw InputError(fmt::format("{}: '{}' has {}, which this entry cannot have", where, key,
                                 form_text(tensor)));
  bool suits = entry.sizes.empty() || entry.sizes.size() == tensor.shape.size();
  for (std::size_t d = 0; suits && d < entry.sizes.size(); ++d)
    suits = tensor.shape[d] == entry.sizes[d] || (name == "mask" && tensor.shape[d] == 1);
  if (!suits)
    throw InputError(fmt::format("{}: '{}' has shape [{}], but this network needs [{}]{}", where,
                                 key, fmt::join(tensor.shape, ", "), fmt::join(entry.sizes, ", "),
                                 name == "mask" ? ", or 1 along some axes" : ""));
  if (form->dtype != Dtype::kInt32) return;
  const std::int32_t value = tensor.int32s(key).at(0);
  const bool is_bits = name == "bits";
  if (is_bits && (value < 1 || value > 32))
    throw InputError(fmt::format("{}: '{}' is {}, allowed are 1 to 32", where, key, value));
  if (!is_bits && value < 0)
    throw InputError(fmt::format("{}: '{}' is {}, but it counts from 0", where, key, value));
}

void require_same_form(const std::string& where, const StateEntry& entry, const Tensor& tensor) {
  const Dtype wanted = dtype_of(entry.tensor);
  if (tensor.dtype != wanted || entry.tensor.sizes() != at::IntArrayRef(tensor.shape))
    throw InputError(fmt::format("{}: '{}' has {}, the network needs {} [{}]", where, entry.key,
                                 form_text(tensor), dtype_name(wanted),
                                 fmt::join(entry.tensor.sizes(), ", ")));
}

const Tensor& entry_of(const StateDict& state, const std::string& where, const std::string& key) {
  const Tensor* const tensor = state.find(key);
  if (tensor == nullptr) throw InputError(fmt::format("{}: the key '{}' is missing", where, key));
  return *tensor;
}

void require_known_keys(const std::vector<StateEntry>& entries, const StateDict& state,
                        const std::string& where) {
  std::set<std::string_view> known;
  for (const StateEntry& entry : entries) known.insert(entry.key);
  for (const auto& [key, tensor] : state.entries())
    if (!known.contains(key))
      throw InputError(fmt::format("{}: the network has no '{}'", where, key));
}

std::string joined(const std::string& path, const std::string& name) {
  return path.empty() ? name : state_key(path, name);
}

// The sizes of the entries of a layer's wraps follow from its weight.
void add_sizes(const SparseModule& module, const std::string& path,
               std::vector<StateEntry>& entries) {
  const auto set = [&](const std::string& child, std::vector<std::int64_t> sizes) {
    const auto entry = std::ranges::find(entries, joined(path, child), &StateEntry::key);
    if (entry != entries.end()) entry->sizes = std::move(sizes);
  };
  if (module.pruner())
    set("prune.mask", module.weight.sizes().slice(module.pruner()->collapses() ? 1 : 0).vec());
  if (module.quantizer()) {
    const std::int64_t axis = module.quantizer()->channel_axis();
    set("quantize.decimal", {axis < 0 ? 1 : module.weight.size(axis)});
  }
  if (module.bias_quantizer() && module.bias.defined())
    set("quantize_bias.decimal", {module.bias.size(0)});
}

void add_entries(const torch::nn::Module& module, const std::string& path,
                 std::vector<StateEntry>& entries) {
  const auto* const quantize = module.as<QuantizeImpl>();
  const bool is_learnt = module.as<LearntLayer>() != nullptr;
  for (const auto& parameter : module.named_parameters(false)) {
    entries.push_back({joined(path, parameter.key()), parameter.value(), is_learnt});
    if (quantize != nullptr && quantize->channel_axis() < 0 && parameter.key() == "decimal")
      entries.back().sizes = {1};
  }
  for (const auto& buffer : module.named_buffers(false))
    entries.push_back({joined(path, buffer.key()), buffer.value()});
  for (const auto& child : module.named_children())
    add_entries(*child.value(), joined(path, child.key()), entries);
  if (const auto* const sparse = module.as<SparseModule>()) add_sizes(*sparse, path, entries);
}

void require_loadable(const std::vector<StateEntry>& entries, const StateDict& state,
                      const std::string& where) {
  std::map<std::string, bool> initialised;  // by layer
  require_known_keys(entries, state, where);
  for (const StateEntry& entry : entries) {
    const Tensor& tensor = entry_of(state, where, entry.key);
    if (!entry.is_learnt) {
      require_same_form(where, entry, tensor);
      continue;
    }
    require_learnt(where, entry, tensor);
    const bool here = !is_placeholder(tensor);
    if (initialised.try_emplace(owner_of(entry.key), here).first->second != here)
      throw InputError(fmt::format("{}: '{}' is {}initialised, unlike its layer's first entry",
                                   where, entry.key, here ? "" : "not "));
  }
}

// A float network's state is told by all of its layers' entries missing.
void require_some_learnt(const std::vector<StateEntry>& entries, const StateDict& state,
                         const std::string& where) {
  const auto first = std::ranges::find(entries, true, &StateEntry::is_learnt);
  const bool has_some = std::ranges::any_of(entries, [&](const StateEntry& entry) {
    return entry.is_learnt && state.find(entry.key) != nullptr;
  });
  if (first != entries.end() && !has_some)
    throw InputError(
        fmt::format("{}: the key '{}' is missing, and so is all that quantize and prune layers "
                    "learn; --weights starts from weights and biases alone",
                    where, first->key));
}

void require_finite(const std::string& where, const std::string& key, const Tensor& tensor) {
  if (tensor.dtype != Dtype::kFloat32) return;
  for (const float value : tensor.floats(key))
    if (!std::isfinite(value))
      throw InputError(fmt::format("{}: '{}' holds {}, not a finite number", where, key, value));
}

// A counter runs on from where the state left it.
void require_room_for(std::int64_t steps, const std::string& where, const std::string& key,
                      const Tensor& counter) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  const std::int32_t count = counter.int32s(key).at(0);
  if (count > kMost - steps)
    throw InputError(
        fmt::format("{}: '{}' is {}; with the {} steps of this training it would exceed {}", where,
                    key, count, steps, kMost));
}

// QSPARSE makes a bias quantizer for a layer without a bias, too; nothing ever runs it.
bool lacks_its_bias(const std::string& key, const StateDict& state) {
  const std::string quantizer = owner_of(key), layer = owner_of(quantizer);
  return last_part(quantizer) == "quantize_bias" && state.find(joined(layer, "bias")) == nullptr;
}

}  // namespace

Tensor from_torch(const torch::Tensor& tensor) {
  const torch::Tensor flat = tensor.detach().cpu().contiguous();
  Tensor result;
  result.dtype = dtype_of(flat);
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

std::vector<StateEntry> state_entries(const torch::nn::Module& module, const std::string& prefix) {
  std::vector<StateEntry> entries;
  add_entries(module, prefix, entries);
  return entries;
}

StateDict to_state_dict(const std::vector<StateEntry>& entries) {
  StateDict state;
  for (const StateEntry& entry : entries) state.add(entry.key, from_torch(entry.tensor));
  return state;
}

StateDict to_state_dict(const torch::nn::Module& module) {
  return to_state_dict(state_entries(module));
}

void load_state(const std::vector<StateEntry>& entries, const StateDict& state,
                const std::string& name_for_errors) {
  require_loadable(entries, state, name_for_errors);
  const torch::NoGradGuard values_only;
  for (const StateEntry& entry : entries) {
    torch::Tensor target = entry.tensor;
    const torch::Tensor value = to_torch(state.at(entry.key)).to(target.device());
    if (entry.is_learnt)
      target.set_data(value);
    else
      target.copy_(value);
  }
}

namespace {

// What the compiler would refuse after the training.
void require_lowerable(const std::string& where, const std::string& key, const Tensor& tensor) {
  const auto refuse = [&](const auto& value, std::string_view allowed) {
    throw InputError(fmt::format("{}: '{}' holds {}, allowed are {}", where, key, value, allowed));
  };
  const std::string name = last_part(key);
  if (name == "decimal") {
    for (const float d : tensor.floats(key))
      if (d != std::trunc(d) || std::abs(d) > 64) refuse(d, "the integers from -64 to 64");
  } else if (name == "_cur_sparsity") {
    const float share = tensor.floats(key).at(0);
    if (!(share >= 0 && share <= 1)) refuse(share, "0 to 1");
  }
}

}  // namespace

void load_trained_state(const std::vector<StateEntry>& entries, const StateDict& state,
                        const std::string& name_for_errors, std::int64_t steps) {
  require_some_learnt(entries, state, name_for_errors);
  require_loadable(entries, state, name_for_errors);
  const std::string *seen = nullptr, *unseen = nullptr;
  for (const StateEntry& entry : entries) {
    const Tensor& tensor = state.at(entry.key);
    require_finite(name_for_errors, entry.key, tensor);
    if (!entry.is_learnt || lacks_its_bias(entry.key, state)) continue;
    const bool is_seen = !is_placeholder(tensor);
    if (is_seen) require_lowerable(name_for_errors, entry.key, tensor);
    const std::string*& first = is_seen ? seen : unseen;
    if (first == nullptr) first = &entry.key;
    if (is_seen && last_part(entry.key) == "_n_updates")
      require_room_for(steps, name_for_errors, entry.key, tensor);
  }
  if (seen != nullptr && unseen != nullptr)
    throw InputError(
        fmt::format("{}: '{}' has seen no data, but '{}' has; to train on, all layers must have",
                    name_for_errors, *unseen, *seen));
  load_state(entries, state, name_for_errors);
}

void load_parameters(const std::vector<StateEntry>& entries, const StateDict& state,
                     const std::string& name_for_errors) {
  require_known_keys(entries, state, name_for_errors);
  for (const StateEntry& entry : entries) {
    if (entry.is_learnt) continue;
    const Tensor& tensor = entry_of(state, name_for_errors, entry.key);
    require_same_form(name_for_errors, entry, tensor);
    require_finite(name_for_errors, entry.key, tensor);
  }
  const torch::NoGradGuard values_only;
  for (const StateEntry& entry : entries) {
    torch::Tensor target = entry.tensor;
    if (!entry.is_learnt) target.copy_(to_torch(state.at(entry.key)));
  }
}

void load_state(torch::nn::Module& module, const StateDict& state,
                const std::string& name_for_errors) {
  load_state(state_entries(module), state, name_for_errors);
}

}  // namespace lockstep::train
