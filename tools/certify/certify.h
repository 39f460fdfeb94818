// The proofs of a plan and of its C for all inputs, as `verify` uses them, and the certificate that
// it writes. What proves is verify/checker and verify/c_proof, from the files alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "verify/c_proof/c_proof.h"
#include "verify/checker/proof.h"
#include "verify/verify.h"

namespace lockstep::cli {

struct PlanProof {
  verify::ProofOutcome outcome;
  std::optional<checker::Proof> proof;  // when it holds

  std::string text() const;  // one line
  nlohmann::ordered_json json() const;
};

// A file that the checker cannot read, though others could, is an outcome that is unknown.
PlanProof prove_plan(const std::filesystem::path& graph, const std::filesystem::path& weights,
                     std::span<const std::byte> plan);

struct CProof {
  verify::ProofOutcome outcome;
  c_proof::Facts facts;  // when it holds

  std::string text() const;  // one line
  nlohmann::ordered_json json() const;
};

// That the C of `prefix` in `folder` computes what the plan does, which must be proved. InputError
// for files that cannot be read.
CProof prove_c(const std::filesystem::path& folder, const std::string& prefix,
               std::span<const std::byte> plan);

struct CertificateRequest {
  std::filesystem::path graph, weights, plan;
  std::filesystem::path c_folder;  // empty: no C
  std::string c_prefix;
  std::filesystem::path certificate, private_key;  // no key: not signed
  std::string verdict;
  std::vector<std::string> options;
  std::uint64_t seed = 0;
  std::string data;         // how the data set was named; empty: none
  std::string data_sha256;  // of the codes of its images
};

// Where the signature of a certificate lies.
std::filesystem::path signature_file(const std::filesystem::path& certificate);

// InputError where a certificate there, or a signature with that key (empty: none), will not be
// possible; so that nobody waits for nothing.
void require_certificate_place(const std::filesystem::path& certificate,
                               const std::filesystem::path& private_key);

// InputError when a file cannot be read or written, or the key is none.
void write_certificate(const CertificateRequest& request, const checker::Proof& proof,
                       const verify::Report& report);

}  // namespace lockstep::cli
