#include "verify/checker/certificate.h"

#include <fmt/format.h>

#include <cmath>

#include "verify/checker/files.h"
#include "verify/checker/plan.h"
#include "verify/checker/signature.h"

namespace lockstep::checker {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Parsed = nlohmann::json;

// What every certificate begins with, up to its hash.
constexpr std::string_view kHead =
    "{\n \"format\": \"lockstep-certificate\",\n \"version\": 1,\n \"sha256\": \"";
constexpr std::size_t kDigits = 64, kMostLevels = 8, kMostValues = 200'000'000;

// --- writing ----------------------------------------------------------------------------------

Json json_of(const CertifiedFile& file) { return {{"path", file.path}, {"sha256", file.sha256}}; }

Json json_of(const RunSummary& run) {
  return {{"path", run.path},
          {"samples", run.samples},
          {"tensors", run.tensors},
          {"values", run.values}};
}

Json json_of(const ChannelFacts& facts) {
  return {{"first", facts.first},
          {"last", facts.last},
          {"lo", facts.lo},
          {"hi", facts.hi},
          {"bound", facts.bound},
          {"accumulator_bits", facts.accumulator_bits},
          {"float_bound", facts.float_bound},
          {"is_float32_exact", facts.is_float32_exact},
          {"post", facts.post},
          {"method", facts.method},
          {"arguments", facts.arguments}};
}

template <typename T>
Json json_of(const std::vector<T>& list);

Json json_of(const LayerFacts& layer) {
  return {{"layer", layer.layer},
          {"op", layer.op},
          {"output", layer.output},
          {"channels", json_of(layer.channels)}};
}

template <typename T>
Json json_of(const std::vector<T>& list) {
  Json json = Json::array();
  for (const T& entry : list) json.push_back(json_of(entry));
  return json;
}

Json json_of(const Proof& proof) {
  return {{"weights_checked", proof.weights_checked},
          {"elements_checked", proof.elements_checked},
          {"arena_pairs_checked", proof.arena_pairs_checked},
          {"unstable_layers", proof.unstable_layers},
          {"layers", json_of(proof.layers)}};
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// --- reading ----------------------------------------------------------------------------------

CertifiedFile file_from(const Parsed& json) { return {json.at("path"), json.at("sha256")}; }

CertificateInputs inputs_from(const Parsed& json) {
  const Parsed &files = json.at("files"), &claimed = json.at("claimed");
  CertificateInputs inputs;
  inputs.tool = json.at("tool");
  inputs.graph = file_from(files.at("graph"));
  inputs.weights = file_from(files.at("weights"));
  inputs.plan = file_from(files.at("plan"));
  for (const Parsed& source : files.at("c")) inputs.sources.push_back(file_from(source));
  inputs.verdict = claimed.at("verdict");
  inputs.options = claimed.at("options");
  inputs.seed = claimed.at("seed");
  inputs.data = file_from(claimed.at("data"));
  for (const Parsed& run : claimed.at("runs"))
    inputs.runs.push_back({run.at("path"), run.at("samples"), run.at("tensors"), run.at("values")});
  return inputs;
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

std::string headroom(const char* what, int bits, Int bound, const std::string& layer) {
  if (layer.empty()) return "";
  return fmt::format("  {:<36}{:.2f} bits below 2^{}, layer '{}'\n", what,
                     bits - std::log2(static_cast<double>(std::max<Int>(bound, 1))), bits, layer);
}

std::string summary(const Proof& proof) {
  Int exact = 0, wider = 0, largest_float = 0, largest_sum = 0;
  std::string float_layer, sum_layer;
  for (const LayerFacts& layer : proof.layers)
    for (const ChannelFacts& facts : layer.channels) {
      if (facts.float_bound >= 0)
        (facts.is_float32_exact ? exact : wider) += facts.last - facts.first + 1;
      if (facts.is_float32_exact && facts.float_bound > largest_float) {
        largest_float = facts.float_bound;
        float_layer = layer.layer;
      }
      if (facts.accumulator_bits == 32 && facts.bound > largest_sum) {
        largest_sum = facts.bound;
        sum_layer = layer.layer;
      }
    }
  std::string text =
      fmt::format("  {:<36}{}\n  {:<36}{}\n  {:<36}{}\n  {:<36}{}\n", "layers", proof.layers.size(),
                  "weights derived again", proof.weights_checked, "channels against float32", exact,
                  "channels against double", wider);
  text += headroom("smallest headroom of a float32 sum", 24, largest_float, float_layer);
  text += headroom("smallest headroom of 32-bit sums", 31, largest_sum, sum_layer);
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
  Json json = {{"format", "lockstep-certificate"},
               {"version", 1},
               {"sha256", ""},
               {"tool", inputs.tool},
               {"files",
                {{"graph", json_of(inputs.graph)},
                 {"weights", json_of(inputs.weights)},
                 {"plan", json_of(inputs.plan)},
                 {"c", json_of(inputs.sources)}}},
               {"claimed",
                {{"verdict", inputs.verdict},
                 {"options", inputs.options},
                 {"seed", inputs.seed},
                 {"data", json_of(inputs.data)},
                 {"runs", json_of(inputs.runs)}}},
               {"proof", json_of(proof)}};
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
    inputs = inputs_from(stored);
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
