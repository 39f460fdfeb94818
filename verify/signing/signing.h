// Signing certificates. What is signed is checked by verify/checker, which cannot sign.
#pragma once

#include <filesystem>

namespace lockstep::signing {

// checker::BadFile unless sign_file can sign with it.
void require_private_key(const std::filesystem::path& private_key);
// Writes the Ed25519 signature of `file` to checker::signature_path(file), with a private key, a
// PEM file without a passphrase. checker::BadFile.
void sign_file(const std::filesystem::path& file, const std::filesystem::path& private_key);

}  // namespace lockstep::signing
