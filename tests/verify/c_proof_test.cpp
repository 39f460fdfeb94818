// What the proof of generated C must accept, and what it must not.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <array>
#include <string>
#include <vector>

#include "tests/verify/c_objection.h"
#include "tests/verify/channel_net.h"
#include "tools/zoo/zoo.h"

namespace lockstep::test {
namespace {

TEST_CASE("a number of the C that is not the plan's is found") {
  try_changes(made("bias12"),
              {
                  {"net_op0_conv2d_weight[", "-128, 34", "-128, 35", "channel 1, position (0, 0)"},
                  {"net_op0_conv2d_bias[", "8188", "9188", "another code for some accumulator"},
                  {"net_op0_conv2d_bias[", "8188", "8189", "another code for some accumulator"},
                  {"net_op0_conv2d_shift[", "10, 9", "9, 9", "another code for some accumulator"},
                  {"void net_op5_linear(", "-128, 127", "-128, 126", "another code"},
                  {"void net_op5_linear(", "-128, 127", "-127, 127", "another code"},
                  {"toward_zero(acc0", "-128, 127", "-127, 127", ""},
                  {"void net_op0_conv2d(", "toward_zero(acc1", "floor(acc1", "another code"},
                  {"void net_op0_conv2d(", "toward_zero(acc1", "half_even(acc1", "another code"},
                  {"void net_op0_conv2d(", "(acc0", "(acc1", "another multiple"},
                  {"void net_op1_requantize(", "0, 127", "1, 127", "'r1'"},
                  {"net_op3_conv2d_mask[", "185, 129", "184, 129", "'c2'"},
                  {"net_op3_conv2d_mask[", "185, 129", "185, 128", "'c2'"},
                  {"net_op5_linear_bias[", "-406", "-407", "'fc'"},
              });
}

TEST_CASE("an index, a loop or an order that is not the plan's is found") {
  try_changes(
      made("bias12"),
      {
          {"void net_op0_conv2d(", "y < 10", "y < 9", "it is not written"},
          {"void net_op0_conv2d(", "y < 10", "y < 11", "what was not written"},
          {"void net_op0_conv2d(", "y0 = y;", "y0 = y + 1;", "channel 0"},
          {"void net_op0_conv2d(", "ky < 3", "ky < 2", "another multiple"},
          {"void net_op0_conv2d(", "* 12 + x0", "* 11 + x0", "another multiple"},
          {"void net_op0_conv2d(", "w[1]", "w[0]", "another multiple"},
          {"void net_op0_conv2d(", "acc0 +=", "acc0 -=", "another multiple"},
          {"void net_op0_conv2d(", "out[element + o]", "out[element + o + 1]", "channel 1"},
          {"void net_op1_requantize(", "i < 600", "i < 599", "something else lies there"},
          {"void net_op1_requantize(", "i < 600", "i < 601", "what was not written"},
          {"void net_op2_max_pool2d(", "y0 = y * 2", "y0 = y", "other elements"},
          {"void net_op2_max_pool2d(", "kx < 2", "kx < 1", "without element"},
          {"void net_op2_max_pool2d(", "code > largest", "code < largest", "no largest value"},
          {"void net_op2_max_pool2d(", "largest = code;", "largest = in[0];", "no largest value"},
          {"void net_op5_linear(", "p += 4", "p += 3", "another multiple"},
          {"void net_op5_linear(", "n = 18", "n = 17", "another multiple"},
          {"void net_op5_linear(", "n = 18", "n = 19", "behind an array"},
          {"void net_run(", "net_op0_conv2d((void *)(base + 608u)",
           "net_op0_conv2d((void *)(base + 607u)", "what was not written"},
          {"void net_run(", "(void *)(base + 0u))", "(void *)(base + 1u))", "'c1'"},
          {"void net_run(", "  net_op1_requantize((void *)(base + 0u), (void *)(base + 0u));\n", "",
           "'r1'"},
          {"void net_run(", "LOCKSTEP_OBSERVE(1u", "LOCKSTEP_OBSERVE(2u", "'r1'"},
          {"void net_run(", "LOCKSTEP_OBSERVE(6u, (void *)(base + 80u));", "", "outside of"},
          {"void net_run(", "LOCKSTEP_OBSERVE(6u, (void *)(base + 80u));",
           "LOCKSTEP_OBSERVE(6u, (void *)(base + 81u));", "tensor 6 is elsewhere"},
          {"void net_run(", "LOCKSTEP_OBSERVE(6u", "LOCKSTEP_OBSERVE(7u", "is not in the plan"},
      });
}

TEST_CASE("C that is undefined, unending or beyond the proof is not proved") {
  try_changes(
      made("bias12"),
      {
          {"void net_op0_conv2d(", "int32_t acc0", "int16_t acc0", "does not fit int16_t"},
          {"void net_op0_conv2d(", "int32_t acc0 = net_op0_conv2d_bias[o];", "int32_t acc0;",
           "was not set"},
          {"void net_op0_conv2d(", "acc0 += (int32_t)p[0] * w[0];",
           "acc0 += (int32_t)p[0] * w[0]; acc0 *= 100000;", "does not fit int32_t"},
          {"void net_op5_linear(", "-128, 127", "-129, 128", "does not fit int8_t"},
          {"void net_op0_conv2d(", "++x", "--x", "what was not written"},
          {"void net_op1_requantize(", "++i) {", "++i) { while (1) (void)i;",
           "longer than it can need"},
          {"void net_op1_requantize(", "++i", "++j", "unknown name 'j'"},
          {"void net_op1_requantize(", "int32_t i = 0", "int32_t i = in[0]", "constant array"},
          {"void net_op1_requantize(", "in[i]", "in[i] / 2", "depends on the input"},
          {"void net_op1_requantize(", "out[i] =", "if (in[i] > 3) out[i] =", "decides about"},
          {"void net_op5_linear(", "&net_op5_linear_weight[o * 72]",
           "&net_op5_linear_weight[o * 72 + 1]", "behind an array"},
          {"void net_op5_linear(", "const int8_t *w", "const int16_t *w", "of another type"},
          {"void net_run(", "{", "{ net_run(arena);", "without an end"},
          {"void net_run(", "net_op0_conv2d((void", "net_opx_conv2d((void", "unknown name"},
          {"void net_run(", "{", "{ goto end;", "unknown name 'goto'"},
      });
}

TEST_CASE("the arithmetic must be that of this version, whatever the C says of it") {
  const Made c = made("bias12");
  const std::string mine =
      "INTRT_INLINE int32_t intrt_clamp(int32_t x, int32_t lo, int32_t hi) { "
      "return x < lo ? lo : hi; }\n";
  const std::string begin = "/* The integer arithmetic of Lockstep.";
  for (const auto& [source, text] : std::vector<std::pair<std::string, std::string>>{
           {replaced(c.source, "intrt_clamp(", "lo : (x > hi", "lo : (x >= hi"), "word for word"},
           {replaced(c.source, begin, begin, "#ifdef NOTHING\n" + begin), "without"},
           {replaced(c.source, "static const", "static const", mine + "static const"), "twice"},
           {replaced(c.source, "static const", "static const",
                     "#define intrt_clamp intrt_clip\nstatic const"),
            "unknown name 'intrt_clip'"},
           {replaced(c.source, begin, begin, "#define INTRT_ROUND_FLOOR 0\n" + begin),
            "#define INTRT_ROUND_FLOOR"},
           {replaced(c.source, "static const", "static const", "#define f(x) x\nstatic const"),
            "#define f"},
           {replaced(c.source, "#include", "#include \"net.h\"", "#include \"other.h\""),
            "#include \"other.h\""},
           {replaced(c.source, "static const", "static const", "#undef f\nstatic const"),
            "#undef"}}) {
    Made changed = c;
    changed.source = source;
    CHECK_MESSAGE(contains(objection(changed), text), objection(changed));
  }
}

TEST_CASE("what a compiler may read in another way is not proved") {
  try_changes(
      made("bias12"),
      {
          {"#ifndef LOCKSTEP_OBSERVE", "((void)0)", "(*(char *)data = 1)", "else than nothing"},
          {"#ifndef LOCKSTEP_OBSERVE", "#endif", "#else\n#define WATCHED\n#endif",
           "else than nothing"},
          {"/* Sees", "/* Sees", "#ifdef LOCKSTEP_OBSERVE\n#endif\n/* Sees", "a condition of"},
          {"void net_op1_requantize(", "    out[i]",
           "#ifdef __arm__\n    out[i] = 0;\n#else\n    out[i]", "without #endif"},
          {"void net_op1_requantize(", "    out[i] = (int8_t)intrt_clamp(in[i], 0, 127);\n",
           "#if defined(__arm__) && !defined(FAST)\n    out[i] = 1;\n#else\n    out[i] = "
           "(int8_t)intrt_clamp(in[i], 0, 127);\n#endif\n",
           "'r1'"},
          {"void net_op1_requantize(", "    out[i] = (int8_t)intrt_clamp(in[i], 0, 127);\n",
           "#ifdef A\n#ifdef B\n#ifdef C\n#ifdef D\n#ifdef E\n#ifdef F\n#ifdef G\n    out[i] = 1;\n"
           "#endif\n#endif\n#endif\n#endif\n#endif\n#endif\n#endif\n    out[i] = "
           "(int8_t)intrt_clamp(in[i], 0, 127);\n",
           "too many names"},
          {"void net_op1_requantize(", "{", "{ // a comment \\\n", "a comment that goes on"},
          {"void net_op1_requantize(", "{", "{ /* a comment *\\\n/", "a backslash"},
          {"void net_op1_requantize(", "{", "{ /* ?\?/ */", "a trigraph"},
          {"static INTRT_NOINLINE void net_op1_requantize(", "static",
           "__attribute__((constructor)) static", "expected 'unused'"},
          {"INTRT_INLINE int net_keeps(", "INTRT_INLINE int",
           "static inline __attribute__((constructor)) int", "expected 'unused'"},
          {"void net_op1_requantize(", "int8_t *out) {",
           "int8_t *out) {\n  int32_t k = 0;\n  k = k++ + 1;", "changed and used"},
          {"void net_op1_requantize(", "int8_t *out) {",
           "int8_t *out) {\n  int32_t k = 0, l;\n  l = (k = 1) + k;", "an assignment within"},
          {"void net_op1_requantize(", "i < 600; ++i) {",
           "i < 600; ++i) {\n    int32_t k;\n    if (i == 0) k = 0;\n    k = k + 1;",
           "was not set"},
          {"/* requantize 'r1'", "/* requantize",
           "static int32_t f(int8_t *a) { a[0] = 0; return 0; }\n/*",
           "has a result and changes memory"},
          {"void net_run(", "net_op0_conv2d(", "net_op3_conv2d(", "'c1'"},
      });
  // An operator may not be made before its input, however little it reads of it.
  Made early = made("bias12");
  early.source =
      replaced(early.source, "void net_run(", "LOCKSTEP_OBSERVE(1u", "LOCKSTEP_OBSERVE(3u");
  CHECK_MESSAGE(contains(objection(early), "it is made before 'r1'"), objection(early));
}

TEST_CASE("what the C says about itself must be what the plan says") {
  const Made c = made("bias12");
  const std::string row = "{\"q1\", 1, 8, 3, 1, 6u, 10u, 10u, 0u, net_decimals1, 0, 0, 4}";
  for (const auto& [to, member] : std::vector<std::pair<std::string, std::string>>{
           {"{\"q2\", 1, 8, 3, 1, 6u, 10u, 10u, 0u, net_decimals1, 0, 0, 4}", "name"},
           {"{\"q1\", 2, 8, 3, 1, 6u, 10u, 10u, 0u, net_decimals1, 0, 0, 4}", "type"},
           {"{\"q1\", 1, 7, 3, 1, 6u, 10u, 10u, 0u, net_decimals1, 0, 0, 4}", "bits"},
           {"{\"q1\", 1, 8, 2, 1, 6u, 10u, 10u, 0u, net_decimals1, 0, 0, 4}", "logical_rank"},
           {"{\"q1\", 1, 8, 3, 0, 6u, 10u, 10u, 0u, net_decimals1, 0, 0, 4}", "decimals"},
           {"{\"q1\", 1, 8, 3, 1, 5u, 10u, 10u, 0u, net_decimals1, 0, 0, 4}", "channels"},
           {"{\"q1\", 1, 8, 3, 1, 6u, 9u, 10u, 0u, net_decimals1, 0, 0, 4}", "height"},
           {"{\"q1\", 1, 8, 3, 1, 6u, 10u, 9u, 0u, net_decimals1, 0, 0, 4}", "width"},
           {"{\"q1\", 1, 8, 3, 1, 6u, 10u, 10u, 1u, net_decimals1, 0, 0, 4}", "arena_offset"},
           {"{\"q1\", 1, 8, 3, 1, 6u, 10u, 10u, 0u, net_decimals0, 0, 0, 4}", "decimals"},
           {"{\"q1\", 1, 8, 3, 1, 6u, 10u, 10u, 0u, 0, 0, 0, 4}", "decimals"},
           {"{\"q1\", 1, 8, 3, 1, 6u, 10u, 10u, 0u, net_decimals1, net_decimals1, 0, 4}",
            "offsets"},
           {"{\"q1\", 1, 8, 3, 1, 6u, 10u, 10u, 0u, net_decimals1, 0, net_decimals1, 4}",
            "channel_map"},
           {"{\"q1\", 1, 8, 3, 1, 6u, 10u, 10u, 0u, net_decimals1, 0, 0, 6}", "flags"}}) {
    Made changed = c;
    changed.source = replaced(c.source, "net_tensors[", row, to);
    CHECK_MESSAGE(contains(objection(changed), "member " + member + " of tensor 1 'q1'"),
                  objection(changed));
  }
  const auto arena = [bytes = checker::read_plan(c.plan).arena_bytes](int more) {
    return fmt::format("ARENA_BYTES {}u", bytes + more);
  };
  for (const auto& [from, to, text] : std::vector<std::array<std::string, 3>>{
           {arena(0), arena(-1), "NET_ARENA_BYTES is not"},
           {arena(0), arena(1), ""},
           {arena(0), arena(1 << 25), "NET_ARENA_BYTES is not"},
           {"ARENA_ALIGNMENT 16u", "ARENA_ALIGNMENT 8u", "NET_ARENA_ALIGNMENT is not 16"},
           {"STACK_BYTES 1024u", "STACK_BYTES 9u", ""},
           {"CONSTANT_BYTES 876u", "CONSTANT_BYTES 875u", "NET_CONSTANT_BYTES is not 876 to"},
           {"CONSTANT_BYTES 876u", "CONSTANT_BYTES 900u", ""},
           {"INPUT0_TYPE int8_t", "INPUT0_TYPE uint8_t", "NET_INPUT0_TYPE is not int8_t"},
           {"INPUT0_OFFSET 608u", "INPUT0_OFFSET 600u", "NET_INPUT0_OFFSET is not 608"},
           {"INPUT0_HEIGHT 12u", "INPUT0_HEIGHT 13u", "NET_INPUT0_HEIGHT is not 12"},
           {"INPUT0_WIDTH 12u", "INPUT0_WIDTH 13u", "NET_INPUT0_WIDTH is not 12"},
           {"INPUT0_CHANNELS 1u", "INPUT0_CHANNELS 3u", "NET_INPUT0_CHANNELS is not 1"},
           {"INPUT0_ELEMENTS 144u", "INPUT0_ELEMENTS 100u", "NET_INPUT0_ELEMENTS is not 144"},
           {"INPUT0_LOWEST (-128)", "INPUT0_LOWEST (-127)", "NET_INPUT0_LOWEST is not -128"},
           {"INPUT0_LOWEST (-128)", "INPUT0_LOWEST (-127 - 1)", ""},
           {"INPUT0_LOWEST (-128)", "INPUT0_LOWEST (-129 + (2 - 1))", ""},
           {"INPUT0_LOWEST (-128)", "INPUT0_LOWEST (-127 - 2)", "NET_INPUT0_LOWEST is not -128"},
           {"INPUT0_LOWEST (-128)", "INPUT0_LOWEST (-128u)", "NET_INPUT0_LOWEST is not -128"},
           {"INPUT0_LOWEST (-128)", "INPUT0_LOWEST (-128", "NET_INPUT0_LOWEST is not -128"},
           {"INPUT0_LOWEST (-128)", "INPUT0_LOWEST -128 *", "NET_INPUT0_LOWEST is not -128"},
           {"INPUT0_LOWEST (-128)", "INPUT0_LOWEST " + std::string(100000, '('),
            "NET_INPUT0_LOWEST is not -128"},
           {"INPUT0_HIGHEST 127", "INPUT0_HIGHEST 128", "NET_INPUT0_HIGHEST is not 127"},
           {"INPUT0_DECIMAL 7", "INPUT0_DECIMAL 6", "NET_INPUT0_DECIMAL is not 7"},
           {"INPUT0_DECIMAL 7", "INPUT0_DECIMAL (-7)", "NET_INPUT0_DECIMAL is not 7"},
           {"#define NET_INPUT0_DECIMAL 7\n", "", "NET_INPUT0_DECIMAL is not 7"},
           {"#define NET_INPUT0_DECIMAL 7\n",
            "#ifdef A\n#define NET_INPUT0_DECIMAL 6\n#else\n#define NET_INPUT0_DECIMAL 7\n"
            "#endif\n",
            "NET_INPUT0_DECIMAL is not 7"},
           {"OUTPUT0_DECIMAL ", "OUTPUT0_DECIMAL 1", "NET_OUTPUT0_DECIMAL is not"},
           {"TENSOR_COUNT 7u", "TENSOR_COUNT 8u", "another number of tensors"},
           {"OUTPUT_COUNT 1u", "OUTPUT_COUNT 2u", "'net_outputs' of 2 has 1"},
           {"channels, height, width", "channels, width, height", "another type of tensors"},
           {"uint8_t bits;", "uint16_t bits;", "another type of tensors"},
           {"#include <stdint.h>", "#include \"mine.h\"", "#include \"mine.h\""}}) {
    Made changed = c;
    changed.header = replaced(c.header, "#ifndef", from, to);
    const std::string found = objection(changed);
    CHECK_MESSAGE(text.empty() ? found.empty() : contains(found, text), found);
  }
  Made changed = c;
  changed.source = replaced(c.source, "net_outputs[", "{6}", "{5}");
  CHECK(contains(objection(changed), "net_outputs is another list"));
}

TEST_CASE("a table of decimals is read as decimal_count says") {
  const Made c = made("cw_act_into_conv");
  try_changes(c, {{"net_tensors[", "6u, 8u, 8u, 0u, net_decimals1", "6u, 8u, 8u, 0u, net_decimals2",
                   ""},  // the same numbers
                  {"net_tensors[", "{\"q1\", 1, 8, 3, 0,", "{\"q1\", 1, 8, 3, 1,", "decimals"},
                  {"net_tensors[", "{\"q1\", 1, 8, 3, 0,", "{\"q1\", 1, 8, 3, 2,", "decimal_count"},
                  {"net_tensors[", "{\"q3\", 1, 8, 3, 1,", "{\"q3\", 1, 8, 3, 0,", "decimals"},
                  {"net_decimals1[6]", "8, 6}", "8, 7}", "decimals"}});
}

TEST_CASE("an input of raw bytes and an output of several decimals have no one decimal") {
  const Graph raw = parse_graph(
      R"({"format":"lockstep-graph","version":1,"name":"n",
          "inputs":[{"name":"x","shape":[2,3,4],"bits":8,"decimal":5,"raw":{}}],
          "nodes":[{"name":"r","op":"relu","inputs":["x"]}],"outputs":["r"]})",
      "n");
  Net by_channel("2,5,5");
  by_channel.conv("c", "x", 2, 3, 3, none);
  by_channel.quantize("q", "c", {4, 3, 4});
  by_channel.finish({"q"});
  for (const bool is_raw : {true, false}) {
    Made c = is_raw ? made(raw, {}) : made(by_channel.graph, by_channel.state);
    const std::string place = is_raw ? "NET_INPUT0" : "NET_OUTPUT0";
    CHECK(!contains(c.header, place + "_DECIMAL"));
    CHECK(objection(c).empty());
    c.header = replaced(c.header, "", "#define " + place + "_TYPE",
                        "#define " + place + "_DECIMAL 7\n#define " + place + "_TYPE");
    CHECK(contains(objection(c), place + "_DECIMAL: there is no one decimal"));
  }
}

TEST_CASE("C that is written in another way is proved") {
  try_changes(made("bias12"),
              {
                  {"void net_op0_conv2d(", "int32_t acc0", "int64_t acc0", ""},
                  {"void net_op0_conv2d(", "acc0 += (int32_t)p[0] * w[0];",
                   "acc0 = acc0 + w[0] * p[0]; /* the same */", ""},
                  {"void net_op0_conv2d(", "acc0 += (int32_t)p[0] * w[0];",
                   "acc0 -= 0 - (int32_t)*p * *w;", ""},
                  {"void net_op0_conv2d(", "acc0 += (int32_t)p[0] * w[0];",
                   "acc0 += 5 + 2 * (int32_t)p[0] * w[0]; acc0 += p[0] * -w[0]; acc0 -= 5;", ""},
                  {"void net_op0_conv2d(",
                   "intrt_clamp(intrt_shift_right_toward_zero(acc0, "
                   "net_op0_conv2d_shift[o]), -128, 127)",
                   "intrt_requantize(acc0, net_op0_conv2d_shift[o], INTRT_ROUND_TOWARD_ZERO, "
                   "-128, 127)",
                   ""},
                  {"void net_op1_requantize(", "intrt_clamp(in[i], 0, 127)",
                   "intrt_clamp(in[i], 0, 30000)", ""},
                  {"void net_op1_requantize(", "for (int32_t i = 0; i < 600; ++i)",
                   "for (int32_t i = 599; i >= 0; i--)", ""},
                  {"void net_op2_max_pool2d(", "if (code > largest) largest = code;",
                   "largest = largest < code ? code : largest;", ""},
                  {"void net_op2_max_pool2d(", "code > largest", "code >= largest", ""},
              });
}

TEST_CASE("what a mask removes becomes 0, and nothing else") {
  const Recorded net = read_recorded("bias12");
  const Compiled compiled = compile_network(net.graph, net.state, {});
  const std::vector<CSourceFile> files = emit_c(compiled, {.prefix = "net", .target = "aarch64"});
  const char* const c2 = "void net_op2_conv2d(";
  try_changes({compiled.plan, files[0].text, files[1].text},
              {
                  {c2, "intrt_neon_keep(out, net_op2_conv2d_mask, 72);", "", "it is not written"},
                  {c2, "net_op2_conv2d_mask, 72)", "net_op2_conv2d_mask, 64)", "not written"},
                  {c2, "net_op2_conv2d_mask, 72)", "net_op2_conv2d_mask, 80)", "behind an array"},
                  {c2, "net_op2_conv2d_mask, 72)", "net_op2_conv2d_mask, -1)", "out of range"},
                  {c2, "net_op2_conv2d_mask, 72)", "(const uint8_t *)in, 72)", "constant"},
                  {"net_op2_conv2d_mask[", "185, 129", "184, 129", "'c2'"},
                  {"net_op2_conv2d_mask[", "185, 129", "187, 129", "'c2'"},
              });
}

TEST_CASE("the C of every recorded network is the plan") {
  for (const std::string& name : kRecordedNetworks)
    for (const bool keep_layers : {false, true})
      for (const auto goal : {passes::Objective::kSpeed, passes::Objective::kSize}) {
        CAPTURE(name);
        CAPTURE(keep_layers);
        const std::string text =
            objection(made(name, {.keep_layers = keep_layers, .optimize = goal, .after_pass = {}}));
        CHECK_MESSAGE(text.empty(), text);
      }
}

TEST_CASE("the C for every core is the plan") {
  std::size_t with_kernels = 0;
  for (const std::string& name : kRecordedNetworks) {
    const Recorded net = read_recorded(name);
    const Compiled compiled = compile_network(net.graph, net.state, {});
    for (const std::string& target : c_targets()) {
      CAPTURE(name);
      CAPTURE(target);
      const std::vector<CSourceFile> files = emit_c(compiled, {.prefix = "net", .target = target});
      const std::string text = objection({compiled.plan, files[0].text, files[1].text});
      CHECK_MESSAGE(text.empty(), text);
      if (contains(files[0].text, "#define INTRT_MICRO_")) ++with_kernels;
    }
  }
  CHECK(with_kernels > 10);
}

TEST_CASE("C that a flash budget makes smaller is the plan") {
  const Graph graph = zoo::find_network("resnet8").build({});
  const Compiled compiled = compile_network(graph, zoo::calibrated_state(graph, 1), {});
  const std::vector<CSourceFile> files =
      emit_c(compiled, {.prefix = "net", .target = "cortex-m4", .flash_budget = 105000});
  REQUIRE(contains(files[0].text, "  intrt_dsp_dot8_4x2(sums, &net"));
  const std::string text = objection({compiled.plan, files[0].text, files[1].text});
  CHECK_MESSAGE(text.empty(), text);
}

TEST_CASE("the C of one plan is not that of another") {
  const Made a = made("bias12"), b = made("left_shift");
  CHECK(!objection({a.plan, b.source, b.header}).empty());
  CHECK(!objection({b.plan, a.source, a.header}).empty());
}

TEST_CASE("cut and damaged files are refused, not followed") {
  const Made c = made("residual_add");
  for (std::size_t length = 0; length < c.source.size(); length += 997) {
    Made changed = c;
    changed.source.resize(length);
    CHECK(!objection(changed).empty());
  }
  std::uint64_t random = 1;
  for (int i = 0; i < 300; ++i) {
    random = random * 6364136223846793005U + 1442695040888963407U;
    Made changed = c;
    changed.source[(random >> 33) % changed.source.size()] = static_cast<char>(random >> 24);
    objection(changed);  // whatever it says, it ends
  }
}

}  // namespace
}  // namespace lockstep::test
