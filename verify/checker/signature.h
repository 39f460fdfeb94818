// SHA-256, and detached signatures with Ed25519 (RFC 8032): 64 raw bytes beside the signed file.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace lockstep::checker {

// 64 hexadecimal digits.
std::string sha256(std::span<const std::byte> bytes);

// The signature of `file`: its name with ".sig" behind it.
std::filesystem::path signature_path(const std::filesystem::path& file);

// Whether a signature file holds a signature of `bytes` with the key of a public PEM file. BadFile
// when there is no such key or no signature of 64 bytes.
bool is_signed(std::span<const std::byte> bytes, const std::filesystem::path& signature,
               const std::filesystem::path& public_key);

}  // namespace lockstep::checker
