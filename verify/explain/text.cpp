#include "verify/explain/text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "verify/semantics/move.h"

namespace lockstep::verify {

std::string code_and_value(std::int64_t code, int decimal) {
  return fmt::format("{} * 2^{} = {:.9g}", code, -decimal,
                     std::ldexp(static_cast<double>(code), -decimal));
}

std::string value_text(const Format& format, std::int64_t element, std::int64_t code) {
  return format.real ? fmt::format("{:.9g}", real_from_bits(code))
                     : code_and_value(code, format.decimal(element));
}

std::string element_name(const std::string& name, std::span<const std::int64_t> shape,
                         std::int64_t element) {
  return fmt::format("{}[{}]", name, fmt::join(places_of(element, shape), ", "));
}

std::string columns(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths(rows[0].size());
  for (const auto& row : rows)
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  std::string text;
  for (const auto& row : rows) {
    std::string line = fmt::format("    {:<{}}", row[0], widths[0]);
    for (std::size_t c = 1; c < row.size(); ++c) line += fmt::format("  {:>{}}", row[c], widths[c]);
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

}  // namespace lockstep::verify
