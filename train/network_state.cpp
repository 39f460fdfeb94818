#include "train/network_state.h"

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

const Tensor& entry_of(const StateDict& state, const std::string& where, const std::string& key) {
  const Tensor* const tensor = state.find(key);
  if (tensor == nullptr) throw InputError(fmt::format("{}: the key '{}' is missing", where, key));
  return *tensor;
}

void require_known_keys(const StateDict& state, const std::set<std::string, std::less<>>& known,
                        const std::string& where) {
  for (const auto& [key, tensor] : state.entries())
    if (!known.contains(key))
      throw InputError(fmt::format("{}: the graph has no '{}'", where, key));
}

}  // namespace

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
  require_known_keys(state, known, name_for_errors);
  for (PruneLayer* const layer : network.prune_layers()) layer->mask_changed();
}

void load_parameters(Network& network, const StateDict& state, const std::string& name_for_errors) {
  const torch::NoGradGuard values_only;
  std::set<std::string, std::less<>> layers;
  for (const PruneLayer* const layer : network.prune_layers()) layers.insert(layer->label());
  for (const QuantizeLayer* const layer : network.quantize_layers()) layers.insert(layer->label());
  std::set<std::string, std::less<>> known;
  for (const auto& [key, target] : network.state()) {
    known.insert(key);
    if (layers.contains(key.substr(0, key.rfind('.')))) continue;
    const Tensor& tensor = entry_of(state, name_for_errors, key);
    assign(target, name_for_errors, key, tensor);
    const torch::Tensor bad = target.masked_select(target.isfinite().logical_not());
    if (bad.numel() > 0)
      throw InputError(fmt::format("{}: '{}' holds {}, not a finite number", name_for_errors, key,
                                   bad[0].item<float>()));
  }
  require_known_keys(state, known, name_for_errors);
}

void write_pt(const std::filesystem::path& path, const StateDict& state) {
  c10::Dict<std::string, torch::Tensor> dict;
  for (const auto& [key, tensor] : state.entries()) dict.insert(key, to_torch(tensor));
  const std::vector<char> archive = torch::pickle_save(dict);
  write_file_atomically(path, std::as_bytes(std::span(archive)));
}

void write_states(const StateDict& state, const std::filesystem::path& pt,
                  const std::filesystem::path& safetensors) {
  write_pt(pt, state);
  write_file_atomically(safetensors, std::span<const std::byte>(to_safetensors(state)));
}

}  // namespace lockstep::train
