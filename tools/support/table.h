// A table in plain text: columns as wide as their widest cell, numbers to the right.
#pragma once

#include <string>
#include <vector>

namespace lockstep::cli {

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // As many cells as there are columns. Control characters are shown as '?', since cells may come
  // from files.
  void add_row(std::vector<std::string> cells);
  // A line, without the final newline: title, rule, rows; no trailing blanks.
  std::string to_text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace lockstep::cli
