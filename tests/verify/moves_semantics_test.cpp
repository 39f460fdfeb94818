// Operators of the exact semantics that only move values, and bilinear upsampling, against naive
// index arithmetic.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>

#include "tests/support/input_error.h"
#include "tests/verify/one_node.h"
#include "verify/semantics/index.h"

using namespace lockstep;
using namespace lockstep::test;
using verify::at;
using verify::FloatFunction;
using verify::Format;
using Shape = std::vector<std::int64_t>;

namespace {

constexpr std::int64_t kZero = -1;

// Codes that tell their place (unless they are reduced to 8 bits), each element on a grid of its
// own.
Format numbered_format(const Shape& shape, int first_decimal = 0) {
  Format format = codes_format(shape, {}, 16);
  for (std::int64_t e = 0; e < format.element_count(); ++e) {
    format.decimals.push_back(first_decimal + static_cast<int>(e % 7));
    format.ranges.push_back({e + 1, e + 1});
  }
  return format;
}
std::vector<std::int64_t> numbers(const Format& format) {
  std::vector<std::int64_t> codes;
  for (std::int64_t e = 0; e < format.element_count(); ++e) codes.push_back(e + 1);
  return codes;
}

// The result is `shape`, and its element at (c, y, x), or (c, l), or (c), is the input's element
// `source` (kZero: 0): for codes on their grids, and for real values with the integers behind them.
void check_move(verify::OperatorMaker make, const Node& node, const Shape& input,
                const Shape& shape, const std::vector<std::int64_t>& source) {
  CAPTURE(node.op);
  const Format codes = numbered_format(input);
  const Built exact(make, node, codes);
  REQUIRE(exact.format().shape == shape);
  REQUIRE(exact.format().element_count() == static_cast<std::int64_t>(source.size()));
  CHECK(exact.format().bits == 16);
  const std::vector<std::int64_t> found = run(*exact.op, {numbers(codes)});
  CHECK(in_bounds(exact.format(), found));
  for (std::size_t e = 0; e < source.size(); ++e) {
    REQUIRE(found[e] == (source[e] == kZero ? 0 : source[e] + 1));
    if (source[e] != kZero)
      REQUIRE(exact.format().decimal(static_cast<std::int64_t>(e)) == codes.decimal(source[e]));
  }

  const std::vector<verify::FloatStep> step = {{FloatFunction::kAdd, 0.3F, 0}};
  const Format sums = verify::append_steps(codes, "base", "x0", step);
  const Built real(make, node, sums);
  REQUIRE(real.format().real);
  std::vector<std::int64_t> bits;
  for (std::int64_t e = 0; e < codes.element_count(); ++e)
    bits.push_back(
        verify::real_to_bits(verify::apply_to_code(sums.chain(e), e + 1, codes.decimal(e))));
  const std::vector<std::int64_t> moved = run(*real.op, {bits});
  CHECK(in_bounds(real.format(), moved));
  const std::span<const verify::MovedElement> moves = real.op->moves();
  REQUIRE((moves.empty() || moves.size() == source.size()));
  for (std::size_t e = 0; e < source.size(); ++e) {
    const auto element = static_cast<std::int64_t>(e);
    if (!moves.empty()) REQUIRE(moves[e].zero == (source[e] == kZero));
    if (source[e] == kZero) {
      REQUIRE(moved[e] == 0);
      REQUIRE(real.format().base(element) == nullptr);
      REQUIRE(real.format().chain(element).apply(0) == 0);
      continue;
    }
    if (!moves.empty()) REQUIRE(moves[e].element == source[e]);
    REQUIRE(moved[e] == bits[at(source[e])]);
    REQUIRE(*real.format().base(element) == verify::ExactBase{"base", false});
    REQUIRE(real.format().source(element).element == source[e]);
    REQUIRE(real.format().source(element).decimal == codes.decimal(source[e]));
    REQUIRE(real.format().chain(element).steps == step);
  }
}

// The sources of a result of three axes, of which each place is asked.
std::vector<std::int64_t> sources(
    const Shape& shape,
    const std::function<std::int64_t(std::int64_t, std::int64_t, std::int64_t)>& source) {
  std::vector<std::int64_t> result;
  for (std::int64_t c = 0; c < shape[0]; ++c)
    for (std::int64_t y = 0; y < shape[1]; ++y)
      for (std::int64_t x = 0; x < shape[2]; ++x) result.push_back(source(c, y, x));
  return result;
}

std::vector<std::int64_t> in_order(std::int64_t count) {
  std::vector<std::int64_t> result;
  for (std::int64_t e = 0; e < count; ++e) result.push_back(e);
  return result;
}

}  // namespace

TEST_CASE("flatten, reshape, identity and dropout keep the order of elements") {
  check_move(verify::make_flatten, node_of("flatten", ""), {2, 3, 4}, {24}, in_order(24));
  check_move(verify::make_identity, node_of("identity", ""), {2, 3, 4}, {2, 3, 4}, in_order(24));
  check_move(verify::make_identity, node_of("dropout", ""), {6}, {6}, in_order(6));
  check_move(verify::make_reshape, node_of("reshape", R"("shape": [4, 3, 2])"), {2, 3, 4},
             {4, 3, 2}, in_order(24));
  check_move(verify::make_reshape, node_of("reshape", R"("shape": [6, -1])"), {2, 3, 4}, {6, 4},
             in_order(24));
  CHECK(contains(input_error_of([] {
                   Built(verify::make_reshape, node_of("reshape", R"("shape": [5, -1])"),
                         codes_format({2, 3, 4}, {0}));
                 }),
                 "layer 'n': shape [5, -1] does not fit the 24 elements"));
}

TEST_CASE("transpose exchanges two axes") {
  check_move(verify::make_transpose, node_of("transpose", R"("dim0": 1, "dim1": 3)"), {2, 3, 4},
             {4, 3, 2},
             sources({4, 3, 2}, [](auto c, auto y, auto x) { return (x * 3 + y) * 4 + c; }));
  check_move(verify::make_transpose, node_of("transpose", R"("dim0": 3, "dim1": 2)"), {2, 3, 4},
             {2, 4, 3},
             sources({2, 4, 3}, [](auto c, auto y, auto x) { return (c * 3 + x) * 4 + y; }));
  CHECK(contains(input_error_of([] {
                   Built(verify::make_transpose, node_of("transpose", R"("dim0": 1, "dim1": 3)"),
                         codes_format({3, 4}, {0}));
                 }),
                 "layer 'n': dim1 = 3, but an input of shape [3, 4]"));
}

TEST_CASE("slice takes every step-th place") {
  check_move(verify::make_slice, node_of("slice", R"("dim": 3, "start": 1, "end": 6, "step": 2)"),
             {2, 2, 6}, {2, 2, 3}, sources({2, 2, 3}, [](auto c, auto y, auto x) {
               return (c * 2 + y) * 6 + 1 + 2 * x;
             }));
  check_move(verify::make_slice, node_of("slice", R"("start": 2)"), {4, 1, 2}, {2, 1, 2},
             sources({2, 1, 2}, [](auto c, auto, auto x) { return (c + 2) * 2 + x; }));
  CHECK(contains(input_error_of([] {
                   Built(verify::make_slice, node_of("slice", R"("start": 4)"),
                         codes_format({4}, {0}));
                 }),
                 "layer 'n': start = 4"));
}

TEST_CASE("pad surrounds with zeros, a mirror image or the edge") {
  // PyTorch's order: left 2, right 1, top 1, bottom 2.
  const std::string padding = R"("padding": [2, 1, 1, 2], "mode": )";
  const Shape shape = {2, 6, 6};
  check_move(verify::make_pad, node_of("pad", padding + R"("zeros")"), {2, 3, 3}, shape,
             sources(shape, [](auto c, auto y, auto x) {
               return y < 1 || y > 3 || x < 2 || x > 4 ? kZero : (c * 3 + y - 1) * 3 + x - 2;
             }));
  const std::int64_t mirror_y[] = {1, 0, 1, 2, 1, 0}, mirror_x[] = {2, 1, 0, 1, 2, 1};
  check_move(verify::make_pad, node_of("pad", padding + R"("reflect")"), {2, 3, 3}, shape,
             sources(shape, [&](auto c, auto y, auto x) {
               return (c * 3 + mirror_y[y]) * 3 + mirror_x[x];
             }));
  const std::int64_t edge_y[] = {0, 0, 1, 2, 2, 2}, edge_x[] = {0, 0, 0, 1, 2, 2};
  check_move(
      verify::make_pad, node_of("pad", padding + R"("replicate")"), {2, 3, 3}, shape,
      sources(shape, [&](auto c, auto y, auto x) { return (c * 3 + edge_y[y]) * 3 + edge_x[x]; }));
  check_move(verify::make_pad, node_of("pad", R"("padding": [1, 0])"), {2, 2}, {2, 3},
             {kZero, 0, 1, kZero, 2, 3});
  CHECK(contains(input_error_of([] {
                   Built(verify::make_pad,
                         node_of("pad", R"("padding": [0, 3], "mode": "reflect")"),
                         codes_format({1, 3}, {0}));
                 }),
                 "layer 'n': reflect needs a padding below the 3 places of axis 2, but it is 3"));
}

TEST_CASE("pixel_shuffle and pixel_unshuffle exchange channels and places as PyTorch does") {
  check_move(verify::make_pixel_shuffle, node_of("pixel_shuffle", R"("upscale_factor": 2)"),
             {8, 2, 3}, {2, 4, 6}, sources({2, 4, 6}, [](auto c, auto y, auto x) {
               const std::int64_t channel = c * 4 + y % 2 * 2 + x % 2;
               return (channel * 2 + y / 2) * 3 + x / 2;
             }));
  check_move(verify::make_pixel_unshuffle, node_of("pixel_unshuffle", R"("downscale_factor": 3)"),
             {2, 3, 6}, {18, 1, 2}, sources({18, 1, 2}, [](auto c, auto y, auto x) {
               return (c / 9 * 3 + y * 3 + c / 3 % 3) * 6 + x * 3 + c % 3;
             }));
  CHECK(contains(input_error_of([] {
                   Built(verify::make_pixel_shuffle,
                         node_of("pixel_shuffle", R"("upscale_factor": 2)"),
                         codes_format({6, 1, 1}, {0}));
                 }),
                 "layer 'n': input of shape [6, 1, 1] does not fit pixel_shuffle by 2"));
}

TEST_CASE("nearest upsampling repeats") {
  check_move(
      verify::make_upsample, node_of("upsample", R"("scale_factor": [2, 3])"), {2, 2, 2}, {2, 4, 6},
      sources({2, 4, 6}, [](auto c, auto y, auto x) { return (c * 2 + y / 2) * 2 + x / 3; }));
  check_move(verify::make_upsample, node_of("upsample", R"("scale_factor": 3)"), {1, 2}, {1, 6},
             {0, 0, 0, 1, 1, 1});
}

TEST_CASE("concat puts exact and real values side by side") {
  const Node node = node_of("concat", R"("dim": 2)", 3);
  const Format a = numbered_format({2, 1, 2}, 1), b = numbered_format({2, 2, 2}, 4),
               c = numbered_format({2, 1, 2}, 0);
  const auto expected = [](std::int64_t e, std::int64_t& input) {
    const std::int64_t channel = e / 8, row = e / 2 % 4, x = e % 2;
    input = row == 0 ? 0 : row < 3 ? 1 : 2;
    return input == 1 ? (channel * 2 + row - 1) * 2 + x : channel * 2 + x;
  };
  const Built exact(verify::make_concat, node, {a, b, c});
  const std::vector<std::int64_t> found = run(*exact.op, {numbers(a), numbers(b), numbers(c)});
  REQUIRE(exact.format().shape == Shape{2, 4, 2});
  const Format* const formats[] = {&a, &b, &c};
  for (std::int64_t e = 0; e < 16; ++e) {
    std::int64_t input = 0;
    const std::int64_t element = expected(e, input);
    REQUIRE(found[at(e)] == element + 1);
    REQUIRE(exact.format().decimal(e) == formats[input]->decimal(element));
    REQUIRE(exact.op->moves()[at(e)].input == input);
  }
  CHECK(in_bounds(exact.format(), found));

  const std::vector<verify::FloatStep> step = {{FloatFunction::kTanh, 0, 0}};
  const Format real = verify::append_steps(b, "base", "x1", step);
  const Built mixed(verify::make_concat, node, {a, real, c});
  REQUIRE(mixed.format().real);
  std::vector<std::int64_t> bits;
  for (std::int64_t e = 0; e < b.element_count(); ++e)
    bits.push_back(verify::real_to_bits(verify::apply_to_code(real.chain(e), e + 1, b.decimal(e))));
  const std::vector<std::int64_t> values = run(*mixed.op, {numbers(a), bits, numbers(c)});
  const std::string bases[] = {"x0", "base", "x2"};
  for (std::int64_t e = 0; e < 16; ++e) {
    std::int64_t input = 0;
    const std::int64_t element = expected(e, input);
    const verify::RealSource& source = mixed.format().source(e);
    REQUIRE(mixed.format().base(e)->node == bases[input]);
    REQUIRE(source.element == element);
    REQUIRE(mixed.format().chain(e).steps.size() == (input == 1 ? 1 : 0));
    REQUIRE(verify::real_from_bits(values[at(e)]) ==
            verify::apply_to_code(mixed.format().chain(e), element + 1, source.decimal));
  }
  CHECK(in_bounds(mixed.format(), values));

  Format wide = codes_format({2, 1, 2}, {0}, 27);
  CHECK(contains(input_error_of([&] {
                   Built(verify::make_concat, node, {wide, real, c});
                 }),
                 "layer 'n': its input 'x0' has sums of up to 67108864 steps"));
  CHECK(contains(input_error_of([&] {
                   Built(verify::make_concat, node, {a, b, numbered_format({2, 1, 3})});
                 }),
                 "layer 'n': its input 'x0' of shape [2, 1, 2] and 'x2' of shape [2, 1, 3]"));
}

TEST_CASE("concat keeps the most bits, and accumulators stay accumulators") {
  const Node node = node_of("concat", "", 2);
  CHECK(Built(verify::make_concat, node, {codes_format({1}, {0}, 8), codes_format({1}, {0}, 12)})
            .format()
            .bits == 12);
  Format accumulators = codes_format({1}, {0}, 20);
  accumulators.bits = 0;
  CHECK(Built(verify::make_concat, node, {codes_format({1}, {0}, 8), accumulators}).format().bits ==
        0);
}

TEST_CASE("bilinear upsampling is PyTorch's weighted mean of four places, exactly") {
  Codes random(6);
  for (const Shape& factors : {Shape{2, 2}, Shape{4, 1}, Shape{1, 8}}) {
    const Node node = node_of(
        "upsample",
        fmt::format(R"("scale_factor": [{}, {}], "mode": "bilinear")", factors[0], factors[1]));
    Format input = codes_format({2, 3, 4}, {});
    for (std::int64_t e = 0; e < input.element_count(); ++e)
      input.decimals.push_back(static_cast<int>(random.between(0, 4)));
    const Built built(verify::make_upsample, node, input);
    const std::vector<std::int64_t> codes = random.of(input);
    const std::vector<double> values = values_of(input, codes);
    const std::vector<std::int64_t> found = run(*built.op, {codes});
    const Format& format = built.format();
    REQUIRE(format.shape == Shape{2, 3 * factors[0], 4 * factors[1]});
    CHECK(in_bounds(format, found));
    for (std::int64_t e = 0; e < format.element_count(); ++e) {
      const std::int64_t x = e % format.shape[2], y = e / format.shape[2] % format.shape[1],
                         c = e / (format.shape[1] * format.shape[2]);
      // align_corners = False: all of this is exact in double.
      const auto place = [](std::int64_t p, std::int64_t factor) {
        return std::max((static_cast<double>(p) + 0.5) / static_cast<double>(factor) - 0.5, 0.0);
      };
      const double v = place(y, factors[0]), u = place(x, factors[1]);
      const auto value = [&](double row, double column) {
        const auto r = std::min(static_cast<std::int64_t>(row), std::int64_t{2});
        const auto k = std::min(static_cast<std::int64_t>(column), std::int64_t{3});
        return values[at((c * 3 + r) * 4 + k)];
      };
      const double fv = v - std::floor(v), fu = u - std::floor(u);
      const double expected = (1 - fv) * ((1 - fu) * value(v, u) + fu * value(v, u + 1)) +
                              fv * ((1 - fu) * value(v + 1, u) + fu * value(v + 1, u + 1));
      REQUIRE(verify::value_of(format, e, found[at(e)]) == expected);
    }
  }
  CHECK(
      contains(input_error_of([] {
                 Built(verify::make_upsample,
                       node_of("upsample", R"("scale_factor": [2, 3], "mode": "bilinear")"),
                       codes_format({1, 2, 2}, {0}));
               }),
               "layer 'n': scale_factor [2, 3], but bilinear upsampling has exact values only by"));
}
