#include <doctest/doctest.h>
#include <fmt/format.h>

#include "compile/graph/graph.h"
#include "compile/graph/op_schema.h"
#include "compile/support/files.h"
#include "tests/support/golden_net.h"

using namespace lockstep;

TEST_CASE("each recorded network's node list is a graph, and its graph.json is the same graph") {
  const std::vector<std::string> names = test::golden_net_names();
  REQUIRE(!names.empty());
  for (const std::string& name : names) {
    CAPTURE(name);
    const test::GoldenNet net = test::read_golden_net(name);
    REQUIRE(!net.variants.empty());
    const Graph& graph = net.variants[0].graph;
    CHECK(parse_graph(to_json(graph), "canonical") == graph);
    if (std::filesystem::exists(net.folder / "graph.json"))
      CHECK(read_graph(net.folder / "graph.json") == graph);
    for (const test::GoldenVariant& variant : net.variants) {
      std::size_t quantize_nodes = 0;
      for (const Node& node : variant.graph.nodes) quantize_nodes += node.op == "quantize" ? 1 : 0;
      CHECK(variant.codes.size() == quantize_nodes);
      const std::int64_t samples = variant.input.shape.at(0);
      CHECK(samples > 0);
      for (const auto& entry : variant.codes) {
        CAPTURE(entry.first);
        const test::GoldenCodes& codes = entry.second;
        CHECK(codes.shape.at(0) == samples);
        const bool is_per_tensor = codes.decimals.size() == 1;
        CHECK((is_per_tensor ||
               static_cast<std::int64_t>(codes.decimals.size()) == codes.shape.at(1)));
      }
      CHECK((variant.output.has_value() || !net.is_exact));
    }
  }
}

TEST_CASE(
    "the graph in docs/formats.md is valid, the page names every operator and attribute, and each "
    "operator has a page of its own") {
  const std::string page = read_text_file(std::filesystem::path(LOCKSTEP_TEST_DATA).parent_path() /
                                          "docs" / "formats.md");
  const std::string opening = "```json\n";
  const std::size_t begin = page.find(opening);
  REQUIRE(begin != std::string::npos);
  const std::size_t end = page.find("```", begin + opening.size());
  const std::string example = page.substr(begin + opening.size(), end - begin - opening.size());
  CHECK(parse_graph(example, "docs/formats.md").nodes.size() == 3);
  for (const OpSchema& schema : op_schemas()) {
    CHECK_MESSAGE(std::filesystem::exists(std::filesystem::path(LOCKSTEP_TEST_DATA).parent_path() /
                                          "docs" / "ops" / fmt::format("{}.md", schema.name)),
                  schema.name);
    CHECK_MESSAGE(page.find(fmt::format("`{}`", schema.name)) != std::string::npos, schema.name);
    for (const AttributeSchema& attribute : schema.attributes)
      CHECK_MESSAGE(page.find(fmt::format("`{}`", attribute.name)) != std::string::npos,
                    attribute.name);
  }
}
