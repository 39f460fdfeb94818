// Values of single operators after lowering, worked out by hand.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "compile/compile.h"
#include "compile/ir/ir.h"
#include "compile/support/error.h"
#include "tests/compile/random_network.h"

namespace lockstep {
namespace {

using Codes = std::vector<std::int64_t>;

struct Result {
  ir::Value value;
  Codes codes;
};

// The only output of the lowered network for one input of `shape`, with 8 bits and decimal 0.
Result run(const std::string& shape, const std::string& nodes, const std::string& output,
           test::StateBuilder state, const Codes& input) {
  const Graph graph = parse_graph(
      fmt::format(
          R"({{"format":"lockstep-graph","version":1,"name":"t","inputs":[{{"name":"x","shape":[{}],"bits":8,"decimal":0}}],"nodes":[{}],"outputs":["{}"]}})",
          shape, nodes, output),
      "t");
  ir::Program program;
  compile_network(graph, state.take(), {.after_pass = [&](std::string_view pass, const auto& p) {
                    if (pass == "lower") program = p;
                  }});
  return {program.values.at(program.outputs.at(0)),
          ir::evaluate(program, {input}).at(program.outputs.at(0))};
}

TEST_CASE("relu6 clamps the codes of each channel at 6 on that channel's grid") {
  test::StateBuilder state;
  state.quantize("q.", {0, 1, -1}, 8);
  const Result result =
      run("3, 3",
          R"({"name":"q","op":"quantize","inputs":["x"]},{"name":"r","op":"relu6","inputs":["q"]})",
          "r", std::move(state), {5, 6, 7, 5, 60, -1, 5, 60, -9});
  CHECK(result.value.exact);
  CHECK(result.value.decimals == std::vector<int>{0, 1, -1});
  CHECK(result.codes == Codes{5, 6, 6, 10, 12, 0, 2, 3, 0});
}

TEST_CASE("relu6 of wide sums on several grids needs a float32 that holds all up to 6") {
  const auto squared = [](const std::vector<int>& decimals) {
    test::StateBuilder state;
    state.quantize("q.", decimals, 16);
    state.quantize("q2.", {1}, 8);
    return run("2, 1",
               R"({"name":"q","op":"quantize","inputs":["x"],"attrs":{"bits":16}},
                  {"name":"m","op":"mul","inputs":["q","q"]},
                  {"name":"r","op":"relu6","inputs":["m"]},
                  {"name":"q2","op":"quantize","inputs":["r"],"attrs":{"channelwise":-1}})",
               "q2", std::move(state), {2, 3});
  };
  CHECK(squared({10, 8}).codes == Codes{8, 12});  // 4 and min(9, 6), in steps of 1/2
  CHECK(squared({10, -1}).codes == Codes{8, 8});  // (3 rounded to 2)^2
  for (const std::vector<int>& decimals : {std::vector<int>{11, 8}, std::vector<int>{11, -1}})
    CHECK_THROWS_WITH_AS(squared(decimals), doctest::Contains("layer 'r'"), InputError);
}

TEST_CASE("a raw input is a value of bytes and a table, one for channels that are alike") {
  const Graph graph = parse_graph(
      R"({"format":"lockstep-graph","version":1,"name":"t",
          "inputs":[{"name":"x","shape":[3,1,2],"bits":5,"decimal":2,
                     "raw":{"scale":0.03125,"mean":[4,4,2]}}],
          "nodes":[{"name":"r","op":"relu","inputs":["x"]}],"outputs":["r"]})",
      "t");
  ir::Program program;
  compile_network(graph, {}, {.after_pass = [&](std::string_view pass, const auto& p) {
                    if (pass == "lower") program = p;
                  }});
  CHECK(ir::to_text(program) ==
        "program t (C,H,W order)\n"
        "  %0 = input: x [3,1,2] bits 8 decimal 0 range 0..255 bytes keep\n"
        "  %1 = table 'x' %0 tables 2x256: x [3,1,2] bits 5 decimal 2 range -16..15\n"
        "  %2 = requantize 'r' %1 shift 0 toward_zero clamp 0..15: r [3,1,2] bits 5 decimal 2 "
        "range 0..15 keep\n"
        "  output %2\n");
  CHECK_FALSE(program.values[0].exact);
  // b / 32 - mean in steps of a quarter: b / 8 - 16, or b / 8 - 8.
  CHECK(ir::evaluate(program, {{0, 135, 136, 255, 0, 255}}).at(1) == Codes{-16, 0, 1, 15, -8, 15});

  const Compiled kept = compile_network(graph, {}, {.keep_layers = true, .after_pass = {}});
  CHECK(kept.program.values[1].keep);
}

TEST_CASE("a reshape keeps the order of the elements, whatever the sizes") {
  for (const auto& [in, out] : {std::pair("4, 6", "6, 4"),
                                {"6, 4", "4, 6"},
                                {"3, 1, 7", "7, 3, 1"},
                                {"2, 3, 4", "8, 3"},
                                {"24", "4, 2, 3"},
                                {"5, 6, 2", "4, 15"},
                                {"4, 15", "3, 4, 5"},
                                {"4, 3, 5", "10, 6"}}) {
    CAPTURE(in);
    CAPTURE(out);
    Codes codes(60);
    std::iota(codes.begin(), codes.end(), 1);
    const Graph shape = parse_graph(
        fmt::format(
            R"({{"format":"lockstep-graph","version":1,"name":"t","inputs":[{{"name":"x","shape":[{}],"bits":8,"decimal":0}}],"nodes":[{{"name":"r","op":"relu","inputs":["x"]}}],"outputs":["r"]}})",
            in),
        "t");
    std::int64_t elements = 1;
    for (const std::int64_t size : shape.inputs[0].shape) elements *= size;
    codes.resize(static_cast<std::size_t>(elements));
    const Result result =
        run(in,
            fmt::format(R"({{"name":"r","op":"reshape","inputs":["x"],"attrs":{{"shape":[{}]}}}})",
                        out),
            "r", {}, codes);
    CHECK(result.codes == codes);
  }
}

}  // namespace
}  // namespace lockstep
