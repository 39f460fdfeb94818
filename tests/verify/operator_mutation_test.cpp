// The same for every operator of a plan beyond convolutions and max pooling: small networks, each
// around a few operators of graph.json. Their plans must be understood and agree, and single
// changed numbers in them must be noticed.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <functional>
#include <memory>

#include "compile/compile.h"
#include "tests/compile/random_network.h"
#include "tests/verify/judge.h"

using namespace lockstep;
using namespace lockstep::test;

namespace {

// Grows a graph and the state dict that fits it.
class Net {
 public:
  explicit Net(std::uint64_t seed) : random_(seed) {}

  // `raw`: the normalisation of raw bytes; empty: codes.
  void input(const std::string& name, const std::string& shape, const std::string& raw = "") {
    inputs_.push_back(fmt::format(R"({{"name":"{}","shape":[{}],"bits":6,"decimal":4{}}})", name,
                                  shape, raw.empty() ? "" : R"(,"raw":)" + raw));
  }
  void node(const std::string& name, const std::string& op, const std::vector<std::string>& from,
            const std::string& attributes = "", const std::string& wrap = "") {
    nodes_.push_back(fmt::format(R"({{"name":"{}","op":"{}","inputs":["{}"],"attrs":{{{}}}{}}})",
                                 name, op, fmt::join(from, "\",\""), attributes, wrap));
  }
  void quantize(const std::string& name, const std::string& from, const std::vector<int>& decimals,
                int bits = 6) {
    node(name, "quantize", {from},
         fmt::format(R"("bits":{},"channelwise":{})", bits, decimals.size() == 1 ? -1 : 1));
    state_.quantize(name + ".", decimals, bits);
  }
  void prune(const std::string& name, const std::string& from,
             const std::vector<std::int64_t>& shape) {
    node(name, "prune", {from});
    std::vector<std::uint8_t> keep;
    for (std::int64_t i = 0; i < product(shape); ++i) keep.push_back(random_.chance(70) ? 1 : 0);
    state_.prune(name + ".", shape, keep);
  }
  // A convolution (or with `op` another linear operator) with a float bias, or with one of 10 bits.
  void weighted(const std::string& name, const std::string& op, const std::string& from,
                const std::string& attributes, const std::vector<std::int64_t>& shape, int outputs,
                bool float_bias) {
    node(name, op, {from}, attributes,
         fmt::format(R"(,"wrap":[{{"type":"quantize","bits":5,"channelwise":-1{}}}])",
                     float_bias ? "" : R"(,"bias_bits":10)"));
    state_.floats(name + ".weight", shape, reals(product(shape), 1.0F));
    state_.floats(name + ".bias", {outputs}, reals(outputs, 1.0F));
    state_.quantize(name + ".quantize.", {4}, 5);
    if (!float_bias)
      state_.quantize(name + ".quantize_bias.",
                      std::vector<int>(static_cast<std::size_t>(outputs), 6), 10);
  }
  void batch_norm(const std::string& name, const std::string& from, int channels) {
    node(name, "batch_norm2d", {from}, fmt::format(R"("num_features":{})", channels));
    state_.floats(name + ".weight", {channels}, reals(channels, 2.0F));
    state_.floats(name + ".bias", {channels}, reals(channels, 1.0F));
    state_.floats(name + ".running_mean", {channels}, reals(channels, 1.0F));
    std::vector<float> variance = reals(channels, 1.0F);
    for (float& v : variance) v = v * v + 0.25F;
    state_.floats(name + ".running_var", {channels}, variance);
    batch_norms_.push_back(name);
  }

  Graph graph(const std::vector<std::string>& outputs) const {
    return parse_graph(
        fmt::format(
            R"({{"format":"lockstep-graph","version":1,"name":"n","inputs":[{}],"nodes":[{}],"outputs":["{}"]}})",
            fmt::join(inputs_, ","), fmt::join(nodes_, ","), fmt::join(outputs, "\",\"")),
        "n");
  }
  StateDict state() {
    StateDict state = state_.take();
    for (const std::string& name : batch_norms_)
      state.add(name + ".num_batches_tracked",
                {.dtype = Dtype::kInt64, .shape = {}, .bytes = std::vector<std::byte>(8)});
    return state;
  }

 private:
  static std::int64_t product(const std::vector<std::int64_t>& shape) {
    std::int64_t result = 1;
    for (const std::int64_t extent : shape) result *= extent;
    return result;
  }
  std::vector<float> reals(std::int64_t count, float magnitude) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = random_.real(magnitude);
    return values;
  }

  Random random_;
  std::vector<std::string> inputs_, nodes_, batch_norms_;
  StateBuilder state_;
};

// Its kinds that may change nothing: codes and sums that do not occur, elements that a mask
// removes, rounding of what is exact, the names and shapes of steps on the way to a node, order of
// sums.
const std::set<std::string> kMayChangeNothing = {
    "arena offset", "bias",           "bits",
    "decimal",      "decimal offset", "entry",
    "entry offset", "flags",          "lower limit",
    "mask",         "multiplier",     "piece",
    "name",         "rank",           "rounding",
    "scale addend", "scale limit",    "scale multiplier",
    "scale offset", "scale shift",    "shape",
    "shift",        "shift offset",   "step code",
    "step start",   "threshold",      "table of a channel",
    "upper limit",  "weight",         "geometry",
    "wiring",       "weight offset",  "post kind",
    "table count",  "mask offset",    "moved bit"};

void check_net(Net net, const std::vector<std::string>& outputs) {
  const Graph graph = net.graph(outputs);
  const StateDict state = net.state();
  const Parameters parameters = bind_parameters(graph, state);
  const verify::ExactNetwork exact(graph, parameters);
  Tally tally;
  for (const bool keep_layers : {false, true}) {
    CAPTURE(keep_layers);
    const Bytes plan = compile_network(graph, state,
                                       {.keep_layers = keep_layers,
                                        .optimize = keep_layers ? passes::Objective::kSize
                                                                : passes::Objective::kSpeed,
                                        .after_pass = {}})
                           .plan;
    verify::Options options;
    options.plan = plan;
    options.random_samples = 200;
    const verify::Report report = verify::verify_plan(graph, state, {}, options);
    if (const auto* refuted = std::get_if<verify::Refuted>(&report.verdict))
      FAIL(refuted->first_difference);
    const std::string reason = std::get<verify::Unknown>(report.verdict).reason;
    CAPTURE(reason);
    REQUIRE(report.agreed);
    for (const Mutant& mutant : mutants_of(plan))
      judge({graph, state, exact, {}}, apply(plan, mutant), mutant, kMayChangeNothing, tally);
  }
  MESSAGE(tally.text());
  CHECK(tally.refuted > 20);
}

}  // namespace

TEST_CASE("a float bias and an unfolded batch norm become scales") {
  Net net(1);
  net.input("x", "2,5,5");
  net.weighted("c", "conv2d", "x", R"("in_channels":2,"out_channels":3,"kernel_size":3)",
               {3, 2, 3, 3}, 3, true);
  net.batch_norm("b", "c", 3);
  net.node("r", "relu", {"b"});
  net.quantize("q", "r", {3, 4, 2});
  net.weighted("c2", "conv2d", "q", R"("in_channels":3,"out_channels":2,"kernel_size":2)",
               {2, 3, 2, 2}, 2, true);
  check_net(std::move(net), {"c2"});
}

TEST_CASE("a transposed convolution with groups, dilation and output padding") {
  for (const bool float_bias : {false, true}) {
    CAPTURE(float_bias);
    Net net(2);
    net.input("x", "2,3,4");
    net.weighted(
        "t", "conv_transpose2d", "x",
        R"("in_channels":2,"out_channels":4,"kernel_size":[3,2],"stride":2,"padding":1,"output_padding":1,"groups":2)",
        {2, 2, 3, 2}, 4, float_bias);
    net.quantize("q", "t", {3});
    check_net(std::move(net), {"q"});
  }
}

TEST_CASE("means over windows of one and of several sizes") {
  for (const char* pool :
       {R"("kernel_size":2)", R"("kernel_size":3,"stride":2,"padding":1,"count_include_pad":false)",
        R"("kernel_size":3,"stride":2,"ceil_mode":true)"}) {
    CAPTURE(pool);
    Net net(3);
    net.input("x", "2,6,6");
    net.node("p", "avg_pool2d", {"x"}, pool);
    net.quantize("q", "p", {4, 5});
    check_net(std::move(net), {"q"});
  }
  Net net(4);
  net.input("x", "3,5,7");
  net.node("p", "adaptive_avg_pool2d", {"x"}, R"("output_size":[2,3])");
  net.quantize("q", "p", {4});
  check_net(std::move(net), {"q"});
}

TEST_CASE("sums, differences and products across grids, and broadcasting") {
  Net net(5);
  net.input("x", "2,3,3");
  net.input("y", "2,3,3");
  net.input("z", "1,1,3");
  net.quantize("xq", "x", {3, 5});
  net.quantize("yq", "y", {4, 2});
  net.node("a", "add", {"xq", "yq"});
  net.quantize("aq", "a", {3});
  net.node("s", "sub", {"aq", "z"});
  net.node("m", "mul", {"xq", "z"});
  net.node("e", "sub", {"s", "xq"});
  net.quantize("eq", "e", {3});
  net.quantize("mq", "m", {4});
  check_net(std::move(net), {"eq", "mq"});
}

TEST_CASE("tables of activations") {
  for (const char* op : {"tanh", "gelu", "hard_swish", "leaky_relu", "relu6", "softplus"}) {
    CAPTURE(op);
    Net net(6);
    net.input("x", "2,2,3");
    net.quantize("xq", "x", {4, 2});
    net.node("f", op, {"xq"});
    net.prune("m", "f", {2, 2, 3});
    net.quantize("q", "m", {3});
    check_net(std::move(net), {"q"});
  }
}

TEST_CASE("tables of raw bytes") {
  Net net(11);
  net.input("x", "2,2,3", R"({"mean":[0.4,0.5],"std":[0.25,0.3]})");
  net.input("y", "2,2,3", R"({"scale":0.0078125,"mean":1})");
  net.node("a", "add", {"x", "y"});
  net.quantize("q", "a", {3});
  net.prune("m", "y", {2, 2, 3});
  net.quantize("mq", "m", {3, 4});
  check_net(std::move(net), {"q", "mq"});
}

TEST_CASE("a function of sums that falls and rises") {
  Net net(7);
  net.input("x", "1,4,4");
  net.weighted("c", "conv2d", "x", R"("in_channels":1,"out_channels":2,"kernel_size":3)",
               {2, 1, 3, 3}, 2, true);
  net.node("g", "gelu", {"c"});
  net.quantize("q", "g", {4});
  check_net(std::move(net), {"q"});
}

TEST_CASE("moves: concat across grids, pad, slice, shuffle, transpose, reshape, nearest") {
  Net net(8);
  net.input("x", "4,2,3");
  net.input("y", "2,2,3");
  net.quantize("xq", "x", {3, 4, 5, 4});
  net.node("k", "concat", {"xq", "y"}, R"("dim":1)");
  net.node("p", "pad", {"k"}, R"("padding":[1,0,2,1])");
  net.node("pr", "pad", {"y"}, R"("padding":[1,1],"mode":"reflect")");
  net.node("u", "upsample", {"pr"}, R"("scale_factor":2,"mode":"nearest")");
  net.node("h", "pixel_shuffle", {"xq"}, R"("upscale_factor":2)");
  net.node("w", "slice", {"h"}, R"("dim":3,"start":1,"step":2)");
  net.node("t", "transpose", {"w"}, R"("dim0":2,"dim1":3)");
  net.node("f", "reshape", {"t"}, R"("shape":[-1])");
  net.node("v", "concat", {"xq", "xq"}, R"("dim":2)");
  check_net(std::move(net), {"p", "u", "f", "v"});
}

TEST_CASE("max pooling over real values, argmax, and bilinear upsampling") {
  Net net(9);
  net.input("x", "2,4,4");
  net.weighted("c", "conv2d", "x", R"("in_channels":2,"out_channels":3,"kernel_size":1)",
               {3, 2, 1, 1}, 3, true);
  net.node("p", "max_pool2d", {"c"}, R"("kernel_size":2)");
  net.quantize("q", "p", {3, 4, 3});
  net.node("a", "argmax", {"q"});
  net.node("u", "upsample", {"x"}, R"("scale_factor":2,"mode":"bilinear")");
  net.quantize("uq", "u", {4});
  check_net(std::move(net), {"a", "uq"});
}

TEST_CASE("an output behind a softmax is what the softmax is given") {
  Net net(10);
  net.input("x", "6");
  net.weighted("l", "linear", "x", R"("in_features":6,"out_features":4)", {4, 6}, 4, true);
  net.node("s", "softmax", {"l"});
  check_net(std::move(net), {"s"});
}
