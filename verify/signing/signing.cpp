#include "verify/signing/signing.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

#include <array>
#include <fstream>
#include <memory>

#include "verify/checker/files.h"
#include "verify/signing/signature.h"

namespace lockstep::signing {
namespace {

constexpr std::size_t kSignatureBytes = 64, kMostKeyBytes = 65536;

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Key read_key(const std::filesystem::path& path) {
  const std::vector<std::byte> pem = checker::read_file(path, kMostKeyBytes);
  const std::unique_ptr<BIO, decltype(&BIO_free)> memory(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  const auto no_passphrase = [](char*, int, int, void*) { return -1; };
  Key key(PEM_read_bio_PrivateKey(memory.get(), nullptr, no_passphrase, nullptr), EVP_PKEY_free);
  if (key == nullptr || EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519)
    checker::refuse("{}: it holds no Ed25519 key in PEM without a passphrase", path.string());
  return key;
}

}  // namespace

void require_private_key(const std::filesystem::path& private_key) { read_key(private_key); }

void sign_file(const std::filesystem::path& file, const std::filesystem::path& private_key) {
  const std::vector<std::byte> bytes = checker::read_file(file, SIZE_MAX);
  const Key key = read_key(private_key);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free);
  std::array<unsigned char, kSignatureBytes> signature{};
  std::size_t length = signature.size();
  if (EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &length,
                     reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()) != 1)
    checker::refuse("{}: OpenSSL cannot sign with it", private_key.string());
  const std::filesystem::path path = signature_path(file);
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(signature.data()), kSignatureBytes);
  out.close();
  if (!out) checker::refuse("{}: it cannot be written", path.string());
}

}  // namespace lockstep::signing
