#include "train/group_options.h"

#include <doctest/doctest.h>

#include <map>

#include "tests/support/input_error.h"
#include "train/shares.h"

using lockstep::test::input_error_of;
using namespace lockstep::train;

namespace {

GroupOptions from(const std::map<std::string, std::string>& variables) {
  return group_from_environment([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

}  // namespace

TEST_CASE("an init method is a host and a port, or a file") {
  const MeetingPoint name = parse_init_method("tcp://node-1.lan:29500");
  CHECK(name.host == "node-1.lan");
  CHECK(name.port == 29500);
  CHECK(name.file.empty());
  const MeetingPoint v6 = parse_init_method("tcp://[fe80::1]:65535");
  CHECK(v6.host == "fe80::1");
  CHECK(v6.port == 65535);
  const MeetingPoint file = parse_init_method("file:///srv/shared/meeting");
  CHECK(file.file == "/srv/shared/meeting");
  CHECK(file.host.empty());
  for (const char* const bad :
       {"", "tcp://", "tcp://host", "tcp://host:", "tcp://:1", "tcp://host:0", "tcp://host:65536",
        "tcp://host:+1", "tcp://host:1x", "tcp://host/path:1", "tcp://[]:1", "file://relative",
        "file:///", "file:///folder/", "env://", "host:29500"}) {
    CAPTURE(bad);
    CHECK(input_error_of([&] { parse_init_method(bad); }).starts_with("init method '"));
  }
}

TEST_CASE("the environment describes a group, or one process") {
  CHECK(from({}).world_size == 1);
  CHECK(from({{"RANK", "3"}}).world_size == 1);
  std::map<std::string, std::string> all = {
      {"WORLD_SIZE", "4"}, {"RANK", "3"}, {"MASTER_ADDR", "10.0.0.1"}, {"MASTER_PORT", "29500"}};
  const GroupOptions group = from(all);
  CHECK(group.world_size == 4);
  CHECK(group.rank == 3);
  CHECK(group.init_method == "tcp://10.0.0.1:29500");
  all["MASTER_ADDR"] = "::1";
  CHECK(parse_init_method(from(all).init_method).host == "::1");
  for (const auto& [name, bad] : std::map<std::string, std::string>{
           {"WORLD_SIZE", "0"}, {"RANK", "4"}, {"RANK", "-1"}, {"MASTER_PORT", "many"}}) {
    std::map<std::string, std::string> wrong = all;
    wrong[name] = bad;
    CAPTURE(name);
    CHECK(input_error_of([&] { from(wrong); }).starts_with("environment variable " + name));
  }
}

TEST_CASE("shares are contiguous, cover everything and differ by at most one") {
  for (const std::int64_t size : {1, 2, 3, 7, 64})
    for (const std::int64_t count : {0, 1, 56, 63, 64, 65, 1000}) {
      CAPTURE(size);
      CAPTURE(count);
      std::int64_t end = 0;
      for (std::int64_t rank = 0; rank < size; ++rank) {
        const Share share = share_of(count, rank, size);
        CHECK(share.begin == end);
        const bool is_even =
            share.count == count / size || share.count == (count + size - 1) / size;
        CHECK(is_even);
        end += share.count;
      }
      CHECK(end == count);
    }
}
