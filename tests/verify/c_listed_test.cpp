// C with lists of the weights that are not 0 (intrt/micro/sparse.h): what the proof must accept of
// it, and what it must not.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "tests/verify/c_by_hand.h"
#include "tools/zoo/zoo.h"

namespace lockstep::test {
namespace {

constexpr const char *kOp = "void net_op0_conv2d(", *kList = "net_op0_conv2d_entry[";

Made made_for(const std::string& target, const Net& net) {
  const Compiled compiled = compile_network(net.graph, net.state, {});
  const std::vector<CSourceFile> files = emit_c(compiled, {.prefix = "net", .target = target});
  return {compiled.plan, files[0].text, files[1].text};
}
// Output 0 has weights for all inputs, in several chunks; output 2 has none.
Net mostly_zeros(const std::string& shape, std::int64_t inputs, std::int64_t outputs,
                 std::int64_t kernel, const std::string& more, bool has_relu = false) {
  Net net(shape);
  net.conv(
      "c1", "x", inputs, outputs, kernel,
      [](std::int64_t o, std::int64_t i) { return o == 2 || (o > 0 && i != o); }, more);
  if (has_relu) net.node("r1", "relu", {"c1"});
  net.quantize("q1", has_relu ? "r1" : "c1");
  net.finish({"q1"});
  return net;
}

std::size_t list_at(const Made& c) {
  const std::size_t at = c.source.find(kList);
  REQUIRE(at != std::string::npos);
  return c.source.find('{', at) + 1;
}
std::vector<Int> list_of(const Made& c) {
  std::vector<Int> numbers;
  const std::size_t begin = list_at(c);
  std::string text = c.source.substr(begin, c.source.find('}', begin) - begin);
  for (char& byte : text)
    if (byte == ',') byte = ' ';
  for (std::istringstream in(text); in.good();) {
    Int number = 0;
    if (in >> number) numbers.push_back(number);
  }
  return numbers;
}
// The same with this list in place of its own. The header says that the constants may be more.
Made with_list(Made c, const std::vector<Int>& numbers) {
  const std::size_t begin = list_at(c);
  c.source.replace(begin, c.source.find('}', begin) - begin,
                   fmt::format("{}", fmt::join(numbers, ", ")));
  const std::size_t name = c.source.find(kList) + std::string(kList).size();
  c.source.replace(name, c.source.find(']', name) - name, fmt::format("{}", numbers.size()));
  const std::string_view bytes = "NET_CONSTANT_BYTES ";
  c.header.replace(c.header.find(bytes) + bytes.size(), 0, "1000");  // in front of its digits
  return c;
}

TEST_CASE("a list of weights is followed number by number") {
  for (const std::string target : {"cortex-m0", "rv32imc"}) {
    CAPTURE(target);
    const Made c = made_for(target, mostly_zeros("24,4,16", 24, 4, 3, R"(,"padding":1)"));
    REQUIRE(contains(c.source, target == "rv32imc" ? "  intrt_sparse_dot_16(sums, &net"
                                                   : "  intrt_sparse_dot_8(sums, &net"));
    const std::vector<Int> list = list_of(c);
    const auto end = static_cast<std::size_t>(std::ranges::find(list, 0) - list.begin());
    const auto next_end =
        static_cast<std::size_t>(std::find(list.begin() + std::ssize(list) / 2, list.end(), 2) -
                                 list.begin());  // of output 0, which has two chunks
    REQUIRE(end > 4);
    REQUIRE(next_end < list.size());
    using Numbers = std::vector<Int>;
    const auto at = [](Numbers& numbers, std::size_t i) {
      return numbers.begin() + static_cast<std::ptrdiff_t>(i);
    };
    struct ListChange {
      std::function<void(Numbers&)> change;
      const char* text;
    };
    for (const ListChange& one : std::vector<ListChange>{
             {[](Numbers&) {}, ""},
             {[](Numbers& n) { std::swap(n[0], n[1]); }, ""},
             {[&](Numbers& n) {
                n.insert(at(n, 3), 0);
                n[next_end + 1] = 3;
              },
              ""},
             {[&](Numbers& n) { n.insert(at(n, 3), 0); }, "a list of weights that is none"},
             {[&](Numbers& n) { n[next_end] = 1; }, "a list of weights that is none"},
             {[&](Numbers& n) { n[next_end] = 3; }, "a list of weights that is none"},
             {[&](Numbers& n) { n.insert(at(n, end), 0); }, "a list of weights that is none"},
             {[&](Numbers& n) { n.insert(at(n, 0), 0); }, "another multiple"},
             {[](Numbers& n) { n.pop_back(); }, "a list of weights that is none"},
             {[](Numbers& n) { n[0] += 2; }, "a list of weights that is none"},
             {[&](Numbers& n) {
                n.erase(at(n, end));
                n[next_end - 1] = 1;
              },
              "a chunk's sum of"},
             {[&](Numbers& n) { n[next_end - 1] += 65536; }, "another multiple"},
             {[&](Numbers& n) {
                n[next_end - 1] = -n[next_end - 1] + 2 * (n[next_end - 1] & 0xffff);
              },
              "another multiple"},
             {[](Numbers& n) { n[0] = (n[0] >> 16) * 65536 + 65532; }, "a pointer leaves"},
             {[&](Numbers& n) { n.erase(at(n, 0)); }, "C line "},
             {[&](Numbers& n) { std::swap(n[next_end - 1], n[next_end + 1]); }, "another multiple"},
         }) {
      Numbers changed = list;
      one.change(changed);
      const std::string text = objection(with_list(c, changed));
      CAPTURE(changed[0]);
      CHECK_MESSAGE((*one.text == '\0' ? text.empty() : contains(text, one.text)), text);
    }
  }
}

TEST_CASE("codes made of lists of weights are the plan's, whatever the call") {
  const Made c = made_for("rv32imc", mostly_zeros("96,5,5", 96, 12, 1, "", true));
  const char *const channels = "_channel, 12, panel", *const clamps = ", 12, 0, 31)",
                    *const out = "codes_16(&out[i * 12],";
  for (const char* const text : {channels, clamps, out}) REQUIRE(contains(c.source, text));
  try_changes(c, {
                     {kOp, channels, "_channel, 11, panel", "C line "},
                     {kOp, channels, "_channel, 13, panel", "out of range"},
                     {kOp, channels, "_channel, 0, panel", "out of range"},
                     {kOp, channels, "_entry, 12, panel", "C line "},
                     {kOp, channels, "_channel, 12, panel + 1", "C line "},
                     {kOp, clamps, ", 11, 0, 31)", "out of range"},
                     {kOp, clamps, ", 13, 0, 31)", "C line "},
                     {kOp, clamps, ", 12, 1, 31)", "another code"},
                     {kOp, clamps, ", 12, -1, 31)", "another code"},
                     {kOp, clamps, ", 12, 0, 30)", "another code"},
                     {kOp, clamps, ", 12, 0, 128)", "out of range"},
                     {kOp, clamps, ", 12, 32, 31)", "out of range"},
                     {kOp, out, "codes_16(&out[i * 12 + 1],", "C line "},
                     {kOp, out, "codes_16((int8_t *)panel,", "C line "},
                 });
  // Starts, multipliers and addends of the channels, one after the other.
  const std::string list = "net_op0_conv2d_channel[36] = {";
  const std::size_t begin = c.source.find(list) + list.size();
  for (int number = 0; number < 3; ++number) {
    std::size_t at = begin;
    for (int i = 0; i < number; ++i) at = c.source.find(',', at) + 1;
    for (const std::string to : {"1", "-5", "2147483647", "1073741825"}) {
      Made changed = c;
      changed.source.replace(at, c.source.find(',', at) - at, to);
      const std::string text = objection(changed);
      CHECK_MESSAGE(contains(text, "C line "), number, " ", to, ": ", text);
    }
  }
}

TEST_CASE("C with lists of weights is proved, and no other") {
  const Made columns = made_for("cortex-m3", mostly_zeros("24,4,16", 24, 4, 3, R"(,"padding":1)"));
  try_changes(
      columns,
      {
          {kOp, "sums[32]", "sums[31]", "behind an array"},
          {kOp, "sums[32]", "sums[33]", ""},
          {kOp, "start[o], 4, panel", "start[o], 3, panel", "that was not set"},
          {kOp, "start[o], 4, panel", "start[o], 5, panel", "C line "},
          {kOp, "start[o], 4, panel", "start[o], 0, panel", "out of range"},
          {kOp, "4, panel, &", "4, panel + 1, &", "C line "},
          {kOp, "dot_8(sums, &net_op0_conv2d_start[o]", "dot_8(panel, &net_op0_conv2d_start[o]",
           "sums that lie in what they are made of"},
          {kOp, "dot_8(sums, &net_op0_conv2d_start[o]", "dot_8(sums, sums", "C line "},
          {kOp, "dot_8(sums", "dot_16(sums", "C line "},
          {kOp, "x0 + x_begin", "x0", "C line "},
          {kOp, ", x_begin, 16 - x0", ", 0, 16 - x0", "C line "},
          {kOp, ", x_begin, 16 - x0", ", -x_begin, 16 - x0", "out of range"},
          {kOp, ", x_begin, 16 - x0", ", x_begin, 15 - x0", "another multiple"},
          {kOp, ", x_begin, 16 - x0", ", x_begin, 17 - x0", "C line "},
          {kOp, "5, 24, &in", "5, 23, &in", "was not written"},
          {kOp, "5, 24, &in", "4, 24, &in", "C line "},
          {kOp, "24, x_begin", "23, x_begin", "another multiple"},
          {kOp, "ky < y_end", "ky < 3", "C line "},
          {kOp, "in, 0, 0, 0", "in, 0, 0, 1", "another multiple"},
      });
  const Made pairs = made_for("cortex-m0", mostly_zeros("96,5,5", 96, 12, 1, ""));
  REQUIRE(contains(pairs.source, "intrt_sparse_pair(&panel[ky * 384 + p], 4, 96, &in["));
  try_changes(pairs,
              {
                  {kOp, "(&panel[ky * 384 + p], 4,", "(&panel[ky * 384 + p], 5,", "C line "},
                  {kOp, "(&panel[ky * 384 + p], 4,", "(&panel[ky * 384 + p], 0,", "out of range"},
                  {kOp, "(&panel[ky * 384 + p], 4,", "(&panel[0], 4,", "was not written"},
                  {kOp, "4, 96, &in", "4, 95, &in", "was not written"},
                  {kOp, "p < 4", "p < 3", "was not written"},
                  {kOp, "j = i + 2 * p", "j = i + 2 * p + 0", ""},
                  {kOp, "v = j + 1", "v = j", "another multiple"},
              });
  Made large = pairs;
  large.source = replaced(large.source, "net_op0_conv2d_start[12] = {", "64", "2147483647");
  CHECK_MESSAGE(contains(objection(large), "do not fit int32_t"), objection(large));
}

TEST_CASE("the C of pruned networks is the plan") {
  for (const std::string name : {"resnet8", "ds_cnn"}) {
    const Graph graph = zoo::find_network(name).build({.per_channel = true, .sparsity = 0.8});
    const Compiled compiled = compile_network(graph, zoo::calibrated_state(graph, 1), {});
    for (const std::string target : {"cortex-m0", "cortex-m3", "rv32imc", "cortex-m4"}) {
      CAPTURE(name);
      CAPTURE(target);
      const std::vector<CSourceFile> files = emit_c(compiled, {.prefix = "net", .target = target});
      if (target == "cortex-m4")
        CHECK(contains(files[0].text, "first_row <= 0 && 0 < end_row") == (name == "resnet8"));
      else
        CHECK(contains(files[0].text, "  intrt_sparse_dot_"));
      const std::string text = objection({compiled.plan, files[0].text, files[1].text});
      CHECK_MESSAGE(text.empty(), text);
    }
  }
}

}  // namespace
}  // namespace lockstep::test
