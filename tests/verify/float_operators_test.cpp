// The operators of the canonical float path against docs/arithmetic.md, computed here value by
// value with the C library and integers.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>
#include <random>

#include "tests/support/input_error.h"
#include "verify/verify.h"

using namespace lockstep;
using test::contains;
using test::input_error_of;

namespace {

using Shape = std::vector<std::int64_t>;
using Codes = std::vector<std::int64_t>;

constexpr int kDecimal = 5;

std::int64_t element_count(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

// Of 8 bits.
Codes random_codes(std::int64_t count, std::uint32_t seed = 1) {
  std::mt19937 random(seed);
  Codes codes;
  for (std::int64_t i = 0; i < count; ++i)
    codes.push_back(static_cast<std::int64_t>(random() % 256) - 128);
  return codes;
}

Codes counted(std::int64_t count) {
  Codes codes(static_cast<std::size_t>(count));
  std::iota(codes.begin(), codes.end(), std::int64_t{0});
  return codes;
}

lockstep::Tensor float_tensor(const Shape& shape, const std::vector<float>& values) {
  lockstep::Tensor tensor{Dtype::kFloat32, shape, {}};
  tensor.bytes.resize(values.size() * sizeof(float));
  std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  return tensor;
}

struct Value {
  Shape shape;
  Codes codes;
};

// A node 'n' that reads all of `inputs`, which are samples in codes at kDecimal.
std::vector<float> run(const std::string& members, const std::vector<Value>& inputs,
                       const StateDict& state = {}) {
  std::string graph_inputs, names;
  verify::Batch batch;
  for (const Value& input : inputs) {
    const std::string name = fmt::format("x{}", batch.size());
    const std::string_view separator = batch.empty() ? "" : ", ";
    graph_inputs += fmt::format(R"({}{{"name": "{}", "shape": [{}], "bits": 16, "decimal": {}}})",
                                separator, name, fmt::join(input.shape, ", "), kDecimal);
    names += fmt::format(R"({}"{}")", separator, name);
    batch.push_back({input.shape, {kDecimal}, input.codes});
  }
  const Graph graph = parse_graph(
      fmt::format(R"({{"format": "lockstep-graph", "version": 1, "name": "g", "inputs": [{}],
                       "nodes": [{{"name": "n", "inputs": [{}], {}}}], "outputs": ["n"]}})",
                  graph_inputs, names, members),
      "g.json");
  const std::int64_t samples =
      static_cast<std::int64_t>(batch[0].codes.size()) / element_count(inputs[0].shape);
  const std::vector<std::string> nodes = {"n"};
  return verify::make_float_path(graph, state)->run(batch, samples, nodes).at(0);
}

std::string op(const std::string& name, const std::string& attributes = "") {
  return fmt::format(R"("op": "{}", "attrs": {{{}}})", name, attributes);
}

float value_of(std::int64_t code) { return std::ldexp(static_cast<float>(code), -kDecimal); }

// -0 and 0 are the same value.
bool same(float a, float b) {
  return std::bit_cast<std::uint32_t>(a + 0.0F) == std::bit_cast<std::uint32_t>(b + 0.0F);
}

void check_values(const std::vector<float>& found, const std::vector<float>& expected) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    CAPTURE(i);
    CAPTURE(expected[i]);
    REQUIRE_MESSAGE(same(found[i], expected[i]), found[i]);
  }
}

// The values that stand at `codes`.
void check_codes(const std::vector<float>& found, const Codes& codes) {
  std::vector<float> expected;
  for (const std::int64_t code : codes) expected.push_back(value_of(code));
  check_values(found, expected);
}

float rounded(double value) { return static_cast<float>(value); }
float exp_of(float x) { return rounded(std::exp(double{x})); }
float gate_of(float x) { return std::min(std::max(x + 3.0F, 0.0F), 6.0F); }

struct Function {
  std::string op, attributes;
  std::function<float(float)> value;
};

const Function kFunctions[] = {
    {"relu", "", [](float x) { return std::max(x, 0.0F); }},
    {"relu6", "", [](float x) { return std::min(std::max(x, 0.0F), 6.0F); }},
    {"leaky_relu", R"("negative_slope": 0.3)", [](float x) { return x > 0 ? x : x * 0.3F; }},
    {"hard_sigmoid", "", [](float x) { return gate_of(x) / 6.0F; }},
    {"hard_swish", "",
     [](float x) {
       const float product = x * gate_of(x);
       return product / 6.0F;
     }},
    {"tanh", "", [](float x) { return rounded(std::tanh(double{x})); }},
    {"sigmoid", "",
     [](float x) {
       const float below = 1.0F + exp_of(-x);
       return 1.0F / below;
     }},
    {"silu", "",
     [](float x) {
       const float below = 1.0F + exp_of(-x);
       return x / below;
     }},
    {"gelu", "",
     [](float x) {
       const float inner = x * rounded(std::sqrt(0.5));
       const float gate = 1.0F + rounded(std::erf(double{inner}));
       const float half = x * 0.5F;
       return half * gate;
     }},
    {"elu", R"("alpha": 0.7)",
     [](float x) {
       const float less = exp_of(x) - 1.0F;
       return x > 0 ? x : less * 0.7F;
     }},
    {"softplus", R"("beta": 1.7, "threshold": 15.3)",
     [](float x) {
       const float scaled = x * 1.7F;
       const float curve = rounded(std::log1p(double{exp_of(scaled)}));
       return scaled > 15.3F ? x : curve / 1.7F;
     }},
};

}  // namespace

TEST_CASE("each float function has the bits of its formula at every code of 16 bits") {
  Codes codes;
  for (std::int64_t code = -32768; code <= 32767; ++code) codes.push_back(code);
  for (const Function& function : kFunctions) {
    CAPTURE(function.op);
    const std::vector<float> found = run(op(function.op, function.attributes), {{{65536}, codes}});
    std::vector<float> expected;
    for (const std::int64_t code : codes) expected.push_back(function.value(value_of(code)));
    check_values(found, expected);
  }
}

TEST_CASE("a batch norm is one product and one sum, with factors rounded from double once") {
  const std::vector<float> weight = {1.3F, -0.7F, 0.0F}, bias = {0.1F, 2.0F, -3.3F},
                           mean = {0.4F, -1.1F, 7.0F}, variance = {0.9F, 0.0F, 123.0F};
  StateDict state;
  state.add("n.weight", float_tensor({3}, weight));
  state.add("n.bias", float_tensor({3}, bias));
  state.add("n.running_mean", float_tensor({3}, mean));
  state.add("n.running_var", float_tensor({3}, variance));
  state.add("n.num_batches_tracked",
            lockstep::Tensor{Dtype::kInt64, {}, std::vector<std::byte>(8)});
  const struct {
    std::string op;
    Shape shape;
  } cases[] = {{"batch_norm1d", {3}}, {"batch_norm1d", {3, 4}}, {"batch_norm2d", {3, 2, 5}}};
  for (const auto& [name, shape] : cases) {
    const std::int64_t elements = element_count(shape), plane = elements / 3;
    const Codes codes = random_codes(2 * elements);
    std::vector<float> expected;
    for (std::int64_t i = 0; i < 2 * elements; ++i) {
      const auto c = static_cast<std::size_t>(i / plane % 3);
      const double scale = weight[c] / std::sqrt(double{variance[c]} + 1e-5);
      const float product = value_of(codes[static_cast<std::size_t>(i)]) * rounded(scale);
      expected.push_back(product + rounded(bias[c] - mean[c] * scale));
    }
    check_values(run(op(name, R"("num_features": 3)"), {{shape, codes}}, state), expected);
  }
  StateDict spreadless;
  for (const auto& [key, tensor] : state.entries()) spreadless.add(key, tensor);
  CHECK(contains(
      input_error_of([&] {
        run(op("batch_norm1d", R"("num_features": 3, "eps": 0)"), {{{3}, {1, 2, 3}}}, spreadless);
      }),
      "layer 'n': channel 1 has variance 0 and eps 0"));
}

TEST_CASE("an average is the exact sum of its window, divided once by the positions it counts") {
  // 5 x 7 with a padding of 1; with ceil_mode the last column of windows reaches behind the
  // padding.
  const Codes codes = random_codes(35);
  for (const bool ceil_mode : {false, true})
    for (const bool include : {false, true}) {
      std::vector<float> expected;
      for (std::int64_t y = 0; y < 3; ++y)
        for (std::int64_t x = 0; x < (ceil_mode ? 4 : 3); ++x) {
          std::int64_t sum = 0, inside = 0, padded = 0;
          for (std::int64_t iy = 2 * y - 1; iy < 2 * y + 2; ++iy)
            for (std::int64_t ix = 2 * x - 1; ix < 2 * x + 3; ++ix) {
              if (iy >= 6 || ix >= 8) continue;
              ++padded;
              if (iy < 0 || ix < 0 || iy >= 5 || ix >= 7) continue;
              ++inside;
              sum += codes[static_cast<std::size_t>(iy * 7 + ix)];
            }
          expected.push_back(value_of(sum) / static_cast<float>(include ? padded : inside));
        }
      const std::string attributes = fmt::format(
          R"("kernel_size": [3, 4], "stride": 2, "padding": 1, "ceil_mode": {}, "count_include_pad": {})",
          ceil_mode, include);
      check_values(run(op("avg_pool2d", attributes), {{{1, 5, 7}, codes}}), expected);
    }
  check_values(run(op("avg_pool1d", R"("kernel_size": 3)"), {{{2, 7}, counted(14)}}),
               {value_of(3) / 3, value_of(12) / 3, value_of(24) / 3, value_of(33) / 3});
}

TEST_CASE("an adaptive average divides once, by the positions of windows that may overlap") {
  const Codes codes = random_codes(2 * 3 * 5 * 7);
  std::vector<float> expected;
  for (std::int64_t plane = 0; plane < 6; ++plane)
    for (std::int64_t y = 0; y < 3; ++y)
      for (std::int64_t x = 0; x < 9; ++x) {
        std::int64_t sum = 0, positions = 0;
        for (std::int64_t iy = y * 5 / 3; iy < ((y + 1) * 5 + 2) / 3; ++iy)
          for (std::int64_t ix = x * 7 / 9; ix < ((x + 1) * 7 + 8) / 9; ++ix, ++positions)
            sum += codes[static_cast<std::size_t>((plane * 5 + iy) * 7 + ix)];
        expected.push_back(value_of(sum) / static_cast<float>(positions));
      }
  check_values(run(op("adaptive_avg_pool2d", R"("output_size": [3, 9])"), {{{3, 5, 7}, codes}}),
               expected);
  check_values(run(op("adaptive_avg_pool1d", R"("output_size": 1)"), {{{1, 7}, counted(7)}}),
               {value_of(21) / 7});
}

TEST_CASE("max_pool1d takes the largest value of each window") {
  check_codes(run(op("max_pool1d", R"("kernel_size": 2, "stride": 2, "padding": 1)"),
                  {{{1, 6}, {-5, -9, -3, -4, 7, 1}}}),
              {-5, -3, 7, 1});
}

TEST_CASE("convolutions and their transposes sum exactly and then add the bias") {
  StateDict state;
  state.add("n.weight", float_tensor({2, 1, 3}, {1, -2, 3, 0.5F, 0, -4}));
  state.add("n.bias", float_tensor({2}, {0.1F, -7.3F}));
  const Codes codes = random_codes(2 * 4);
  const auto x = [&](std::size_t c, std::int64_t i) {
    return i < 0 || i >= 4 ? 0.0F : value_of(codes[c * 4 + static_cast<std::size_t>(i)]);
  };
  std::vector<float> expected;
  for (std::int64_t i = 0; i < 4; i += 2)
    expected.push_back(x(0, i - 1) - 2 * x(0, i) + 3 * x(0, i + 1) + 0.1F);
  for (std::int64_t i = 0; i < 4; i += 2)
    expected.push_back(0.5F * x(1, i - 1) - 4 * x(1, i + 1) + -7.3F);
  const std::string conv =
      R"("in_channels": 2, "out_channels": 2, "kernel_size": 3, "stride": 2, "padding": 1, "groups": 2)";
  check_values(run(op("conv1d", conv), {{{2, 4}, codes}}, state), expected);

  // Position i of the input reaches 2 * i - 1 to 2 * i + 1 of the output.
  expected.clear();
  for (std::int64_t i = 0; i < 8; ++i)
    expected.push_back((i % 2 == 0 ? -2 * x(0, i / 2) : 3 * x(0, (i - 1) / 2) + x(0, (i + 1) / 2)) +
                       0.1F);
  for (std::int64_t i = 0; i < 8; ++i)
    expected.push_back((i % 2 == 0 ? 0.0F : -4 * x(1, (i - 1) / 2) + 0.5F * x(1, (i + 1) / 2)) +
                       -7.3F);
  check_values(
      run(op("conv_transpose1d", conv + R"(, "output_padding": 1)"), {{{2, 4}, codes}}, state),
      expected);
  StateDict plane;
  plane.add("n.weight", float_tensor({2, 1, 1, 3}, {1, -2, 3, 0.5F, 0, -4}));
  plane.add("n.bias", float_tensor({2}, {0.1F, -7.3F}));
  const std::string conv2d =
      R"("in_channels": 2, "out_channels": 2, "kernel_size": [1, 3], "stride": [1, 2],
         "padding": [0, 1], "groups": 2, "output_padding": [0, 1])";
  check_values(run(op("conv_transpose2d", conv2d), {{{2, 1, 4}, codes}}, plane), expected);
}

TEST_CASE("two values are added, subtracted and multiplied, with sizes of 1 spread") {
  const Value a = {{2, 3}, {1, 2, 3, -4, -5, -6}}, b = {{2, 1}, {10, -32}};
  check_codes(run(op("add"), {a, b}), {11, 12, 13, -36, -37, -38});
  check_codes(run(op("sub"), {a, b}), {-9, -8, -7, 28, 27, 26});
  check_codes(run(op("sub"), {b, a}), {9, 8, 7, -28, -27, -26});
  const std::vector<float> product = run(op("mul"), {a, b});
  const Codes expected = {10, 20, 30, 128, 160, 192};
  REQUIRE(product.size() == expected.size());
  for (std::size_t i = 0; i < product.size(); ++i)
    CHECK(product[i] == std::ldexp(static_cast<float>(expected[i]), -2 * kDecimal));
}

TEST_CASE("moves put every value where PyTorch puts it") {
  const Value a = {{2, 2, 3}, counted(12)};
  check_codes(run(op("flatten"), {a}), counted(12));
  check_codes(run(op("reshape", R"("shape": [3, -1])"), {a}), counted(12));
  check_codes(run(op("transpose", R"("dim0": 1, "dim1": 3)"), {a}),
              {0, 6, 3, 9, 1, 7, 4, 10, 2, 8, 5, 11});
  check_codes(run(op("slice", R"("dim": 3, "start": 0, "end": 99, "step": 2)"), {a}),
              {0, 2, 3, 5, 6, 8, 9, 11});
  check_codes(run(op("concat"), {a, {{1, 2, 3}, {-1, -2, -3, -4, -5, -6}}}),
              {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, -1, -2, -3, -4, -5, -6});
  check_codes(run(op("concat", R"("dim": 2)"), {{{2, 1}, {1, 2}}, {{2, 2}, {3, 4, 5, 6}}}),
              {1, 3, 4, 2, 5, 6});
  check_codes(run(op("pixel_shuffle", R"("upscale_factor": 2)"), {{{4, 1, 2}, counted(8)}}),
              {0, 2, 1, 3, 4, 6, 5, 7});
  check_codes(run(op("pixel_unshuffle", R"("downscale_factor": 2)"),
                  {{{1, 2, 4}, {0, 2, 1, 3, 4, 6, 5, 7}}}),
              counted(8));
  check_codes(run(op("argmax"), {{{3, 2}, {1, 5, 4, 5, 4, -9}}}), {32, 0});  // 1.0 and 0.0
  for (const std::string name : {"softmax", "log_softmax", "identity", "dropout"})
    check_codes(run(op(name), {a}), counted(12));
}

TEST_CASE("padding repeats, mirrors or fills with zeros, the last axis first") {
  const Value row = {{1, 3}, {1, 2, 3}}, plane = {{1, 2, 2}, {1, 2, 3, 4}};
  check_codes(run(op("pad", R"("padding": [2, 1])"), {row}), {0, 0, 1, 2, 3, 0});
  check_codes(run(op("pad", R"("padding": [2, 1], "mode": "reflect")"), {row}), {3, 2, 1, 2, 3, 2});
  check_codes(run(op("pad", R"("padding": [2, 4], "mode": "replicate")"), {row}),
              {1, 1, 1, 2, 3, 3, 3, 3, 3});
  check_codes(run(op("pad", R"("padding": [1, 0, 0, 1])"), {plane}), {0, 1, 2, 0, 3, 4, 0, 0, 0});
  check_codes(run(op("pad", R"("padding": [1, 0, 0, 1], "mode": "reflect")"), {plane}),
              {2, 1, 2, 4, 3, 4, 2, 1, 2});
  check_codes(run(op("pad", R"("padding": [1, 0], "mode": "reflect")"), {plane}),
              {2, 1, 2, 4, 3, 4});
}

TEST_CASE(
    "upsampling repeats each position, or takes exact halves and quarters of its neighbours") {
  // 49 is a factor for which a product with the rounded 1 / 49 misses positions.
  Codes repeated;
  for (std::int64_t i = 0; i < 5 * 49; ++i) repeated.push_back(i / 49);
  check_codes(run(op("upsample", R"("scale_factor": 49)"), {{{1, 5}, counted(5)}}), repeated);
  check_codes(run(op("upsample", R"("scale_factor": [1, 2])"), {{{1, 2, 2}, {1, 2, 3, 4}}}),
              {1, 1, 2, 2, 3, 3, 4, 4});
  check_codes(run(op("upsample", R"("scale_factor": 2, "mode": "bilinear")"),
                  {{{1, 2, 2}, {0, 16, 32, 80}}}),
              {0, 4, 12, 16, 8, 14, 26, 32, 24, 34, 54, 64, 32, 44, 68, 80});
  check_codes(
      run(op("upsample", R"("scale_factor": [1, 4], "mode": "bilinear")"), {{{1, 1, 2}, {0, 8}}}),
      {0, 0, 1, 3, 5, 7, 8, 8});
}

TEST_CASE("a mask of another size is repeated in the middle where strict is false") {
  StateDict state;
  const auto add_mask = [](StateDict& to, const Shape& shape, const std::string& keep) {
    lockstep::Tensor mask{Dtype::kBool, shape, {}};
    for (const char c : keep) mask.bytes.push_back(std::byte(c - '0'));
    to.add("n.mask", mask);
    to.add("n._n_updates", lockstep::Tensor{Dtype::kInt32, {1}, std::vector<std::byte>(4)});
    to.add("n._cur_sparsity", float_tensor({1}, {0.5F}));
  };
  add_mask(state, {1, 3}, "011");
  const std::string loose = op("prune", R"("strict": false)"), strict = op("prune");
  check_codes(run(strict, {{{1, 3}, {1, 2, 3}}}, state), {0, 2, 3});
  check_codes(run(strict, {{{2, 3}, {1, 2, 3, 4, 5, 6}}}, state), {0, 2, 3, 0, 5, 6});
  // 8 = 1 kept + 2 * 3 + 1 kept; 5 = 1 kept + 3 + 1 kept; 2 is too short for any.
  check_codes(run(loose, {{{1, 8}, {1, 2, 3, 4, 5, 6, 7, 8}}}, state), {1, 0, 3, 4, 0, 6, 7, 8});
  check_codes(run(loose, {{{1, 5}, {1, 2, 3, 4, 5}}}, state), {1, 0, 3, 4, 5});
  check_codes(run(loose, {{{1, 2}, {1, 2}}}, state), {1, 2});
  CHECK(contains(input_error_of([&] {
                   run(strict, {{{1, 5}, {1, 2, 3, 4, 5}}}, state);
                 }),
                 "layer 'n': the mask has shape [1, 3], a sample of the input [1, 5]"));
  CHECK(contains(input_error_of([&] {
                   run(loose, {{{3}, {1, 2, 3}}}, state);
                 }),
                 "layer 'n': the mask has shape [1, 3], a sample of the input [3]"));

  StateDict square;
  add_mask(square, {1, 2, 2}, "0110");
  check_codes(run(loose, {{{1, 3, 5}, Codes(15, 1)}}, square),
              {0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 1, 1, 1, 1, 1});
}
