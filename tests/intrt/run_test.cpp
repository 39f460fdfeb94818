// The executor around the kernels: arguments, observation, and that failure changes nothing.
#include <doctest/doctest.h>

#include "tests/intrt/mixed_network.h"

namespace {

using namespace lockstep::testing;

struct Network {
  AlignedBytes bytes{small_network()};
  intrt_plan plan{};
  AlignedBytes arena{0};
  Network() : arena(open()) {}

  std::size_t open() {
    REQUIRE(intrt_open(&plan, bytes.data(), bytes.size(), nullptr) == INTRT_OK);
    return intrt_arena_bytes(&plan);
  }
  std::int8_t* input() {
    return static_cast<std::int8_t*>(intrt_tensor_data(&plan, arena.data(), intrt_input(&plan, 0)));
  }
  std::vector<std::uint8_t> contents() const { return {arena.data(), arena.data() + arena.size()}; }
};

struct Seen {
  std::vector<std::uint32_t> tensors;
  std::vector<const void*> data;
};

void note(void* context, std::uint32_t tensor, const void* data) {
  static_cast<Seen*>(context)->tensors.push_back(tensor);
  static_cast<Seen*>(context)->data.push_back(data);
}

}  // namespace

TEST_CASE("the API shows what the plan says") {
  Network net;
  CHECK(std::string(intrt_network_name(&net.plan)) == "small");
  CHECK(intrt_tensor_count(&net.plan) == 7);
  CHECK(intrt_op_count(&net.plan) == 6);
  CHECK(intrt_input_count(&net.plan) == 1);
  CHECK(intrt_output_count(&net.plan) == 1);
  CHECK(intrt_input(&net.plan, 0) == kTensorInput);
  CHECK(intrt_output(&net.plan, 0) == kTensorCodes);
  CHECK(intrt_op(&net.plan, kOpLinear)->code == k_linear);
  const intrt_tensor relu = intrt_tensor_info(&net.plan, kTensorRelu);
  CHECK(std::string(relu.name) == "relu");
  CHECK(relu.channels == 3);
  CHECK(relu.height == 5);
  CHECK(relu.width == 5);
  CHECK(relu.element_count == 75);
  CHECK(relu.type == INTRT_INT8);
  CHECK(relu.element_bytes == 1);
  CHECK(relu.bits == 8);
  CHECK(relu.logical_rank == 3);
  CHECK(relu.flags == INTRT_TENSOR_NAMED);
  REQUIRE(relu.decimal_count == 3);
  CHECK(relu.decimals[2] == 5);
  CHECK(intrt_tensor_info(&net.plan, kTensorAcc).element_bytes == 4);
}

TEST_CASE("the API shows raw bytes, several inputs of an operator and the offsets of an output") {
  const AlignedBytes bytes(mixed_network());
  intrt_plan plan;
  REQUIRE(intrt_open(&plan, bytes.data(), bytes.size(), nullptr) == INTRT_OK);
  const intrt_tensor raw = intrt_tensor_info(&plan, kMixedRaw);
  REQUIRE(raw.offsets != nullptr);
  CHECK(std::vector<float>(raw.offsets, raw.offsets + 4) ==
        std::vector<float>{0.5F, -1.25F, 3.0F, 0.0F});
  CHECK(intrt_tensor_info(&plan, kMixedBest).offsets == nullptr);
  CHECK(intrt_tensor_info(&plan, kMixedBytes).type == INTRT_UINT8);
  CHECK(intrt_tensor_info(&plan, kMixedBytes).element_bytes == 1);
  CHECK(intrt_op(&plan, kMixedAdd)->input_count == 2);
}

TEST_CASE("every byte is a value of a raw input, and every input of a network is checked") {
  const AlignedBytes bytes(mixed_network());
  intrt_plan plan;
  REQUIRE(intrt_open(&plan, bytes.data(), bytes.size(), nullptr) == INTRT_OK);
  AlignedBytes arena(intrt_arena_bytes(&plan));
  auto* raw = static_cast<std::uint8_t*>(intrt_tensor_data(&plan, arena.data(), kMixedBytes));
  auto* codes = static_cast<std::int8_t*>(intrt_tensor_data(&plan, arena.data(), kMixedInput));
  for (int first = 0; first < 256; first += 32) {
    for (int i = 0; i < 32; ++i) raw[i] = static_cast<std::uint8_t>(first + i);
    std::memset(codes, 15, 32);
    CHECK(intrt_run(&plan, arena.data(), arena.size(), nullptr) == INTRT_OK);
  }
  codes[31] = 16;
  CHECK(intrt_run(&plan, arena.data(), arena.size(), nullptr) == INTRT_ERROR_INPUT);
}

TEST_CASE("the observer sees the inputs and then each operator's output, in order") {
  Network net;
  Seen seen;
  const intrt_run_options options = {nullptr, note, &seen, nullptr};
  REQUIRE(intrt_run(&net.plan, net.arena.data(), net.arena.size(), &options) == INTRT_OK);
  CHECK(seen.tensors == std::vector<std::uint32_t>{kTensorInput, kTensorConv, kTensorRelu,
                                                   kTensorPool, kTensorFlat, kTensorAcc,
                                                   kTensorCodes});
  for (std::size_t i = 0; i < seen.tensors.size(); ++i)
    CHECK(seen.data[i] == intrt_tensor_data(&net.plan, net.arena.data(), seen.tensors[i]));
}

TEST_CASE("the result depends on the input alone, and the plan's bytes stay as they are") {
  Network net;
  const std::vector<std::uint8_t> before(net.bytes.data(), net.bytes.data() + net.bytes.size());
  std::vector<std::int8_t> first;
  for (const int filler : {0x00, 0xFF, 0x5A}) {
    std::memset(net.arena.data(), filler, net.arena.size());
    for (int i = 0; i < 50; ++i) net.input()[i] = static_cast<std::int8_t>(i % 16 - 8);
    REQUIRE(intrt_run(&net.plan, net.arena.data(), net.arena.size(), nullptr) == INTRT_OK);
    const auto* codes = static_cast<const std::int8_t*>(
        intrt_tensor_data(&net.plan, net.arena.data(), intrt_output(&net.plan, 0)));
    const std::vector<std::int8_t> result(codes, codes + 2);
    if (first.empty()) first = result;
    CHECK(result == first);
  }
  CHECK(std::memcmp(before.data(), net.bytes.data(), before.size()) == 0);
}

TEST_CASE("a run that fails says why and leaves the arena as it was") {
  Network net;
  for (int i = 0; i < 50; ++i) net.input()[i] = 7;
  const std::vector<std::uint8_t> before = net.contents();
  const intrt_plan closed = {};
  const intrt_run_options unknown = {"sclar", nullptr, nullptr, nullptr},
                          prefix = {"scala", nullptr, nullptr, nullptr},
                          longer = {"scalar2", nullptr, nullptr, nullptr};
  std::uint8_t* arena = net.arena.data();
  const std::size_t size = net.arena.size();
  CHECK(intrt_run(nullptr, arena, size, nullptr) == INTRT_ERROR_NULL);
  CHECK(intrt_run(&closed, arena, size, nullptr) == INTRT_ERROR_NULL);
  CHECK(intrt_run(&net.plan, nullptr, size, nullptr) == INTRT_ERROR_NULL);
  CHECK(intrt_run(&net.plan, arena + 8, size, nullptr) == INTRT_ERROR_ALIGNMENT);
  CHECK(intrt_run(&net.plan, arena, size - 1, nullptr) == INTRT_ERROR_ARENA);
  for (const intrt_run_options& options : {unknown, prefix, longer})
    CHECK(intrt_run(&net.plan, arena, size, &options) == INTRT_ERROR_KERNELS);
  CHECK(net.contents() == before);
}

TEST_CASE("an input code outside its declared bits is refused wherever it stands") {
  for (const int position : {0, 24, 49})
    for (const int code : {-128, -9, 8, 127}) {
      Network net;
      net.input()[position] = static_cast<std::int8_t>(code);
      const std::vector<std::uint8_t> before = net.contents();
      Seen seen;
      const intrt_run_options options = {nullptr, note, &seen, nullptr};
      CHECK(intrt_run(&net.plan, net.arena.data(), net.arena.size(), &options) ==
            INTRT_ERROR_INPUT);
      CHECK(seen.tensors.empty());
      CHECK(net.contents() == before);
    }
  for (const int code : {-8, 7}) {
    Network net;
    std::memset(net.input(), code, 50);
    CHECK(intrt_run(&net.plan, net.arena.data(), net.arena.size(), nullptr) == INTRT_OK);
  }
}

TEST_CASE("every status has a text of its own") {
  std::vector<std::string> texts;
  for (int status = INTRT_OK; status <= INTRT_ERROR_WORK; ++status) {
    texts.emplace_back(intrt_status_text(static_cast<intrt_status>(status)));
    CHECK(texts.back() != "unknown status");
    for (std::size_t i = 0; i + 1 < texts.size(); ++i) CHECK(texts[i] != texts.back());
  }
}
