// C with micro-kernels for one position, written by hand: what the proof must accept of it, and
// what it must not.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <vector>

#include "tests/verify/c_by_hand.h"

namespace lockstep::test {
namespace {

// Where the number of a tap is: of four taps the even ones make a pair, and so do the odd ones;
// `each` numbers of a tap lie side by side.
Int place(Int tap, Int each, Int k) {
  return tap / 4 * 4 * each + tap % 2 * 2 * each + 2 * k + tap / 2 % 2;
}

struct Kernel {
  std::string type, call;
  // Numbers of a tap, and the power of two between the weights of two channels in one.
  Int each = 4, unit = 0;
  bool in_order = false;
  std::string header = "micro/linear.h";
};
const Kernel kDot16 = {"INTRT_ALIGNED int16_t",
                       "intrt_linear_dot16(sums, c1_bias, in, c1_weight, TAPS / 4)"};
const Kernel kDot8 = {"INTRT_ALIGNED int16_t",
                      "intrt_linear_dot8(sums, c1_bias, in, c1_weight, TAPS / 4)", 2, 256};
const Kernel kPacked = {"int32_t", "intrt_linear_packed(sums, c1_bias, in, c1_weight, lengths, 2)",
                        2, 65536, true};

// Two bytes of each weight, of a row of units of four taps at one position.
const Kernel kNeonWide = {
    "int8_t", "intrt_neon_wide_dot(sums, c1_bias, in, 0, 0, c1_weight, 1, TAPS / 4, 1)",
    8,        0,
    true,     "micro/neon.h"};

// One convolution of as many taps as its input has elements, which is a sum at one position.
Made with_linear(const Kernel& kernel, Int channels = 16) {
  Net net(fmt::format("{},3,3", channels));
  net.conv("c1", "x", channels, 4, 3, none);
  net.quantize("q1", "c1");
  net.finish({"q1"});
  Made c = made(net.graph, net.state, {.keep_layers = true, .after_pass = {}});
  const checker::Plan plan = checker::read_plan(c.plan);
  const Int taps = 9 * channels;
  const auto weight = [&](Int channel, Int tap) {
    return plan.ops[0].weights[static_cast<std::size_t>(channel * taps + tap)];
  };
  std::vector<Int> numbers(static_cast<std::size_t>(taps * kernel.each));
  const auto number = [&](Int t, Int k) -> Int& {
    return numbers[static_cast<std::size_t>(kernel.in_order ? kernel.each * t + k
                                                            : place(t, kernel.each, k))];
  };
  for (Int t = 0; t < taps; ++t)
    if (kernel.each == 8)
      for (Int k = 0; k < 4; ++k) number(t / 4 * 4, 4 * k + t % 4) = weight(k, t);
    else
      for (Int k = 0; k < kernel.each; ++k)
        number(t, k) =
            kernel.unit == 0 ? weight(k, t) : weight(2 * k, t) + kernel.unit * weight(2 * k + 1, t);
  const std::size_t begin = c.source.find("/* conv2d 'c1'"), end = c.source.find("void net_run(");
  c.source.replace(begin, end - begin,
                   fmt::format("static const {} c1_weight[{}] = {{{}}};\n", kernel.type,
                               numbers.size(), fmt::join(numbers, ", ")) +
                       fmt::format("static const int32_t c1_bias[4] = {{{}}};\n",
                                   fmt::join(plan.ops[0].bias, ", ")) +
                       "static const uint8_t lengths[2] = {36, 36};\n" +
                       filled(R"(
static void net_op0_conv2d(const int8_t *in, int8_t *out) {
  int32_t sums[4];
  CALL;
  for (int32_t c = 0; c < 4; ++c)
    out[c] = (int8_t)intrt_clamp(intrt_shift_right_toward_zero(sums[c], 4), -32, 31);
}
)",
                              {{"CALL", kernel.call}, {"TAPS", fmt::format("{}", taps)}}));
  add_header(c, kernel.header);
  return c;
}

constexpr const char *kRun = "void net_op0_conv2d(", *kWeights = "c1_weight[";

TEST_CASE("C with pairs of codes at one position is proved, and no other") {
  for (const Kernel& kernel : {kDot16, kDot8}) {
    CAPTURE(kernel.call);
    try_changes(with_linear(kernel), {
                                         {kRun, "sums", "sums", ""},
                                         {kRun, "144 / 4", "35", "another multiple"},
                                         {kRun, "144 / 4", "37", "behind an array"},
                                         {kRun, "144 / 4", "0", "out of range"},
                                         {kRun, "144 / 4", "1000000", "out of range"},
                                         {kRun, "in, c1", "in + 4, c1", "was not written"},
                                         {kRun, "in, c1", "in + 1, c1", "a multiple of 4"},
                                         {kRun, "c1_weight,", "c1_weight + 2,", "behind an array"},
                                         {kRun, "c1_weight,", "c1_weight + 1,", "a multiple of 4"},
                                         {kRun, "c1_bias,", "sums,", "that lie in what"},
                                         {kRun, "c1_bias,", "c1_bias + 1,", "behind an array"},
                                         {kRun, "sums[4]", "sums[3]", "a write behind an array"},
                                         {kRun, "sums[c]", "sums[3 - c]", "another multiple"},
                                     });
  }
}

TEST_CASE("C with two weights in a word is proved, and no other") {
  try_changes(with_linear(kPacked), {
                                        {kRun, "sums", "sums", ""},
                                        {kRun, "lengths, 2", "lengths, 1", "another multiple"},
                                        {kRun, "lengths, 2", "lengths, 3", "behind an array"},
                                        {kRun, "lengths, 2", "lengths, 0", "out of range"},
                                        {kRun, "in, c1", "in + 1, c1", "was not written"},
                                        {kRun, "c1_weight,", "c1_weight + 1,", "behind an array"},
                                        {"lengths[", "36, 36", "71, 1", "does not fit 16 bits"},
                                        {"lengths[", "36, 36", "35, 36", "another multiple"},
                                        {"lengths[", "36, 36", "36, 37", "behind an array"},
                                    });
}

TEST_CASE("C with weights of two bytes is proved, and no other") {
  const Made c = with_linear(kNeonWide);
  const std::size_t first = c.source.find("{", c.source.find(kWeights)),
                    end = c.source.find("}", first);
  const std::string numbers = c.source.substr(first, end - first);
  std::string high = numbers;  // a high byte of 1
  std::size_t at = 0;
  for (int k = 0; k < 16; ++k) at = high.find(", ", at) + 2;
  REQUIRE(high.substr(at, 2) == "0,");
  high[at] = '1';
  try_changes(c, {
                     {kRun, "sums", "sums", ""},
                     {kWeights, numbers.c_str(), high.c_str(), "another multiple"},
                     {kRun, "144 / 4", "35", "another multiple"},
                     {kRun, "144 / 4", "37", "behind an array"},
                     {kRun, "144 / 4, 1", "36, 0", "out of range"},
                     {kRun, "c1_weight,", "c1_weight + 16,", "behind an array"},
                     {kRun, "c1_weight,", "c1_weight + 1,", "behind an array"},
                 });
}

TEST_CASE("numbers of two weights have their bits, and sums of their products 24") {
  const auto changed = [](const Kernel& kernel, Int channels, const std::string& numbers) {
    Made c = with_linear(kernel, channels);
    const std::size_t begin = c.source.find("{", c.source.find(kWeights)) + 1,
                      end = c.source.find("}", begin);
    c.source.replace(begin, end - begin, numbers);
    return objection(c);
  };
  const auto many = [](const std::string& number, std::size_t count) {
    return fmt::format("{}", fmt::join(std::vector<std::string>(count, number), ", "));
  };
  // -1 and 128; -2^15 and 2^15.
  CHECK(contains(changed(kDot8, 16, many("32767", 288)), "that is no two weights"));
  CHECK(contains(changed(kPacked, 16, many("2147450880", 288)), "that is no two weights"));
  CHECK(contains(changed(kDot8, 16, many("32512", 288)), "another multiple"));
  CHECK(contains(changed(kDot8, 256, many("32512", 4608)), "does not fit 24 bits"));
}

}  // namespace
}  // namespace lockstep::test
