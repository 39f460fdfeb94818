// Whether a file is signed: detached signatures with Ed25519 (RFC 8032), 64 raw bytes beside it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace lockstep::signing {

// The signature of `file`: its name with ".sig" behind it.
std::filesystem::path signature_path(const std::filesystem::path& file);

// Whether a signature file holds a signature of `bytes` with the key of a public PEM file.
// checker::BadFile when there is no such key or no signature of 64 bytes.
bool is_signed(std::span<const std::byte> bytes, const std::filesystem::path& signature,
               const std::filesystem::path& public_key);

}  // namespace lockstep::signing
