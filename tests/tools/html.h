// What tests ask of HTML and SVG.
#pragma once

#include <regex>
#include <string>
#include <vector>

namespace lockstep::test {

// Every element that is opened is closed, in that order.
inline bool is_balanced(const std::string& page) {
  std::vector<std::string> open;
  const std::regex tag(R"(<(/?)([a-z0-9]+)([^<>]*?)(/?)>)");
  for (std::sregex_iterator it(page.begin(), page.end(), tag), end; it != end; ++it) {
    const std::string name = (*it)[2];
    if ((*it)[4] == "/" || name == "meta") continue;
    if ((*it)[1] == "") {
      open.push_back(name);
    } else {
      if (open.empty() || open.back() != name) return false;
      open.pop_back();
    }
  }
  return open.empty();
}

}  // namespace lockstep::test
