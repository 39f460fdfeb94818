#include <fmt/format.h>

#include <string_view>

#include "compile/support/error.h"
#include "intrt/plan_format.h"
#include "tools/inspect/inspect.h"

namespace lockstep::cli {

ArtifactKind artifact_kind(const std::string& file, std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with(INTRT_PLAN_MAGIC)) return ArtifactKind::kPlan;
  // A .safetensors file starts with the 64-bit length of its header, whose high bytes are 0 and
  // whose low byte may be '{'; JSON holds no NUL.
  const bool has_nul = text.substr(0, 8).find('\0') != std::string_view::npos;
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (!has_nul && first != std::string_view::npos && text[first] == '{')
    return ArtifactKind::kGraph;
  // torch.save writes a ZIP archive; a .safetensors file has its header's length, then the header.
  if (text.starts_with("PK") || (has_nul && text.size() > 8 && text[8] == '{'))
    return ArtifactKind::kStateDict;
  throw InputError(fmt::format(
      "{}: no artifact of Lockstep: a plan starts with \"{}\", a graph is a JSON object, "
      "and a state dict is a .pt archive or a .safetensors file",
      file, INTRT_PLAN_MAGIC));
}

}  // namespace lockstep::cli
