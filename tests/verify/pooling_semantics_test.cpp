// Max and average pooling of the exact semantics against naive loops over values.
#include <doctest/doctest.h>

#include <algorithm>
#include <optional>

#include "tests/support/input_error.h"
#include "tests/verify/one_node.h"
#include "verify/semantics/index.h"

using namespace lockstep;
using namespace lockstep::test;
using verify::at;
using verify::FloatFunction;
using verify::Format;

namespace {

struct Window {
  std::int64_t kernel, stride, padding, dilation;
};

// Positions of one window along one axis that lie inside, and how many the mean divides by.
struct Positions {
  std::vector<std::int64_t> inside;
  std::int64_t counted = 0;
};
Positions positions(const Window& window, std::int64_t i, std::int64_t input, bool include_pad) {
  Positions result;
  for (std::int64_t k = 0; k < window.kernel; ++k) {
    const std::int64_t place = i * window.stride - window.padding + k * window.dilation;
    const bool is_inside = place >= 0 && place < input;
    if (is_inside) result.inside.push_back(place);
    const bool is_padded = place < input + window.padding;
    result.counted += (include_pad ? is_padded : is_inside) ? 1 : 0;
  }
  return result;
}

std::vector<Window> windows_of(const Node& node) {
  std::vector<Window> windows;
  for (std::size_t axis = 0; axis < node.integers("kernel_size").size(); ++axis)
    windows.push_back({node.integers("kernel_size")[axis], node.integers("stride")[axis],
                       node.integers("padding")[axis],
                       node.attributes.contains("dilation") ? node.integers("dilation")[axis] : 1});
  if (windows.size() == 1) windows.insert(windows.begin(), {1, 1, 0, 1});
  return windows;
}

struct Naive {
  std::vector<double> largest, sums;
  std::vector<std::int64_t> counts;
};
// (C, H, W), or (C, L) as (C, 1, L).
Naive naive(const Node& node, const Format& input, const Format& output,
            const std::vector<double>& values) {
  const std::vector<Window> windows = windows_of(node);
  const std::int64_t height = input.shape.size() == 3 ? input.shape[1] : 1,
                     width = input.shape.back();
  const std::int64_t out_height = output.shape.size() == 3 ? output.shape[1] : 1;
  const bool include =
      !node.attributes.contains("count_include_pad") || node.flag("count_include_pad");
  Naive result;
  for (std::int64_t c = 0; c < output.shape[0]; ++c)
    for (std::int64_t y = 0; y < out_height; ++y)
      for (std::int64_t x = 0; x < output.shape.back(); ++x) {
        const Positions rows = positions(windows[0], y, height, include);
        const Positions columns = positions(windows[1], x, width, include);
        std::optional<double> largest;
        double sum = 0;
        for (const std::int64_t row : rows.inside)
          for (const std::int64_t column : columns.inside) {
            const double value = values[at((c * height + row) * width + column)];
            largest = std::max(largest.value_or(value), value);
            sum += value;
          }
        result.largest.push_back(*largest);
        result.sums.push_back(sum);
        result.counts.push_back(rows.counted * columns.counted);
      }
  return result;
}

Format mixed_format(const std::vector<std::int64_t>& shape, bool per_element, Codes& random) {
  Format format = codes_format(shape, {});
  const std::int64_t plane = format.element_count() / shape[0];
  for (std::int64_t e = 0; e < format.element_count(); ++e)
    format.decimals.push_back(per_element || e % plane == 0
                                  ? static_cast<int>(random.between(-2, 5))
                                  : format.decimals.back());
  return format;
}

}  // namespace

TEST_CASE("max pooling takes the largest value inside the input") {
  Codes random(1);
  for (const char* attributes :
       {R"("kernel_size": [2, 3])", R"("kernel_size": [3, 3], "stride": [2, 1], "padding": [1, 1])",
        R"("kernel_size": [2, 2], "stride": [2, 2], "dilation": [3, 2], "ceil_mode": true)"})
    for (int i = 0; i < 6; ++i) {
      const Node node = node_of("max_pool2d", attributes);
      const Built built =
          Built(verify::make_max_pool, node, mixed_format({3, 7, 6}, i % 2 == 1, random));
      const std::vector<std::int64_t> codes = random.of(built.inputs[0]);
      const std::vector<std::int64_t> found = run(*built.op, {codes});
      CHECK(in_bounds(built.op->format(), found));
      CHECK(values_of(built.op->format(), found) ==
            naive(node, built.inputs[0], built.op->format(), values_of(built.inputs[0], codes))
                .largest);
    }
  const Node node = node_of("max_pool1d", R"("kernel_size": 3, "padding": 1)");
  const Built built = Built(verify::make_max_pool, node, codes_format({2, 8}, {1}));
  const std::vector<std::int64_t> codes = random.of(built.inputs[0]);
  CHECK(built.op->format().shape == std::vector<std::int64_t>{2, 3});
  CHECK(built.op->format().bits == 8);
  CHECK(
      values_of(built.op->format(), run(*built.op, {codes})) ==
      naive(node, built.inputs[0], built.op->format(), values_of(built.inputs[0], codes)).largest);
}

TEST_CASE("average pooling divides by the positions that PyTorch counts") {
  Codes random(2);
  std::int64_t exact = 0, real = 0;
  for (const char* attributes :
       {R"("kernel_size": [2, 4])", R"("kernel_size": [3, 3], "stride": [2, 2], "padding": [1, 1])",
        R"("kernel_size": [4, 2], "padding": [2, 1], "count_include_pad": false)",
        R"("kernel_size": [3, 2], "stride": [3, 2], "ceil_mode": true)",
        R"("kernel_size": [3, 3], "stride": [2, 2], "padding": [1, 1], "ceil_mode": true)",
        R"("kernel_size": [3, 3], "stride": [2, 2], "padding": [1, 1], "ceil_mode": true,
           "count_include_pad": false)"})
    for (int i = 0; i < 6; ++i) {
      CAPTURE(attributes);
      const Node node = node_of("avg_pool2d", attributes);
      const Built built =
          Built(verify::make_avg_pool, node, mixed_format({2, 8, 7}, i % 2 == 1, random));
      const Format& format = built.op->format();
      const std::vector<std::int64_t> codes = random.of(built.inputs[0]);
      const std::vector<std::int64_t> found = run(*built.op, {codes});
      CHECK(in_bounds(format, found));
      const Naive expected =
          naive(node, built.inputs[0], format, values_of(built.inputs[0], codes));
      (format.real ? real : exact) += 1;
      for (std::int64_t e = 0; e < format.element_count(); ++e) {
        const double count = static_cast<double>(expected.counts[at(e)]);
        const double value = verify::value_of(format, e, found[at(e)]);
        // Sums are far below 2^24 steps, so one division rounds.
        REQUIRE(static_cast<float>(value) ==
                static_cast<float>(expected.sums[at(e)]) / static_cast<float>(count));
        if (!format.real) REQUIRE(value * count == expected.sums[at(e)]);
        if (!format.real) continue;
        // The integer behind it: the sum over the common divisor.
        const verify::RealSource& source = format.source(e);
        REQUIRE(*format.base(e) == verify::ExactBase{"n", true});
        const double divisor = static_cast<double>(format.chain(e).steps.at(0).a);
        const double sum = std::ldexp(expected.sums[at(e)] * divisor / count, source.decimal);
        REQUIRE(sum == std::trunc(sum));
        REQUIRE(verify::apply_to_code(format.chain(e), static_cast<std::int64_t>(sum),
                                      source.decimal) == verify::real_from_bits(found[at(e)]));
      }
    }
  CHECK(exact > 0);
  CHECK(real > 0);
}

TEST_CASE("adaptive average pooling has windows from floor to ceiling") {
  Codes random(3);
  for (const std::int64_t outputs : {1, 2, 3, 4, 5}) {
    const Node node =
        node_of("adaptive_avg_pool2d", fmt::format(R"("output_size": [{}, 2])", outputs));
    const Built built = Built(verify::make_avg_pool, node, codes_format({2, 5, 4}, {3}));
    const Format& format = built.op->format();
    CHECK(format.shape == std::vector<std::int64_t>{2, outputs, 2});
    const std::vector<std::int64_t> codes = random.of(built.inputs[0]);
    const std::vector<std::int64_t> found = run(*built.op, {codes});
    for (std::int64_t e = 0; e < format.element_count(); ++e) {
      const std::int64_t c = e / (2 * outputs), y = e / 2 % outputs, x = e % 2;
      const std::int64_t first = y * 5 / outputs, last = ((y + 1) * 5 + outputs - 1) / outputs;
      std::int64_t sum = 0, count = 0;
      for (std::int64_t row = first; row < last; ++row)
        for (std::int64_t column = 2 * x; column < 2 * x + 2; ++column) {
          sum += codes[at((c * 5 + row) * 4 + column)];
          count += 1;
        }
      REQUIRE(static_cast<float>(verify::value_of(format, e, found[at(e)])) ==
              static_cast<float>(sum) / 8 / static_cast<float>(count));
    }
  }
  const Built global =
      Built(verify::make_avg_pool, node_of("adaptive_avg_pool1d", R"("output_size": 1)"),
            codes_format({1, 4}, {2}));
  CHECK(global.op->format().decimals == std::vector<int>{4});
  CHECK(run(*global.op, {{1, 2, 3, 5}}) == std::vector<std::int64_t>{11});
}

TEST_CASE("windows of different sizes share the least common divisor of each axis") {
  // Counts 2, 3, 2 along both axes: N = 36.
  const Node node = node_of("avg_pool2d", R"("kernel_size": [3, 3], "stride": [1, 1],
      "padding": [1, 1], "count_include_pad": false)");
  const verify::MeanWindows windows = verify::mean_windows(node, {3, 3});
  CHECK(windows.divisor == 36);
  REQUIRE(windows.rows.size() == 3);
  CHECK(windows.rows[0].begin == 0);
  CHECK(windows.rows[0].end == 2);
  CHECK(windows.rows[0].multiplier == 3);
  CHECK(windows.rows[1].multiplier == 2);
  CHECK(windows.rows[2].begin == 1);
}

TEST_CASE("max pooling of real values takes the largest integer through a function that rises") {
  Codes random(4);
  Format codes = codes_format({2, 4, 4}, per_channel({2, 4, 4}, {3, 5}));
  const std::vector<verify::FloatStep> rises = {{FloatFunction::kScaleAdd, 0.3F, 0.1F},
                                                {FloatFunction::kScaleAdd, 1.7F, -4}};
  const Node node = node_of("max_pool2d", R"("kernel_size": [2, 2])");
  const Built built =
      Built(verify::make_max_pool, node, verify::append_steps(codes, "x", "bn", rises));
  const Format& format = built.op->format();
  const std::vector<std::int64_t> input = random.of(codes);
  std::vector<std::int64_t> bits;
  for (std::int64_t e = 0; e < codes.element_count(); ++e)
    bits.push_back(verify::real_to_bits(
        verify::apply_to_code(built.inputs[0].chain(e), input[at(e)], codes.decimal(e))));
  const std::vector<std::int64_t> found = run(*built.op, {bits});
  CHECK(in_bounds(format, found));
  CHECK(values_of(format, found) ==
        naive(node, built.inputs[0], format, values_of(built.inputs[0], bits)).largest);
  // The same by way of the integers.
  const Built exact = Built(verify::make_max_pool, node, codes);
  const std::vector<std::int64_t> largest = run(*exact.op, {input});
  for (std::int64_t e = 0; e < format.element_count(); ++e) {
    REQUIRE(*format.base(e) == verify::ExactBase{"n", true});
    REQUIRE(verify::real_from_bits(found[at(e)]) ==
            verify::apply_to_code(format.chain(e), largest[at(e)], format.source(e).decimal));
  }
  REQUIRE(built.op->sums() != nullptr);
  CHECK(built.op->sums()->decimal(4) == 5);
}

TEST_CASE("what pooling cannot do is refused by the layer's name") {
  const Node max = node_of("max_pool2d", R"("kernel_size": [2, 2])");
  const Node mean = node_of("avg_pool2d", R"("kernel_size": [3, 3])");
  const auto real = [](float slope) {
    const std::vector<verify::FloatStep> step = {{FloatFunction::kScaleAdd, slope, 1}};
    return verify::append_steps(codes_format({1, 4, 4}, {3}), "x", "bn", step);
  };
  CHECK(
      contains(input_error_of([&] { Built(verify::make_max_pool, max, real(-1)); }),
               "layer 'n': its input 'x0' is not quantized, and a float function on the way to it "
               "(x * -1 + 1) may fall"));
  Format masked = real(1);
  masked.sources[3] = verify::RealSource();
  CHECK(contains(input_error_of([&] { Built(verify::make_max_pool, max, masked); }),
                 "a mask or padding acts on it"));
  CHECK(contains(input_error_of([&] { Built(verify::make_avg_pool, mean, real(1)); }),
                 "put a quantize node before this layer"));
  // 9 * 2^21 > 2^24.
  Format wide = codes_format({1, 3, 3}, {0}, 22);
  CHECK(contains(input_error_of([&] { Built(verify::make_avg_pool, mean, wide); }),
                 "layer 'n': its sums over a common divisor of 9 reach 18874368 steps"));
  CHECK(contains(input_error_of([&] {
                   Built(verify::make_max_pool, max, codes_format({4, 4}, {0}));
                 }),
                 "layer 'n': input of shape [4, 4], but max_pool2d takes [C, H, W]"));
}
