#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstring>

#include "compile/checkpoint/state_dict.h"
#include "tests/compile/checkpoint/tensors.h"
#include "tests/support/input_error.h"

using namespace lockstep;
using test::contains;
using test::input_error_of;
using test::make_tensor;
using test::same;

namespace {

std::vector<std::byte> file_of(const std::string& header, const std::string& data) {
  std::vector<std::byte> bytes(8 + header.size() + data.size());
  const std::uint64_t size = header.size();
  std::memcpy(bytes.data(), &size, 8);
  std::memcpy(bytes.data() + 8, header.data(), header.size());
  std::memcpy(bytes.data() + 8 + header.size(), data.data(), data.size());
  return bytes;
}
std::string error_of(const std::vector<std::byte>& bytes) {
  return input_error_of([&] { parse_safetensors(bytes, "s.safetensors"); });
}
std::string error_of(const std::string& header, const std::string& data) {
  return error_of(file_of(header, data));
}
std::string entry(const std::string& key, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":{}}})", key, dtype, shape,
                     offsets);
}

std::string object(const std::string& members) { return fmt::format("{{{}}}", members); }

StateDict small_state() {
  StateDict state;
  state.add("w", make_tensor<float>(Dtype::kFloat32, {2, 2}, {1, -2, 0.5F, 3}));
  state.add("e", make_tensor<double>(Dtype::kFloat64, {0, 3}, {}));
  state.add("n", make_tensor<std::int32_t>(Dtype::kInt32, {}, {-1}));
  state.add("m", make_tensor<std::uint8_t>(Dtype::kBool, {3}, {1, 0, 1}));
  return state;
}

}  // namespace

TEST_CASE("to_safetensors and parse_safetensors are inverse, for every dtype") {
  StateDict state = small_state();
  state.add("f64", make_tensor<double>(Dtype::kFloat64, {1}, {0.1}));
  state.add("i64", make_tensor<std::int64_t>(Dtype::kInt64, {1}, {INT64_MIN}));
  state.add("i16", make_tensor<std::int16_t>(Dtype::kInt16, {2}, {-5, 6}));
  state.add("i8", make_tensor<std::int8_t>(Dtype::kInt8, {1}, {-128}));
  state.add("u8", make_tensor<std::uint8_t>(Dtype::kUint8, {1}, {255}));
  state.add("a \"quoted\" k\xc3\xa4y", make_tensor<float>(Dtype::kFloat32, {1}, {7}));
  const std::vector<std::byte> bytes = to_safetensors(state);
  CHECK(same(parse_safetensors(bytes, "s"), state));
  CHECK(to_safetensors(parse_safetensors(bytes, "s")) == bytes);
  CHECK(parse_safetensors(to_safetensors(StateDict()), "s").entries().empty());
}

TEST_CASE("metadata and padding are accepted, entries come in the order of their data") {
  const std::string header =
      object(entry("b", "U8", "[2]", "[1,3]") + "," + entry("a", "U8", "[1]", "[0,1]") +
             R"(,"__metadata__":{"format":"pt"})") +
      "    ";
  const StateDict state = parse_safetensors(file_of(header, "xyz"), "s");
  REQUIRE(state.entries().size() == 2);
  CHECK(state.entries()[0].first == "a");
  CHECK(state.at("b").bytes == std::vector<std::byte>{std::byte{'y'}, std::byte{'z'}});
}

TEST_CASE("a header that is too long, truncated or no JSON object is refused") {
  CHECK(contains(error_of({}), "truncated at byte 0"));
  CHECK(contains(error_of(std::vector<std::byte>(7)), "truncated at byte 7"));
  std::vector<std::byte> bytes = file_of("{}", "");
  bytes[0] = std::byte{3};
  CHECK(contains(error_of(bytes), "the header alone ends at 11"));
  bytes[4] = std::byte{1};
  CHECK(contains(error_of(bytes), "at most 16777216 are allowed"));
  CHECK(contains(error_of("", ""), "does not begin with '{'"));
  CHECK(contains(error_of(" {}", ""), "does not begin with '{'"));
  CHECK(contains(error_of("[]", ""), "does not begin with '{'"));
  CHECK(contains(error_of("{", ""), "not valid JSON"));
  CHECK(contains(error_of("{}{}", ""), "not valid JSON"));
  CHECK(contains(error_of(R"({"__metadata__":{"a":1}})", ""),
                 "'__metadata__' must be an object of strings"));
  CHECK(contains(error_of(R"({"__metadata__":"a"})", ""), "'__metadata__'"));
}

TEST_CASE("an entry that is incomplete or has more than its three members is refused") {
  CHECK(contains(error_of(R"({"a":{"dtype":"U8","shape":[1]}})", "x"),
                 "tensor 'a': its entry must have exactly"));
  CHECK(contains(error_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}})", "x"),
                 "exactly"));
  CHECK(contains(error_of(R"({"a":7})", "x"), "exactly"));
  CHECK(contains(error_of(object(entry("a", "F16", "[1]", "[0,2]")), "xx"),
                 "dtype \"F16\" is not supported"));
  const std::string long_dtype_error =
      error_of(object(entry("a", std::string(3'000'000, 'F'), "[1]", "[0,2]")), "xx");
  CHECK(contains(long_dtype_error, "is not supported"));
  CHECK(long_dtype_error.size() < 300);
  CHECK(contains(error_of(object(entry("a", "U8", "[-1]", "[0,1]")), "x"), "'shape' must be"));
  CHECK(contains(error_of(object(entry("a", "U8", "[1.0]", "[0,1]")), "x"), "'shape' must be"));
  CHECK(contains(error_of(object(entry("a", "U8", "[18446744073709551615]", "[0,1]")), "x"),
                 "'shape' must be"));
  CHECK(contains(error_of(object(entry("a", "U8", "1", "[0,1]")), "x"), "'shape' must be"));
  CHECK(contains(error_of(object(entry("a", "U8", "[1]", "[0,1,2]")), "x"),
                 "'data_offsets' must be"));
  CHECK(
      contains(error_of(object(entry("a", "U8", "[1]", "[-1,0]")), "x"), "'data_offsets' must be"));
  CHECK(contains(error_of(object(entry("", "U8", "[1]", "[0,1]")), "x"), "key is empty"));
  CHECK(
      contains(error_of(object(entry("a\\nb", "U8", "[1]", "[0,1]")), "x"), "control characters"));
  CHECK(contains(error_of(object(entry("a\\nb", "U8", "[2]", "[0,1]")), "x"), "tensor 'a?b'"));
}

TEST_CASE("duplicate keys are refused") {
  CHECK(contains(
      error_of(object(entry("a", "U8", "[1]", "[0,1]") + "," + entry("a", "U8", "[1]", "[1,2]")),
               "xy"),
      "duplicate key \"a\""));
}

// Product of the shape wraps to 4: the published overflow of a C++ reader of this format.
TEST_CASE("a shape whose product overflows is refused") {
  CHECK(contains(
      error_of(object(entry("a", "U8", "[4194305,4194305,211106198978564]", "[0,4]")), "xxxx"),
      "is too large"));
  CHECK(contains(error_of(object(entry("a", "F64", "[2305843009213693952]", "[0,0]")), ""),
                 "is too large"));
  CHECK(contains(error_of(object(entry("a", "U8", "[0,4611686018427387904,4]", "[0,0]")), ""),
                 "is too large"));
  CHECK(error_of(object(entry("a", "U8", "[0,4611686018427387904]", "[0,0]")), "") == "(no error)");
}

TEST_CASE("holes, overlaps, wrong lengths, missing and surplus data are refused") {
  const auto two = [](const std::string& first, const std::string& second) {
    return object(entry("a", "U8", "[2]", first) + "," + entry("b", "U8", "[2]", second));
  };
  CHECK(error_of(two("[0,2]", "[2,4]"), "abcd") == "(no error)");
  CHECK(contains(error_of(two("[0,2]", "[3,5]"), "abcde"),
                 "tensor 'b' begins at byte 3 of the data"));
  CHECK(
      contains(error_of(two("[0,2]", "[1,3]"), "abc"), "tensor 'b' begins at byte 1 of the data"));
  CHECK(contains(error_of(two("[0,2]", "[0,2]"), "ab"), "begins at byte 0 of the data"));
  CHECK(contains(error_of(two("[1,3]", "[3,5]"), "abcde"), "tensor 'a' begins at byte 1"));
  CHECK(contains(error_of(two("[0,2]", "[2,5]"), "abcde"),
                 "needs 2 bytes, but data_offsets are [2, 5]"));
  CHECK(contains(error_of(two("[0,2]", "[4,2]"), "abcd"), "needs 2 bytes"));
  CHECK(contains(error_of(two("[0,2]", "[2,4]"), "abc"), "truncated at byte"));
  CHECK(contains(error_of(two("[0,2]", "[2,4]"), "abcde"), "1 bytes after the last tensor's data"));
}

TEST_CASE("every truncation of a file is refused, and so is a byte too many") {
  std::vector<std::byte> bytes = to_safetensors(small_state());
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK_MESSAGE(error_of({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)}) !=
                      "(no error)",
                  size);
  bytes.push_back(std::byte{0});
  CHECK(contains(error_of(bytes), "after the last tensor's data"));
}

TEST_CASE("every bit flip of a header is refused or gives another consistent state dict") {
  const std::vector<std::byte> bytes = to_safetensors(small_state());
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), 8);
  std::size_t refused = 0;
  for (std::size_t bit = 0; bit < 8 * (8 + header_bytes); ++bit) {
    std::vector<std::byte> flipped = bytes;
    flipped[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    try {
      // What is accepted must be readable to its last byte and be written back to an equal state
      // dict.
      const StateDict state = parse_safetensors(flipped, "s");
      CHECK_MESSAGE(same(parse_safetensors(to_safetensors(state), "s"), state), bit);
    } catch (const InputError&) {
      ++refused;
    }
  }
  MESSAGE(refused, " of ", 8 * (8 + header_bytes), " flips refused");
  CHECK(refused > 0);
}
