// Whole files, their hashes, JSON and messages, for the checker's readers; graph.json.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "verify/checker/model.h"

namespace lockstep::checker {

template <typename... Arguments>
[[noreturn]] void refuse(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
  throw BadFile(fmt::format(text, std::forward<Arguments>(arguments)...));
}

// Whether `word`, without spaces, is one of `words`, which have one between them.
bool has_word(std::string_view words, std::string_view word);

// Text or JSON from a file, fit for a message: in ASCII, without control characters, and cut.
std::string shown(const nlohmann::json& value);

// SHA-256: 64 hexadecimal digits.
std::string sha256(std::span<const std::byte> bytes);

// BadFile for anything but a regular file of at most `most_bytes` bytes.
std::vector<std::byte> read_file(const std::filesystem::path& path, std::size_t most_bytes);

// BadFile begins with `name`: no JSON, two equal keys in one object, more levels of nesting, or
// more values.
nlohmann::json parse_json(std::string_view text, const std::string& name, std::size_t most_levels,
                          std::size_t most_values);

// graph.json as far as it stands for itself, without the state dict. BadFile begins with `name`.
Model parse_graph(std::string_view text, const std::string& name);

}  // namespace lockstep::checker
