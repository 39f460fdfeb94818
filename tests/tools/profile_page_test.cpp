// The page of bench --profile: points lie where their numbers say, and no name can break it.
#include <doctest/doctest.h>

#include <cmath>
#include <regex>
#include <string>
#include <vector>

#include "tests/tools/html.h"
#include "tools/report/profile_page.h"
#include "tools/report/scatter_chart.h"

namespace lockstep::cli {
namespace {

struct Place {
  double x = 0, y = 0;
};

std::vector<Place> places(const std::string& chart, const std::string& pattern) {
  std::vector<Place> found;
  const std::regex regex(pattern);
  for (std::sregex_iterator it(chart.begin(), chart.end(), regex), end; it != end; ++it)
    found.push_back({std::stod((*it)[1]), std::stod((*it)[2])});
  return found;
}

const char* const kDot = R"re(<circle class="dot [a-z]+" cx="([\d.]+)" cy="([\d.]+)")re";

OperatorProfile profile_of_op(const std::string& name, std::uint64_t macs) {
  return {.info = {.node = name, .kernel = "conv2d", .macs = macs, .bytes = 1000}, .seconds = 1e-5};
}

}  // namespace

TEST_CASE("equal factors are equal distances, and lines cut points that lie on them") {
  const std::string chart =
      scatter_chart("title", {.title = "x"}, {.title = "y"},
                    {{"slope", 2, 300}, {"level", 0, 300}, {"out", 0, 1e9}},
                    {{"a", "work", 1, 2}, {"b", "work", 10, 20}, {"c", "work", 1000, 300}});
  CHECK(test::is_balanced(chart));
  const std::vector<Place> dots = places(chart, kDot);
  REQUIRE(dots.size() == 3);
  const double decade = dots[1].x - dots[0].x;
  CHECK(std::abs((dots[2].x - dots[1].x) - 2 * decade) < 0.3);
  CHECK(dots[1].y < dots[0].y);  // more is above
  // One line goes through two points and ends at the height of the other.
  const std::vector<Place> ends =
      places(chart, R"re(class="roof" d="M[\d.]+ [\d.]+L([\d.]+) ([\d.]+)")re");
  REQUIRE(ends.size() == 2);
  CHECK(std::abs(ends[0].x - (dots[0].x + std::log10(150) * decade)) < 0.3);
  for (const Place& end : ends) CHECK(std::abs(end.y - dots[2].y) < 0.2);
}

TEST_CASE("a single point has axes, too") {
  const std::string chart =
      scatter_chart("title", {.title = "x"}, {.title = "y"}, {}, {{"a", "work", 5, 5}});
  const std::vector<Place> dots = places(chart, kDot);
  REQUIRE(dots.size() == 1);
  CHECK(dots[0].x > 0);
  CHECK(chart.find("NaN") == std::string::npos);
}

TEST_CASE("names are texts, whatever they hold; operators without weights are in no plot") {
  const Profile profile{
      .network = "<b>&net",
      .kernels = "scalar",
      .threads = 2,
      .inferences = 3,
      .peak = {1e11, 1e11, 1e10},
      .seconds = 3e-5,
      .operators = {profile_of_op("</svg><script>", 1000), profile_of_op("\"quoted\"", 100000),
                    profile_of_op("none", 0)}};
  const std::string page = profile_page(profile);
  CHECK(test::is_balanced(page));
  CHECK(page.find("<script>") == std::string::npos);
  CHECK(places(page, kDot).size() == 4);  // two in each of two plots
  Profile without = profile;
  without.operators = {profile_of_op("none", 0)};
  CHECK(places(profile_page(without), kDot).empty());
}

}  // namespace lockstep::cli
