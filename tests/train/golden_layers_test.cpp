// Layers and small networks, step by step against what QSPARSE 1.0.1 did; see
// tests/golden/layers/README.md.
#include <fmt/format.h>

#include "tests/support/torch_doctest.h"
#include "tests/train/golden_group.h"
#include "tests/train/golden_replay.h"

using lockstep::test::GoldenGroup;
using lockstep::test::ReplayReport;

namespace {

// `cases` and `values` are those of the committed recording.
void replay_group(const std::string& name, std::size_t cases, std::int64_t values) {
  if (!lockstep::test::has_golden_groups()) return;
  const GoldenGroup group(name);
  std::int64_t compared = 0, promises = 0;
  std::vector<std::string> left_out;
  for (std::size_t i = 0; i < group.cases.size(); ++i) {
    const ReplayReport report = lockstep::test::replay(group, group.cases[i]);
    compared += report.values;
    promises += report.promises;
    for (const std::string& reason : report.left_out)
      left_out.push_back(fmt::format("case {}, {}", i, reason));
    CAPTURE(i);
    CAPTURE(group.cases[i].at("tag").get<std::string>());
    for (const std::string& difference : report.differences) FAIL_CHECK(difference);
  }
  fmt::print("{}: {} cases, {} values compared, {} promises of our own checked\n", name,
             group.cases.size(), compared, promises);
  for (const std::string& line : left_out) fmt::print("  left out: {}\n", line);
  if (!group.is_committed()) return;
  CHECK(group.cases.size() == cases);
  CHECK(compared == values);
}

}  // namespace

TEST_CASE("quantize layers do in every recorded script what QSPARSE's do") {
  replay_group("quantize_layer", 52, 11003);
}

TEST_CASE("prune layers do in every recorded script what QSPARSE's do") {
  replay_group("prune_layer", 62, 52154);
}

TEST_CASE("wrapped layers do in every recorded script what QSPARSE's do") {
  replay_group("weight_layers", 26, 34581);
}

TEST_CASE("small networks do in every recorded script what QSPARSE's do") {
  replay_group("small_nets", 8, 12452);
}
