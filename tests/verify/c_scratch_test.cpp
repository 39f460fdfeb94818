// Scratch memory, arrays of functions and the known texts of generated C.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>

#include "tests/verify/c_by_hand.h"

namespace lockstep::test {
namespace {

// The second convolution alone is written by hand: one position after the other, its codes in an
// array, its sums in scratch memory.
Made with_scratch() {
  const Made generated = network();
  const checker::Plan plan = checker::read_plan(generated.plan);
  const std::size_t begin = generated.source.find("/* conv2d 'c1'"),
                    end = generated.source.find("/* conv2d 'c2'");
  REQUIRE(begin < end);
  const std::string first = replaced(generated.source.substr(begin, end - begin), "void net_op0",
                                     "int8_t *out)", "int8_t *out, int32_t *sums)");
  return by_hand(first +
                 fmt::format("static const int8_t c2_weight[24] = {{{}}};\n"
                             "static const int32_t c2_bias[4] = {{{}}};\n",
                             fmt::join(plan.ops[1].weights, ", "),
                             fmt::join(plan.ops[1].bias, ", ")) +
                 R"(
static void net_op1_conv2d(const int8_t *in, int8_t *out, int32_t *sums) {
  for (int32_t p = 0; p < 25; ++p) {
    int8_t codes[6];
    for (int32_t i = 0; i < 6; ++i) codes[i] = in[p * 6 + i];
    for (int32_t o = 0; o < 4; ++o) sums[o] = c2_bias[o];
    for (int32_t i = 0; i < 6; ++i)
      for (int32_t o = 0; o < 4; ++o) sums[o] = sums[o] + (int32_t)codes[i] * c2_weight[o * 6 + i];
    for (int32_t o = 0; o < 4; ++o)
      out[p * 4 + o] = (int8_t)intrt_clamp(intrt_shift_right_toward_zero(sums[o], 4), -32, 31);
  }
}
)");
}

TEST_CASE("scratch memory holds what was written to it, and only while a tensor is made") {
  const char *const op1 = "void net_op1_conv2d(", *const run = "void net_run(";
  const char* const place = "(void *)(base + 160u), (void *)(base + 272u)";
  try_changes(
      with_scratch(),
      {
          {op1, "sums[o] = c2_bias[o]", "(void)o", "was not written"},
          {op1, "sums[o] = c2_bias[o]", "sums[o] = sums[o]", "was not written"},
          {op1, "p < 25", "p < 26", "what was not written"},
          {op1, "sums[o], 4)", "sums[o + 1], 4)", "another multiple"},
          {op1, "int32_t *sums) {", "int32_t *sums) {\n  sums += 28;", ""},
          {op1, "int32_t *sums) {", "int32_t *sums) {\n  sums += 29;", "outside of the arena"},
          {op1, "int32_t *sums) {", "int32_t *sums) {\n  sums += 33;", "a pointer leaves"},
          // Of another type, or a part.
          {op1, "(sums[o], 4)", "(((const int16_t *)sums)[2 * o], 4)", "a part of a code"},
          {op1, "(sums[o], 4)", "((int32_t)((const uint32_t *)sums)[o], 4)", "as another type"},
          {op1, "sums[o] = c2_bias[o];",
           "{ sums[o] = c2_bias[o]; ((int8_t *)sums)[o * 4 + 1] = 0; }", "a part of a code"},
          // Over what is still needed, or will be overwritten.
          {run, place, "(void *)(base + 160u), (void *)(base + 0u)", "a part of a code"},
          {run, place, "(void *)(base + 160u), (void *)(base + 148u)", "a part of a code"},
          {run, place, "(void *)(base + 160u), (void *)(base + 144u)", "a part of a code"},
          {run, place, "(void *)(base + 160u), (void *)(base + 152u)", "a part of a code"},
          {run, place, "(void *)(base + 160u), (void *)(base + 260u)", ""},
          {run, place, "(void *)(base + 160u), (void *)(base + 258u)", "outside of the arena"},
          {run, place, "(void *)(base + 160u), (void *)(base + 262u)", "outside of the arena"},
          // In what is still to be written it may lie, but not be left there.
          {run, place, "(void *)(base + 160u), (void *)(base + 256u)", ""},
          {op1, "-32, 31);\n  }", "-32, 31);\n  }\n  ((int16_t *)out)[0] = 0;", "a part of a code"},
          // From one operator to the next, or to none.
          {"void net_op0_conv2d(", "int32_t *sums) {", "int32_t *sums) {\n  sums[0] = c2_bias[0];",
           "unknown name"},
          {"void net_op0_conv2d(", "int32_t *sums) {", "int32_t *sums) {\n  sums[4] = 64;", ""},
          {op1, "sums[o] = c2_bias[o]", "sums[o] = sums[o + 4]", "was not written"},
          {run, "LOCKSTEP_OBSERVE(2u, (void *)(base + 160u));",
           "LOCKSTEP_OBSERVE(2u, (void *)(base + 160u));\n  ((int8_t *)base)[300] = 0;",
           "outside of the making"},
      });
  // What the operator before left there is unreadable, even if it is the right number.
  Made left = with_scratch();
  left.source = replaced(left.source, "void net_op0_conv2d(", "int32_t *sums) {",
                         "int32_t *sums) {\n  for (int32_t o = 0; o < 4; ++o) sums[4 + o] = 64;");
  left.source = replaced(left.source, "void net_op1_conv2d(", "sums[o] = c2_bias[o]",
                         "sums[o] = sums[o + 4]");
  CHECK_MESSAGE(contains(objection(left), "was not written"), objection(left));
}

TEST_CASE("arrays of functions have bounds, a type, a time, and nothing in them at first") {
  const char* const op1 = "void net_op1_conv2d(";
  try_changes(
      with_scratch(),
      {
          {op1, "codes[6]", "codes[7]", ""},
          {op1, "codes[6]", "codes[2 + 4]", ""},
          {op1, "int8_t codes[6]", "int8_t spare[2], codes[6]", ""},
          {op1, "codes[6]", "codes[5]", "behind an array"},
          {op1, "codes[6]", "codes[0]", "of 0 elements"},
          {op1, "codes[6]", "codes[100000]", "of 100000 elements"},
          {op1, "codes[6]", "codes[p]", "expected a number"},
          {op1, "int8_t codes[6]", "int8_t *codes[6]", "something else than integers"},
          {op1, "int8_t codes[6]", "const int8_t codes[6]", "not static"},
          {op1, "int8_t codes[6]", "int16_t codes[6]", ""},
          {op1, "codes[i] = in", "codes[i + 1] = in", "a write behind"},
          {op1, "codes[i] = in", "if (i > 0) codes[i] = in", "that was not set"},
          {op1, "(int32_t)codes[i]", "(int32_t)codes[i + 1]", "behind an array"},
          {op1, "(int32_t)codes[i]", "((const int16_t *)codes)[i]", "of another type"},
          {op1, "(int32_t)codes[i]", "*(codes + 7 + (i - 7))", "a pointer leaves"},
          {op1, "codes[i] = in[p * 6 + i];", "codes[i] = in[p * 6 + i];\n    codes = 0;",
           "types that do not fit"},
          {op1, "codes[i] = in[p * 6 + i];", "codes[i] = in[p * 6 + i];\n    ++codes;",
           "only a variable"},
          {op1, "int8_t codes[6];", "int8_t *codes;\n    { int8_t gone[6]; codes = gone; }",
           "whose block has ended"},
          {op1, "int8_t codes[6];", "int8_t kept[6], *codes;\n    { codes = kept; }", ""},
          {op1, "int8_t codes[6];",
           "int8_t *codes;\n    for (int32_t i = 0; i < 6; ++i) { int8_t gone[6]; codes = gone; }",
           "whose block has ended"},
      });
}

TEST_CASE("known texts must be there word for word, one behind the other") {
  Made with = network();
  add_header(with, "micro/dsp.h");
  const std::string dsp = header_text("micro/dsp.h"), packed = header_text("micro/packed.h");
  REQUIRE(objection(with).empty());
  const auto changed = [&](const std::string& from, const std::string& to) {
    Made result = with;
    result.source = replaced(result.source, "", from, to);
    return objection(result);
  };
  CHECK(changed(dsp, dsp + packed).empty());
  CHECK(changed(dsp, dsp + "\n\n" + packed).empty());
  const std::string kind = "/* Sums of products on cores that multiply";
  for (const std::string& to :
       {packed + dsp, dsp + dsp, "static const int32_t one[1] = {1};\n" + dsp,
        "#ifdef ONE\n" + dsp + "#endif\n", replaced(dsp, "", "sums[7] = s7", "sums[7] = s6"),
        replaced(dsp, "", "smlad", "smladx"), replaced(dsp, "", kind, " " + kind)})
    CHECK_MESSAGE(contains(changed(dsp, to), "C line "), changed(dsp, to));
  const std::string mine = changed(dsp, "static void intrt_dsp_panel(void) {}\n");
  CHECK_MESSAGE(contains(mine, "is not that of the arithmetic"), mine);
  // No macro may change what they say.
  const std::string begin = "/* The integer arithmetic of Lockstep.";
  for (const std::string word : {"if", "wide", "panel", "INTRT_HAS_DSP", "INTRT_ALIGNED"})
    CHECK_MESSAGE(contains(changed(begin, "#define " + word + " 1\n" + begin), "#define " + word),
                  word);
  CHECK(contains(changed(begin, "static const int32_t one[1] = {1}; " + begin), "begin a line"));
  CHECK(contains(changed(begin, "#define ONE \\\n" + begin), "begin a line"));
  CHECK(contains(changed(dsp, dsp + "#define INTRT_ALIGNED\n"), "#define INTRT_ALIGNED"));
  // Only kernels whose text is there exist.
  CHECK(contains(changed("void net_run(void *arena) {",
                         "void net_run(void *arena) {\n  intrt_packed_panel();"),
                 "unknown name"));
}

}  // namespace
}  // namespace lockstep::test
