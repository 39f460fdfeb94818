// Operators that bring elements to other places, with attributes that differ along the axes: the
// checker proves what the compiler makes of each, and does not prove it of a neighbour of the
// graph.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <optional>
#include <string>

#include "compile/checkpoint/state_dict.h"
#include "compile/compile.h"
#include "compile/support/files.h"
#include "tests/support/temporary_folder.h"
#include "verify/checker/proof.h"

namespace lockstep::test {
namespace {

std::string graph_of(const std::string& shape, const std::string& op, const std::string& attrs) {
  return fmt::format(
      R"({{"format": "lockstep-graph", "version": 1, "name": "moves", "outputs": ["y"],
           "inputs": [{{"name": "x", "shape": {}}}],
           "nodes": [{{"name": "y", "op": "{}", "inputs": ["x"], "attrs": {}}}]}})",
      shape, op, attrs);
}

checker::Model model_of(const std::string& graph) {
  const TemporaryFolder folder;
  const std::vector<std::byte> state = to_safetensors({});
  write_file_atomically(folder / "graph.json", graph);
  write_file_atomically(folder / "state", std::span<const std::byte>(state));
  return checker::read_model(folder / "graph.json", folder / "state");
}

// Why it is not proved; nothing: it is.
std::optional<std::string> reason(const checker::Model& model, const checker::Plan& plan) {
  try {
    checker::prove(model, plan);
    return std::nullopt;
  } catch (const checker::Failure& failure) {
    return failure.text;
  }
}
bool is_proved(const checker::Model& model, const checker::Plan& plan) {
  return !reason(model, plan);
}

struct Case {
  const char *shape, *op, *attrs, *other;  // other: attributes that mean something else
};

}  // namespace

TEST_CASE("each move is proved with its own attributes, and with no others") {
  for (const Case& one : std::initializer_list<Case>{
           {"[2, 3, 4]", "upsample", R"({"scale_factor": [2, 3]})", R"({"scale_factor": [3, 2]})"},
           {"[2, 3, 4]", "upsample", R"({"scale_factor": [1, 2]})", R"({"scale_factor": 2})"},
           {"[2, 4]", "upsample", R"({"scale_factor": 3})", R"({"scale_factor": 2})"},
           {"[2, 3, 4]", "transpose", R"({"dim0": 1, "dim1": 3})", R"({"dim0": 1, "dim1": 2})"},
           {"[2, 3, 4]", "transpose", R"({"dim0": 2, "dim1": 3})", R"({"dim0": 1, "dim1": 3})"},
           {"[3, 3]", "transpose", R"({"dim0": 1, "dim1": 2})", R"({"dim0": 1, "dim1": 1})"},
           {"[6, 5, 4]", "slice", R"({"dim": 1, "start": 1, "end": 6, "step": 2})",
            R"({"dim": 1, "start": 0, "end": 5, "step": 2})"},
           {"[6, 5, 4]", "slice", R"({"dim": 2, "start": 1, "end": 4})",
            R"({"dim": 2, "start": 2, "end": 5})"},
           {"[6, 5, 4]", "slice", R"({"dim": 3, "start": 1, "step": 2})",
            R"({"dim": 3, "start": 0, "step": 2})"},
           {"[5, 6]", "slice", R"({"dim": 2, "start": 1, "end": 3})",
            R"({"dim": 2, "start": 2, "end": 4})"},
           {"[2, 3, 4]", "pad", R"({"padding": [1, 2, 0, 1]})", R"({"padding": [2, 1, 0, 1]})"},
           {"[2, 3, 4]", "pad", R"({"padding": [1, 2, 0, 1]})", R"({"padding": [1, 2, 1, 0]})"},
           {"[2, 3, 4]", "pad", R"({"padding": [1, 2, 2, 1], "mode": "reflect"})",
            R"({"padding": [1, 2, 2, 1], "mode": "replicate"})"},
           {"[2, 3, 4]", "pad", R"({"padding": [3, 1, 1, 2], "mode": "replicate"})",
            R"({"padding": [3, 1, 1, 2], "mode": "reflect"})"},
           {"[2, 4]", "pad", R"({"padding": [2, 1], "mode": "reflect"})",
            R"({"padding": [2, 1], "mode": "zeros"})"},
           {"[8, 2, 3]", "pixel_shuffle", R"({"upscale_factor": 2})", R"({"upscale_factor": 1})"},
           {"[2, 4, 6]", "pixel_unshuffle", R"({"downscale_factor": 2})",
            R"({"downscale_factor": 1})"},
           {"[2, 3, 4]", "reshape", R"({"shape": [4, -1, 3]})", R"({"shape": [3, 2, 4]})"},
           {"[2, 3, 4]", "reshape", R"({"shape": [6, 4]})", R"({"shape": [4, 6]})"}}) {
    const std::string graph = graph_of(one.shape, one.op, one.attrs);
    CAPTURE(graph);
    CAPTURE(std::string(one.other));
    const checker::Plan plan =
        checker::read_plan(compile_network(parse_graph(graph, "g"), {}, {}).plan);
    CHECK(is_proved(model_of(graph), plan));
    CHECK(!is_proved(model_of(graph_of(one.shape, one.op, one.other)), plan));
  }
}

TEST_CASE("a product is proved with its factors in any order, and with no others") {
  const std::string graph =
      R"({"format": "lockstep-graph", "version": 1, "name": "products", "outputs": ["pair", "square"],
          "inputs": [{"name": "x", "shape": [2, 3], "bits": 4}, {"name": "z", "shape": [2, 3], "bits": 4}],
          "nodes": [{"name": "pair", "op": "mul", "inputs": ["x", "z"]},
                    {"name": "square", "op": "mul", "inputs": ["x", "x"]}]})";
  const checker::Model model = model_of(graph);
  const checker::Plan plan =
      checker::read_plan(compile_network(parse_graph(graph, "g"), {}, {}).plan);
  REQUIRE(is_proved(model, plan));
  REQUIRE(plan.ops.size() == 2);
  const std::size_t pair = plan.ops[0].inputs[0] == plan.ops[0].inputs[1] ? 1 : 0;
  const std::size_t x = plan.ops[pair].inputs[0], z = plan.ops[pair].inputs[1];
  for (const std::size_t a : {x, z})
    for (const std::size_t b : {x, z}) {
      CAPTURE(a);
      CAPTURE(b);
      checker::Plan changed = plan;
      changed.ops[pair].inputs = {a, b};
      CHECK(is_proved(model, changed) == (a != b));
      changed = plan;
      changed.ops[1 - pair].inputs = {a, b};
      CHECK(is_proved(model, changed) == (a == x && b == x));
    }
}

TEST_CASE("a pooling that takes the largest is not one that takes the mean") {
  const std::string attrs = R"({"kernel_size": 2, "stride": 2})";
  const std::string largest = graph_of("[2, 4, 4]", "max_pool2d", attrs);
  const checker::Plan plan =
      checker::read_plan(compile_network(parse_graph(largest, "g"), {}, {}).plan);
  CHECK(is_proved(model_of(largest), plan));
  const std::string why =
      reason(model_of(graph_of("[2, 4, 4]", "avg_pool2d", attrs)), plan).value_or("proved");
  CHECK_MESSAGE(why.find("the plan takes the largest, the graph does not") != std::string::npos,
                why);
}

}  // namespace lockstep::test
