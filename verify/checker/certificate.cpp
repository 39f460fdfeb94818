#include "verify/checker/certificate.h"

#include <fmt/format.h>

#include <cmath>

#include "verify/checker/files.h"
#include "verify/checker/plan.h"
#include "verify/checker/signature.h"

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

static void to_json(Json& json, const CertifiedFile& file) {
  set(json, "path", file.path, "sha256", file.sha256);
}
static void from_json(const Parsed& json, CertifiedFile& file) {
  get(json, "path", file.path, "sha256", file.sha256);
}
static void to_json(Json& json, const RunSummary& run) {
  set(json, "path", run.path, "samples", run.samples, "tensors", run.tensors, "values", run.values);
}
static void from_json(const Parsed& json, RunSummary& run) {
  get(json, "path", run.path, "samples", run.samples, "tensors", run.tensors, "values", run.values);
}
static void to_json(Json& json, const ChannelFacts& facts) {
  set(json, "first", facts.first, "last", facts.last, "lo", facts.lo, "hi", facts.hi, "bound",
      facts.bound, "accumulator_bits", facts.accumulator_bits, "float_bound", facts.float_bound,
      "is_float32_exact", facts.is_float32_exact, "post", facts.post, "method", facts.method,
      "arguments", facts.arguments);
}
static void to_json(Json& json, const LayerFacts& layer) {
  set(json, "layer", layer.layer, "op", layer.op, "output", layer.output, "channels",
      layer.channels);
}
static void to_json(Json& json, const Proof& proof) {
  set(json, "weights_checked", proof.weights_checked, "elements_checked", proof.elements_checked,
      "arena_pairs_checked", proof.arena_pairs_checked, "unstable_layers", proof.unstable_layers,
      "layers", proof.layers);
}
static void from_json(const Parsed& json, CertificateInputs& inputs) {
  get(json, "tool", inputs.tool);
  get(json.at("files"), "graph", inputs.graph, "weights", inputs.weights, "plan", inputs.plan, "c",
      inputs.sources);
  get(json.at("claimed"), "verdict", inputs.verdict, "options", inputs.options, "seed", inputs.seed,
      "data", inputs.data, "runs", inputs.runs);
}

namespace {

// What every certificate begins with, up to its hash.
constexpr std::string_view kHead =
    "{\n \"format\": \"lockstep-certificate\",\n \"version\": 1,\n \"sha256\": \"";
constexpr std::size_t kDigits = 64, kMostLevels = 8, kMostValues = 200'000'000;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// That the text carries the hash of itself.
void check_seal(const fs::path& path, std::string text) {
  if (!text.starts_with(kHead) || text.size() < kHead.size() + kDigits)
    refuse("{}: it does not begin as a certificate of version 1 does", path.string());
  const std::string sealed = text.substr(kHead.size(), kDigits);
  if (sha256(bytes_of(text.erase(kHead.size(), kDigits))) != sealed)
    refuse("{}: its bytes are not those that were sealed; get an undamaged copy", path.string());
}

// --- checking ---------------------------------------------------------------------------------

// The file's place, where its bytes are those of the certificate.
fs::path check_file(const CertifiedFile& file, const fs::path& elsewhere, const fs::path& root,
                    std::vector<std::byte>* bytes = nullptr) {
  fs::path path = elsewhere.empty() ? root / file.path : elsewhere;
  std::vector<std::byte> read = read_file(path, SIZE_MAX);
  if (const std::string found = sha256(read); found != file.sha256)
    throw Mismatch(fmt::format("{}: another file than the certificate is about: SHA-256 {}, not {}",
                               path.string(), found, shown(file.sha256)));
  if (bytes != nullptr) *bytes = std::move(read);
  return path;
}

// Names the first difference between the stored and the derived proof.
void compare_proofs(const Parsed& stored, const Parsed& derived) {
  if (stored == derived) return;
  const Parsed &layers = stored.at("layers"), &derived_layers = derived.at("layers");
  for (std::size_t i = 0; i < layers.size() && i < derived_layers.size(); ++i)
    if (layers[i] != derived_layers[i])
      throw Mismatch(fmt::format("layer '{}': the certificate says {}, but {} is derived",
                                 derived_layers[i].at("layer").get<std::string>(), shown(layers[i]),
                                 shown(derived_layers[i])));
  throw Mismatch(fmt::format("the certificate says {} of {} layers, but {} of {} is derived",
                             shown(stored), layers.size(), shown(derived), derived_layers.size()));
}

std::string summary(const Proof& proof) {
  // The largest of some bounds, and where it is.
  struct Largest {
    Int bound = 0;
    std::string layer;
    void include(Int other, const std::string& where) {
      if (other > bound) *this = {other, where};
    }
    std::string text(const char* what, int bits) const {
      if (layer.empty()) return "";
      return fmt::format("  {:<36}{:.2f} bits below 2^{}, layer '{}'\n", what,
                         bits - std::log2(static_cast<double>(bound)), bits, layer);
    }
  };
  Int exact = 0, wider = 0;
  Largest float_sum, sum;
  for (const LayerFacts& layer : proof.layers)
    for (const ChannelFacts& facts : layer.channels) {
      if (facts.float_bound >= 0)
        (facts.is_float32_exact ? exact : wider) += facts.last - facts.first + 1;
      if (facts.is_float32_exact) float_sum.include(facts.float_bound, layer.layer);
      if (facts.accumulator_bits == 32) sum.include(facts.bound, layer.layer);
    }
  std::string text =
      fmt::format("  {:<36}{}\n  {:<36}{}\n  {:<36}{}\n  {:<36}{}\n", "layers", proof.layers.size(),
                  "weights derived again", proof.weights_checked, "channels against float32", exact,
                  "channels against double", wider);
  text += float_sum.text("smallest headroom of a float32 sum", 24) +
          sum.text("smallest headroom of 32-bit sums", 31);
  for (const std::string& layer : proof.unstable_layers)
    text +=
        fmt::format("  layer '{}' holds for double: its float32 sum depends on the order\n", layer);
  return text;
}

std::string claims(const CertificateInputs& inputs) {
  std::string text =
      fmt::format("claimed by {}, and not derived again: {}\n", inputs.tool, inputs.verdict);
  for (const RunSummary& run : inputs.runs)
    text += fmt::format("  {}: {} samples, {} tensors, {} values agree\n", run.path, run.samples,
                        run.tensors, run.values);
  return text;
}

}  // namespace

CertifiedFile certify_file(const fs::path& file, const fs::path& folder) {
  return {fs::absolute(file).lexically_proximate(fs::absolute(folder)).string(),
          sha256(read_file(file, SIZE_MAX))};
}

Json certificate_json(const CertificateInputs& inputs, const Proof& proof) {
  Json files, claimed, json;
  set(files, "graph", inputs.graph, "weights", inputs.weights, "plan", inputs.plan, "c",
      inputs.sources);
  set(claimed, "verdict", inputs.verdict, "options", inputs.options, "seed", inputs.seed, "data",
      inputs.data, "runs", inputs.runs);
  set(json, "format", "lockstep-certificate", "version", 1, "sha256", "", "tool", inputs.tool,
      "files", files, "claimed", claimed, "proof", proof);
  json["sha256"] = sha256(bytes_of(certificate_text(json)));
  return json;
}

std::string certificate_text(const Json& certificate) { return certificate.dump(1) + "\n"; }

CheckedFiles check_certificate(const fs::path& path, const Places& places, std::ostream& out) {
  const std::vector<std::byte> bytes = read_file(path, SIZE_MAX);
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!places.public_key.empty() && !is_signed(bytes, signature_path(path), places.public_key))
    throw Mismatch(fmt::format("{}: it is not signed with the key of {}", path.string(),
                               places.public_key.string()));
  check_seal(path, text);
  const Parsed stored = parse_json(text, path.string(), kMostLevels, kMostValues);
  CertificateInputs inputs;
  try {
    stored.get_to(inputs);
  } catch (const Parsed::exception& error) {
    refuse("{}: {}", path.string(), shown(error.what()));
  }
  if (!places.sources.empty() && places.sources.size() != inputs.sources.size())
    refuse("{}: it is about {} C files, not {}", path.string(), inputs.sources.size(),
           places.sources.size());

  const fs::path root = places.root.empty() ? path.parent_path() : places.root;
  CheckedFiles files;
  for (std::size_t i = 0; i < inputs.sources.size(); ++i) {
    files.sources.push_back({fs::path(inputs.sources[i].path).filename(), {}});
    check_file(inputs.sources[i], places.sources.empty() ? "" : places.sources[i], root,
               &files.sources.back().bytes);
  }
  const fs::path graph = check_file(inputs.graph, places.graph, root);
  const fs::path weights = check_file(inputs.weights, places.weights, root);
  const fs::path plan_path = check_file(inputs.plan, places.plan, root, &files.plan);
  const Proof proof = prove(read_model(graph, weights), read_plan(files.plan));

  const Json derived = certificate_json(inputs, proof);
  if (certificate_text(derived) != text) {
    compare_proofs(stored.at("proof"), derived.at("proof"));
    refuse("{}: it has members or spaces that do not belong there", path.string());
  }
  out << fmt::format("certificate holds: for every input {} computes what {} with {} says\n",
                     plan_path.string(), graph.string(), weights.string())
      << summary(proof) << claims(inputs);
  return files;
}

}  // namespace lockstep::checker
