#include "tools/report/bar_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "tools/report/junit.h"

namespace lockstep::cli {
namespace {

// In pixels where the page is wide enough.
constexpr double kNameWidth = 158, kKindWidth = 104, kGap = 16, kRowHeight = 22, kBarHeight = 12,
                 kHeadHeight = 46;
constexpr std::size_t kMostLetters = 22;  // of a name

// `text` as an element of its own, with the whole name for a pointer that rests on it.
std::string name_text(double x, double y, const std::string& kind, const std::string& text) {
  // Not in the middle of a character of several bytes.
  std::size_t end = std::min(text.size(), kMostLetters);
  while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U)
    --end;
  const std::string shown = end < text.size() ? fmt::format("{}\u2026", text.substr(0, end)) : text;
  return fmt::format(
      "<text class=\"{}\" x=\"{:g}\" y=\"{:g}\">{}{}</text>\n", kind, x, y, escaped_for_xml(shown),
      end < text.size() ? fmt::format("<title>{}</title>", escaped_for_xml(text)) : "");
}

std::uint64_t sum(const Bar& bar) {
  return std::accumulate(bar.parts.begin(), bar.parts.end(), std::uint64_t{0});
}

}  // namespace

std::string bar_chart(const std::string& title, const std::string& name_title,
                      const std::vector<BarColumn>& columns, const std::vector<BarRow>& rows) {
  std::vector<double> starts;
  double width = kNameWidth + kKindWidth;
  for (const BarColumn& column : columns) {
    starts.push_back(width);
    width += column.bar_width + column.text_width + kGap;
  }
  width -= kGap;
  const double height = kHeadHeight + kRowHeight * static_cast<double>(rows.size());
  std::string svg = fmt::format("<svg viewBox=\"0 0 {:g} {:g}\" role=\"img\" aria-label=\"{}\">\n",
                                width, height, escaped_for_xml(title));
  for (std::size_t r = 0; r < rows.size(); r += 2)
    svg +=
        fmt::format("<rect class=\"stripe\" x=\"0\" y=\"{:g}\" width=\"{:g}\" height=\"{:g}\"/>\n",
                    kHeadHeight + kRowHeight * static_cast<double>(r), width, kRowHeight);
  svg += name_text(6, 18, "head", name_title);
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const BarColumn& column = columns[c];
    svg += name_text(starts[c], 18, "head", column.title);
    double x = starts[c];
    for (std::size_t p = 0; p < column.parts.size(); ++p) {
      svg += fmt::format(
          "<rect class=\"{}\" x=\"{:g}\" y=\"27\" width=\"10\" height=\"10\" rx=\"2\"/>\n",
          column.colours[p], x);
      svg += name_text(x + 14, 36, "kind", column.parts[p]);
      x += 24 + 7 * static_cast<double>(column.parts[p].size());
    }
    std::uint64_t most = std::max<std::uint64_t>(column.full, 1);
    for (const BarRow& row : rows) most = std::max(most, sum(row.bars[c]));
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const Bar& bar = rows[r].bars[c];
      const double top = kHeadHeight + kRowHeight * static_cast<double>(r);
      double at = starts[c];
      for (std::size_t p = 0; p < bar.parts.size(); ++p) {
        const double part =
            column.bar_width * static_cast<double>(bar.parts[p]) / static_cast<double>(most);
        if (bar.parts[p] > 0)
          svg += fmt::format(
              "<rect class=\"{}\" x=\"{:.1f}\" y=\"{:g}\" width=\"{:.1f}\" height=\"{:g}\"/>\n",
              column.colours[p], at, top + (kRowHeight - kBarHeight) / 2, std::max(part, 0.5),
              kBarHeight);
        at += part;
      }
      svg += fmt::format("<text x=\"{:.1f}\" y=\"{:g}\">{}</text>\n", at + 6, top + 15.5,
                         escaped_for_xml(bar.text));
    }
    svg += fmt::format("<path class=\"axis\" d=\"M{:g} {:g}V{:g}\"/>\n", starts[c], kHeadHeight,
                       height);
  }
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const double y = kHeadHeight + kRowHeight * static_cast<double>(r) + 15.5;
    svg += name_text(6, y, "name", rows[r].name);
    svg += name_text(kNameWidth, y, "kind", rows[r].kind);
  }
  return svg + "</svg>\n";
}

std::string grouped(std::uint64_t number) {
  const std::string digits = fmt::to_string(number);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

}  // namespace lockstep::cli
