#include "compile/support/strict_json.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "compile/support/printable.h"
#include "tests/support/input_error.h"

using namespace lockstep;
using test::contains;
using test::input_error_of;

namespace {

std::string error_of(const std::string& text, const JsonLimits& limits = {}) {
  return input_error_of([&] { parse_strict_json(text, "g.json", limits); });
}

}  // namespace

TEST_CASE("parse_strict_json gives what nlohmann's parser gives for proper JSON") {
  const std::string text =
      R"({"a": [1, -2, 3.5, true, null, "x\u00e9"], "b": {"c": {}, "d": [[], [0]]}, "": 18446744073709551615})";
  CHECK(parse_strict_json(text, "g.json") == nlohmann::json::parse(text));
  CHECK(parse_strict_json("7", "g.json") == 7);
}

TEST_CASE("a duplicate key is named with its path and the enclosing named object") {
  CHECK(error_of(R"({"a": 1, "a": 1})") == R"(g.json: duplicate key "a")");
  CHECK(
      error_of(
          R"({"nodes": [{"name": "c1"}, {"name": "c2", "attrs": {"bias": true, "bias": false}}]})") ==
      R"(g.json: "c2": duplicate key "nodes[1].attrs.bias")");
  CHECK(error_of(R"({"a": {"b": 1}, "c": {"b": 1}})") == "(no error)");
}

TEST_CASE("depth is limited, without recursion") {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  CHECK(error_of(nested(64)) == "(no error)");
  CHECK(error_of(nested(65)) == "g.json: JSON nested deeper than 64 levels");
  CHECK(contains(error_of(nested(500'000)), "nested deeper"));
}

TEST_CASE("the number of values is limited") {
  CHECK(error_of("[1,2,3]", {.depth = 2, .values = 4}) == "(no error)");
  CHECK(contains(error_of("[1,2,3,4]", {.depth = 2, .values = 4}), "more than 4 JSON values"));
}

TEST_CASE("a syntax error is one line with its position") {
  for (const std::string text : {"", "{", "[1,]", "{\"a\"}", "\n\n{\"a\": tru}", "\"\xff\"", "1 2",
                                 "[1e999]", "\"\n\"", "nul", "{\"a\":1}}"}) {
    const std::string message = error_of(text);
    CHECK_MESSAGE(message.starts_with("g.json: not valid JSON: "), text, " -> ", message);
  }
  CHECK(contains(error_of("\n\n{\"a\": tru}"), "line 3"));
}

TEST_CASE("what a message quotes from the file is cut and holds no control character") {
  const std::string key = "\"" + std::string(1'000'000, 'k') + "\"";
  for (const std::string& text :
       {"[" + key + "x", "[" + std::string(1'000'000, '1') + "x", "[1e" + std::string(9999, '9'),
        "{" + key + ":1," + key + ":2}", R"({"name":)" + key + R"(,"a":1,"a":2})",
        std::string("[\"\x1b[31m\"]"), std::string("[\x7f]")}) {
    const std::string message = error_of(text);
    INFO(message);
    CHECK(message.starts_with("g.json: "));
    CHECK(message.size() < 320);
    CHECK(std::ranges::none_of(message, [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; }));
  }
  // Not within a character of two bytes.
  CHECK(printable("\xc3\xa4\xc3\xa4", 3) == "\xc3\xa4...");
  CHECK(printable("a\nb") == "a?b");
  CHECK(printable("\xc3\xa4", 2) == "\xc3\xa4");
}
