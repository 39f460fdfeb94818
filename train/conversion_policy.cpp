#include <fmt/format.h>

#include "compile/graph/specs.h"
#include "compile/support/error.h"
#include "compile/support/files.h"
#include "compile/support/strict_json.h"
#include "train/convert_graph.h"

namespace lockstep::train {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxNames = 65536;

// {"prune": {...}, "quantize": {...}}, each an object, null or absent.
void parse_part(Fields& fields, std::string_view name, bool is_wrap,
                std::optional<PruneSpec>& prune, std::optional<QuantizeSpec>& quantize) {
  const json* const found = fields.find(name);
  if (found == nullptr) return;
  Fields part(*found, fmt::format("{}: {}", fields.owner(), name), "it");
  const auto read = [&](std::string_view kind, auto& spec, auto parse) {
    const json* const value = part.find(kind);
    if (value == nullptr) return;
    spec.reset();
    if (value->is_null()) return;
    Fields members(*value, fmt::format("{}.{}", part.owner(), kind), "it");
    spec = parse(members);
    members.refuse_unknown_members();
  };
  read("prune", prune, [](Fields& members) { return parse_prune(members); });
  read("quantize", quantize, [&](Fields& members) { return parse_quantize(members, is_wrap); });
  part.refuse_unknown_members();
}

}  // namespace

ConversionPolicy read_policy(const std::filesystem::path& path) {
  return parse_policy(read_text_file(path, kMaxFileBytes), path.string());
}

ConversionPolicy parse_policy(std::string_view text, const std::string& name_for_errors) {
  const json root = parse_strict_json(text, name_for_errors);
  Fields fields(root, name_for_errors, "the policy");
  if (const std::string format = fields.text("format"); format != "lockstep-policy")
    fields.refuse("format", format, "it must be \"lockstep-policy\"");
  fields.to_integer(fields.require("version"), "version", 1, 1);
  ConversionPolicy policy;
  parse_part(fields, "weights", true, policy.prune_weights, policy.quantize_weights);
  parse_part(fields, "activations", false, policy.prune_activations, policy.quantize_activations);
  if (const json* const exclude = fields.find("exclude"))
    for (const json& name : fields.to_list(*exclude, "exclude", 0, kMaxNames)) {
      if (!name.is_string()) fields.refuse("exclude", name, "it must be a list of names");
      policy.exclude.push_back(name.get<std::string>());
    }
  fields.refuse_unknown_members();
  return policy;
}

}  // namespace lockstep::train
