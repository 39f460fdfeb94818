// Convolutions, transposed ones and linear layers of the exact semantics against naive sums of
// values.
#include <doctest/doctest.h>

#include "tests/support/input_error.h"
#include "tests/verify/one_node.h"
#include "verify/semantics/index.h"

using namespace lockstep;
using namespace lockstep::test;
using verify::at;
using verify::Format;

namespace {

struct Case {
  const char* what;
  const char* attributes;  // without channels
  std::int64_t in_channels, out_channels, groups;
  std::vector<std::int64_t> spatial;
  int channelwise;  // of the weight's quantize
};

// Attributes as height and width; a single axis becomes the width.
struct Axes {
  std::vector<std::int64_t> kernel, stride, padding, dilation, extra;
};
Axes axes_of(const Node& node) {
  const auto two = [&](const char* name, std::int64_t neutral) -> std::vector<std::int64_t> {
    if (!node.attributes.contains(name)) return {neutral, neutral};
    std::vector<std::int64_t> values = node.integers(name);
    if (values.size() == 1) values.insert(values.begin(), neutral);
    return values;
  };
  return {two("kernel_size", 1), two("stride", 1), two("padding", 0), two("dilation", 1),
          two("output_padding", 0)};
}

struct Layer {
  Node node;
  NodeParameters parameters;
  std::vector<double> weight;  // effective values, PyTorch's layout
  std::vector<double> bias;    // effective; 0 without
};

Layer make_layer(const std::string& op, const Case& one, Codes& random, bool float_bias) {
  const bool transposed = op.starts_with("conv_transpose");
  const std::string attributes =
      fmt::format(R"("in_channels": {}, "out_channels": {}, "groups": {}, {})", one.in_channels,
                  one.out_channels, one.groups, one.attributes);
  Layer layer;
  layer.node = node_of(op, attributes, 1,
                       fmt::format(R"({{"type": "quantize", "bits": 8, "channelwise": {}{}}})",
                                   one.channelwise, float_bias ? "" : R"(, "bias_bits": 10)"));
  NodeParameters& parameters = layer.parameters;
  parameters.weight_shape = {transposed ? one.in_channels : one.out_channels,
                             (transposed ? one.out_channels : one.in_channels) / one.groups};
  for (const std::int64_t size : layer.node.integers("kernel_size"))
    parameters.weight_shape.push_back(size);
  std::int64_t count = 1;
  for (const std::int64_t size : parameters.weight_shape) count *= size;
  verify::Format weight_format;
  weight_format.shape = parameters.weight_shape;
  parameters.weight_quantize = QuantizeParameters{{}, 8};
  const std::int64_t entries =
      one.channelwise < 0 ? 1 : parameters.weight_shape[at(one.channelwise)];
  for (std::int64_t i = 0; i < entries; ++i)
    parameters.weight_quantize->decimals.push_back(static_cast<int>(random.between(3, 7)));
  MaskParameters mask = {parameters.weight_shape, {}};
  std::int64_t stride = 1;
  for (std::size_t d = at(one.channelwise < 0 ? 0 : one.channelwise) + 1;
       d < parameters.weight_shape.size(); ++d)
    stride *= parameters.weight_shape[d];
  for (std::int64_t i = 0; i < count; ++i) {
    const int decimal = parameters.weight_quantize->decimals[at(i / stride % entries)];
    const std::int64_t code = random.between(-128, 127);
    // Somewhere between the code and the next one that is further from zero.
    const double fraction = 0.25 * static_cast<double>(random.between(0, 3)) * (code < 0 ? -1 : 1);
    const bool is_outside = code == -128 || code == 127;
    parameters.weight.push_back(static_cast<float>(std::ldexp(
        static_cast<double>(code) + (is_outside ? 100 * fraction : fraction), -decimal)));
    mask.keep.push_back(random.between(0, 3) > 0 ? 1 : 0);
    layer.weight.push_back(mask.keep.back() * std::ldexp(static_cast<double>(code), -decimal));
  }
  parameters.weight_mask = mask;
  layer.bias.assign(at(one.out_channels), 0);
  if (!layer.node.flag("bias")) return layer;
  if (!float_bias) parameters.bias_quantize = QuantizeParameters{{}, 10};
  for (double& bias : layer.bias) {
    const int decimal = static_cast<int>(random.between(2, 12));
    const std::int64_t code = random.between(-512, 511);
    bias = std::ldexp(static_cast<double>(code), -decimal);
    if (float_bias) bias = static_cast<double>(static_cast<float>(bias * 1.1));
    if (!float_bias) parameters.bias_quantize->decimals.push_back(decimal);
    parameters.bias.push_back(static_cast<float>(bias));
  }
  return layer;
}

// PyTorch's definition on values, without the bias. Every number here is a multiple of 2^-20 below
// 2^20, so the sums are exact.
std::vector<double> naive(const Layer& layer, const std::string& op, const Case& one,
                          const std::vector<double>& input, const Format& output) {
  const bool transposed = op.starts_with("conv_transpose");
  const Axes axes = axes_of(layer.node);
  const std::int64_t in_h = one.spatial.size() == 2 ? one.spatial[0] : 1, in_w = one.spatial.back();
  const std::int64_t out_h = output.shape.size() == 3 ? output.shape[1] : 1,
                     out_w = output.shape.back();
  std::vector<double> result(at(output.element_count()), 0);
  const std::int64_t group_in = one.in_channels / one.groups,
                     group_out = one.out_channels / one.groups;
  for (std::int64_t c = 0; c < one.in_channels; ++c)
    for (std::int64_t o = 0; o < one.out_channels; ++o) {
      if (c / group_in != o / group_out) continue;
      for (std::int64_t ky = 0; ky < axes.kernel[0]; ++ky)
        for (std::int64_t kx = 0; kx < axes.kernel[1]; ++kx) {
          const std::int64_t row =
              transposed ? c * group_out + o % group_out : o * group_in + c % group_in;
          const double weight = layer.weight[at((row * axes.kernel[0] + ky) * axes.kernel[1] + kx)];
          // Of a convolution (y, x) counts the outputs, of a transposed one the inputs.
          const std::int64_t many_h = transposed ? in_h : out_h, many_w = transposed ? in_w : out_w;
          const std::int64_t few_h = transposed ? out_h : in_h, few_w = transposed ? out_w : in_w;
          for (std::int64_t y = 0; y < many_h; ++y)
            for (std::int64_t x = 0; x < many_w; ++x) {
              const std::int64_t v = y * axes.stride[0] - axes.padding[0] + ky * axes.dilation[0];
              const std::int64_t u = x * axes.stride[1] - axes.padding[1] + kx * axes.dilation[1];
              if (v < 0 || v >= few_h || u < 0 || u >= few_w) continue;
              if (transposed)
                result[at((o * out_h + v) * out_w + u)] +=
                    weight * input[at((c * in_h + y) * in_w + x)];
              else
                result[at((o * out_h + y) * out_w + x)] +=
                    weight * input[at((c * in_h + v) * in_w + u)];
            }
        }
    }
  return result;
}

std::vector<std::int64_t> with_channels(std::int64_t channels,
                                        const std::vector<std::int64_t>& spatial) {
  std::vector<std::int64_t> shape = {channels};
  shape.insert(shape.end(), spatial.begin(), spatial.end());
  return shape;
}

void check(const std::string& op, const Case& one, std::uint32_t seed, bool float_bias,
           bool mixed_decimals) {
  CAPTURE(op);
  CAPTURE(one.what);
  CAPTURE(seed);
  Codes random(seed);
  const Layer layer = make_layer(op, one, random, float_bias);
  Format input = codes_format(with_channels(one.in_channels, one.spatial), {});
  for (std::int64_t e = 0; e < input.element_count(); ++e) {
    const bool is_new = mixed_decimals || e % (input.element_count() / one.in_channels) == 0;
    input.decimals.push_back(is_new ? static_cast<int>(random.between(2, 7))
                                    : input.decimals.back());
  }
  const bool transposed = op.starts_with("conv_transpose");
  const Format* const formats[] = {&input};
  const verify::OperatorPointer built =
      transposed ? verify::make_transposed_convolution(layer.node, layer.parameters, formats)
                 : verify::make_convolution(layer.node, layer.parameters, formats);
  const Format& format = built->format();
  REQUIRE(format.shape[0] == one.out_channels);
  REQUIRE(format.real == float_bias);
  const std::vector<std::int64_t> codes = random.of(input);
  const std::vector<std::int64_t> found = run(*built, {codes});
  CHECK(in_bounds(format, found));
  const std::vector<double> sums = naive(layer, op, one, values_of(input, codes), format);
  const std::int64_t plane = format.element_count() / one.out_channels;
  for (std::int64_t e = 0; e < format.element_count(); ++e) {
    const double bias = layer.bias[at(e / plane)];
    const double expected =
        float_bias ? static_cast<double>(static_cast<float>(sums[at(e)]) + static_cast<float>(bias))
                   : sums[at(e)] + bias;
    REQUIRE(verify::value_of(format, e, found[at(e)]) == expected);
    if (!float_bias) continue;
    // The integer that the value comes from is the sum without the bias.
    const verify::RealSource& source = format.source(e);
    REQUIRE(*format.base(e) == verify::ExactBase{"n", true});
    REQUIRE(source.element == e);
    REQUIRE(source.decimal == built->sums()->decimal(e));
    const double sum = std::ldexp(sums[at(e)], source.decimal);
    REQUIRE(sum == std::trunc(sum));
    REQUIRE(sum >= static_cast<double>(source.codes.lo));
    REQUIRE(sum <= static_cast<double>(source.codes.hi));
    REQUIRE(verify::apply_to_code(format.chain(e), static_cast<std::int64_t>(sum),
                                  source.decimal) == verify::real_from_bits(found[at(e)]));
  }
}

const Case kConvolutions2d[] = {
    {"plain", R"("kernel_size": [3, 2])", 3, 4, 1, {5, 4}, 0},
    {"strides, padding, dilation",
     R"("kernel_size": [2, 3], "stride": [2, 1], "padding": [1, 3], "dilation": [2, 2])",
     2,
     3,
     1,
     {6, 7},
     1},
    {"depthwise", R"("kernel_size": [3, 3], "padding": [1, 1])", 4, 8, 4, {4, 5}, 0},
    {"groups, no bias", R"("kernel_size": [1, 2], "bias": false)", 6, 4, 2, {3, 3}, 1},
    {"per tensor", R"("kernel_size": [2, 2], "stride": [3, 2])", 2, 2, 1, {7, 6}, -1},
    {"decimals per kernel column", R"("kernel_size": [2, 3])", 2, 2, 1, {4, 4}, 3},
};
const Case kConvolutions1d[] = {
    {"plain", R"("kernel_size": 3)", 3, 4, 1, {9}, 1},
    {"strides, padding, dilation, groups",
     R"("kernel_size": 3, "stride": 2, "padding": 4, "dilation": 3)",
     4,
     6,
     2,
     {8},
     0},
};
const Case kTransposed2d[] = {
    {"plain", R"("kernel_size": [3, 2])", 3, 4, 1, {3, 4}, 0},
    {"all attributes",
     R"("kernel_size": [3, 4], "stride": [2, 3], "padding": [1, 2], "dilation": [2, 1],
        "output_padding": [1, 2])",
     4,
     6,
     2,
     {3, 4},
     1},
    {"depthwise",
     R"("kernel_size": [4, 4], "stride": [2, 2], "padding": [1, 1])",
     4,
     4,
     4,
     {3, 3},
     1},
    {"kernel below stride",
     R"("kernel_size": [1, 1], "stride": [3, 2], "bias": false)",
     2,
     2,
     1,
     {2, 3},
     -1},
};
const Case kTransposed1d[] = {
    {"all attributes",
     R"("kernel_size": 4, "stride": 3, "padding": 2, "dilation": 2, "output_padding": 1)",
     4,
     6,
     2,
     {5},
     0},
    {"plain", R"("kernel_size": 2)", 2, 3, 1, {4}, 1},
};

template <typename Cases>
void check_all(const std::string& op, const Cases& cases) {
  for (const Case& one : cases)
    for (std::uint32_t seed = 0; seed < 8; ++seed) {
      const bool has_bias =
          std::string(one.attributes).find(R"("bias": false)") == std::string::npos;
      check(op, one, seed, seed % 2 == 1 && has_bias, seed >= 4);
    }
}

}  // namespace

TEST_CASE("a convolution is PyTorch's sum, also with a float bias and decimals of every kind") {
  check_all("conv2d", kConvolutions2d);
  check_all("conv1d", kConvolutions1d);
}

TEST_CASE("a transposed convolution is PyTorch's sum, also with a float bias and any decimals") {
  check_all("conv_transpose2d", kTransposed2d);
  check_all("conv_transpose1d", kTransposed1d);
}

TEST_CASE("the grid of a sum is the finest in use, and pruned weights do not count") {
  const Node node = node_of("linear", R"("in_features": 2, "out_features": 2)", 1,
                            R"({"type": "quantize", "channelwise": 1})");
  NodeParameters parameters;
  parameters.weight_shape = {2, 2};
  parameters.weight = {0.5F, 0.25F, 1, 0};
  parameters.weight_quantize = QuantizeParameters{{3, 6}, 8};
  parameters.bias = {0.1F, -0.2F};
  const Format input = codes_format({2}, {1, 2});
  const Format* const formats[] = {&input};
  const verify::OperatorPointer linear = verify::make_linear(node, parameters, formats);
  // E = 3 + 1 and 6 + 2; the second weight of the second output is 0. A float bias has no grid.
  CHECK(linear->constants()->accumulator_decimals == std::vector<int>{8, 4});
  CHECK(linear->constants()->aligned_weights == std::vector<std::int64_t>{64, 16, 8, 0});
  CHECK(linear->constants()->float_bias == std::vector<float>{0.1F, -0.2F});
  const std::vector<std::int64_t> found = run(*linear, {{3, -5}});
  CHECK(verify::real_from_bits(found[0]) == (3 * 64 - 5 * 16) / 256.0F + 0.1F);
  CHECK(verify::real_from_bits(found[1]) == 24 / 16.0F + -0.2F);
  CHECK(linear->format().source(1).codes == verify::CodeRange{-1024, 1016});
}

TEST_CASE("what a linear layer cannot take is refused by its name") {
  const Node node = node_of("linear", R"("in_features": 2, "out_features": 1)", 1,
                            R"({"type": "quantize", "channelwise": -1})");
  NodeParameters parameters;
  parameters.weight_shape = {1, 2};
  parameters.weight = {1, 1};
  parameters.weight_quantize = QuantizeParameters{{0}, 8};
  const Format codes = codes_format({2}, {0});
  const std::vector<verify::FloatStep> steps = {{verify::FloatFunction::kTanh, 0, 0}};
  const Format real = verify::append_steps(codes, "x", "act", steps);
  const Format* const formats[] = {&real};
  const std::string message =
      input_error_of([&] { verify::make_linear(node, parameters, formats); });
  CHECK(message ==
        "layer 'n': its input 'x0' is not quantized (it comes from a float function: tanh); put a "
        "quantize node before this layer");
  const Node transposed = node_of(
      "conv_transpose1d", R"("in_channels": 1, "out_channels": 1, "kernel_size": 1, "padding": 2)",
      1, R"({"type": "quantize", "channelwise": -1})");
  parameters.weight_shape = {1, 1, 1};
  parameters.weight = {1};
  const Format row = codes_format({1, 3}, {0});
  const Format* const rows[] = {&row};
  CHECK(contains(
      input_error_of([&] { verify::make_transposed_convolution(transposed, parameters, rows); }),
      "layer 'n': an output of -1 positions"));
}
