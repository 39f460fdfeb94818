#include "compile/backends/c_source/strategies/packed_positions.h"

#include <fmt/ranges.h>

#include <vector>

namespace lockstep::backends {

void PackedPositions::open_positions(std::string_view name, std::int64_t count) {
  if (count % positions_ == 0) {
    text_.line("for (int32_t {0} = 0; {0} < {1}; {0} += {2}) {{", name, count, positions_);
  } else {
    text_.line("for (int32_t u = 0; u < {}; u += {}) {{", count, positions_);
    text_.line("const int32_t {0} = u < {1} ? u : {1};", name, count - positions_);
  }
}

void PackedPositions::open_pairs() {
  const Axis &rows = shape_.rows, &columns = shape_.columns;
  text_.line("for (int32_t p = 0; p < {}; ++p) {{", positions_ / 2);
  text_.line("const int32_t j = i + 2 * p;");
  if (rows.output == 1) {
    text_.line("const int32_t y = 0, x = j, t = 0, v = j + 1;");
  } else {
    text_.line("const int32_t y = j / {0}, x = j % {0};", columns.output);
    text_.line("const int32_t t = (j + 1) / {0}, v = (j + 1) % {0};", columns.output);
  }
  for (const std::string_view row : {"y", "t"}) rows.clip(text_, row);
  for (const std::string_view column : {"x", "v"}) columns.clip(text_, column);
  text_.line("for (int32_t ky = 0; ky < {}; ++ky) {{", rows.kernel);
}

std::string PackedPositions::pair_arguments() {
  return position_arguments("y", "x") + position_arguments("t", "v");
}

void PackedPositions::close_pairs() {
  text_.line("}}");
  text_.line("}}");
}

std::string PackedPositions::position_arguments(const std::string& row, const std::string& column) {
  const Axis &rows = shape_.rows, &columns = shape_.columns;
  const std::string first = columns.first_tap(column), end = columns.end_tap(column);
  std::vector<std::string> conditions;  // for any tap to lie inside the input
  if (rows.cut_before()) conditions.push_back("ky >= " + rows.first_tap(row));
  if (rows.cut_after()) conditions.push_back("ky < " + rows.end_tap(row));
  if (columns.may_be_empty()) conditions.push_back(fmt::format("{} < {}", first, end));
  const std::string place = plus(times(plus(row + "0", times("ky", rows.dilation)), columns.input),
                                 plus(column + "0", first));
  const std::string codes = address("in", times(place, shape_.inputs));
  const std::string begin = times(first, shape_.inputs);
  if (conditions.empty())
    return fmt::format(", {}, {}, {}", codes, begin, times(end, shape_.inputs));
  text_.line("const int {}_inside = {};", row, fmt::join(conditions, " && "));
  return fmt::format(", {0}_inside ? {1} : in, {2}, {0}_inside ? {3} : 0", row, codes, begin,
                     times(end, shape_.inputs));
}

}  // namespace lockstep::backends
