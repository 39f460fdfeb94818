// C with micro-kernels, written by hand: what the proof must accept of it, and what it must not.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <vector>

#include "tests/verify/c_by_hand.h"

namespace lockstep::test {
namespace {

// What lies where in a micro-kernel's arrays. Of four taps the even ones make a pair.
Int dsp_weight(Int tap, Int channel) {
  static constexpr Int kIn4[] = {0, 8, 1, 9};
  return 16 * (tap / 4) + 2 * channel + kIn4[tap % 4];
}
Int dsp_weight_in_order(Int tap, Int channel) { return 8 * (tap / 2) + 2 * channel + tap % 2; }
Int packed_weight(Int tap, Int channel) { return 4 * tap + channel; }
// Rows of `row` taps are filled up to units of 4.
template <Int row>
Int neon_weight(Int tap, Int channel) {
  constexpr Int kUnits = (row + 3) / 4;
  const Int column = tap % row;
  return 16 * (tap / row * kUnits + column / 4) + 4 * channel + column % 4;
}

// Weights [O][taps] of a plan in blocks of four channels, with zeros where there is no channel.
std::string blocks(const checker::PlanOp& op, Int taps, Int taps_there, Int (*place)(Int, Int)) {
  const Int outputs = std::ssize(op.weights) / taps_there, block = 4 * taps;
  std::vector<Int> numbers(static_cast<std::size_t>((outputs + 3) / 4 * block), 0);
  for (Int o = 0; o < outputs; ++o)
    for (Int t = 0; t < taps_there; ++t)
      numbers[static_cast<std::size_t>(o / 4 * block + place(t, o % 4))] =
          op.weights[static_cast<std::size_t>(o * taps_there + t)];
  return fmt::format("[{}] = {{{}}};\n", numbers.size(), fmt::join(numbers, ", "));
}
std::string bias(const checker::PlanOp& op) {
  std::vector<Int> numbers = op.bias;
  numbers.resize((numbers.size() + 3) / 4 * 4);
  return fmt::format("[{}] = {{{}}};\n", numbers.size(), fmt::join(numbers, ", "));
}

// The taps of a row of a window of 3x3, of positions x and x + 1.
constexpr const char* kRow = R"(
        const int32_t row = y - 1 + ky;
        const int32_t here = row >= 0 && row < 5;
        const int32_t begin0 = x > 0 ? 0 : 3;
        const int32_t end0 = here ? (x < 4 ? 9 : 6) : begin0;
        const int32_t end1 = here && x < 4 ? (x < 3 ? 9 : 6) : 0;
        const int8_t *const codes0 = end0 > begin0 ? in + ((row * 5 + x - 1) * 3 + begin0) : in;
        const int8_t *const codes1 = end1 > 0 ? in + (row * 5 + x) * 3 : in;
)";
constexpr const char* kStore = R"(
        for (int32_t c = 0; c < 4 && o + c < CHANNELS; ++c) {
          out[(y * 5 + x) * CHANNELS + o + c] =
              (int8_t)intrt_clamp(intrt_shift_right_toward_zero(sums[2 * c], 4), -32, 31);
          if (x < 4)
            out[(y * 5 + x + 1) * CHANNELS + o + c] =
                (int8_t)intrt_clamp(intrt_shift_right_toward_zero(sums[2 * c + 1], 4), -32, 31);
        }
)";

constexpr const char* kDsp = R"(
static void net_op0_conv2d(const int8_t *in, int8_t *out, int16_t *panel) {
  for (int32_t y = 0; y < 5; ++y) {
    for (int32_t x = 0; x < 5; x += 2) {
      for (int32_t ky = 0; ky < 3; ++ky) {ROW
        intrt_dsp_panel(panel, ky * 9, ky == 2 ? 10 : 9, codes0, begin0, end0, codes1, 0, end1);
      }
      for (int32_t o = 0; o < 8; o += 4) {
        int32_t sums[8];
        intrt_dsp_dot_4x2(sums, &c1_bias[o], panel, &c1_weight[o * 28], 14);STORE6
      }
    }
  }
}
static void net_op1_conv2d(const int8_t *in, int8_t *out, int16_t *panel) {
  for (int32_t y = 0; y < 5; ++y) {
    for (int32_t x = 0; x < 5; x += 2) {
      const int32_t o = 0, n = x < 4 ? 6 : 0;
      int32_t sums[8];
      const int8_t *const codes = in + (y * 5 + x) * 6;
      intrt_dsp_panel_in_order(panel, 0, 6, codes, 0, 6, codes + n, 0, n);
      intrt_dsp_dot_4x2(sums, c2_bias, panel, c2_weight, 3);STORE4
    }
  }
}
)";

constexpr const char* kPacked = R"(
static void net_op0_conv2d(const int8_t *in, int8_t *out, int32_t *panel) {
  for (int32_t y = 0; y < 5; ++y) {
    for (int32_t x = 0; x < 5; x += 2) {
      for (int32_t ky = 0; ky < 3; ++ky) {ROW
        intrt_packed_pair(panel, ky * 9, ky == 2 ? 10 : 9, codes0, begin0, end0, codes1, 0, end1);
        intrt_packed_pair(panel + 1, ky * 9, ky == 2 ? 10 : 9, in, 0, 0, in, 0, 0);
      }
      for (int32_t o = 0; o < 8; o += 4) {
        int32_t all[16], sums[8];
        intrt_packed_dot_4x4(all, &c1_bias[o], panel, &c1_weight[o * 28], lengths, 3);
        for (int32_t i = 0; i < 8; ++i) sums[i] = all[i / 2 * 4 + i % 2];STORE6
      }
    }
  }
}
static void net_op1_conv2d(const int8_t *in, int8_t *out, int32_t *panel) {
  for (int32_t y = 0; y < 5; ++y) {
    for (int32_t x = 0; x < 5; x += 2) {
      const int32_t o = 0;
      int32_t all[16], sums[8];
      intrt_packed_panel(panel, 0, 6, in + (y * 5 + x) * 6, 6, 0, x < 4 ? 12 : 6);
      intrt_packed_dot_4x4(all, c2_bias, panel, c2_weight, lengths + 1, 1);
      for (int32_t i = 0; i < 8; ++i) sums[i] = all[i / 2 * 4 + i % 2];STORE4
    }
  }
}
)";

constexpr const char* kNeon = R"(
static void net_op0_conv2d(const int8_t *in, int8_t *out, int8_t *strip) {
  for (int32_t y = 0; y < 5; ++y) {
    for (int32_t ky = 0; ky < 3; ++ky) {
      const int32_t row = y - 1 + ky;
      const int32_t here = row >= 0 && row < 5;
      intrt_neon_row(strip + ky * 24, 24, here ? in + row * 15 : in, 3, here ? 18 : 0);
    }
    for (int32_t o = 0; o < 8; o += 4) {
      int32_t sums[20];
      intrt_neon_dot(sums, &c1_bias[o], strip, 3, 24, &c1_weight[o * 36], 3, 3, 5);
      for (int32_t p = 0; p < 5; ++p)
        for (int32_t c = 0; c < 4 && o + c < 6; ++c)
          out[(y * 5 + p) * 6 + o + c] =
              (int8_t)intrt_clamp(intrt_shift_right_toward_zero(sums[4 * p + c], 4), -32, 31);
    }
  }
}
static void net_op1_conv2d(const int8_t *in, int8_t *out, int8_t *strip) {
  for (int32_t y = 0; y < 5; ++y) {
    int32_t sums[20];
    intrt_neon_row(strip, 32, in + y * 30, 0, 30);
    intrt_neon_dot(sums, c2_bias, strip, 6, 0, c2_weight, 1, 2, 5);
    for (int32_t i = 0; i < 20; ++i)
      out[y * 20 + i] = (int8_t)intrt_clamp(intrt_shift_right_toward_zero(sums[i], 4), -32, 31);
  }
}
)";

// `tables` and these functions, which call kernels of this header.
Made with_kernels(const std::string& header, const std::string& tables, const char* functions) {
  const std::string store6 = filled(kStore, {{"CHANNELS", "6"}});
  const std::string store4 = filled(kStore, {{"CHANNELS", "4"}});
  Made c =
      by_hand(tables + filled(functions, {{"ROW", kRow}, {"STORE6", store6}, {"STORE4", store4}}));
  add_header(c, header);
  return c;
}
Made with_dsp() {
  const Made c = network();
  const checker::Plan plan = checker::read_plan(c.plan);
  return with_kernels(
      "micro/dsp.h",
      "static const INTRT_ALIGNED int16_t c1_weight" + blocks(plan.ops[0], 28, 27, dsp_weight) +
          "static const INTRT_ALIGNED int16_t c2_weight" +
          blocks(plan.ops[1], 6, 6, dsp_weight_in_order) + "static const int32_t c1_bias" +
          bias(plan.ops[0]) + "static const int32_t c2_bias" + bias(plan.ops[1]),
      kDsp);
}
Made with_packed() {
  Made c = network();
  const checker::Plan plan = checker::read_plan(c.plan);
  c = with_kernels("micro/packed.h",
                   "static const int8_t c1_weight" + blocks(plan.ops[0], 28, 27, packed_weight) +
                       "static const int8_t c2_weight" + blocks(plan.ops[1], 6, 6, packed_weight) +
                       "static const uint8_t lengths[3] = {5, 3, 6};\n"
                       "static const int32_t c1_bias" +
                       bias(plan.ops[0]) + "static const int32_t c2_bias" + bias(plan.ops[1]),
                   kPacked);
  c.header = replaced(c.header, "", "NET_ARENA_BYTES 400u", "NET_ARENA_BYTES 496u");
  return c;
}

Made with_neon() {
  const Made c = network();
  const checker::Plan plan = checker::read_plan(c.plan);
  return with_kernels(
      "micro/neon.h",
      "static const int8_t c1_weight" + blocks(plan.ops[0], 36, 27, neon_weight<9>) +
          "static const int8_t c2_weight" + blocks(plan.ops[1], 8, 6, neon_weight<6>) +
          "static const int32_t c1_bias" + bias(plan.ops[0]) + "static const int32_t c2_bias" +
          bias(plan.ops[1]),
      kNeon);
}

TEST_CASE("C with kernels for two products at once is proved, and no other") {
  const char *const op0 = "void net_op0_conv2d(", *const op1 = "void net_op1_conv2d(",
                    *const run = "void net_run(", *const c1 = "c1_weight[";
  try_changes(
      with_dsp(),
      {
          // What the panel holds.
          {op0, "panel, ky * 9,", "panel, ky * 9 + 1,", "was not written"},
          {op0, "panel, ky * 9,", "panel, ky * 8,", "was not written"},
          {op0, "ky == 2 ? 10 : 9", "9", "was not written"},
          {op0, "ky == 2 ? 10 : 9", "ky == 2 ? 11 : 9", ""},
          {op0, "ky == 2 ? 10 : 9", "8", "was not written"},
          {op0, "ky < 3", "ky < 2", "was not written"},
          {op0, "x > 0 ? 0 : 3", "x > 0 ? 0 : 2", "was not written"},
          {op0, "x > 0 ? 0 : 3", "0", "was not written"},
          {op0, "x < 4 ? 9 : 6", "9", "another multiple"},
          {op0, "x < 3 ? 9 : 6", "x < 3 ? 8 : 6", "another multiple"},
          {op0, "row >= 0 && row < 5", "row >= 0", "was not written"},
          {op0, "row >= 0 && row < 5", "row < 5", "was not written"},
          {op0, "(row * 5 + x) * 3", "(row * 5 + x) * 3 + 1", "another multiple"},
          {op0, "codes0, begin0, end0, codes1, 0, end1", "codes1, 0, end1, codes0, begin0, end0",
           "another multiple"},
          {op0, "begin0, end0, codes1", "-begin0, end0, codes1", "out of range"},
          {op0, "begin0, end0, codes1", "end0, begin0, codes1", "it is a number"},
          {op0, "int16_t *panel) {", "int16_t *panel) {\n  panel += 1;", "a multiple of 4"},
          {op0, "int16_t *panel) {", "int16_t *panel) {\n  panel += 2;", ""},
          {op0, "int16_t *panel) {", "int16_t *panel) {\n  panel += 16;", "outside of the arena"},
          // What is multiplied, and where the sums are.
          {c1, "INTRT", "INTRT", ""},
          {op0, "c1_weight[o * 28]", "c1_weight[o * 28 + 4]", "another multiple"},
          {op0, "c1_weight[o * 28]", "c1_weight[o * 27]", "another multiple"},
          {op0, "c1_weight[o * 28]", "c1_weight[o * 28 + 1]", "a multiple of 4"},
          {op0, "c1_weight[o * 28]", "c1_weight[o * 28 + 120]", "behind an array"},
          {op0, "], 14)", "], 13)", "another multiple"},
          {op0, "], 14)", "], 15)", "was not written"},
          {op0, "], 14)", "], 0)", "out of range"},
          {op0, "], 14)", "], -1)", "out of range"},
          {op0, "], 14)", "], 1000000)", "longer than it can need"},
          {op0, "c1_bias[o]", "c1_bias[4 - o]", "another code"},
          {op0, "c1_bias[o]", "c1_bias[o + 1]", "behind an array"},
          {op0, "&c1_bias[o]", "sums", "that lie in what"},
          {op0, "&c1_bias[o]", "(const int32_t *)panel", "a part of a code"},
          {op0, "int32_t sums[8]", "int32_t sums[7]", "a write behind an array"},
          {op0, "int32_t sums[8]", "int16_t sums[8]", "an array of another type"},
          {op0, "dot_4x2(sums, ", "dot_4x2((int32_t *)panel, ", "that lie in what"},
          {op0, "dot_4x2(sums, ", "dot_4x2((int32_t *)c2_bias, ", "a constant is written to"},
          {op0, "intrt_dsp_dot_4x2(", "if (x > 0) intrt_dsp_dot_4x2(", "was not set"},
          {op0, "sums[2 * c]", "sums[2 * c + 1]", "another multiple"},
          {op0, "sums[2 * c + 1]", "sums[2 * c + 2]", "another multiple"},
          {op0, "sums[2 * c + 1]", "sums[2 * c + 8]", "behind an array"},
          {op0, "o + c < 6", "o + c < 5", "it is not written"},
          {op0, "o + c < 6", "o + c < 8", "it is a number"},
          {op0, "if (x < 4)", "if (x < 2)", "it is not written"},
          // Where it lies.
          {run, "(void *)(base + 0u), (void *)(base + 272u)",
           "(void *)(base + 0u), (void *)(base + 152u)", "a part of a code"},
          {run, "(void *)(base + 0u), (void *)(base + 272u)",
           "(void *)(base + 0u), (void *)(base + 140u)", "a part of a code"},
          {run, "(void *)(base + 0u), (void *)(base + 272u)",
           "(void *)(base + 0u), (void *)(base + 236u)", ""},  // behind the input
          {run, "(void *)(base + 0u), (void *)(base + 272u)",
           "(void *)(base + 0u), (void *)(base + 271u)", "a multiple of 4"},
          {run, "(void *)(base + 160u), (void *)(base + 272u)",
           "(void *)(base + 160u), (void *)(base + 8u)", "lie where they are put"},
          {run, "(void *)(base + 160u), (void *)(base + 272u)",
           "(void *)(base + 160u), (void *)(base + 120u)", "lie where they are put"},
          {run, "(void *)(base + 160u), (void *)(base + 272u)",
           "(void *)(base + 160u), (void *)(base + 368u)", ""},
          {run, "(void *)(base + 160u), (void *)(base + 272u)",
           "(void *)(base + 160u), (void *)(base + 380u)", "outside of the arena"},
          // The panel of the operator before.
          {op1, "intrt_dsp_panel_in_order(", "if (x + y > 0) intrt_dsp_panel_in_order(",
           "was not written"},
          {op1, "intrt_dsp_panel_in_order(", "intrt_dsp_panel(", "was not written"},
          {op1, "const int32_t o = 0", "const int32_t first = panel[0], o = 0", "was not written"},
      });
}

TEST_CASE("C with packed kernels is proved, and no other") {
  const char *const op0 = "void net_op0_conv2d(", *const op1 = "void net_op1_conv2d(";
  try_changes(
      with_packed(),
      {
          {op0, "panel, ky * 9,", "panel, ky * 9 + 1,", "outside of the arena"},
          {op0, "panel + 1, ky * 9,", "panel, ky * 9,", "was not written"},
          {op0, "pair(panel,", "pair(panel + 1,", "was not written"},
          {op0, "ky == 2 ? 10 : 9", "9", "was not written"},
          {op0, "ky == 2 ? 10 : 9", "8", "was not written"},
          {op0, "codes0, begin0, end0, codes1, 0, end1", "codes1, 0, end1, codes0, begin0, end0",
           "another multiple"},
          {op0, "codes0, begin0", "codes0, begin0 - 1", "another multiple"},
          {op0, "c1_weight[o * 28]", "c1_weight[o * 28 + 4]", "another multiple"},
          {op0, "c1_weight[o * 28]", "c1_weight[o * 29]", "behind an array"},
          {op0, "lengths, 3)", "lengths, 2)", "another multiple"},
          {op0, "lengths, 3)", "lengths, 4)", "behind an array"},
          {op0, "lengths, 3)", "lengths, 0)", "out of range"},
          {op0, "lengths, 3)", "lengths + 1, 2)", "another multiple"},
          {"lengths[3]", "5, 3, 6", "5, 3, 7", "outside of the arena"},
          {"lengths[3]", "5, 3, 6", "4, 3, 7", ""},
          {"lengths[3]", "5, 3, 6", "0, 3, 11", "out of range"},
          {op0, "i / 2 * 4", "i / 2 * 2", "another multiple"},
          {op0, "int32_t all[16]", "int32_t all[15]", "a write behind"},
          {op0, "int32_t all[16]", "int32_t k = panel[0] + 1, all[16]", "a number is needed"},
          {op0, "int32_t all[16], sums[8];", "int32_t all[16], sums[8];\n        panel[0] = 0;",
           "a packed number is needed"},
          {op1, "panel, 0, 6,", "panel, 0, 5,", "was not written"},
          {op1, "6, 0, x < 4", "5, 0, x < 4", "another multiple"},
          {op1, "6, 0, x < 4", "-6, 0, x < 4", "out of range"},
          {op1, "6, 0, x < 4", "6, 1, x < 4", "another multiple"},
          {op1, "x < 4 ? 12 : 6", "x < 4 ? 11 : 6", "another multiple"},
          {op1, "lengths + 1, 1", "lengths, 1", "behind an array"},
      });
}

// One convolution of as many taps as its input has elements.
Made with_long_sums(const std::string& lengths, Int chunks) {
  Net net("16,3,3");
  net.conv("c1", "x", 16, 4, 3, none);
  net.quantize("q1", "c1");
  net.finish({"q1"});
  Made c = made(net.graph, net.state, {.keep_layers = true, .after_pass = {}});
  const checker::Plan plan = checker::read_plan(c.plan);
  const std::size_t begin = c.source.find("/* conv2d 'c1'"), end = c.source.find("void net_run(");
  c.source.replace(begin, end - begin,
                   "static const int8_t c1_weight" + blocks(plan.ops[0], 144, 144, packed_weight) +
                       "static const int32_t c1_bias" + bias(plan.ops[0]) +
                       "static const uint8_t lengths" + lengths + ";\n" +
                       fmt::format(R"(
static void net_op0_conv2d(const int8_t *in, int8_t *out) {{
  int32_t panel[288], sums[16];
  intrt_packed_panel(panel, 0, 144, in, 144, 0, 144);
  intrt_packed_dot_4x4(sums, c1_bias, panel, c1_weight, lengths, {});
  for (int32_t c = 0; c < 4; ++c)
    out[c] = (int8_t)intrt_clamp(intrt_shift_right_toward_zero(sums[4 * c], 4), -32, 31);
}}
)",
                                   chunks));
  add_header(c, "micro/packed.h");
  return c;
}

TEST_CASE("C with rows of units of four taps is proved, and no other") {
  const char *const op0 = "void net_op0_conv2d(", *const op1 = "void net_op1_conv2d(",
                    *const run = "void net_run(";
  try_changes(with_neon(),
              {
                  {op0, "strip", "strip", ""},
                  {op0, "ky * 24, 24", "ky * 24, 23", "was not written"},
                  {op0, "ky * 24, 24", "ky * 24, 25", ""},  // written again, or never read
                  {op0, "ky * 24, 24", "ky * 24, -1", "out of range"},
                  {op0, "ky < 3", "ky < 2", "was not written"},
                  {op0, "in, 3, here", "in, 2, here", "another multiple"},
                  {op0, "in, 3, here", "in, -3, here", "out of range"},
                  {op0, "here ? 18", "here ? 17", "another multiple"},
                  {op0, "here ? 18", "here ? 19", "another multiple"},
                  {op0, "row * 15 : in", "row * 15 + 1 : in", "another multiple"},
                  {op0, "row >= 0 &&", "row >= 1 &&", "another multiple"},
                  {op0, "strip, 3, 24", "strip, 2, 24", "another multiple"},
                  {op0, "strip, 3, 24", "strip, 3, 23", "another multiple"},
                  {op0, "strip, 3, 24", "strip + 1, 3, 24", "was not written"},
                  {op0, "3, 3, 5)", "2, 3, 5)", "another multiple"},
                  {op0, "3, 3, 5)", "-1, 3, 5)", "out of range"},
                  {op0, "3, 3, 5)", "3, 0, 5)", "out of range"},
                  {op0, "3, 3, 5)", "3, 2, 5)", "another multiple"},
                  {op0, "3, 3, 5)", "3, 3, 4)", "was not set"},
                  {op0, "3, 3, 5)", "3, 3, 9)", "out of range"},
                  {op0, "c1_weight[o * 36]", "c1_weight[o * 36 + 4]", "another multiple"},
                  {op0, "c1_weight[o * 36]", "c1_weight[o * 37]", "behind an array"},
                  {op0, "c1_bias[o]", "c1_bias[4 - o]", "another code"},
                  {op0, "&c1_bias[o]", "sums", "that lie in what"},
                  {op0, "sums[20]", "sums[19]", "a write behind an array"},
                  {op0, "sums[4 * p + c]", "sums[4 * c + p]", "another multiple"},
                  {op1, "strip, 32, in", "strip, 31, in", "was not written"},
                  {op1, "strip, 6, 0, c2", "strip, 6, 1, c2", ""},  // there is one row
                  {op1, "1, 2, 5)", "1, 1, 5)", "another multiple"},
                  {run, "(void *)(base + 0u), (void *)(base + 272u)",
                   "(void *)(base + 0u), (void *)(base + 152u)", "lie where they are put"},
              });
}

TEST_CASE("a chunk of products must fit 16 bits, and a sum 32") {
  const std::string at_once = objection(with_long_sums("[1] = {72}", 1)),
                    parts = objection(with_long_sums("[2] = {36, 36}", 2));
  CHECK_MESSAGE(contains(at_once, "a chunk's sum of "), at_once);
  CHECK_MESSAGE(parts.empty(), parts);
  Made large = with_long_sums("[2] = {36, 36}", 2);
  large.source = replaced(large.source, "c1_bias[", "64", "2147483647");
  CHECK_MESSAGE(contains(objection(large), "do not fit int32_t"), objection(large));
}

// A depthwise convolution, two rows at a time.
Made with_strips() {
  Net net("4,6,5");
  net.conv("c1", "x", 4, 4, 3, none, R"(,"padding":1)", 4);
  net.quantize("q1", "c1");
  net.finish({"q1"});
  Made c = made(net.graph, net.state, {.keep_layers = true, .after_pass = {}});
  const checker::Plan plan = checker::read_plan(c.plan);
  std::vector<Int> weights;
  for (Int column = 0; column < 3; ++column)
    for (Int channel = 0; channel < 4; ++channel)
      for (const Int row : {0, 1, 1, 2})
        weights.push_back(
            plan.ops[0].weights[static_cast<std::size_t>(channel * 9 + row * 3 + column)]);
  const std::size_t begin = c.source.find("/* conv2d 'c1'"), end = c.source.find("void net_run(");
  c.source.replace(begin, end - begin,
                   fmt::format("static const INTRT_ALIGNED int16_t c1_weight[48] = {{{}}};\n",
                               fmt::join(weights, ", ")) +
                       "static const int32_t c1_bias" + bias(plan.ops[0]) + R"(
static void net_op0_conv2d(const int8_t *in, int8_t *out, int16_t *strip) {
  for (int32_t y = 0; y < 6; y += 2) {
    const int32_t begin = y > 0 ? 0 : 1, end = y < 4 ? 4 : 3;
    intrt_dsp_strip(strip, 1, in, 0, 0, 0, 0);
    intrt_dsp_strip(strip + 16, 5, in + (y - 1 + begin) * 20, 20, 4, begin, end);
    intrt_dsp_strip(strip + 96, 1, in, 0, 0, 0, 0);
    for (int32_t x = 0; x < 5; ++x) {
      int32_t sums[8];
      intrt_dsp_strip_dot(sums, c1_bias, strip + 16 * x, c1_weight, 3);
      for (int32_t c = 0; c < 8; ++c)
        out[((y + c % 2) * 5 + x) * 4 + c / 2] =
            (int8_t)intrt_clamp(intrt_shift_right_toward_zero(sums[c], 4), -32, 31);
    }
  }
}
)");
  c.source = replaced(c.source, "net_op0_conv2d((void", "));\n", "), (void *)(base + 256u));\n");
  c.header = replaced(c.header, "", fmt::format("NET_ARENA_BYTES {}u", plan.arena_bytes),
                      "NET_ARENA_BYTES 480u");
  add_header(c, "micro/dsp.h");
  return c;
}

TEST_CASE("C with strips is proved, and no other") {
  const char* const op0 = "void net_op0_conv2d(";
  try_changes(with_strips(),
              {
                  {op0, "y > 0 ? 0 : 1", "0", "a pointer leaves"},
                  {op0, "y < 4 ? 4 : 3", "4", "was not written"},
                  {op0, "y < 4 ? 4 : 3", "3", "another multiple"},
                  {op0, "y < 4 ? 4 : 3", "y < 4 ? 5 : 3", "out of range"},
                  {op0, "strip + 16, 5", "strip + 16, 4", "was not written"},
                  {op0, "strip + 16, 5", "strip + 32, 5", "was not written"},
                  {op0, "strip + 16, 5", "strip + 17, 5", "a multiple of 4"},
                  {op0, "20, 4, begin", "20, 3, begin", "another multiple"},
                  {op0, "20, 4, begin", "16, 4, begin", "another multiple"},
                  {op0, "strip + 16 * x", "strip + 16 * (x + 1)", "another multiple"},
                  {op0, "c1_weight, 3", "c1_weight, 2", "another multiple"},
                  {op0, "c1_weight, 3", "c1_weight, 4", "behind an array"},
                  {op0, "sums[c]", "sums[c / 2]", "another multiple"},
              });
}

}  // namespace
}  // namespace lockstep::test
