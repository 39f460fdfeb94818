// Points and straight lines over two logarithmic axes, as SVG for an HTML page.
#pragma once

#include <limits>
#include <string>
#include <vector>

namespace lockstep::cli {

struct ScatterPoint {
  std::string name;     // shown where the pointer rests
  std::string colour;   // a class of the page's style
  double x = 0, y = 0;  // above 0
  bool is_labelled = false;
};

// y = slope * x as far as y <= limit; or, where the slope is 0, y = limit.
struct ScatterLine {
  std::string name;
  double slope = 1;
  double limit = std::numeric_limits<double>::infinity();
};

struct ScatterAxis {
  std::string title;
  double least = 0, most = 0;  // in the plot at any rate; 0: what points need
};

// At least one point. `title` is for those who cannot see it.
std::string scatter_chart(const std::string& title, const ScatterAxis& x, const ScatterAxis& y,
                          const std::vector<ScatterLine>& lines,
                          const std::vector<ScatterPoint>& points);

}  // namespace lockstep::cli
