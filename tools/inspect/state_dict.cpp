// The parameter table of a state dict: every entry with what it means, the range of its numbers
// and, for pruning masks, their sparsity.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "compile/checkpoint/state_dict.h"
#include "tools/inspect/inspect.h"
#include "tools/support/open_plan.h"
#include "tools/support/table.h"

namespace lockstep::cli {
namespace {

using Json = nlohmann::ordered_json;

// `key` split at the entry that QSPARSE appends to a layer's name.
struct Meaning {
  std::string text;
  enum class Kind { kOther, kMask, kWeightMask, kDecimal, kBits, kCounter, kFlag } kind;
};

bool is_placeholder(const Tensor& tensor) {
  return tensor.dtype == Dtype::kInt32 && tensor.shape.empty() && tensor.int32s("").front() == -1;
}

std::string strip(std::string_view key, std::string_view suffix) {
  return std::string(key.substr(0, key.size() - suffix.size()));
}

// What the entries of a quantizer or pruner belong to: a layer's weight, its bias, or an
// activation. "conv.prune.mask" belongs to the weight of "conv" when there is a "conv.weight".
struct Owner {
  enum class Kind { kActivation, kWeight, kBias } kind = Kind::kActivation;
  const Tensor* weight = nullptr;
};

Owner owner_of(const StateDict& state, std::string_view prefix) {
  for (const std::string_view wrap : {".prune", ".quantize", ".quantize_bias"}) {
    if (!prefix.ends_with(wrap)) continue;
    const Tensor* weight = state.find(strip(prefix, wrap) + ".weight");
    if (weight == nullptr) continue;
    return {wrap == ".quantize_bias" ? Owner::Kind::kBias : Owner::Kind::kWeight, weight};
  }
  return {};
}

// ", per channel (axis 0 of the weight)" and the like.
std::string axis_text(const Owner& owner, std::int64_t decimals) {
  if (decimals == 1) return ", for the whole tensor";
  if (owner.kind == Owner::Kind::kBias) return ", per element of the bias";
  if (owner.kind == Owner::Kind::kActivation) return ", per channel";
  std::vector<std::size_t> axes;
  for (std::size_t axis = 0; axis < owner.weight->shape.size(); ++axis)
    if (owner.weight->shape[axis] == decimals) axes.push_back(axis);
  if (axes.size() != 1) return ", per channel";  // several axes have this extent, or none
  return fmt::format(", per index of weight axis {}", axes.front());
}

Meaning meaning_of(const StateDict& state, std::string_view key, const Tensor& tensor) {
  using enum Meaning::Kind;
  const std::size_t dot = key.rfind('.');
  if (dot == std::string_view::npos) return {"", kOther};
  const std::string_view entry = key.substr(dot + 1);
  const Owner owner = owner_of(state, key.substr(0, dot));
  const char* const of = owner.kind == Owner::Kind::kWeight ? " of the weight"
                         : owner.kind == Owner::Kind::kBias ? " of the bias"
                                                            : "";
  if (entry == "weight") return {"weight, full precision", kOther};
  if (entry == "bias") return {"bias, full precision", kOther};
  if (entry == "mask")
    return {fmt::format("pruning mask{}, 1 keeps", of),
            owner.kind == Owner::Kind::kWeight ? kWeightMask : kMask};
  if (entry == "decimal")
    return {fmt::format("fractional bits{}{}", of,
                        is_placeholder(tensor) ? "" : axis_text(owner, tensor.element_count())),
            kDecimal};
  if (entry == "bits") return {fmt::format("total bits{}", of), kBits};
  if (entry == "_n_updates") return {"training steps taken", kCounter};
  if (entry == "_cur_sparsity") return {"sparsity reached by the schedule", kCounter};
  if (entry == "_quantized") return {"whether quantization has begun", kFlag};
  return {"", kOther};
}

// The finite numbers of an entry lie from lo to hi; it may have none.
struct Range {
  double lo = std::numeric_limits<double>::infinity();
  double hi = -std::numeric_limits<double>::infinity();
  std::int64_t nan = 0, infinite = 0;
  bool has_finite() const { return lo <= hi; }
};

// Of the numbers, for the dtypes that QSPARSE's entries have.
std::optional<Range> range_of(const std::string& key, const Tensor& tensor) {
  const auto of = [](const auto& values) -> std::optional<Range> {
    if (values.empty()) return std::nullopt;
    Range range;
    for (const auto value : values) {
      const auto number = static_cast<double>(value);
      if (std::isnan(number)) {
        range.nan += 1;
      } else if (std::isinf(number)) {
        range.infinite += 1;
      } else {
        range.lo = std::min(range.lo, number);
        range.hi = std::max(range.hi, number);
      }
    }
    return range;
  };
  if (tensor.dtype == Dtype::kFloat32) return of(tensor.floats(key));
  if (tensor.dtype == Dtype::kInt32) return of(tensor.int32s(key));
  return std::nullopt;
}

std::string range_text(const Range& range) {
  std::vector<std::string> parts;
  if (range.has_finite())
    parts.push_back(range.lo == range.hi ? fmt::format("{:.6g}", range.lo)
                                         : fmt::format("{:.6g} to {:.6g}", range.lo, range.hi));
  if (range.nan > 0) parts.push_back(fmt::format("{} NaN", range.nan));
  if (range.infinite > 0) parts.push_back(fmt::format("{} infinite", range.infinite));
  return fmt::format("{}", fmt::join(parts, ", "));
}

// Pruned and all elements that masks act on.
struct Sparsity {
  std::int64_t pruned = 0, elements = 0;
  double fraction() const {
    return elements == 0 ? 0.0 : static_cast<double>(pruned) / static_cast<double>(elements);
  }
};

Sparsity sparsity_of(const std::string& key, const Tensor& mask) {
  const std::vector<std::uint8_t> keep = mask.bools(key);
  return {std::ranges::count(keep, std::uint8_t{0}), static_cast<std::int64_t>(keep.size())};
}

// A structured mask has extent 1 where it spans an axis: each of its elements stands for several.
std::int64_t elements_per_mask_element(const StateDict& state, std::string_view key,
                                       const Sparsity& mask) {
  const Tensor* weight = owner_of(state, strip(key, ".mask")).weight;
  if (weight == nullptr || mask.elements == 0) return 1;
  return weight->element_count() / mask.elements;
}

Json total_to_json(const Sparsity& total) {
  return {{"elements", total.elements}, {"pruned", total.pruned}, {"sparsity", total.fraction()}};
}

}  // namespace

void inspect_state_dict(const std::filesystem::path& path, Console& console) {
  using enum Table::Align;
  const StateDict state = read_state_dict(path);
  Table table({{"name"}, {"dtype"}, {"shape"}, {"values"}, {"meaning"}});
  Json entries = Json::array();
  Sparsity weights, activations;
  for (const auto& [key, tensor] : state.entries()) {
    const Meaning meaning = meaning_of(state, key, tensor);
    Json entry{{"name", key},
               {"dtype", dtype_name(tensor.dtype)},
               {"shape", tensor.shape},
               {"meaning", meaning.text}};
    std::string values;
    using enum Meaning::Kind;
    if (is_placeholder(tensor)) {
      values = "-1: not initialised";
      entry["initialised"] = false;
    } else if ((meaning.kind == kMask || meaning.kind == kWeightMask) &&
               tensor.dtype == Dtype::kBool) {
      const Sparsity sparsity = sparsity_of(key, tensor);
      values = fmt::format("{:.2f} % pruned", 100.0 * sparsity.fraction());
      entry["sparsity"] = sparsity.fraction();
      const std::int64_t factor = elements_per_mask_element(state, key, sparsity);
      Sparsity& total = meaning.kind == kWeightMask ? weights : activations;
      total.pruned += factor * sparsity.pruned;
      total.elements += factor * sparsity.elements;
    } else if (meaning.kind == kFlag && tensor.dtype == Dtype::kBool) {
      const std::vector<std::uint8_t> flags = tensor.bools(key);
      const bool set = std::ranges::all_of(flags, [](std::uint8_t flag) { return flag != 0; });
      values = set ? "yes" : "no";
      entry["value"] = set;
    } else if (const std::optional<Range> range = range_of(key, tensor)) {
      values = range_text(*range);
      if (range->has_finite()) {
        entry["lo"] = range->lo;
        entry["hi"] = range->hi;
      }
      if (range->nan > 0) entry["nan"] = range->nan;
      if (range->infinite > 0) entry["infinite"] = range->infinite;
    }
    table.add_row({key, std::string(dtype_name(tensor.dtype)), shape_text(tensor.shape), values,
                   meaning.text});
    entries.push_back(std::move(entry));
  }
  console.print(table.to_text());
  console.print(
      fmt::format("\n{} entries; {:.2f} % of {} weights pruned, {:.2f} % of {} activations pruned",
                  state.entries().size(), 100.0 * weights.fraction(), weights.elements,
                  100.0 * activations.fraction(), activations.elements));
  console.print_json({{"kind", "state dict"},
                      {"file", path.string()},
                      {"entries", std::move(entries)},
                      {"pruned_weights", total_to_json(weights)},
                      {"pruned_activations", total_to_json(activations)}});
}

}  // namespace lockstep::cli
