// The IR's own tools: validate refuses broken programs, ranges are the true ones, helpers answer
// right.
#include "compile/ir/ir.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <functional>

#include "compile/support/error.h"

namespace lockstep {
namespace {

using namespace ir;

// input [1,2,2] -> conv 1x1 with weight 3, shift 1 -> [1,2,2] -> relu, in place.
Program small_program() {
  Program program;
  program.name = "small";
  const Shape map{1, 2, 2, 3};
  program.values = {{.node = "input",
                     .shape = map,
                     .bits = 8,
                     .decimals = {0},
                     .ranges = {{-128, 127}},
                     .keep = true,
                     .bytes = false,
                     .exact = true,
                     .offsets = {},
                     .arena_offset = 0},
                    {.node = "conv",
                     .shape = map,
                     .bits = 8,
                     .decimals = {-1},
                     .ranges = {{-128, 127}},
                     .keep = false,
                     .bytes = false,
                     .exact = true,
                     .offsets = {},
                     .arena_offset = 16},
                    {.node = "relu",
                     .shape = map,
                     .bits = 8,
                     .decimals = {-1},
                     .ranges = {{0, 127}},
                     .keep = true,
                     .bytes = false,
                     .exact = true,
                     .offsets = {},
                     .arena_offset = 16}};
  Conv2d conv;
  conv.weights = xt::xarray<std::int32_t>::from_shape({1, 1, 1, 1});
  conv.weights.fill(3);
  conv.accumulators = {{{-384, 381}, 384}};
  conv.post.function = Requantize{{1}, Rounding::kTowardZero, -128, 127};
  RequantizeOp relu;
  relu.post.function = Requantize{{0}, Rounding::kTowardZero, 0, 127};
  program.ops = {{.node = "conv", .inputs = {0}, .output = 1, .kind = conv},
                 {.node = "relu", .inputs = {1}, .output = 2, .kind = relu}};
  program.inputs = {0};
  program.outputs = {2};
  program.layout = Layout::kPhysical;
  program.arena_bytes = 32;
  return program;
}

// True when validate() stops the process by an assertion.
bool asserts(const Program& program) {
  std::fflush(nullptr);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);
    if (std::freopen("/dev/null", "w", stderr) == nullptr) _exit(3);
    validate(program);
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

TEST_CASE("validate accepts a sound program and stops at every broken one") {
  REQUIRE_FALSE(asserts(small_program()));
  const auto conv = [](Program& p) -> Conv2d& { return std::get<Conv2d>(p.ops[0].kind); };
  const std::vector<std::pair<const char*, std::function<void(Program&)>>> faults = {
      {"reads a value before it is made", [](Program& p) { std::swap(p.ops[0], p.ops[1]); }},
      {"reads a value that does not exist", [](Program& p) { p.ops[1].inputs = {9}; }},
      {"makes a value twice", [](Program& p) { p.ops[1].output = 1; }},
      {"makes an input", [](Program& p) { p.ops[1].output = 0; }},
      {"value that nobody makes", [](Program& p) { p.values.push_back(p.values[2]); }},
      {"output that is not kept", [](Program& p) { p.values[2].keep = false; }},
      {"no output", [](Program& p) { p.outputs.clear(); }},
      {"bits out of range", [](Program& p) { p.values[1].bits = 33; }},
      {"no decimals", [](Program& p) { p.values[1].decimals.clear(); }},
      {"ranges of another count",
       [](Program& p) {
         p.values[1].ranges.push_back({0, 0});
       }},
      {"range beyond the bits", [](Program& p) { p.values[1].ranges[0].hi = 128; }},
      {"range smaller than proved", [](Program& p) { p.values[1].ranges[0].hi = 126; }},
      {"input range is not all codes", [](Program& p) { p.values[0].ranges[0].lo = -127; }},
      {"shapes do not fit", [](Program& p) { p.values[1].shape.w = 3; }},
      {"window does not fit", [&](Program& p) { conv(p).window.stride[0] = 2; }},
      {"groups do not divide", [&](Program& p) { conv(p).groups = 2; }},
      {"weight beyond int16", [&](Program& p) { conv(p).weights(0, 0, 0, 0) = 32768; }},
      {"weight that the bound does not know", [&](Program& p) { conv(p).weights(0, 0, 0, 0) = 4; }},
      {"bias beyond int32", [&](Program& p) { conv(p).bias = {std::int64_t{1} << 31}; }},
      {"bias that the bound does not know", [&](Program& p) { conv(p).bias = {1}; }},
      {"shift beyond the plan's", [&](Program& p) { conv(p).post.requantize()->shifts = {31}; }},
      {"shifts of another count",
       [&](Program& p) {
         conv(p).post.requantize()->shifts = {1, 1};
       }},
      {"clamp beyond the bits", [&](Program& p) { conv(p).post.requantize()->hi = 128; }},
      {"clamp above zero", [&](Program& p) { conv(p).post.requantize()->lo = 1; }},
      {"mask of another size", [&](Program& p) { conv(p).post.mask = {1}; }},
      {"mask that is no bit",
       [&](Program& p) {
         conv(p).post.mask = {1, 1, 2, 1};
       }},
      {"segments of more channels than there are",
       [&](Program& p) {
         conv(p).segments = {{2, 0}};
       }},
      {"an empty segment",
       [&](Program& p) {
         conv(p).segments = {{0, 0}, {1, 0}};
       }},
      {"a shift before the first segment",
       [&](Program& p) {
         conv(p).segments = {{1, 1}};
       }},
      {"segments of sparse weights",
       [&](Program& p) {
         conv(p).segments = {{1, 0}};
         conv(p).sparse = true;
       }},
      {"raw accumulator in 8 bits", [&](Program& p) { conv(p).post.function = {}; }},
      {"not aligned", [](Program& p) { p.values[1].arena_offset = 17; }},
      {"beyond the arena",
       [](Program& p) { p.values[1].arena_offset = p.values[2].arena_offset = 32; }},
      {"no place", [](Program& p) { p.values[2].arena_offset.reset(); }},
      {"conv in place",
       [](Program& p) { p.values[1].arena_offset = p.values[2].arena_offset = 0; }},
  };
  for (const auto& fault : faults) {
    CAPTURE(fault.first);
    Program program = small_program();
    fault.second(program);
    CHECK(asserts(program));
  }
}

TEST_CASE("validate finds a value that is overwritten while it is still needed") {
  Program program = small_program();
  // A second reader of the input, after the relu, which was put into the input's place.
  program.values.push_back({.node = "late",
                            .shape = {1, 2, 2, 3},
                            .bits = 8,
                            .decimals = {0},
                            .ranges = {{0, 127}},
                            .keep = true,
                            .bytes = false,
                            .exact = true,
                            .offsets = {},
                            .arena_offset = 32});
  RequantizeOp late;
  late.post.function = Requantize{{0}, Rounding::kTowardZero, 0, 127};
  program.ops.push_back({.node = "late", .inputs = {0}, .output = 3, .kind = late});
  program.arena_bytes = 48;
  REQUIRE_FALSE(asserts(program));
  Program overwritten = program;
  overwritten.values[2].arena_offset = 0;
  CHECK(asserts(overwritten));
  Program output_lost = program;
  output_lost.outputs = {2, 3};
  REQUIRE_FALSE(asserts(output_lost));
  output_lost.values[3].arena_offset = 16;
  CHECK(asserts(output_lost));
}

TEST_CASE("evaluate computes what the definition says") {
  const std::vector<std::int64_t> in{-128, -1, 1, 127};
  const auto codes = evaluate(small_program(), {in});
  CHECK(codes.at(1) == std::vector<std::int64_t>{-128, -1, 1, 127});  // clamp(trunc(x * 3 / 2))
  CHECK(codes.at(2) == std::vector<std::int64_t>{0, 0, 1, 127});
}

TEST_CASE("proved ranges contain every code, and corners reach the bounds of a first layer") {
  const Program program = [] {
    Program p = small_program();
    p.ops.pop_back();
    p.values.pop_back();
    p.values[1].keep = true;
    p.outputs = {1};
    std::get<Conv2d>(p.ops[0].kind).post = {};
    p.values[1].bits = 32;
    p.values[1].decimals = {0};
    p.values[1].ranges = {{-384, 381}};
    return p;
  }();
  std::int64_t lo = 0, hi = 0;
  for (std::int64_t x = -128; x <= 127; ++x) {
    const std::int64_t y = evaluate(program, {{x, x, x, x}}).at(1).at(0);
    lo = std::min(lo, y);
    hi = std::max(hi, y);
  }
  CHECK(program.values[1].ranges[0] == Range{lo, hi});
}

// A linear op over [3,1,2] whose weights lie in the order of `layout`; the segments are of
// channels.
Program linear_program(Layout layout, const std::vector<std::int32_t>& weights,
                       const std::vector<Segment>& segments) {
  Program program;
  program.name = "linear";
  program.layout = layout;
  const auto value = [](const char* node, Shape shape, int bits) {
    Value v;
    v.node = node;
    v.shape = shape;
    v.bits = bits;
    v.decimals = {0};
    v.ranges.assign(static_cast<std::size_t>(shape.c), code_limits(bits));
    v.keep = true;
    return v;
  };
  program.values = {value("input", {3, 1, 2, 3}, 8), value("fc", {1, 1, 1, 1}, 32)};
  Linear linear;
  linear.weights = xt::xarray<std::int32_t>::from_shape({1, 6});
  std::copy(weights.begin(), weights.end(), linear.weights.begin());
  linear.segments = segments;
  linear.bias = {1000};
  program.ops = {{.node = "fc", .inputs = {0}, .output = 1, .kind = linear}};
  program.inputs = {0};
  program.outputs = {1};
  derive_ranges(program);
  return program;
}

TEST_CASE("a weight of a segment stands for itself times 2 to the shifts of the later ones") {
  const std::vector<Segment> segments = {{1, 0}, {2, 3}, {3, 1}};
  CHECK(weight_shifts(segments, 3) == std::vector<int>{4, 1, 0});
  CHECK(weight_shifts({{2, 0}, {7, 5}}, 7) == std::vector<int>{5, 5, 0, 0, 0, 0, 0});
  CHECK(weight_shifts({}, 2) == std::vector<int>{0, 0});
  const struct {
    Layout layout;
    std::vector<std::int32_t> stored, effective;
  } cases[] = {
      {Layout::kLogical, {1, -2, 3, 4, -5, 6}, {16, -32, 6, 8, -5, 6}},
      {Layout::kPhysical, {1, 3, -5, -2, 4, 6}, {16, 6, -5, -32, 8, 6}},
  };
  for (const auto& c : cases) {
    const Program with = linear_program(c.layout, c.stored, segments);
    const Program without = linear_program(c.layout, c.effective, {});
    validate(with);
    CHECK(*accumulators_of(with.ops[0].kind) == *accumulators_of(without.ops[0].kind));
    const std::vector<std::vector<std::int64_t>> inputs = {{1, 10, -128, 127, 5, -6}};
    CHECK(evaluate(with, inputs) == evaluate(without, inputs));
    CHECK(evaluate(with, inputs)[1] ==
          std::vector<std::int64_t>{16 - 320 - 768 + 1016 - 25 - 36 + 1000});
    CHECK(to_text(with).find(" segments 1:0 2:3 3:1 weights") != std::string::npos);
  }
}

TEST_CASE("bits_to_hold is the width of two's complement") {
  for (int bits = 2; bits <= 33; ++bits) {
    const Range limits = code_limits(bits);
    CHECK(bits_to_hold(limits.lo, 0) == bits);
    CHECK(bits_to_hold(0, limits.hi) == bits);
    CHECK(bits_to_hold(limits.lo - 1, 0) == bits + 1);
    CHECK(bits_to_hold(0, limits.hi + 1) == bits + 1);
  }
  CHECK(bits_to_hold(0, 0) == 1);
}

TEST_CASE("logical_index maps H,W,C to C,H,W, each element once") {
  const Shape shape{3, 2, 5, 3};
  std::vector<bool> seen(30, false);
  for (std::int64_t y = 0; y < 2; ++y)
    for (std::int64_t x = 0; x < 5; ++x)
      for (std::int64_t c = 0; c < 3; ++c) {
        const std::int64_t logical = logical_index(shape, (y * 5 + x) * 3 + c);
        CHECK(logical == (c * 2 + y) * 5 + x);
        seen.at(static_cast<std::size_t>(logical)) = true;
      }
  CHECK(std::all_of(seen.begin(), seen.end(), [](bool s) { return s; }));
}

}  // namespace
}  // namespace lockstep
