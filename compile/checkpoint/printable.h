// Text from a file, made fit for a message of one line. Internal to compile/checkpoint.
#pragma once

#include <string>
#include <string_view>

namespace lockstep {

// Control characters become '?', and a long text is cut.
inline std::string printable(std::string_view text) {
  constexpr std::size_t kLongest = 120;
  std::string result(text.substr(0, kLongest));
  for (char& c : result)
    if (const auto byte = static_cast<unsigned char>(c); byte < 0x20 || byte == 0x7f) c = '?';
  if (text.size() > kLongest) result += "...";
  return result;
}

}  // namespace lockstep
