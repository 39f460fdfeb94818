#include "compile/support/input_codes.h"

#include <doctest/doctest.h>

#include <limits>

#include "compile/support/error.h"

namespace lockstep::test {
namespace {

const InputFormat kFormat{.name = "input", .bits = 8, .decimals = {7}, .elements_per_channel = 1};

std::vector<std::int32_t> codes_of(std::vector<float> values, const InputFormat& format = kFormat) {
  const auto count = static_cast<std::int64_t>(values.size());
  return input_codes("x.npy", NpyArray<float>{{count}, std::move(values)}, format);
}

template <typename T>
std::string refusal(const NpyArray<T>& array, const InputFormat& format = kFormat) {
  try {
    input_codes("x.npy", array, format);
    return "(no error)";
  } catch (const InputError& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("numbers are rounded toward zero and saturate at the format's ends") {
  CHECK(codes_of({0.0f, 0.999f / 128, -0.999f / 128, 1.0f / 128, -1.5f / 128, 0.9999f, -0.9999f}) ==
        std::vector<std::int32_t>{0, 0, 0, 1, -1, 127, -127});
  CHECK(codes_of({1.0f, -1.0f, -1.0078125f, 3.5f, 16777215.0f, -16777215.0f}) ==
        std::vector<std::int32_t>{127, -128, -128, 127, 127, -128});
}

TEST_CASE("each channel has its own decimal, in every sample") {
  const InputFormat format{
      .name = "input", .bits = 8, .decimals = {0, 1, -1}, .elements_per_channel = 2};
  CHECK(codes_of({3, 3, 3, 3, 3, 3, 5, 5, 5, 5, 5, 5}, format) ==
        std::vector<std::int32_t>{3, 3, 6, 6, 1, 1, 5, 5, 10, 10, 2, 2});
}

TEST_CASE("a number that does not fit 32 bits is refused by position and value") {
  const float infinity = std::numeric_limits<float>::infinity();
  const auto text_for = [](float value) {
    return refusal(NpyArray<float>{{2, 2}, {0.0f, 0.0f, value, 0.0f}});
  };
  // With decimal 7 the first magnitude that does not fit is 2^31 / 2^7.
  CHECK(text_for(16777215.0f) == "(no error)");
  for (const float value : {16777216.0f, -16777216.0f, 1e30f, -1e30f}) {
    const std::string text = text_for(value);
    INFO(text);
    CHECK(text.find("x.npy: element (1, 0) is ") == 0);
    CHECK(text.find("32 bits") != std::string::npos);
  }
  CHECK(text_for(1e30f).find("1e+30") != std::string::npos);
  for (const float value : {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()})
    CHECK(text_for(value).find("no finite number") != std::string::npos);
  CHECK(text_for(-infinity).find("is -inf") != std::string::npos);
}

TEST_CASE("integers are codes and must lie in the range") {
  CHECK(input_codes("x.npy", NpyArray<std::int64_t>{{3}, {-128, 0, 127}}, kFormat) ==
        std::vector<std::int32_t>{-128, 0, 127});
  CHECK(refusal(NpyArray<std::int64_t>{{2}, {0, 128}}) ==
        "x.npy: element (1,) is 128, but input 'input' takes codes from -128 to 127 (for "
        "unsigned pixels declare \"raw\" in graph.json, or subtract 128)");
  CHECK(refusal(NpyArray<std::int64_t>{{1}, {-129}}) ==
        "x.npy: element (0,) is -129, but input 'input' takes codes from -128 to 127");
}

TEST_CASE("a raw input takes integers from 0 to 255 and no real numbers") {
  const InputFormat bytes{
      .name = "input", .bits = 8, .bytes = true, .decimals = {0}, .elements_per_channel = 1};
  CHECK(input_codes("x.npy", NpyArray<std::int64_t>{{3}, {0, 128, 255}}, bytes) ==
        std::vector<std::int32_t>{0, 128, 255});
  CHECK(refusal(NpyArray<std::int64_t>{{1}, {256}}, bytes) ==
        "x.npy: element (0,) is 256, but input 'input' takes bytes from 0 to 255");
  CHECK(refusal(NpyArray<std::int64_t>{{1}, {-1}}, bytes) ==
        "x.npy: element (0,) is -1, but input 'input' takes bytes from 0 to 255");
  CHECK(refusal(NpyArray<float>{{1}, {7.0f}}, bytes) ==
        "x.npy: element type float32, but input 'input' takes raw bytes, integers from 0 to 255, "
        "which the network normalises by itself");
}

}  // namespace lockstep::test
