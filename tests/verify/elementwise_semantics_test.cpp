// Operators of the exact semantics that act on each element: sums and products of two tensors,
// activations, batch norm, prune, quantize, argmax.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/support/input_error.h"
#include "tests/verify/one_node.h"
#include "verify/semantics/exact_network.h"
#include "verify/semantics/index.h"

using namespace lockstep;
using namespace lockstep::test;
using verify::at;
using verify::FloatFunction;
using verify::Format;
using Shape = std::vector<std::int64_t>;

namespace {

Format mixed_format(const Shape& shape, Codes& random, int lo = -3, int hi = 6) {
  Format format = codes_format(shape, {});
  for (std::int64_t e = 0; e < format.element_count(); ++e)
    format.decimals.push_back(static_cast<int>(random.between(lo, hi)));
  return format;
}

std::vector<std::int64_t> bits_of(const Format& real, const Format& codes,
                                  const std::vector<std::int64_t>& values) {
  std::vector<std::int64_t> bits;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto e = static_cast<std::int64_t>(i);
    bits.push_back(
        verify::real_to_bits(verify::apply_to_code(real.chain(e), values[i], codes.decimal(e))));
  }
  return bits;
}

}  // namespace

TEST_CASE("add, sub and mul are those of the values, with broadcasting and any decimals") {
  Codes random(1);
  const Shape shapes[][2] = {{{2, 3, 4}, {2, 3, 4}},
                             {{2, 3, 4}, {2, 1, 1}},
                             {{2, 1, 4}, {1, 3, 4}},
                             {{3}, {1}},
                             {{1, 5}, {4, 5}}};
  for (const auto& pair : shapes)
    for (const std::string op : {"add", "sub", "mul"}) {
      CAPTURE(op);
      const Built built(op == "mul" ? verify::make_mul : verify::make_add, node_of(op, "", 2),
                        {mixed_format(pair[0], random), mixed_format(pair[1], random)});
      const Format& format = built.format();
      const std::vector<std::int64_t> a = random.of(built.inputs[0]),
                                      b = random.of(built.inputs[1]);
      const std::vector<std::int64_t> found = run(*built.op, {a, b});
      CHECK(in_bounds(format, found));
      CHECK(format.bits == 0);
      const std::vector<double> va = values_of(built.inputs[0], a),
                                vb = values_of(built.inputs[1], b);
      for (std::int64_t e = 0; e < format.element_count(); ++e) {
        std::int64_t rest = e, ia = 0, ib = 0, sa = 1, sb = 1;
        for (std::size_t d = format.shape.size(); d-- > 0;) {
          const std::int64_t place = rest % format.shape[d];
          rest /= format.shape[d];
          REQUIRE(format.shape[d] == std::max(pair[0][d], pair[1][d]));
          ia += pair[0][d] == 1 ? 0 : place * sa;
          ib += pair[1][d] == 1 ? 0 : place * sb;
          sa *= pair[0][d];
          sb *= pair[1][d];
        }
        const double x = va[at(ia)], y = vb[at(ib)];
        REQUIRE(verify::value_of(format, e, found[at(e)]) == (op == "add"   ? x + y
                                                              : op == "sub" ? x - y
                                                                            : x * y));
      }
    }
  CHECK(contains(input_error_of([] {
                   Built(verify::make_add, node_of("add", "", 2),
                         {codes_format({2, 3}, {0}), codes_format({2, 2}, {0})});
                 }),
                 "layer 'n': shapes [2, 3] and [2, 2]"));
  CHECK(contains(input_error_of([] {
                   Built(verify::make_add, node_of("add", "", 2),
                         {codes_format({1}, {64}), codes_format({1}, {0})});
                 }),
                 "layer 'n': the decimals of its inputs lie too far apart"));
}

TEST_CASE("relu and relu6 clip exact values exactly, whatever their grids") {
  Codes random(2);
  const Format input = mixed_format({2, 3, 3}, random, -4, 6);
  const std::vector<std::int64_t> codes = random.of(input);
  const Built relu(verify::make_relu, node_of("relu", ""), input),
      relu6(verify::make_relu6, node_of("relu6", ""), input);
  const std::vector<double> values = values_of(input, codes);
  CHECK(!relu6.format().real);
  CHECK(in_bounds(relu6.format(), run(*relu6.op, {codes})));
  const std::vector<double> found = values_of(relu.format(), run(*relu.op, {codes})),
                            found6 = values_of(relu6.format(), run(*relu6.op, {codes}));
  for (std::size_t i = 0; i < values.size(); ++i) {
    REQUIRE(found[i] == std::max(values[i], 0.0));
    REQUIRE(found6[i] == std::clamp(values[i], 0.0, 6.0));
  }
  const Built high(verify::make_relu6, node_of("relu6", ""), codes_format({2}, {64}));
  CHECK(!high.format().real);
  CHECK(run(*high.op, {{-5, 100}}) == std::vector<std::int64_t>{0, 100});
}

TEST_CASE("relu6 of values on grids without 6 is exact on the coarsest grid that has it") {
  // 6 * 2^-2 is no integer.
  const Built coarse(verify::make_relu6, node_of("relu6", ""),
                     codes_format({5}, {-2, -2, -2, -3, -90}));
  REQUIRE(!coarse.format().real);
  CHECK(coarse.format().decimals == std::vector<int>(5, -1));
  CHECK(run(*coarse.op, {{-1, 1, 5, 1, 1}}) == std::vector<std::int64_t>{0, 2, 3, 3, 3});
  // Only the elements there move.
  const Built mixed(verify::make_relu6, node_of("relu6", ""), codes_format({1, 2}, {-3, 2}));
  CHECK(values_of(mixed.format(), run(*mixed.op, {{1, 9}})) == std::vector<double>{6, 2.25});
}

TEST_CASE("each activation layer is its float function with the node's attributes") {
  const std::vector<std::pair<Node, verify::FloatStep>> layers = {
      {node_of("leaky_relu", R"("negative_slope": 0.3)"), {FloatFunction::kLeakyRelu, 0.3F, 0}},
      {node_of("leaky_relu", ""), {FloatFunction::kLeakyRelu, 0.01F, 0}},
      {node_of("hard_sigmoid", ""), {FloatFunction::kHardSigmoid, 0, 0}},
      {node_of("hard_swish", ""), {FloatFunction::kHardSwish, 0, 0}},
      {node_of("tanh", ""), {FloatFunction::kTanh, 0, 0}},
      {node_of("sigmoid", ""), {FloatFunction::kSigmoid, 0, 0}},
      {node_of("gelu", ""), {FloatFunction::kGelu, 0, 0}},
      {node_of("silu", ""), {FloatFunction::kSilu, 0, 0}},
      {node_of("elu", R"("alpha": 1.5)"), {FloatFunction::kElu, 1.5F, 0}},
      {node_of("softplus", R"("beta": 2, "threshold": 18)"), {FloatFunction::kSoftplus, 2, 18}}};
  Codes random(3);
  const Format input = mixed_format({2, 2, 2}, random);
  const std::vector<std::int64_t> codes = random.of(input);
  for (const auto& layer : layers) {
    const Node& node = layer.first;
    const verify::FloatStep& step = layer.second;
    CAPTURE(node.op);
    const Built built(verify::make_float_function, node, input);
    const std::vector<std::int64_t> found = run(*built.op, {codes});
    CHECK(in_bounds(built.format(), found));
    // A second one behind it sees its float32 values.
    const Built again(verify::make_float_function, node, built.format());
    const std::vector<std::int64_t> twice = run(*again.op, {found});
    CHECK(in_bounds(again.format(), twice));
    for (std::int64_t e = 0; e < input.element_count(); ++e) {
      const float x = verify::enter_float(codes[at(e)], input.decimal(e));
      REQUIRE(built.format().chain(e).steps == std::vector<verify::FloatStep>{step});
      REQUIRE(verify::real_from_bits(found[at(e)]) == step.apply(x));
      REQUIRE(verify::real_from_bits(twice[at(e)]) == step.apply(step.apply(x)));
      REQUIRE(again.format().chain(e).apply(x) == step.apply(step.apply(x)));
      REQUIRE(again.format().source(e).element == e);
    }
  }
}

TEST_CASE("batch norm has PyTorch's scale and shift for each channel, as float32") {
  const Node node = node_of("batch_norm1d", R"("num_features": 2, "eps": 0.25)");
  NodeParameters parameters;
  parameters.batch_norm = BatchNormParameters{{3, -0.1F}, {0.5F, 2}, {1.5F, -4}, {2, 0}};
  const Built built(verify::make_batch_norm, node, codes_format({2, 2}, {3}), parameters);
  const std::vector<std::int64_t> found = run(*built.op, {{5, -7, 9, 127}});
  // In channel 0 s = 3 / 1.5 = 2 and the shift 0.5 - 1.5 * 2; in channel 1 s = fl(-0.1) / 0.5.
  CHECK(verify::real_from_bits(found[0]) == 5 / 8.0F * 2 - 2.5F);
  CHECK(verify::real_from_bits(found[1]) == -7 / 8.0F * 2 - 2.5F);
  const float scale = static_cast<float>(static_cast<double>(-0.1F) / 0.5);
  const float shift = static_cast<float>(2 + 4 * (static_cast<double>(-0.1F) / 0.5));
  const float product = 9 / 8.0F * scale;
  CHECK(verify::real_from_bits(found[2]) == product + shift);
  CHECK(built.format().chain(3).monotony() == verify::Monotony{false, true});
  CHECK(in_bounds(built.format(), found));

  parameters.batch_norm->running_var = {0, 1};
  parameters.batch_norm->weight[0] = 3e38F;
  const Node no_eps = node_of("batch_norm1d", R"("num_features": 2, "eps": 1e-12)");
  CHECK(contains(input_error_of([&] {
                   Built(verify::make_batch_norm, no_eps, codes_format({2, 2}, {3}), parameters);
                 }),
                 "layer 'n': channel 0 has scale"));
  parameters.batch_norm->running_var = {1, 1};
  parameters.batch_norm->running_mean = {0, 0};
  CHECK(contains(input_error_of([&] {
                   Built(verify::make_batch_norm, no_eps, codes_format({2, 2}, {3}), parameters);
                 }),
                 "layer 'n': its values may leave the range of float32"));
}

TEST_CASE("prune removes exact and real values, and a function behind it begins at zero") {
  NodeParameters parameters;
  parameters.mask = MaskParameters{{2, 1, 2}, {1, 0, 0, 1}};
  const Node node = node_of("prune", "");
  const Format codes = codes_format({2, 2, 2}, {4});
  const std::vector<std::int64_t> all = {1, 2, 3, 4, 5, 6, 7, 8};
  const Built exact(verify::make_prune, node, codes, parameters);
  CHECK(run(*exact.op, {all}) == std::vector<std::int64_t>{1, 0, 3, 0, 0, 6, 0, 8});
  CHECK(exact.format().range(1) == verify::CodeRange{0, 0});
  CHECK(exact.format().range(0) == verify::CodeRange{-128, 127});

  const std::vector<verify::FloatStep> add = {{FloatFunction::kAdd, 0.5F, 0}};
  const Built real(verify::make_prune, node, verify::append_steps(codes, "base", "x0", add),
                   parameters);
  const std::vector<std::int64_t> bits = bits_of(real.inputs[0], codes, all);
  const std::vector<std::int64_t> pruned = run(*real.op, {bits});
  const std::vector<verify::FloatStep> sigmoid = {{FloatFunction::kSigmoid, 0, 0}};
  const Format behind = verify::append_steps(real.format(), "n", "after", sigmoid);
  for (std::int64_t e = 0; e < 8; ++e) {
    const bool keep = exact.format().range(e) != verify::CodeRange{0, 0};
    REQUIRE(pruned[at(e)] == (keep ? bits[at(e)] : 0));
    REQUIRE((real.format().base(e) != nullptr) == keep);
    REQUIRE((behind.base(e) != nullptr) == keep);
    if (!keep) REQUIRE(behind.chain(e).apply(0) == 0.5F);
    if (keep) REQUIRE(behind.chain(e).steps == std::vector{add[0], sigmoid[0]});
  }
}

TEST_CASE("a mask with strict = false is tiled and centred on another size") {
  const auto keep_of = [](const std::string& strict, Shape mask_shape,
                          std::vector<std::uint8_t> mask, const Shape& shape) {
    const Node node = node_of("prune", R"("strict": )" + strict);
    return verify::prune_mask(node, {std::move(mask_shape), std::move(mask)}, shape);
  };
  using Mask = std::vector<std::uint8_t>;
  // 3 copies of 2 places fit into 7: offset 0. Into 8, of 3: 2 copies, offset 1.
  CHECK(keep_of("false", {1, 2}, {0, 1}, {1, 7}) == Mask{0, 1, 0, 1, 0, 1, 1});
  CHECK(keep_of("false", {1, 3}, {0, 1, 0}, {1, 8}) == Mask{1, 0, 1, 0, 0, 1, 0, 1});
  // Smaller than the mask in any axis: nothing is pruned.
  CHECK(keep_of("false", {1, 2, 2}, {0, 0, 0, 0}, {1, 1, 4}) == Mask{1, 1, 1, 1});
  // A size of 1 spans an axis, channels too.
  CHECK(keep_of("false", {2, 1, 1}, {0, 1}, {2, 1, 2}) == Mask{0, 0, 1, 1});
  CHECK(keep_of("false", {1, 1, 2}, {0, 1}, {3, 1, 2}) == Mask{0, 1, 0, 1, 0, 1});
  // Two axes: 2 x 1 copies in the middle of 4 x 3.
  CHECK(keep_of("false", {1, 2, 2}, {0, 1, 1, 0}, {1, 4, 3}) ==
        Mask{0, 1, 1, 1, 0, 1, 0, 1, 1, 1, 0, 1});
  CHECK(contains(input_error_of([&] {
                   keep_of("true", {1, 2}, {0, 1}, {1, 4});
                 }),
                 "layer 'n': mask of shape [1, 2] on a tensor of shape [1, 4]"));
  CHECK(contains(input_error_of([&] {
                   keep_of("false", {2}, {0, 1}, {1, 4});
                 }),
                 "layer 'n': mask of shape [2] on a tensor of shape [1, 4]"));
}

TEST_CASE("quantize rounds the float32 product of a real value, in each mode") {
  const Format codes = codes_format({1, 256}, {3});
  const std::vector<verify::FloatStep> add = {{FloatFunction::kAdd, 0.0625F, 0}};
  std::vector<std::int64_t> all;
  for (std::int64_t code = -128; code < 128; ++code) all.push_back(code);
  for (const std::string mode : {"toward_zero", "floor", "half_even"}) {
    CAPTURE(mode);
    const Node node =
        node_of("quantize", fmt::format(R"("channelwise": -1, "rounding": "{}")", mode));
    NodeParameters parameters;
    parameters.quantize = QuantizeParameters{{3}, 8};
    const Built built(verify::make_quantize, node, verify::append_steps(codes, "b", "x0", add),
                      parameters);
    CHECK(!built.format().real);
    const std::vector<std::int64_t> found = run(*built.op, {bits_of(built.inputs[0], codes, all)});
    for (std::size_t i = 0; i < all.size(); ++i) {
      // x * 8 = code + 1/2.
      const std::int64_t code = all[i];
      const std::int64_t expected = mode == "floor"       ? code
                                    : mode == "half_even" ? code + (code % 2 == 0 ? 0 : 1)
                                    : code < 0            ? code + 1
                                                          : code;
      REQUIRE(found[i] == std::min<std::int64_t>(expected, 127));
    }
  }
}

TEST_CASE("a product of 2^31 or more is refused before it can be rounded") {
  const Node node = node_of("quantize", R"("channelwise": -1)");
  NodeParameters parameters;
  const std::vector<verify::FloatStep> step = {{FloatFunction::kLeakyRelu, 0.5F, 0}};
  const Format real = verify::append_steps(codes_format({2}, {0}, 16), "b", "x0", step);
  // At most 32767; times 2^16 it is below 2^31, times 2^17 not.
  parameters.quantize = QuantizeParameters{{16}, 8};
  CHECK(run(*Built(verify::make_quantize, node, real, parameters).op,
            {{verify::real_to_bits(32767), verify::real_to_bits(-16384)}}) ==
        std::vector<std::int64_t>{127, -128});
  parameters.quantize = QuantizeParameters{{17}, 8};
  CHECK(contains(
      input_error_of([&] { Built(verify::make_quantize, node, real, parameters); }),
      "layer 'n': its input 'x0' may reach 32767 in channel 0, which times 2^17 is 2^31 or more"));
}

TEST_CASE("argmax names the first channel with the largest value, on whatever grids") {
  const Format input = codes_format({3, 1, 2}, per_channel({3, 1, 2}, {0, 3, 1}));
  const Built built(verify::make_argmax, node_of("argmax", ""), input);
  CHECK(built.format().shape == Shape{1, 1, 2});
  // 1, 16/8, 4/2 and -1, -8/8, -2/2.
  CHECK(run(*built.op, {{1, -1, 16, -8, 4, -2}}) == std::vector<std::int64_t>{1, 0});
  CHECK(run(*built.op, {{1, -1, 15, -9, 4, -1}}) == std::vector<std::int64_t>{2, 2});
  CHECK(built.format().hi == 2);
}

namespace {

std::string softmax_graph(const std::string& after) {
  return R"({"format": "lockstep-graph", "version": 1, "name": "s",
 "inputs": [{"name": "input", "shape": [3], "bits": 8, "decimal": 2}],
 "nodes": [{"name": "sm", "op": "log_softmax", "inputs": ["input"]},
  {"name": "id", "op": "identity", "inputs": ["sm"]}, {"name": "z", "op": ")" +
         after + R"(", "inputs": ["id"]}],
 "outputs": ["z"]})";
}

}  // namespace

TEST_CASE("softmax stands at the end, and its value is its input's") {
  const Graph graph = parse_graph(softmax_graph("identity"), "s");
  Parameters parameters;
  for (const Node& node : graph.nodes) parameters.nodes[node.name] = {};
  const verify::NodeValues values =
      verify::evaluate_exactly(graph, parameters, {{{3}, {2}, {4, -5, 6}}}, 1);
  CHECK(values.find("z")->second.codes == std::vector<std::int64_t>{4, -5, 6});
  CHECK(values.find("sm")->second.decimals == std::vector<int>{2});
  const Graph wrong = parse_graph(softmax_graph("relu"), "s");
  CHECK(contains(input_error_of([&] { verify::ExactNetwork(wrong, parameters); }),
                 "layer 'sm': log_softmax is supported only on the way to an output, but layer 'z' "
                 "(relu) reads it"));
}
