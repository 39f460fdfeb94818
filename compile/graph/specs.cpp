#include "compile/graph/specs.h"

#include <fmt/format.h>

#include <algorithm>

namespace lockstep {
namespace {

using nlohmann::json;

constexpr std::int64_t kMaxExtent = 65536;     // of anything along one axis
constexpr std::int64_t kMaxAxis = 3;           // a tensor has at most four axes, batch included
constexpr std::int64_t kMaxSteps = INT32_MAX;  // QSPARSE's counters are int32

// [lo, hi]: two ordered values.
template <typename T, typename Convert>
void read_pair(Fields& fields, std::string_view name, T& lo, T& hi, Convert convert) {
  const json* const found = fields.find(name);
  if (found == nullptr) return;
  const json& pair = fields.to_list(*found, name, 2, 2);
  lo = convert(pair[0]);
  hi = convert(pair[1]);
}

}  // namespace

QuantizeSpec parse_quantize(Fields& fields, bool is_wrap) {
  QuantizeSpec spec;
  fields.read_integer("bits", spec.bits, 2, 16);
  fields.read_integer("channelwise", spec.channelwise, -kMaxSteps, kMaxAxis);
  read_pair(fields, "decimal_range", spec.decimal_lo, spec.decimal_hi, [&](const json& value) {
    return fields.to_integer(value, "decimal_range", -kMaxDecimal, kMaxDecimal + 1);
  });
  if (spec.decimal_lo >= spec.decimal_hi)
    fields.refuse("decimal_range", fields.require("decimal_range"),
                  "its end (exclusive) must be above its start");
  read_pair(fields, "saturate_range", spec.saturate_lo, spec.saturate_hi,
            [&](const json& value) { return fields.to_number(value, "saturate_range", 0, 1); });
  if (spec.saturate_lo > spec.saturate_hi)
    fields.refuse("saturate_range", fields.require("saturate_range"),
                  "its end must not be below its start");
  fields.read_integer("timeout", spec.timeout, -kMaxSteps, kMaxSteps);
  fields.read_integer("interval", spec.interval, -kMaxSteps, kMaxSteps);
  fields.read_integer("window_size", spec.window_size, 1, kMaxSteps);
  if (is_wrap) {
    fields.read_integer("bias_bits", spec.bias_bits, -1, 32);
    if (spec.bias_bits >= 0 && spec.bias_bits < 2)
      fields.refuse("bias_bits", spec.bias_bits, "it must be -1 (a float bias) or 2 to 32");
  }
  if (const json* const rounding = fields.find("rounding")) {
    bool is_known = false;
    for (const Rounding mode : {Rounding::kTowardZero, Rounding::kFloor, Rounding::kHalfEven})
      if (*rounding == rounding_name(mode)) {
        spec.rounding = mode;
        is_known = true;
      }
    if (!is_known)
      fields.refuse("rounding", *rounding,
                    "it must be \"toward_zero\", \"floor\" or \"half_even\"");
  }
  return spec;
}

namespace {

// {"structured": [axes]} or {"block": [extents]}.
void parse_prune_callback(const Fields& fields, const json& callback, PruneSpec& spec) {
  Fields members(callback, fields.owner(), "callback");
  if (const json* const block = members.find("block")) {
    std::vector<std::int64_t>& extents = spec.block.emplace();
    for (const json& extent : members.to_list(*block, "block", 1, kMaxAxis + 1))
      extents.push_back(members.to_integer(extent, "block", 1, kMaxExtent));
    members.refuse_unknown_members();
    return;
  }
  std::vector<std::int64_t>& dims = spec.structured_dims.emplace();
  const json& list = members.to_list(members.require("structured"), "structured", 0, kMaxAxis + 1);
  for (const json& dim : list) {
    dims.push_back(members.to_integer(dim, "structured", 0, kMaxAxis));
    if (std::count(dims.begin(), dims.end(), dims.back()) > 1)
      members.refuse("structured", list, "each axis may be named once");
  }
  members.refuse_unknown_members();
}

}  // namespace

PruneSpec parse_prune(Fields& fields) {
  PruneSpec spec;
  fields.read_number("sparsity", spec.sparsity, 0, 1);
  fields.read_integer("start", spec.start, -kMaxSteps, kMaxSteps);
  fields.read_integer("interval", spec.interval, 1, kMaxSteps);
  fields.read_integer("repetition", spec.repetition, 0, kMaxSteps);
  fields.read_integer("window_size", spec.window_size, 1, kMaxSteps);
  fields.read_flag("strict", spec.strict);
  if (const json* const collapse = fields.find("collapse"); collapse && *collapse != "auto") {
    if (!collapse->is_number())
      fields.refuse("collapse", *collapse, "it must be \"auto\" or an axis");
    spec.collapse = fields.to_integer(*collapse, "collapse", -1, kMaxAxis);
  }
  if (const json* const callback = fields.find("callback");
      callback && *callback != "unstructured") {
    if (!callback->is_object())
      fields.refuse(
          "callback", *callback,
          "it must be \"unstructured\", {\"structured\": [axes]} or {\"block\": [extents]}");
    parse_prune_callback(fields, *callback, spec);
  }
  return spec;
}

}  // namespace lockstep
