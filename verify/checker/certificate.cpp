#include "verify/checker/certificate.h"

#include <fmt/format.h>

#include "verify/checker/files.h"
#include "verify/checker/plan.h"

namespace lockstep::checker {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Parsed = nlohmann::json;

// --- writing and reading, for nlohmann's library ----------------------------------------------

template <typename Value, typename... Rest>
static void set(Json& json, const char* name, const Value& value, const Rest&... rest) {
  json[name] = value;
  if constexpr (sizeof...(rest) != 0) set(json, rest...);
}
template <typename Value, typename... Rest>
static void get(const Parsed& json, const char* name, Value& value, Rest&&... rest) {
  json.at(name).get_to(value);
  if constexpr (sizeof...(rest) != 0) get(json, rest...);
}

// One list for both directions: of each member its name and itself, in the file's order.
#define LOCKSTEP_OBJECT(Type, ...)                                            \
  static void to_json(Json& json, const Type& of) { set(json, __VA_ARGS__); } \
  static void from_json(const Parsed& json, Type& of) { get(json, __VA_ARGS__); }
LOCKSTEP_OBJECT(CertifiedFile, "path", of.path, "sha256", of.sha256)
LOCKSTEP_OBJECT(CertifiedFiles, "graph", of.graph, "weights", of.weights, "plan", of.plan, "c",
                of.c)
LOCKSTEP_OBJECT(RunSummary, "path", of.path, "samples", of.samples, "tensors", of.tensors, "values",
                of.values)
LOCKSTEP_OBJECT(Claims, "verdict", of.verdict, "options", of.options, "seed", of.seed, "data",
                of.data, "runs", of.runs)
LOCKSTEP_OBJECT(ChannelFacts, "first", of.first, "last", of.last, "lo", of.lo, "hi", of.hi, "bound",
                of.bound, "accumulator_bits", of.accumulator_bits, "float_bound", of.float_bound,
                "is_float32_exact", of.is_float32_exact, "post", of.post, "method", of.method,
                "arguments", of.arguments)
LOCKSTEP_OBJECT(LayerFacts, "layer", of.layer, "op", of.op, "output", of.output, "channels",
                of.channels)
LOCKSTEP_OBJECT(Proof, "weights_checked", of.weights_checked, "elements_checked",
                of.elements_checked, "arena_pairs_checked", of.arena_pairs_checked,
                "unstable_layers", of.unstable_layers, "layers", of.layers)
LOCKSTEP_OBJECT(Certificate, "format", of.format, "version", of.version, "sha256", of.sha256,
                "tool", of.tool, "files", of.files, "claimed", of.claimed, "proof", of.proof)

namespace {

constexpr std::size_t kMostLevels = 8, kMostValues = 200'000'000;

// --- checking ---------------------------------------------------------------------------------

// Mismatch where its bytes are not those of the certificate.
CheckedFile check_file(const CertifiedFile& file, const fs::path& elsewhere, const fs::path& root) {
  const fs::path path = elsewhere.empty() ? root / file.path : elsewhere;
  std::vector<std::byte> bytes = read_file(path, SIZE_MAX);
  if (const std::string found = sha256(bytes); found != file.sha256)
    throw Mismatch(fmt::format("{}: another file than the certificate is about: SHA-256 {}, not {}",
                               path.string(), found, shown(file.sha256)));
  return {path, std::move(bytes)};
}

// Names the first difference.
void compare_proofs(const Proof& stored, const Proof& derived) {
  if (stored == derived) return;
  const std::vector<LayerFacts>&layers = stored.layers, &derived_layers = derived.layers;
  for (std::size_t i = 0; i < layers.size() && i < derived_layers.size(); ++i)
    if (layers[i] != derived_layers[i])
      throw Mismatch(fmt::format("layer '{}': the certificate says {}, but {} is derived",
                                 derived_layers[i].layer, shown(Json(layers[i])),
                                 shown(Json(derived_layers[i]))));
  throw Mismatch(fmt::format("the certificate says {} of {} layers, but {} of {} is derived",
                             shown(Json(stored)), layers.size(), shown(Json(derived)),
                             derived_layers.size()));
}

}  // namespace

CertifiedFile certify_file(const fs::path& file, const fs::path& folder) {
  return {fs::absolute(file).lexically_proximate(fs::absolute(folder)).string(),
          sha256(read_file(file, SIZE_MAX))};
}

std::string certificate_text(Certificate certificate) {
  certificate.format = "lockstep-certificate";
  certificate.version = 1;
  certificate.sha256.clear();
  const auto text = [&] { return Json(certificate).dump(1) + "\n"; };
  const std::string unsealed = text();
  certificate.sha256 = sha256(std::as_bytes(std::span(unsealed)));
  return text();
}

Checked check_certificate(std::span<const std::byte> bytes, const fs::path& path,
                          const Places& places) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  Checked checked;
  Certificate& certificate = checked.certificate;
  try {
    parse_json(text, path.string(), kMostLevels, kMostValues).get_to(certificate);
  } catch (const Parsed::exception& error) {
    refuse("{}: {}", path.string(), shown(error.what()));
  }
  if (certificate_text(certificate) != text)
    refuse(
        "{}: its bytes are not those of a sealed certificate of version 1; get an undamaged copy",
        path.string());
  const CertifiedFiles& files = certificate.files;
  if (!places.sources.empty() && places.sources.size() != files.c.size())
    refuse("{}: it is about {} C files, not {}", path.string(), files.c.size(),
           places.sources.size());

  const fs::path root = places.root.empty() ? path.parent_path() : places.root;
  for (std::size_t i = 0; i < files.c.size(); ++i)
    checked.sources.push_back(
        check_file(files.c[i], places.sources.empty() ? "" : places.sources[i], root));
  checked.graph = check_file(files.graph, places.graph, root).path;
  checked.weights = check_file(files.weights, places.weights, root).path;
  checked.plan = check_file(files.plan, places.plan, root);
  compare_proofs(certificate.proof,
                 prove(read_model(checked.graph, checked.weights), read_plan(checked.plan.bytes)));
  return checked;
}

}  // namespace lockstep::checker
