// Damaged plans, by the hundred thousand. Without a repaired checksum every one must be refused.
// With one, each must be refused or must run within its bytes and its arena (buffers of exact size:
// the sanitizers see one byte too many), and every code that it makes must lie in the range that
// its tensor declares.
#include <doctest/doctest.h>

#include "tests/intrt/exact.h"
#include "tests/intrt/mixed_network.h"
#include "tests/intrt/stored_network.h"

namespace {

using namespace lockstep::testing;

struct Observation {
  const intrt_plan* plan;
  bool in_range = true;
  std::uint32_t tensors = 0;
};

void check_range(void* context, std::uint32_t tensor, const void* data) {
  Observation& seen = *static_cast<Observation*>(context);
  const intrt_tensor info = intrt_tensor_info(seen.plan, tensor);
  const std::int64_t limit = std::int64_t{1} << (info.bits - 1);
  for (const std::int64_t code : read_tensor(info, data).codes)
    if (info.type != INTRT_UINT8) seen.in_range &= code >= -limit && code < limit;
  ++seen.tensors;
}

// Reads everything that the API shows, then runs on random codes. True when the plan opened.
bool open_and_run(const AlignedBytes& bytes, std::mt19937& random) {
  intrt_plan plan;
  if (intrt_open(&plan, bytes.data(), bytes.size(), nullptr) != INTRT_OK) return false;
  std::size_t characters = std::strlen(intrt_network_name(&plan));
  for (std::uint32_t t = 0; t < intrt_tensor_count(&plan); ++t) {
    const intrt_tensor info = intrt_tensor_info(&plan, t);
    characters += std::strlen(info.name);
    for (std::uint32_t d = 0; d < info.decimal_count; ++d) characters += info.decimals[d] != 0;
  }
  REQUIRE(characters < 100 * bytes.size());

  constexpr std::uint32_t kLargestArena = 1u << 20;  // a larger one only costs the test's time
  if (intrt_arena_bytes(&plan) > kLargestArena) return true;
  AlignedBytes arena(intrt_arena_bytes(&plan));
  for (std::size_t i = 0; i < arena.size(); ++i)
    arena.data()[i] = static_cast<std::uint8_t>(random());
  for (std::uint32_t i = 0; i < intrt_input_count(&plan); ++i) {
    const intrt_tensor info = intrt_tensor_info(&plan, intrt_input(&plan, i));
    Logical codes(info.channels, info.height, info.width);
    const std::int64_t limit = std::int64_t{1} << (info.bits - 1);
    for (std::int64_t& code : codes.codes)  // a byte keeps the lowest 8 bits
      code = random() % 2 == 0 ? -limit : static_cast<std::int64_t>(random()) % limit;
    write_tensor(codes, info.type, intrt_tensor_data(&plan, arena.data(), intrt_input(&plan, i)));
  }
  Observation seen{.plan = &plan};
  const intrt_run_options options = {nullptr, check_range, &seen, nullptr};
  REQUIRE(intrt_run(&plan, arena.data(), arena.size(), &options) == INTRT_OK);
  REQUIRE(seen.in_range);
  REQUIRE(seen.tensors == intrt_input_count(&plan) + intrt_op_count(&plan));
  return true;
}

}  // namespace

TEST_CASE("every other value of every byte is refused") {
  AlignedBytes bytes(small_network());
  intrt_plan plan;
  std::size_t accepted = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::uint8_t original = bytes.data()[i];
    for (int change = 1; change < 256; ++change) {
      bytes.data()[i] = static_cast<std::uint8_t>(original ^ change);
      if (intrt_open(&plan, bytes.data(), bytes.size(), nullptr) == INTRT_OK) ++accepted;
    }
    bytes.data()[i] = original;
  }
  CHECK(accepted == 0);
  CHECK(intrt_open(&plan, bytes.data(), bytes.size(), nullptr) == INTRT_OK);
}

TEST_CASE("every truncation and extension is refused, resealed or not") {
  const std::vector<std::uint8_t> whole = small_network();
  intrt_plan plan;
  for (std::size_t size = 0; size < whole.size() + 64; ++size) {
    if (size == whole.size()) continue;
    CAPTURE(size);
    AlignedBytes bytes(size);
    std::memcpy(bytes.data(), whole.data(), std::min(size, whole.size()));
    CHECK(intrt_open(&plan, bytes.data(), size, nullptr) == INTRT_ERROR_SIZE);
    if (size < sizeof(intrt_plan_header)) continue;
    reseal(bytes.data(), size);
    CHECK(intrt_open(&plan, bytes.data(), size, nullptr) == INTRT_ERROR_SIZE);
  }
}

TEST_CASE(
    "with the checksum repaired, every other value of every byte is refused or runs in bounds") {
  AlignedBytes bytes(small_network());
  std::mt19937 random(1);
  std::size_t opened = 0, refused = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::uint8_t original = bytes.data()[i];
    for (int change = 1; change < 256; ++change) {
      CAPTURE(i);
      CAPTURE(change);
      bytes.data()[i] = static_cast<std::uint8_t>(original ^ change);
      reseal(bytes.data(), bytes.size());
      ++(open_and_run(bytes, random) ? opened : refused);
    }
    bytes.data()[i] = original;
  }
  MESSAGE("opened and ran: ", opened, ", refused: ", refused);
  CHECK(opened > 1000);  // weights, masks, decimals may have any value
  CHECK(refused > 1000);
}

namespace {

void edit_bytes(const std::vector<std::uint8_t>& original_bytes) {
  AlignedBytes bytes(original_bytes);
  std::mt19937 random(3);
  std::size_t opened = 0, refused = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::uint8_t original = bytes.data()[i];
    std::vector<int> values = {0, 1, 127, 128, 255, original + 1, original - 1};
    for (int bit = 0; bit < 8; ++bit) values.push_back(original ^ 1 << bit);
    for (const int value : values) {
      CAPTURE(i);
      CAPTURE(value);
      bytes.data()[i] = static_cast<std::uint8_t>(value);
      if (bytes.data()[i] == original) continue;
      reseal(bytes.data(), bytes.size());
      ++(open_and_run(bytes, random) ? opened : refused);
    }
    bytes.data()[i] = original;
  }
  MESSAGE("opened and ran: ", opened, ", refused: ", refused);
  CHECK(opened > 1000);
  CHECK(refused > 1000);
}

}  // namespace

TEST_CASE("with the checksum repaired, other networks with a byte changed behave likewise") {
  edit_bytes(mixed_network());
  edit_bytes(stored_network());
}

namespace {

void edit_fields(const std::vector<std::uint8_t>& original) {
  constexpr std::uint32_t kInteresting[] = {
      0,     1,     2,          3,          4,          5,          7,
      15,    16,    64,         255,        256,        32768,      65535,
      65536, 65537, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF0, 0x10000000};
  std::mt19937 random(2);
  std::size_t opened = 0;
  constexpr int kRuns = 60000;
  for (int run = 0; run < kRuns; ++run) {
    CAPTURE(run);
    AlignedBytes bytes(original);
    for (unsigned edits = 1 + random() % 4; edits > 0; --edits) {
      const std::size_t at = random() % (bytes.size() / 4) * 4;
      std::uint32_t field;
      std::memcpy(&field, bytes.data() + at, 4);
      switch (random() % 3) {
        case 0:
          field = kInteresting[random() % std::size(kInteresting)];
          break;
        case 1:
          field += static_cast<std::uint32_t>(random() % 9) - 4;
          break;
        default:
          std::memcpy(&field, original.data() + random() % (original.size() / 4) * 4, 4);
      }
      std::memcpy(bytes.data() + at, &field, 4);
    }
    reseal(bytes.data(), bytes.size());
    if (open_and_run(bytes, random)) ++opened;
  }
  CHECK(opened > 100);
  CHECK(opened < kRuns);
}

}  // namespace

TEST_CASE("with the checksum repaired, random edits of whole fields are refused or run in bounds") {
  edit_fields(small_network());
  edit_fields(mixed_network());
  edit_fields(stored_network());
}
