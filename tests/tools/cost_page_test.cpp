// The page of bench --report: its charts are drawn to scale, and no name can break it.
#include <doctest/doctest.h>

#include <regex>
#include <string>
#include <vector>

#include "tests/tools/html.h"
#include "tools/report/bar_chart.h"
#include "tools/report/cost_page.h"

namespace lockstep::cli {
namespace {

using test::is_balanced;

std::vector<double> numbers(const std::string& text, const std::string& pattern) {
  std::vector<double> found;
  const std::regex regex(pattern);
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it)
    found.push_back(std::stod((*it)[1]));
  return found;
}

CoreCost core_with(const std::string& name) {
  OperatorCost conv{.name = name,
                    .kind = "conv2d",
                    .macs = 1000,
                    .counts = {.instructions = 3000},
                    .code_bytes = 400,
                    .constant_bytes = 1200,
                    .ram_bytes = 64,
                    .stack_bound_bytes = 120};
  OperatorCost add{.name = "add", .kind = "add", .counts = {.instructions = 1000}};
  return {.target = "cortex-m4",
          .processor = "Cortex-M4",
          .compiler = "gcc -O3",
          .operators = {conv, add},
          .outside = {.name = "outside of operators", .kind = "", .counts = {.instructions = 4}},
          .whole = {.name = "total", .kind = "", .macs = 1000, .counts = {.instructions = 3990}},
          .arena_bytes = 96,
          .stack_bytes = 88};
}

}  // namespace

TEST_CASE("bars of a column share a scale, their parts follow each other") {
  const std::string chart = bar_chart(
      "title", "name", {{"a", 100, 50, {"one", "two"}, {"first", "second"}}},
      {{"x", "k", {{{30, 10}, "40"}}}, {"y", "k", {{{0, 20}, "20"}}}, {"z", "k", {{{0, 0}, ""}}}});
  CHECK(numbers(chart, R"re(class="one" x="[\d.]+" y="\d+" width="([\d.]+)" height="12")re") ==
        std::vector<double>{75});
  CHECK(numbers(chart, R"re(class="two" x="[\d.]+" y="\d+" width="([\d.]+)" height="12")re") ==
        std::vector<double>{25, 50});
  const std::vector<double> starts =
      numbers(chart, R"re(class="two" x="([\d.]+)" y="\d+" width="[\d.]+" height="12")re");
  const std::vector<double> axis = numbers(chart, R"re(class="axis" d="M([\d.]+) )re");
  REQUIRE(starts.size() == 2);
  REQUIRE(axis.size() == 1);
  CHECK(starts[0] == axis[0] + 75);
  CHECK(starts[1] == axis[0]);
  CHECK(is_balanced(chart));
}

TEST_CASE("numbers are grouped by thousands") {
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1000) == "1,000");
  CHECK(grouped(1635116) == "1,635,116");
}

TEST_CASE("a page has the figures of each core, whatever its names are") {
  const std::string hostile = "</text><script>x('\"&\xff";
  for (const std::string& name : {std::string("conv"), hostile, std::string(300, 'w'),
                                  std::string("ein sehr langer Name \xC3\xA4\xC3\xB6\xC3\xBC")}) {
    CAPTURE(name);
    const std::string page =
        cost_page(name, "its generated C", {core_with(name), core_with("other")});
    CHECK(is_balanced(page));
    CHECK(page.find("<script") == std::string::npos);
    CHECK(page.find("3,000 \u00b7 74.9 %") != std::string::npos);
    CHECK(page.find("1,600</text>") != std::string::npos);
    CHECK(page.find("\u2264 120</text>") != std::string::npos);
    CHECK(numbers(page, R"(<h2>Cortex-M(\d))").size() == 2);
  }
}

}  // namespace lockstep::cli
