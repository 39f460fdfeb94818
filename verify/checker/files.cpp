#include "verify/checker/files.h"

#include <openssl/evp.h>

#include <array>
#include <fstream>
#include <set>

namespace lockstep::checker {

using nlohmann::json;

bool has_word(std::string_view words, std::string_view word) {
  return word.find(' ') == std::string_view::npos &&
         fmt::format(" {} ", words).find(fmt::format(" {} ", word)) != std::string::npos;
}

std::string shown(const json& value) {
  constexpr std::size_t kMost = 80;
  const std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  return text.size() > kMost ? text.substr(0, kMost) + "..." : text;
}

std::string sha256(std::span<const std::byte> bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_sha256(), nullptr) != 1)
    throw std::runtime_error("OpenSSL cannot compute SHA-256");
  std::string text;
  for (unsigned i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

std::vector<std::byte> read_file(const std::filesystem::path& path, std::size_t most_bytes) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    refuse("{}: there is no such regular file", path.string());
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error || size > most_bytes)
    refuse("{}: it has more than {} bytes, or no size", path.string(), most_bytes);
  std::vector<std::byte> bytes(size);
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  if (!file || file.peek() != std::ifstream::traits_type::eof())
    refuse("{}: it cannot be read, or changes meanwhile", path.string());
  return bytes;
}

json parse_json(std::string_view text, const std::string& name, std::size_t most_levels,
                std::size_t most_values) {
  std::vector<std::set<std::string>> open;  // the keys so far of each open object or list
  std::size_t values = 0;
  const auto check = [&](int, json::parse_event_t event, json& value) {
    switch (event) {
      case json::parse_event_t::object_start:
      case json::parse_event_t::array_start:
        if (open.size() == most_levels) refuse("{}: more than {} levels", name, most_levels);
        open.emplace_back();
        [[fallthrough]];
      case json::parse_event_t::value:
        if (++values > most_values) refuse("{}: more than {} JSON values", name, most_values);
        break;
      case json::parse_event_t::object_end:
      case json::parse_event_t::array_end:
        open.pop_back();
        break;
      case json::parse_event_t::key:
        if (!open.back().insert(value.get<std::string>()).second)
          refuse("{}: key {} occurs twice in one object", name, shown(value));
        break;
    }
    return true;
  };
  try {
    return json::parse(text, check);
  } catch (const json::exception& error) {
    refuse("{}: no valid JSON: {}", name, shown(json(error.what())));
  }
}

}  // namespace lockstep::checker
