#include <doctest/doctest.h>

#include "compile/graph/graph.h"
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
      for (const auto& [node, codes] : variant.codes) {
        CAPTURE(node);
        CHECK(codes.shape.at(0) == samples);
        const bool is_per_tensor = codes.decimals.size() == 1;
        CHECK((is_per_tensor ||
               static_cast<std::int64_t>(codes.decimals.size()) == codes.shape.at(1)));
      }
      CHECK(variant.output.has_value() == net.is_exact);
    }
  }
}
