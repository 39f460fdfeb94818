#include "compile/backends/c_source/c_text.h"

#include <algorithm>
#include <limits>

#include "compile/support/error.h"

namespace lockstep::backends {
namespace {

// Of "int8_t", "INTRT_ALIGNED int16_t", ...
std::int64_t bytes_of(std::string_view type) {
  for (const auto& [end, bytes] : {std::pair<std::string_view, std::int64_t>{"int8_t", 1},
                                   {"int16_t", 2},
                                   {"int32_t", 4},
                                   {"int64_t", 8}})
    if (type.ends_with(end)) return bytes;
  LOCKSTEP_ASSERT(false);
  return 0;
}

bool is_plain(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         c == '-' || c == '.' || c == ' ';
}

}  // namespace

void CText::add(std::string_view line) {
  if (line.starts_with('}')) --depth_;
  text_.append(static_cast<std::size_t>(2 * depth_), ' ');
  text_ += line;
  text_ += '\n';
  if (line.ends_with('{')) ++depth_;
}

void CText::array(std::string_view type, std::string_view name,
                  const std::vector<std::int64_t>& elements) {
  LOCKSTEP_ASSERT(!elements.empty());
  constexpr std::size_t kPerLine = 16;
  constant_bytes_ += bytes_of(type) * static_cast<std::int64_t>(elements.size());
  text_ += fmt::format("static const {} {}[{}] = {{", type, name, elements.size());
  for (std::size_t i = 0; i < elements.size(); ++i) {
    if (i % kPerLine == 0) text_ += "\n   ";
    text_ += ' ';
    text_ += c_integer(elements[i]);
    if (i + 1 < elements.size()) text_ += ',';
  }
  text_ += "};\n";
}

std::string_view c_type(ir::ElementType type) {
  switch (type) {
    case ir::ElementType::kInt8:
      return "int8_t";
    case ir::ElementType::kInt16:
      return "int16_t";
    case ir::ElementType::kUInt8:
      return "uint8_t";
    case ir::ElementType::kInt64:
      return "int64_t";
    case ir::ElementType::kInt32:
      break;
  }
  return "int32_t";
}

std::string_view narrowest_type(const std::vector<std::int64_t>& elements) {
  LOCKSTEP_ASSERT(!elements.empty());
  const auto [lo, hi] = std::minmax_element(elements.begin(), elements.end());
  const int bits = ir::bits_to_hold(*lo, *hi);
  return bits <= 8 ? "int8_t" : bits <= 16 ? "int16_t" : bits <= 32 ? "int32_t" : "int64_t";
}

std::string c_integer(std::int64_t value) {
  if (value == std::numeric_limits<std::int32_t>::min()) return "(-2147483647 - 1)";
  return fmt::format("{}", value);
}

std::string c_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : text)
    result += is_plain(c)
                  ? std::string(1, c)
                  : fmt::format("\\{:03o}", static_cast<unsigned>(static_cast<unsigned char>(c)));
  return result + "\"";
}

std::string in_comment(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (!is_plain(c)) c = '?';
  return result;
}

std::string plus(std::string_view a, std::string_view b) {
  if (a == "0") return std::string(b);
  if (b == "0") return std::string(a);
  return fmt::format("{} + {}", a, b);
}

std::string plus(std::string_view a, std::int64_t b) { return plus(a, fmt::format("{}", b)); }

std::string times(std::string_view a, std::int64_t factor) {
  if (a == "0" || factor == 0) return "0";
  if (factor == 1) return std::string(a);
  return a.find(' ') == std::string_view::npos ? fmt::format("{} * {}", a, factor)
                                               : fmt::format("({}) * {}", a, factor);
}

std::string address(std::string_view array, std::string_view index) {
  return index == "0" ? std::string(array) : fmt::format("&{}[{}]", array, index);
}

std::string upper(std::string_view prefix) {
  std::string result(prefix);
  for (char& c : result)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return result;
}

void require_c_prefix(const std::string& prefix) {
  constexpr std::size_t kMaxPrefix = 64;
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  const bool valid = !prefix.empty() && prefix.size() <= kMaxPrefix && is_letter(prefix[0]) &&
                     std::all_of(prefix.begin(), prefix.end(),
                                 [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
  if (!valid)
    throw InputError(
        fmt::format("C prefix '{}': it must be a C identifier of at most {} letters, digits "
                    "and underscores",
                    prefix, kMaxPrefix));
}

}  // namespace lockstep::backends
