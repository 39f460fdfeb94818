// The .pt reader against files that C++ LibTorch writes.
#include <cstring>
#include <span>

#include "compile/checkpoint/state_dict.h"
#include "tests/support/torch_doctest.h"

namespace {

std::span<const std::byte> as_bytes(const std::vector<char>& data) {
  return std::as_bytes(std::span(data));
}

}  // namespace

TEST_CASE("a dictionary of tensors that torch::pickle_save wrote is read to the last bit") {
  c10::Dict<std::string, at::Tensor> tensors;
  tensors.insert("w", torch::randn({2, 3, 4}));
  tensors.insert("t", torch::arange(12, torch::kFloat32).reshape({3, 4}).t());
  tensors.insert("n", torch::tensor(-1, torch::kInt32));
  tensors.insert("m", torch::tensor({true, false, true}));
  tensors.insert("d", torch::tensor({0.1}, torch::kFloat64));
  tensors.insert("i", torch::tensor({INT64_MIN, INT64_MAX}, torch::kInt64));
  tensors.insert("e", torch::zeros({0, 3}));
  const lockstep::StateDict state =
      lockstep::parse_pt(as_bytes(torch::pickle_save(tensors)), "cpp.pt");
  REQUIRE(state.entries().size() == tensors.size());
  std::size_t index = 0;
  for (const auto& item : tensors) {
    const lockstep::StateDict::Entry& entry = state.entries()[index++];
    const lockstep::Tensor& tensor = entry.second;
    CAPTURE(entry.first);
    const at::Tensor expected = item.value().contiguous();
    CHECK(entry.first == item.key());
    CHECK(tensor.shape == expected.sizes().vec());
    REQUIRE(tensor.bytes.size() == expected.nbytes());
    CHECK((tensor.bytes.empty() ||
           std::memcmp(tensor.bytes.data(), expected.data_ptr(), tensor.bytes.size()) == 0));
  }
}

TEST_CASE("the same nested under state_dict, as a generic dictionary, is read") {
  c10::impl::GenericDict inner(c10::StringType::get(), c10::TensorType::get());
  inner.insert("w", torch::ones({2}));
  c10::impl::GenericDict outer(c10::StringType::get(), c10::AnyType::get());
  outer.insert("state_dict", inner);
  outer.insert("epoch", 3);
  const lockstep::StateDict state =
      lockstep::parse_pt(as_bytes(torch::pickle_save(outer)), "cpp.pt");
  REQUIRE(state.entries().size() == 1);
  CHECK(state.at("w").floats("w") == std::vector<float>{1, 1});
}
