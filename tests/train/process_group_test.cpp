#include "train/process_group.h"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>

#include "compile/support/error.h"
#include "tests/support/input_error.h"
#include "tests/train/in_group.h"

using namespace lockstep::test;
using lockstep::train::GroupOptions;
using lockstep::train::ProcessGroup;

TEST_CASE("collectives bring all ranks the same") {
  std::vector<std::vector<float>> sums(3), from_1(3);
  std::vector<std::vector<std::byte>> bytes(3);
  std::vector<std::vector<std::string>> texts(3);
  std::vector<std::int64_t> counts(3);
  const std::vector<std::string> errors = in_group(3, [&](ProcessGroup& group) {
    const auto rank = static_cast<std::size_t>(group.rank());
    // 0.1f + 0.2f + 0.3f depends on the order: any, but the same everywhere.
    sums[rank] = {0.1f * static_cast<float>(rank + 1), static_cast<float>(rank)};
    group.sum(sums[rank]);
    counts[rank] = (std::int64_t{1} << 40) + group.rank();
    group.sum(std::span(&counts[rank], 1));
    from_1[rank] = {static_cast<float>(rank), -0.0f};
    group.broadcast(from_1[rank], 1);
    bytes[rank] = group.broadcast(std::vector<std::byte>(rank == 0 ? 5 : 77, std::byte(rank + 3)));
    texts[rank] = group.gather(std::string(rank * 2, 'x'));
    CHECK(group.broadcast(std::vector<std::byte>()).empty());
    group.wait_for_all();
  });
  for (std::size_t rank = 0; rank < 3; ++rank) {
    CHECK(errors[rank].empty());
    CHECK(sums[rank] == sums[0]);
    CHECK(sums[rank][0] == doctest::Approx(0.6));
    CHECK(sums[rank][1] == 3);
    CHECK(counts[rank] == 3 * (std::int64_t{1} << 40) + 3);
    CHECK(from_1[rank] == std::vector<float>{1, 0});
    CHECK(std::signbit(from_1[rank][1]));
    CHECK(bytes[rank] == std::vector<std::byte>(5, std::byte{3}));
    CHECK(texts[rank] == std::vector<std::string>{"", "xx", "xxxx"});
  }
}

TEST_CASE("a rank that ends gives the others its reason, its first line") {
  const std::vector<std::string> errors = in_group(3, [&](ProcessGroup& group) {
    group.set_activity("in step 37");
    group.wait_for_all();  // one that is still connecting would not be in the step
    if (group.rank() == 1) throw lockstep::InputError("layer 'conv': value nan\nand more");
    group.wait_for_all();
  });
  CHECK(errors[0] == "rank 1 ended in step 37: layer 'conv': value nan");
  CHECK(errors[2] == errors[0]);
}

TEST_CASE("a group that is not complete in time says who is missing, and leaves no file") {
  const TemporaryFolder folder;
  const std::vector<std::string> errors = errors_by_rank(2, [&](std::int64_t rank) {
    GroupOptions options = group_options(folder, rank, 3);
    options.timeout_seconds = 1 + 59 * rank;  // rank 1 would wait for longer
    ProcessGroup group(options);
  });
  CHECK(contains(errors[0], "rank 2 of 3 did not come within 1 s"));
  CHECK(errors[1] == "rank 0 ended before the first step: " + errors[0]);
  CHECK_FALSE(std::filesystem::exists(folder / "meeting"));
}

TEST_CASE("another world size is refused") {
  const TemporaryFolder folder;
  const std::vector<std::string> errors = errors_by_rank(
      2, [&](std::int64_t rank) { ProcessGroup group(group_options(folder, rank, 2 + rank)); });
  CHECK(errors[0] == "world size = 2 here, but 3 at rank 1");
  CHECK(errors[1] == "world size = 3 here, but 2 at rank 0");
}

TEST_CASE("a rank that is there twice is refused and does the group no harm") {
  const TemporaryFolder folder;
  std::string twice;
  const std::vector<std::string> errors = errors_by_rank(2, [&](std::int64_t rank) {
    ProcessGroup group(group_options(folder, rank, 2));
    if (rank == 0) twice = input_error_of([&] { ProcessGroup again(group_options(folder, 0, 2)); });
    group.wait_for_all();
  });
  CHECK(contains(twice, "rank 0 is there already"));
  for (const std::string& error : errors) CHECK(error.empty());
}
