#include "compile/checkpoint/state_dict.h"

#include <doctest/doctest.h>

#include "compile/support/files.h"
#include "tests/compile/checkpoint/tensors.h"
#include "tests/support/golden_net.h"
#include "tests/support/input_error.h"
#include "tests/support/temporary_folder.h"

using namespace lockstep;
using test::contains;
using test::input_error_of;
using test::make_tensor;

TEST_CASE("a key can be added once, and must be printable UTF-8") {
  const Tensor tensor = make_tensor<float>(Dtype::kFloat32, {1}, {1});
  StateDict state;
  state.add("a", tensor);
  CHECK(contains(input_error_of([&] { state.add("a", tensor); }), "key 'a' occurs twice"));
  for (const std::string key :
       {"", "a\nb", "\x7f", "\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80"})
    CHECK_MESSAGE(contains(input_error_of([&] { state.add(key, tensor); }), "state-dict key"), key);
  for (const std::string key : {"k\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"})
    CHECK(input_error_of([&] { state.add(key, tensor); }) == "(no error)");
  CHECK(state.find("a") != nullptr);
  CHECK(state.find("b") == nullptr);
  CHECK(contains(input_error_of([&] { state.at("b"); }), "no key 'b'"));
}

TEST_CASE("elements are given in their own dtype only") {
  const Tensor floats = make_tensor<float>(Dtype::kFloat32, {2}, {1, -2});
  CHECK(floats.floats("k") == std::vector<float>{1, -2});
  CHECK(input_error_of([&] { floats.int32s("k"); }) ==
        "'k': dtype is float32, but it must be int32");
  CHECK(contains(input_error_of([&] { floats.bools("k"); }), "must be bool"));
  const Tensor bools = make_tensor<std::uint8_t>(Dtype::kBool, {2}, {0, 2});
  CHECK(contains(input_error_of([&] { bools.bools("k"); }), "holds the byte 2"));
}

TEST_CASE("read_state_dict goes by content and names the path") {
  const test::TemporaryFolder folder;
  const auto error = [&](const std::string& content) {
    write_file_atomically(folder / "s", content);
    return input_error_of([&] { read_state_dict(folder / "s"); });
  };
  const std::string path = (folder / "s").string();
  CHECK(contains(input_error_of([&] { read_state_dict(folder / "none"); }), "No such file"));
  CHECK(error("") == path + ": the file is empty");
  CHECK(error("hello") == path + ": neither a .pt file (torch.save) nor a .safetensors file");
  CHECK(contains(error("PK\x03\x04"), path + ": not an intact zip archive"));
  CHECK(contains(error(std::string("\x80\x02\x8a\x0al\xfc\x9c"
                                   "F\xf9 j\xa8P\x19.",
                                   15)),
                 "before 1.6"));
  CHECK(contains(error(std::string("\x02\0\0\0\0\0\0\0{]", 10)), path + ": not valid JSON"));
}

TEST_CASE("both files of each recorded network hold the same state dict") {
  for (const std::string& name : test::golden_net_names()) {
    CAPTURE(name);
    const std::filesystem::path folder = test::golden_folder() / name;
    const StateDict pt = read_state_dict(folder / "state_dict.pt");
    CHECK(pt.entries().size() > 0);
    CHECK(test::same(pt, read_state_dict(folder / "state_dict.safetensors")));
  }
}
