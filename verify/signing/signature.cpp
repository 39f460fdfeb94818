#include "verify/signing/signature.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

#include <memory>

#include "verify/checker/files.h"

namespace lockstep::signing {
namespace {

constexpr std::size_t kSignatureBytes = 64, kMostKeyBytes = 65536;

const unsigned char* start(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

}  // namespace

std::filesystem::path signature_path(const std::filesystem::path& file) {
  return file.string() + ".sig";
}

bool is_signed(std::span<const std::byte> bytes, const std::filesystem::path& signature,
               const std::filesystem::path& public_key) {
  const std::vector<std::byte> pem = checker::read_file(public_key, kMostKeyBytes);
  const std::unique_ptr<BIO, decltype(&BIO_free)> memory(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  const auto no_passphrase = [](char*, int, int, void*) { return -1; };
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PUBKEY(memory.get(), nullptr, no_passphrase, nullptr), EVP_PKEY_free);
  if (key == nullptr || EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519)
    checker::refuse("{}: it holds no public Ed25519 key in PEM without a passphrase",
                    public_key.string());
  const std::vector<std::byte> claimed = checker::read_file(signature, kSignatureBytes);
  if (claimed.size() != kSignatureBytes)
    checker::refuse("{}: {} bytes instead of {}", signature.string(), claimed.size(),
                    kSignatureBytes);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free);
  return EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), start(claimed), claimed.size(), start(bytes),
                          bytes.size()) == 1;
}

}  // namespace lockstep::signing
