// Certificates: what was verified, with the hashes of the files and the whole proof, so that
// anybody can derive it again with the checker alone. docs/certificate.md has the schema.
#pragma once

#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "verify/checker/proof.h"

namespace lockstep::checker {

struct CertifiedFile {
  std::string path;    // from the certificate's folder, or absolute
  std::string sha256;  // 64 hexadecimal digits
};

// One path of the differential run.
struct RunSummary {
  std::string path;
  Int samples = 0, tensors = 0, values = 0;
};

struct CertifiedFiles {
  CertifiedFile graph, weights, plan;
  std::vector<CertifiedFile> c;
};

// What nobody can derive again.
struct Claims {
  std::string verdict;
  std::vector<std::string> options;
  std::uint64_t seed = 0;
  CertifiedFile data;  // of the differential run: a description, and the hash of its codes
  std::vector<RunSummary> runs;
};

// All strings are UTF-8. Whoever makes one leaves the first three to certificate_text().
struct Certificate {
  std::string format;
  int version = 0;
  std::string sha256;
  std::string tool;  // name and version of who wrote it: claimed, too
  CertifiedFiles files;
  Claims claimed;
  Proof proof;
};

// Of the bytes of a file; the path is made relative to `folder`, that of the certificate. BadFile.
CertifiedFile certify_file(const std::filesystem::path& file, const std::filesystem::path& folder);

// The only bytes that a file may hold it as, of this version and sealed with their own hash.
std::string certificate_text(Certificate certificate);

// Where the files of a certificate are; what is empty is where the certificate says.
struct Places {
  std::filesystem::path root;  // instead of the certificate's folder
  std::filesystem::path graph, weights, plan;
  std::vector<std::filesystem::path> sources;
};

// The files or the facts are not those of the certificate, or it is not signed.
struct Mismatch : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A file whose bytes have the hash that the certificate says.
struct CheckedFile {
  std::filesystem::path path;
  std::vector<std::byte> bytes;
};

// A certificate that holds, and what it is about.
struct Checked {
  Certificate certificate;
  std::filesystem::path graph, weights;
  CheckedFile plan;
  std::vector<CheckedFile> sources;  // the C, in the certificate's order
};

// Derives everything about the plan again, from the bytes of the certificate at `path`. Throws
// BadFile (the certificate or another file cannot be used), Mismatch, or Failure (the plan is
// wrong, or cannot be judged). The C is only compared with its hashes.
Checked check_certificate(std::span<const std::byte> bytes, const std::filesystem::path& path,
                          const Places& places);

}  // namespace lockstep::checker
