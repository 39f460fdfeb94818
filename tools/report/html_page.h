// What the HTML pages of reports have in common: one document that needs no other file and has no
// script, in light and dark.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::cli {

// From the doctype to the begin of the body. `title` is escaped already.
std::string page_head(std::string_view title);
std::string page_end();

std::string figure(const std::string& chart);
// `content` behind a line that opens it.
std::string folded(std::string_view summary, const std::string& content);

// Cells are any texts.
struct HtmlTable {
  std::vector<std::string> columns;
  std::size_t text_columns = 1;  // the first ones; the others hold numbers
  std::vector<std::vector<std::string>> rows = {};
  bool has_total = false;  // in the last row
};
std::string html_table(const HtmlTable& table);

}  // namespace lockstep::cli
