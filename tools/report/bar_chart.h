// Charts of horizontal bars with their numbers beside them, as SVG for an HTML page.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lockstep::cli {

struct BarColumn {
  std::string title;
  double bar_width = 0, text_width = 0;  // at most
  std::vector<std::string> colours;      // of the parts of its bars: classes of the page's style
  std::vector<std::string> parts;        // what they are, for the legend; of one part: none
  std::uint64_t full = 0;                // what fills the width; 0: the largest bar
};

struct Bar {
  std::vector<std::uint64_t> parts;
  std::string text;
};

struct BarRow {
  std::string name, kind;
  std::vector<Bar> bars;  // one for each column
};

// Bars of a column share a scale, which begins at 0; none is longer than the width. `title` is for
// those who cannot see it.
std::string bar_chart(const std::string& title, const std::string& name_title,
                      const std::vector<BarColumn>& columns, const std::vector<BarRow>& rows);

// 1635116 is "1,635,116".
std::string grouped(std::uint64_t number);

}  // namespace lockstep::cli
