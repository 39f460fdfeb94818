#include "verify/checker/signature.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

#include <array>
#include <fstream>
#include <memory>

#include "verify/checker/files.h"

namespace lockstep::checker {
namespace {

constexpr std::size_t kSignatureBytes = 64, kMostKeyBytes = 65536;

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Context = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

const unsigned char* start(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

// `read` is OpenSSL's reader of private or of public keys.
template <typename Read>
Key read_key(const std::filesystem::path& path, const Read& read) {
  const std::vector<std::byte> pem = read_file(path, kMostKeyBytes);
  const std::unique_ptr<BIO, decltype(&BIO_free)> memory(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  const auto no_passphrase = [](char*, int, int, void*) { return -1; };
  Key key(read(memory.get(), nullptr, no_passphrase, nullptr), EVP_PKEY_free);
  if (key == nullptr || EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519)
    refuse("{}: it holds no Ed25519 key in PEM without a passphrase", path.string());
  return key;
}

}  // namespace

std::string sha256(std::span<const std::byte> bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_sha256(), nullptr) != 1)
    throw std::runtime_error("OpenSSL cannot compute SHA-256");
  std::string text;
  for (unsigned i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

std::filesystem::path signature_path(const std::filesystem::path& file) {
  return file.string() + ".sig";
}

void require_private_key(const std::filesystem::path& private_key) {
  read_key(private_key, PEM_read_bio_PrivateKey);
}

void sign_file(const std::filesystem::path& file, const std::filesystem::path& private_key) {
  const std::vector<std::byte> bytes = read_file(file, SIZE_MAX);
  const Key key = read_key(private_key, PEM_read_bio_PrivateKey);
  const Context context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  std::array<unsigned char, kSignatureBytes> signature{};
  std::size_t length = signature.size();
  if (EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &length, start(bytes), bytes.size()) != 1)
    refuse("{}: OpenSSL cannot sign with it", private_key.string());
  const std::filesystem::path path = signature_path(file);
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(signature.data()), kSignatureBytes);
  out.close();
  if (!out) refuse("{}: it cannot be written", path.string());
}

bool is_signed(std::span<const std::byte> bytes, const std::filesystem::path& signature,
               const std::filesystem::path& public_key) {
  const Key key = read_key(public_key, PEM_read_bio_PUBKEY);
  const std::vector<std::byte> claimed = read_file(signature, kSignatureBytes);
  if (claimed.size() != kSignatureBytes)
    refuse("{}: {} bytes instead of {}", signature.string(), claimed.size(), kSignatureBytes);
  const Context context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  return EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), start(claimed), claimed.size(), start(bytes),
                          bytes.size()) == 1;
}

}  // namespace lockstep::checker
