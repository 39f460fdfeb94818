#include "tools/certify/certify.h"

#include <fmt/format.h>

#include <algorithm>

#include "compile/support/error.h"
#include "compile/support/files.h"
#include "verify/checker/certificate.h"
#include "verify/checker/model.h"
#include "verify/checker/plan.h"
#include "verify/signing/signature.h"
#include "verify/signing/signing.h"

namespace lockstep::cli {

namespace fs = std::filesystem;
using Kind = verify::ProofOutcome::Kind;

PlanProof prove_plan(const fs::path& graph, const fs::path& weights,
                     std::span<const std::byte> plan) {
  PlanProof result;
  try {
    result.proof = checker::prove(checker::read_model(graph, weights), checker::read_plan(plan));
    result.outcome.kind = Kind::kProved;
    result.outcome.unstable_layers = result.proof->unstable_layers;
  } catch (const checker::Failure& failure) {
    result.outcome = {failure.is_unknown ? Kind::kUnknown : Kind::kRefuted,
                      failure.layer,
                      failure.obligation,
                      failure.text,
                      {}};
  } catch (const checker::BadFile& error) {
    result.outcome = {Kind::kUnknown, "", "files", error.what(), {}};
  }
  return result;
}

std::string PlanProof::text() const {
  if (outcome.kind != Kind::kProved)
    return fmt::format("proof for all inputs: {} '{}': {}",
                       outcome.kind == Kind::kRefuted ? "refuted in" : "no result for",
                       outcome.obligation, outcome.text);
  return fmt::format(
      "proof for all inputs: holds for {} operators, {} elements, {} weights and biases",
      proof->layers.size(), proof->elements_checked, proof->weights_checked);
}

nlohmann::ordered_json PlanProof::json() const {
  static constexpr const char* kKinds[] = {"proved", "refuted", "unknown"};
  nlohmann::ordered_json json{{"outcome", kKinds[static_cast<int>(outcome.kind)]}};
  if (!proof) {
    json["obligation"] = outcome.obligation;
    json["layer"] = outcome.layer;
    json["reason"] = outcome.text;
    return json;
  }
  json["operators"] = proof->layers.size();
  json["elements"] = proof->elements_checked;
  json["weights"] = proof->weights_checked;
  json["unstable_layers"] = proof->unstable_layers;
  return json;
}

CProof prove_c(const fs::path& folder, const std::string& prefix, std::span<const std::byte> plan) {
  CProof result;
  const std::string header = prefix + ".h";
  const c_proof::Files files{header, read_text_file(folder / header),
                             read_text_file(folder / (prefix + ".c")), prefix};
  try {
    result.facts = c_proof::prove_c(files, checker::read_plan(plan));
    result.outcome.kind = Kind::kProved;
  } catch (const checker::Failure& failure) {
    result.outcome = {Kind::kUnknown, failure.layer, failure.obligation, failure.text, {}};
  }
  return result;
}

std::string CProof::text() const {
  if (outcome.kind != Kind::kProved) return "proof of the C: no result: " + outcome.text;
  return fmt::format("proof of the C: holds for {} elements, {} products, {} functions of sums",
                     facts.elements, facts.products, facts.functions);
}

nlohmann::ordered_json CProof::json() const {
  if (outcome.kind != Kind::kProved)
    return {{"outcome", "unknown"}, {"layer", outcome.layer}, {"reason", outcome.text}};
  return {{"outcome", "proved"},
          {"elements", facts.elements},
          {"products", facts.products},
          {"functions", facts.functions}};
}

fs::path signature_file(const fs::path& certificate) {
  return signing::signature_path(certificate);
}

void require_certificate_place(const fs::path& certificate, const fs::path& private_key) {
  const fs::path folder = fs::absolute(certificate).parent_path();
  if (!fs::is_directory(folder))
    throw InputError(
        fmt::format("{}: there is no folder {}", certificate.string(), folder.string()));
  try {
    if (!private_key.empty()) signing::require_private_key(private_key);
  } catch (const checker::BadFile& error) {
    throw InputError(error.what());
  }
}

void write_certificate(const CertificateRequest& request, const checker::Proof& proof,
                       const verify::Report& report) {
  try {
    const fs::path folder = fs::absolute(request.certificate).parent_path();
    checker::Certificate certificate;
    certificate.tool = "lockstep " LOCKSTEP_VERSION;
    certificate.files = {checker::certify_file(request.graph, folder),
                         checker::certify_file(request.weights, folder),
                         checker::certify_file(request.plan, folder),
                         {}};
    if (!request.c_folder.empty())
      for (const char* end : {".c", ".h", "_selftest.c"})
        certificate.files.c.push_back(
            checker::certify_file(request.c_folder / (request.c_prefix + end), folder));
    checker::Claims& claimed = certificate.claimed;
    claimed.verdict = request.verdict;
    claimed.options = request.options;
    claimed.seed = request.seed;
    if (!request.data.empty()) claimed.data = {request.data, request.data_sha256};
    for (const verify::PathReport& path : report.paths)
      claimed.runs.push_back({path.path, path.samples, path.tensors, path.values});
    certificate.proof = proof;
    write_file_atomically(request.certificate, checker::certificate_text(certificate));
    if (!request.private_key.empty()) signing::sign_file(request.certificate, request.private_key);
  } catch (const checker::BadFile& error) {
    throw InputError(error.what());
  }
}

}  // namespace lockstep::cli
