// Raw inputs: what graph.json may say of them, and the table of codes that follows.
#include "compile/graph/raw_bytes.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "tests/support/input_error.h"

using namespace lockstep;
using test::contains;
using test::input_error_of;

namespace {

std::string graph_of(const std::string& members) {
  return fmt::format(
      R"({{"format": "lockstep-graph", "version": 1, "name": "g",
          "inputs": [{{"name": "image", "shape": [3, 4, 4]{}}}],
          "nodes": [{{"name": "n", "op": "relu", "inputs": ["image"]}}], "outputs": ["n"]}})",
      members);
}
GraphInput input_of(const std::string& members) {
  return parse_graph(graph_of(members), "g.json").inputs[0];
}
std::string error_of(const std::string& members) {
  return input_error_of([&] { parse_graph(graph_of(members), "g.json"); });
}

// Of the input's 8 bits and decimal.
std::int64_t expected_code(float number, int decimal) {
  const float steps = std::trunc(number * std::ldexp(1.0F, decimal));
  return static_cast<std::int64_t>(std::fmin(std::fmax(steps, -128.0F), 127.0F));
}

}  // namespace

TEST_CASE("an input without 'raw' is fed codes") {
  CHECK_FALSE(input_of("").raw.has_value());
  CHECK_FALSE(contains(to_json(parse_graph(graph_of(""), "g.json")), "raw"));
}

TEST_CASE("members that are left out divide by 255, and move and scale nothing") {
  const GraphInput input = input_of(R"(, "decimal": 6, "raw": {})");
  REQUIRE(input.raw.has_value());
  CHECK(*input.raw == RawBytes{});
  const auto tables = codes_of_bytes(input);
  REQUIRE(tables.size() == 1);
  REQUIRE(tables[0].size() == 256);
  for (int b = 0; b < 256; ++b)
    CHECK(tables[0][static_cast<std::size_t>(b)] ==
          expected_code(static_cast<float>(b) / 255.0F, 6));
  CHECK(tables[0][255] == 64);
}

TEST_CASE("the default scale gives b / 255 in float32, as PyTorch's ToTensor does") {
  const double scale = RawBytes{}.scale[0];
  for (int b = 0; b < 256; ++b)
    CHECK(static_cast<float>(b * scale) == static_cast<float>(b) / 255.0F);
}

TEST_CASE("numbers per channel, and canonical JSON that says the same") {
  const std::string members =
      R"(, "bits": 8, "decimal": 5, "raw": {"mean": [0.4914, 0.4822, 0.4465], "std": [0.2470, 0.2435, 0.2616]})";
  const GraphInput input = input_of(members);
  const auto tables = codes_of_bytes(input);
  REQUIRE(tables.size() == 3);
  const float mean[] = {0.4914F, 0.4822F, 0.4465F}, std[] = {0.2470F, 0.2435F, 0.2616F};
  for (std::size_t c = 0; c < 3; ++c)
    for (int b = 0; b < 256; ++b) {
      const float moved = static_cast<float>(b) / 255.0F - mean[c];
      CHECK(tables[c][static_cast<std::size_t>(b)] == expected_code(moved / std[c], 5));
    }
  CHECK(tables[0] != tables[1]);

  const Graph graph = parse_graph(graph_of(members), "g.json");
  const std::string json = to_json(graph);
  CHECK(parse_graph(json, "again") == graph);
  CHECK(contains(json, R"("mean":[0.4914,0.4822,0.4465])"));
  CHECK(contains(json, R"("scale":0.00392156862745098)"));
}

TEST_CASE("a scale that is a float32 is a float32 product; saturation; rounding toward zero") {
  const float scale = 0.0123F;
  const GraphInput input = input_of(
      fmt::format(R"(, "decimal": 7, "raw": {{"scale": {:.17g}, "mean": 1}})", double{scale}));
  const auto tables = codes_of_bytes(input);
  for (int b = 0; b < 256; ++b) {
    const float product = static_cast<float>(b) * scale;
    CHECK(tables[0][static_cast<std::size_t>(b)] == expected_code(product - 1.0F, 7));
  }
  CHECK(tables[0][0] == -128);
  CHECK(tables[0][81] == 0);  // -0.0037 * 128 = -0.47
  CHECK(tables[0][255] == 127);
}

TEST_CASE("what is refused, by the input's name") {
  const auto raw = [](const std::string& members) {
    return error_of(R"(, "raw": {)" + members + "}");
  };
  CHECK(contains(raw(R"("std": 0)"), "g.json: input 'image': raw: std = 0, but it must be"));
  CHECK(contains(raw(R"("std": [1, 1, 0])"), "raw: std = 0, but"));
  CHECK(contains(raw(R"("std": -1)"), "raw: std = -1"));
  CHECK(contains(raw(R"("scale": 0)"), "raw: scale = 0"));
  CHECK(contains(raw(R"("mean": 1e31)"), "raw: mean = 1e+31, but it must be a number from"));
  CHECK(contains(raw(R"("mean": "a")"), "raw: mean = \"a\""));
  CHECK(contains(raw(R"("mean": [0.5, 0.5])"), "one for each of the 3 channels"));
  CHECK(contains(raw(R"("mean": [])"), "one for each of the 3 channels"));
  CHECK(contains(raw(R"("offset": 1)"), "unknown \"offset\"; allowed: mean, scale, std"));
  CHECK(contains(error_of(R"(, "raw": 1)"), "raw: it must be an object"));
  CHECK(contains(error_of(R"(, "raw": true)"), "raw: it must be an object"));
}

TEST_CASE("numbers that cannot be quantized are refused with the byte") {
  // 255 / 1e-30 * 1e30 leaves float32; 255 * 2^24 leaves 32 bits.
  CHECK(contains(error_of(R"(, "raw": {"scale": 1e30, "std": 1e-30})"),
                 "g.json: input 'image': raw: byte 1 of channel 0 is the number inf"));
  CHECK(contains(error_of(R"(, "decimal": 24, "raw": {"scale": [0.01, 0.01, 1]})"),
                 "byte 128 of channel 2 is the number 128, which at decimal 24 leaves the 32-bit"));
  CHECK(input_of(R"(, "decimal": 24, "raw": {"scale": 0.25})").decimal == 24);
}

TEST_CASE("a graph that was put together with too few numbers is refused as well") {
  GraphInput input = input_of(R"(, "raw": {})");
  input.raw->mean = {0, 1};
  CHECK(contains(input_error_of([&] { codes_of_bytes(input); }), "input 'image': raw: 2 values"));
}
