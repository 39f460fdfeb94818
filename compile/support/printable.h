// Text from a file, made fit for a message of one line.
#pragma once

#include <string>
#include <string_view>

namespace lockstep {

// Control characters become '?', and a long text is cut, never within a UTF-8 character.
inline std::string printable(std::string_view text, std::size_t longest = 120) {
  const bool is_cut = text.size() > longest;
  if (is_cut) {
    const auto continues = [&](std::size_t at) {
      return (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80;
    };
    std::size_t end = longest;
    while (end > 0 && longest - end < 3 && continues(end)) --end;
    text = text.substr(0, end);
  }
  std::string result(text);
  for (char& c : result)
    if (const auto byte = static_cast<unsigned char>(c); byte < 0x20 || byte == 0x7f) c = '?';
  if (is_cut) result += "...";
  return result;
}

}  // namespace lockstep
