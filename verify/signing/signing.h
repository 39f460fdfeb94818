// Signing certificates. Whether they are signed is signature.h's, whose library cannot sign.
#pragma once

#include <filesystem>

namespace lockstep::signing {

// checker::BadFile unless sign_file can sign with it.
void require_private_key(const std::filesystem::path& private_key);
// Writes the Ed25519 signature of `file` to signature_path(file), with a private key, a PEM file
// without a passphrase. checker::BadFile.
void sign_file(const std::filesystem::path& file, const std::filesystem::path& private_key);

}  // namespace lockstep::signing
