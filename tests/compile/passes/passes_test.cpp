// Each pass by itself, on programs small enough to read. The expected texts were checked by hand.
#include "compile/passes/pass.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "compile/compile.h"
#include "compile/support/error.h"
#include "tests/compile/random_network.h"

namespace lockstep {
namespace {

// The program after every pass, by the pass's name.
using Stages = std::map<std::string, ir::Program, std::less<>>;

struct Source {
  std::string nodes, outputs;
  bool keep_layers = false;
};

const std::string kInput = R"({"name":"input","shape":[1,3,3],"bits":8,"decimal":0})";

// Layers of the graphs below: conv (weights 1,-1 for two output channels, 2x2), fc (2 outputs), q
// (per tensor), qc (per channel of two), p (a mask that keeps every second element).
Stages stages_of(const Source& source) {
  const std::string json = fmt::format(
      R"({{"format":"lockstep-graph","version":1,"name":"t","inputs":[{}],"nodes":[{}],"outputs":[{}]}})",
      kInput, source.nodes, source.outputs);
  const Graph graph = parse_graph(json, "t");
  test::StateBuilder state;
  for (const Node& node : graph.nodes) {
    if (node.op == "conv2d") {
      state.floats(node.name + ".weight", {2, 1, 2, 2}, {1, 1, 1, 1, -1, -1, -1, -1});
      state.quantize(node.name + ".quantize.", {0}, 8);
    } else if (node.op == "linear") {
      state.floats(node.name + ".weight", {1, 8}, {1, 2, 3, 4, 5, 6, 7, 8});
      state.quantize(node.name + ".quantize.", {0}, 8);
    } else if (node.name == "qf") {  // one decimal per feature
      state.quantize(node.name + ".", {0, -1, 0, -1, 0, -1, 0, -1}, 8);
    } else if (node.op == "quantize") {
      state.quantize(node.name + ".", node.name == "qc" ? std::vector{-1, -2} : std::vector{-2}, 8);
    } else if (node.op == "prune") {
      state.prune(node.name + ".", {2, 2, 2}, {1, 0, 1, 0, 1, 0, 1, 0});
    }
  }
  Stages stages;
  compile_network(graph, state.take(),
                  {.keep_layers = source.keep_layers,
                   .after_pass = [&](std::string_view pass, const ir::Program& program) {
                     stages.emplace(pass, program);
                   }});
  return stages;
}

std::string node(const std::string& name, const std::string& op, const std::string& input) {
  return fmt::format(R"(,{{"name":"{}","op":"{}","inputs":["{}"]{}}})", name, op, input,
                     op == "quantize" && name.size() == 1 ? R"(,"attrs":{"channelwise":-1})" : "");
}
const std::string kConv =
    R"({"name":"conv","op":"conv2d","inputs":["input"],"attrs":{"in_channels":1,"out_channels":2,"kernel_size":2,"bias":false},"wrap":[{"type":"quantize","channelwise":-1}]})";
std::string linear(const std::string& input) {
  return fmt::format(
      R"(,{{"name":"fc","op":"linear","inputs":["{}"],"attrs":{{"in_features":8,"out_features":1,"bias":false}},"wrap":[{{"type":"quantize","channelwise":-1}}]}})",
      input);
}

// "conv2d conv -> relu; linear fc -> fc": what each op computes first, and the node whose value it
// leaves.
std::string summary(const ir::Program& program) {
  std::string text;
  for (const ir::Op& op : program.ops)
    text += fmt::format("{}{} {} -> {}", text.empty() ? "" : "; ", ir::op_name(op.kind), op.node,
                        program.values[op.output].node);
  return text;
}

TEST_CASE("the text of a program shows what every pass did") {
  const Stages stages =
      stages_of({kConv + node("p", "prune", "conv") + node("qc", "quantize", "p") +
                     node("r", "relu", "qc") + node("f", "flatten", "r") + linear("f"),
                 "\"fc\""});
  CHECK(ir::to_text(stages.at("lower")) == R"(program t (C,H,W order)
  %0 = input: input [1,3,3] bits 8 decimal 0 range -128..127 keep
  %1 = conv2d 'conv' %0 kernel 2x2 weights [2,1,2,2] nonzero 8 sum<=512: conv [2,2,2] bits 17 decimal 0 range -512..512
  %2 = requantize 'p' %1 mask 4/8: p [2,2,2] bits 17 decimal 0 range -512..512
  %3 = requantize 'qc' %2 shift 1..2 toward_zero clamp -128..127: qc [2,2,2] bits 8 decimal -2..-1 range -128..127
  %4 = requantize 'r' %3 shift 0 toward_zero clamp 0..127: r [2,2,2] bits 8 decimal -2..-1 range 0..127
  %5 = flatten 'f' %4: f [8] bits 8 decimal -2..-1 range 0..127
  %6 = linear 'fc' %5 weights [1,8] nonzero 8 sum<=7936: fc [1] bits 17 decimal -1 range 0..7874 keep
  output %6
)");
  CHECK(ir::to_text(stages.at("fuse-relu")) == R"(program t (C,H,W order)
  %0 = input: input [1,3,3] bits 8 decimal 0 range -128..127 keep
  %1 = conv2d 'conv' %0 kernel 2x2 weights [2,1,2,2] nonzero 8 sum<=512 shift 1..2 toward_zero clamp 0..127 mask 4/8: r [2,2,2] bits 8 decimal -2..-1 range 0..127
  %2 = linear 'fc' %1 weights [1,8] nonzero 8 sum<=7936: fc [1] bits 17 decimal -1 range 0..7874 keep
  output %2
)");
  CHECK(ir::to_text(stages.at("plan-memory")) == R"(program t (H,W,C order, arena 32 bytes)
  %0 = input: input [1,3,3] bits 8 decimal 0 range -128..127 keep @0
  %1 = conv2d 'conv' %0 kernel 2x2 weights [2,2,2,1] nonzero 8 sum<=512 shift 1..2 toward_zero clamp 0..127 mask 4/8: r [2,2,2] bits 8 decimal -2..-1 range 0..127 @16
  %2 = linear 'fc' %1 weights [1,8] nonzero 4 sum<=3584: fc [1] bits 17 decimal -1 range 0..3556 keep @0
  output %2
)");
  // fc's weight k was doubled where its input's decimal is -2 and cleared where a mask removes its
  // input, and k was reordered from C,H,W to H,W,C.
  const auto& weights = std::get<ir::Linear>(stages.at("plan-memory").ops.at(1).kind).weights;
  CHECK(std::vector<std::int32_t>(weights.begin(), weights.end()) ==
        std::vector<std::int32_t>{1, 10, 0, 0, 3, 14, 0, 0});
}

TEST_CASE("remove-dead drops what no output needs, and keeps quantize nodes when asked to") {
  const std::string nodes = kConv + node("q", "quantize", "conv") + node("r", "relu", "conv");
  CHECK(summary(stages_of({nodes, "\"r\""}).at("remove-dead")) ==
        "conv2d conv -> conv; requantize r -> r");
  CHECK(summary(stages_of({nodes, "\"r\"", true}).at("remove-dead")) ==
        "conv2d conv -> conv; requantize q -> q; requantize r -> r");
}

TEST_CASE("fusing leaves a value that has a second reader or is an output") {
  const std::string nodes = kConv + node("q", "quantize", "conv") + node("r", "relu", "conv");
  CHECK(summary(stages_of({nodes, "\"q\",\"r\""}).at("fuse-relu")) ==
        "conv2d conv -> conv; requantize q -> q; requantize r -> r");
  const std::string chain = kConv + node("q", "quantize", "conv") + node("r", "relu", "q");
  CHECK(summary(stages_of({chain, "\"r\""}).at("fuse-relu")) == "conv2d conv -> r");
  CHECK(summary(stages_of({chain, "\"q\",\"r\""}).at("fuse-relu")) ==
        "conv2d conv -> q; requantize r -> r");
  CHECK(summary(stages_of({chain, "\"r\"", true}).at("fuse-relu")) ==
        "conv2d conv -> q; requantize r -> r");
}

TEST_CASE("fuse-requantize reaches through relu and prune, in any order") {
  for (const std::string& between :
       {node("r", "relu", "conv") + node("p", "prune", "r") + node("q", "quantize", "p"),
        node("p", "prune", "conv") + node("r", "relu", "p") + node("q", "quantize", "r")}) {
    const ir::Program program = stages_of({kConv + between, "\"q\""}).at("fuse-relu");
    CHECK(summary(program) == "conv2d conv -> q");
    const ir::Post& post = std::get<ir::Conv2d>(program.ops.at(0).kind).post;
    CHECK(post.requantize()->lo == 0);
    CHECK(post.requantize()->hi == 127);
    CHECK(post.requantize()->shifts == std::vector<int>{2});
    CHECK(std::count(post.mask.begin(), post.mask.end(), 1) == 4);
  }
}

TEST_CASE("fold-pad makes zeros around a map the padding of the convolutions that read it") {
  const auto pad = [](const std::string& attrs) {
    return fmt::format(R"({{"name":"pad","op":"pad","inputs":["input"],"attrs":{{{}}}}})", attrs);
  };
  const std::string conv =
      R"(,{"name":"conv","op":"conv2d","inputs":["pad"],"attrs":{"in_channels":1,"out_channels":2,"kernel_size":[2,2],"padding":[1,0],"bias":false},"wrap":[{"type":"quantize","channelwise":-1}]})";
  const std::string zeros = pad(R"("padding":[0,2,3,1])");  // left, right, top, bottom
  const ir::Program folded = stages_of({zeros + conv, "\"conv\""}).at("fold-pad");
  CHECK(summary(folded) == "conv2d conv -> conv");
  CHECK(std::get<ir::Conv2d>(folded.ops.at(0).kind).window.pad ==
        std::array<std::int64_t, 4>{4, 0, 2, 2});
  const ir::Program twice =
      stages_of(
          {pad(R"("padding":[1,0,0,0])") +
               R"(,{"name":"pad2","op":"pad","inputs":["pad"],"attrs":{"padding":[1,0,2,0]}},)" +
               R"({"name":"conv","op":"conv2d","inputs":["pad2"],"attrs":{"in_channels":1,"out_channels":2,"kernel_size":[2,2],"bias":false},"wrap":[{"type":"quantize","channelwise":-1}]})",
           "\"conv\""})
          .at("fold-pad");
  CHECK(summary(twice) == "conv2d conv -> conv");
  CHECK(std::get<ir::Conv2d>(twice.ops.at(0).kind).window.pad ==
        std::array<std::int64_t, 4>{2, 2, 0, 0});
  // Not what fills with something else, and not where another operator reads it.
  for (const std::string& nodes : {pad(R"("padding":[0,2,1,1],"mode":"replicate")") + conv,
                                   zeros + conv + node("r", "relu", "pad")})
    CHECK(summary(stages_of({nodes, nodes.ends_with("[\"pad\"]}") ? "\"conv\",\"r\"" : "\"conv\""})
                      .at("fold-pad"))
              .find("move pad -> pad") != std::string::npos);
}

TEST_CASE("two roundings stay two") {
  const ir::Program program =
      stages_of({kConv + node("qc", "quantize", "conv") + node("q", "quantize", "qc"), "\"q\""})
          .at("fuse-relu");
  CHECK(summary(program) == "conv2d conv -> qc; requantize q -> q");
}

TEST_CASE("what makes codes by a scale is not fused with what widens them for sums") {
  // The concat needs the codes of q in 32 bits, like the sums beside them.
  const ir::Program program =
      stages_of({kConv + node("t", "leaky_relu", "conv") + node("q", "quantize", "t") +
                     R"(,{"name":"c","op":"concat","inputs":["q","conv"],"attrs":{"dim":1}})",
                 "\"c\""})
          .at("fuse-relu");
  CHECK(summary(program) ==
        "conv2d conv -> conv; requantize q -> q; requantize q -> q; move c -> c");
}

TEST_CASE("resolve-flatten costs nothing before a linear layer, also through elementwise nodes") {
  CHECK(summary(stages_of({kConv + node("qc", "quantize", "conv") + node("f", "flatten", "qc") +
                               node("r", "relu", "f") + linear("r"),
                           "\"fc\""})
                    .at("plan-memory")) == "conv2d conv -> r; linear fc -> fc");
}

TEST_CASE("resolve-flatten transposes for a decimal per feature") {
  const std::string flat = kConv + node("qc", "quantize", "conv") + node("f", "flatten", "qc");
  CHECK(summary(stages_of({flat + node("qf", "quantize", "f") + linear("qf"), "\"fc\""})
                    .at("plan-memory")) ==
        "conv2d conv -> qc; move f -> f; requantize qf -> qf; linear fc -> fc");
}

TEST_CASE("a flatten that is an output takes over its input, or copies what must stay") {
  const std::string flat = kConv + node("qc", "quantize", "conv") + node("f", "flatten", "qc");
  const ir::Program taken = stages_of({flat, "\"f\""}).at("plan-memory");
  CHECK(summary(taken) == "conv2d conv -> f");
  CHECK(taken.values.at(taken.outputs.at(0)).shape == ir::Shape{2, 2, 2, 1});
  CHECK(summary(stages_of({flat, "\"qc\",\"f\""}).at("plan-memory")) ==
        "conv2d conv -> qc; move f -> f");
}

TEST_CASE("operators that do nothing vanish, but an output keeps its name") {
  const std::string nodes = kConv + node("q", "quantize", "conv") + node("d", "dropout", "q") +
                            node("i", "identity", "d");
  CHECK(summary(stages_of({nodes + node("r", "relu", "i"), "\"r\""}).at("fuse-relu")) ==
        "conv2d conv -> r");
  CHECK(summary(stages_of({nodes, "\"i\""}).at("fuse-relu")) == "conv2d conv -> i");
  CHECK(summary(stages_of({nodes, "\"q\",\"i\""}).at("fuse-relu")) ==
        "conv2d conv -> q; requantize i -> i");
  CHECK(summary(stages_of({nodes, "\"i\"", true}).at("fuse-relu")) ==
        "conv2d conv -> q; requantize i -> i");
}

TEST_CASE("plan-memory overlays what is never alive together and works in place") {
  // input 16 bytes, conv 32 bytes of accumulators, q and r in the place of one another.
  const ir::Program program = stages_of({kConv + node("qc", "quantize", "conv") +
                                             node("r", "relu", "qc") + node("q", "quantize", "r"),
                                         "\"q\"", true})
                                  .at("plan-memory");
  std::map<std::string, std::int64_t> offsets;
  for (const ir::Value& value : program.values) offsets[value.node] = value.arena_offset.value();
  CHECK(summary(program) == "conv2d conv -> qc; requantize r -> q");
  CHECK(offsets.at("qc") == offsets.at("q"));
  CHECK(program.arena_bytes == 32);
}

TEST_CASE("a network input is no output") {
  CHECK_THROWS_AS(stages_of({kConv, "\"input\""}), InputError);
}

}  // namespace
}  // namespace lockstep
