// Every attribute of graph.json at its limits: the checker's reader and the other one, which has a
// table of its own, must accept and refuse the same, and fill in the same defaults.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "compile/graph/graph.h"
#include "compile/graph/op_schema.h"
#include "tests/support/input_error.h"
#include "verify/checker/files.h"

namespace lockstep::test {
namespace {

using nlohmann::json;

bool is_same(const checker::Node& a, const checker::Node& b) {
  const auto is_same_wrap = [](const checker::Node& one, const checker::Node& other) {
    return is_same(one, other);
  };
  return a.op == b.op && a.integers == b.integers && a.numbers == b.numbers && a.words == b.words &&
         std::ranges::equal(a.wraps, b.wraps, is_same_wrap);
}

bool is_same(const checker::Model& a, const checker::Model& b) {
  const checker::Input &x = a.inputs[0], &y = b.inputs[0];
  return is_same(a.nodes[0], b.nodes[0]) && x.shape == y.shape && x.bits == y.bits &&
         x.decimal == y.decimal && x.raw.has_value() == y.raw.has_value() &&
         (!x.raw ||
          (x.raw->scale == y.raw->scale && x.raw->mean == y.raw->mean && x.raw->std == y.raw->std));
}

struct Tally {
  int accepted = 0, refused = 0;
};

// Both readers on one text. What the other one understands it writes down again in full.
void compare(const json& graph, Tally& tally) {
  const std::string text = graph.dump();
  CAPTURE(text);
  std::string canonical;
  const std::string refusal = input_error_of([&] { canonical = to_json(parse_graph(text, "g")); });
  std::optional<checker::Model> file;
  std::string reason = "(none)";
  try {
    file = checker::parse_graph(text, "g");
  } catch (const checker::BadFile& bad) {
    reason = bad.what();
  }
  CAPTURE(refusal);
  CAPTURE(reason);
  CHECK(canonical.empty() != file.has_value());
  ++(file ? tally.accepted : tally.refused);
  if (file && !canonical.empty()) CHECK(is_same(*file, checker::parse_graph(canonical, "g")));
}

// One node behind as many inputs as it needs.
json graph_with(const std::string& op, const json& attributes, std::size_t inputs = 1) {
  json graph = {{"format", "lockstep-graph"}, {"version", 1}, {"name", "limits"}};
  json names = json::array();
  for (std::size_t i = 0; i < inputs; ++i) {
    names.push_back(fmt::format("x{}", i));
    graph["inputs"].push_back({{"name", names.back()}, {"shape", {4, 8, 8}}});
  }
  graph["nodes"] = {{{"name", "y"}, {"op", op}, {"inputs", names}}};
  if (!attributes.empty()) graph["nodes"][0]["attrs"] = attributes;
  graph["outputs"] = {"y"};
  return graph;
}

// What an attribute may be given: its limits, their neighbours, lists of them, and other types.
std::vector<json> candidates(double lo, double hi) {
  std::vector<json> values = {json(), "x", "auto", true, false, 0, 1, -1, 0.5, json::object()};
  for (const double end : {lo, hi})
    for (const double step : {-1.0, -0.5, 0.0, 0.5, 1.0}) values.emplace_back(end + step);
  const std::vector<json> numbers = values;
  for (const json& value : numbers)
    for (std::size_t length = 1; length <= 5; ++length) values.emplace_back(length, value);
  values.push_back(json::array());
  values.push_back({1, 2});
  values.push_back({2, 1});
  values.push_back({-1, 2});
  return values;
}

json least_of(const AttributeSchema& attribute) {
  if (attribute.kind == AttributeKind::kChoice) return attribute.choices[0];
  if (attribute.kind == AttributeKind::kFlag) return true;
  const double least = std::max(attribute.lo, 1.0);
  if (attribute.kind == AttributeKind::kList && attribute.least_count > 1)
    return json(attribute.least_count, least);
  return least;
}

}  // namespace

TEST_CASE("graph attributes: every operator's, at all limits, like the other reader") {
  Tally tally;
  for (const OpSchema& op : op_schemas()) {
    if (op.role != OpRole::kOperator) continue;
    json required = json::object();
    for (const AttributeSchema& attribute : op.attributes)
      if (attribute.default_kind == AttributeDefault::kRequired)
        required[std::string(attribute.name)] = least_of(attribute);
    const std::size_t inputs = std::max<std::size_t>(op.least_inputs, 1);
    compare(graph_with(std::string(op.name), required, inputs), tally);
    compare(graph_with(std::string(op.name), required, inputs + 1), tally);
    json more = required;
    more["unknown"] = 1;
    compare(graph_with(std::string(op.name), more, inputs), tally);
    for (const AttributeSchema& attribute : op.attributes) {
      const std::string name(attribute.name);
      json changed = required;
      changed.erase(name);
      compare(graph_with(std::string(op.name), changed, inputs), tally);
      std::vector<json> values = candidates(attribute.lo, attribute.hi);
      for (const std::string_view choice : attribute.choices) values.emplace_back(choice);
      for (const json& value : values) {
        changed[name] = value;
        compare(graph_with(std::string(op.name), changed, inputs), tally);
      }
    }
  }
  MESSAGE(tally.accepted, " accepted, ", tally.refused, " refused");
  CHECK(tally.accepted > 500);
  CHECK(tally.refused > 1000);
}

TEST_CASE("graph attributes: those of quantize and prune, as nodes and around weights, likewise") {
  constexpr double kInt = 2147483647;
  // docs/formats.md has the limits; what is refused on both sides of them need not be known here.
  const std::map<std::string, std::vector<std::pair<double, double>>> fields = {
      {"bits", {{2, 16}}},
      {"channelwise", {{-kInt, 3}, {0, 2}}},
      {"decimal_range", {{-64, 65}}},
      {"saturate_range", {{0, 1}}},
      {"timeout", {{-kInt, kInt}}},
      {"interval", {{-kInt, kInt}, {0, 1}}},
      {"window_size", {{0, kInt}}},
      {"bias_bits", {{-1, 32}, {0, 2}}},
      {"sparsity", {{0, 1}}},
      {"start", {{-kInt, kInt}}},
      {"repetition", {{0, kInt}}},
      {"collapse", {{-1, 3}}},
      {"strict", {{0, 1}}},
      {"callback", {{0, 3}}},
      {"rounding", {{0, 1}}},
      {"type", {{0, 1}}}};
  const json words = {"toward_zero", "floor", "half_even", "unstructured", "structured",
                      "quantize",    "prune", "auto",      "half_away"};
  Tally tally;
  for (const char* const kind : {"quantize", "prune"})
    for (const auto& [field, limits] : fields) {
      std::vector<json> values(words.begin(), words.end());
      for (const auto& [lo, hi] : limits)
        for (const json& value : candidates(lo, hi)) values.push_back(value);
      for (const json& value : candidates(0, 3)) values.push_back({{"structured", value}});
      for (const json& value : values) {
        compare(graph_with(kind, {{field, value}}), tally);
        json graph =
            graph_with("conv2d", {{"in_channels", 4}, {"out_channels", 4}, {"kernel_size", 1}});
        json wrap = {{"type", kind}};
        wrap[field] = value;
        graph["nodes"][0]["wrap"] = {wrap};
        compare(graph, tally);
      }
    }
  MESSAGE(tally.accepted, " accepted, ", tally.refused, " refused");
  CHECK(tally.accepted > 200);
  CHECK(tally.refused > 1000);
}

TEST_CASE("graph inputs: bits, decimals, shapes and raw bytes at all limits, likewise") {
  Tally tally;
  const auto try_input = [&](const std::string& field, const json& value) {
    json graph = graph_with("relu", {});
    graph["inputs"][0][field] = value;
    compare(graph, tally);
  };
  for (const auto& [field, lo, hi] :
       {std::tuple("bits", 2.0, 16.0), std::tuple("decimal", -64., 64.),
        std::tuple("shape", 1.0, 65536.0), std::tuple("raw", 0., 1.)})
    for (const json& value : candidates(lo, hi)) try_input(field, value);
  try_input("raw", json::object());
  try_input("raw", {{"scale", {1, 1, 1, 8.5e6}}});  // one channel leaves 32 bits
  try_input("raw", {{"std", {1, 1e-30, 1, 1}}});
  for (const char* const number : {"scale", "mean", "std"})
    for (const double least : {0.0, 1e-30, 1.0, 1e7, 8421504.0, 1e30})
      for (const double factor : {-1.0, 0.99, 1.0, 1.01}) {
        try_input("raw", {{number, least * factor}});
        try_input("raw", {{number, std::vector<double>(4, least * factor)}});
        try_input("raw", {{number, std::vector<double>(3, least * factor)}});
      }
  MESSAGE(tally.accepted, " accepted, ", tally.refused, " refused");
  CHECK(tally.accepted > 50);
  CHECK(tally.refused > 100);
}

}  // namespace lockstep::test
