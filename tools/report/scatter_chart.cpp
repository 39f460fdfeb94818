#include "tools/report/scatter_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compile/support/error.h"
#include "tools/report/junit.h"

namespace lockstep::cli {
namespace {

constexpr double kWidth = 960, kHeight = 420, kLeft = 76, kRight = 18, kTop = 14, kBottom = 46;

struct Place {
  double x, y;
};

// One axis: decades from `begin` to `end`, in pixels from `from` to `to`.
struct Scale {
  double begin, end, from, to;

  double at(double value) const {
    return from + (std::log10(value) - begin) / (end - begin) * (to - from);
  }
  double least() const { return std::pow(10, begin); }
  double most() const { return std::pow(10, end); }
};

Scale scale_of(const ScatterAxis& axis, const std::vector<double>& values, double from, double to) {
  double least = *std::ranges::min_element(values), most = *std::ranges::max_element(values);
  if (axis.least > 0) least = std::min(least, axis.least);
  if (axis.most > 0) most = std::max(most, axis.most);
  LOCKSTEP_ASSERT(least > 0);
  return {std::log10(least) - 0.2, std::log10(most) + 0.2, from, to};
}

// 0.001, 50, 20k, 3M, 4G.
std::string short_number(double value) {
  for (const auto& [unit, letter] : {std::pair{1e9, "G"}, {1e6, "M"}, {1e3, "k"}})
    if (value >= unit * 0.999) return fmt::format("{:g}{}", value / unit, letter);
  return fmt::format("{:g}", value);
}

// 1, 10, 100, ...; also 2 and 5 times as many where there are few.
std::vector<double> ticks(const Scale& scale) {
  std::vector<double> found;
  const bool few = scale.end - scale.begin < 3;
  for (int decade = static_cast<int>(std::floor(scale.begin)); decade <= scale.end; ++decade)
    for (const double digit : {1.0, 2.0, 5.0}) {
      const double value = digit * std::pow(10, decade);
      if ((digit == 1 || few) && value >= scale.least() && value <= scale.most())
        found.push_back(value);
    }
  return found;
}

std::string axes(const ScatterAxis& x_axis, const ScatterAxis& y_axis, const Scale& x,
                 const Scale& y) {
  std::string svg;
  const double bottom = kHeight - kBottom, right = kWidth - kRight;
  for (const double value : ticks(x))
    svg += fmt::format(
        "<path class=\"axis\" d=\"M{0:.1f} {1:g}V{2:g}\"/>\n<text class=\"kind\" x=\"{0:.1f}\" "
        "y=\"{3:g}\" text-anchor=\"middle\">{4}</text>\n",
        x.at(value), kTop, bottom, bottom + 16, short_number(value));
  for (const double value : ticks(y))
    svg += fmt::format(
        "<path class=\"axis\" d=\"M{1:g} {0:.1f}H{2:g}\"/>\n<text class=\"kind\" x=\"{3:g}\" "
        "y=\"{4:.1f}\" text-anchor=\"end\">{5}</text>\n",
        y.at(value), kLeft, right, kLeft - 6, y.at(value) + 4, short_number(value));
  svg +=
      fmt::format("<text class=\"head\" x=\"{:g}\" y=\"{:g}\" text-anchor=\"middle\">{}</text>\n",
                  (kLeft + right) / 2, kHeight - 8, escaped_for_xml(x_axis.title));
  const double middle = (kTop + bottom) / 2;
  return svg + fmt::format(
                   "<text class=\"head\" transform=\"translate(16 {:g}) rotate(-90)\" "
                   "text-anchor=\"middle\">{}</text>\n",
                   middle, escaped_for_xml(y_axis.title));
}

// The part of the line that lies in the plot, and its name: above the end of a level one, right of
// the begin of another.
std::string line_path(const ScatterLine& line, const Scale& x, const Scale& y) {
  const auto draw = [&](Place begin, Place end, double name_x, double name_y, const char* anchor) {
    return fmt::format(
        "<path class=\"roof\" d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\"/>\n<text class=\"kind\" "
        "x=\"{:.1f}\" "
        "y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n",
        begin.x, begin.y, end.x, end.y, name_x, name_y, anchor, escaped_for_xml(line.name));
  };
  if (line.slope == 0) {
    if (line.limit < y.least() || line.limit > y.most()) return "";
    const double level = y.at(line.limit);
    return draw({x.from, level}, {x.to, level}, x.to - 4, level - 6, "end");
  }
  const double from = std::max(x.least(), y.least() / line.slope);
  const double to = std::min(x.most(), std::min(line.limit, y.most()) / line.slope);
  if (from >= to) return "";
  const Place begin = {x.at(from), y.at(line.slope * from)};
  return draw(begin, {x.at(to), y.at(line.slope * to)}, begin.x + 26, begin.y - 3, "start");
}

// Names of points, without those that would lie on an earlier one.
std::string labels(const std::vector<ScatterPoint>& points, const Scale& x, const Scale& y) {
  std::string svg;
  std::vector<Place> taken;
  for (const ScatterPoint& point : points) {
    const Place at = {x.at(point.x), y.at(point.y)};
    const bool is_free = std::ranges::none_of(taken, [&](const Place& other) {
      return std::abs(other.x - at.x) < 150 && std::abs(other.y - at.y) < 14;
    });
    if (!point.is_labelled || !is_free) continue;
    taken.push_back(at);
    const bool to_the_left = at.x > kWidth - kRight - 160;
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n",
                       at.x + (to_the_left ? -8 : 8), at.y + 4, to_the_left ? "end" : "start",
                       escaped_for_xml(point.name));
  }
  return svg;
}

}  // namespace

std::string scatter_chart(const std::string& title, const ScatterAxis& x_axis,
                          const ScatterAxis& y_axis, const std::vector<ScatterLine>& lines,
                          const std::vector<ScatterPoint>& points) {
  LOCKSTEP_ASSERT(!points.empty());
  std::vector<double> xs, ys;
  for (const ScatterPoint& point : points) {
    xs.push_back(point.x);
    ys.push_back(point.y);
  }
  const Scale x = scale_of(x_axis, xs, kLeft, kWidth - kRight);
  const Scale y = scale_of(y_axis, ys, kHeight - kBottom, kTop);
  std::string svg = fmt::format("<svg viewBox=\"0 0 {:g} {:g}\" role=\"img\" aria-label=\"{}\">\n",
                                kWidth, kHeight, escaped_for_xml(title));
  svg += axes(x_axis, y_axis, x, y);
  for (const ScatterLine& line : lines) svg += line_path(line, x, y);
  for (const ScatterPoint& point : points) {
    svg += fmt::format(
        "<circle class=\"dot {}\" cx=\"{:.1f}\" cy=\"{:.1f}\" "
        "r=\"4.5\"><title>{}</title></circle>\n",
        point.colour, x.at(point.x), y.at(point.y), escaped_for_xml(point.name));
  }
  return svg + labels(points, x, y) + "</svg>\n";
}

}  // namespace lockstep::cli
