// What `compile` prints about the forms of weights.
#include "tools/commands/storage_report.h"

#include <doctest/doctest.h>

namespace lockstep::cli {
namespace {

using passes::StorageChoice;

const StorageChoice kPruned = {.node = "pruned",
                               .weights = 200,
                               .zeros = 100,
                               .dense_bytes = 200,
                               .sparse_bytes = 150,
                               .dense_us = 1.5,
                               .sparse_us = 1.25,
                               .sparse = true,
                               .reason = "sparse: 50 bytes less than dense"};
const StorageChoice kFull = {.node = "full", .weights = 200, .zeros = 10, .reason = "dense"};
StorageChoice mixed(std::size_t segments) {
  return {.node = "mixed",
          .weights = 100,
          .zeros = 1,
          .several_decimals = true,
          .dense_bytes = 200,
          .sparse_bytes = 300,
          .dense_us = 2,
          .sparse_us = 3,
          .segments = segments,
          .segment_bytes = segments == 0 ? 0 : 124,
          .segment_us = segments == 0 ? 0.0 : 4.5,
          .reason = "dense"};
}

TEST_CASE("a table shows what the forms cost, and leaves out what there is nothing to say about") {
  CHECK(storage_text({}).empty());
  CHECK(storage_text({kFull}).empty());
  CHECK(storage_text({kFull, kPruned}) ==
        "how weights are stored; times are estimates for comparing\n"
        "layer    zeros  dense bytes  sparse bytes  dense us  sparse us  stored\n"
        "------  ------  -----------  ------------  --------  ---------  "
        "--------------------------------\n"
        "pruned  50.0 %          200           150      1.50       1.25  "
        "sparse: 50 bytes less than dense");
}

TEST_CASE("where a layer has several decimals, the table says what segments cost") {
  CHECK(
      storage_text({mixed(3), kPruned}) ==
      "how weights are stored; times are estimates for comparing\n"
      "layer    zeros  dense bytes  sparse bytes  segment bytes  dense us  sparse us  segment us  "
      "stored\n"
      "------  ------  -----------  ------------  -------------  --------  ---------  ----------  "
      "--------------------------------\n"
      "mixed    1.0 %          200           300            124      2.00       3.00        4.50  "
      "dense\n"
      "pruned  50.0 %          200           150              -      1.50       1.25           -  "
      "sparse: 50 bytes less than dense");
  CHECK(storage_text({mixed(0)}).find("              -  ") != std::string::npos);
}

TEST_CASE("where a target makes forms equally fast, the table has no times") {
  StorageChoice host = kPruned;
  host.equally_fast = true;
  CHECK(storage_text({host}).ends_with(
      "pruned  50.0 %          200           150         -          -  "
      "sparse: 50 bytes less than dense"));
}

TEST_CASE("all layers are in the report, with every figure") {
  const nlohmann::ordered_json rows = storage_json({kFull, mixed(3)});
  REQUIRE(rows.size() == 2);
  CHECK(rows.at(0).at("node") == "full");
  CHECK(rows.at(1) == nlohmann::ordered_json::parse(R"({
    "node": "mixed", "weights": 100, "zeros": 1, "dense_bytes": 200, "sparse_bytes": 300,
    "dense_us": 2.0, "sparse_us": 3.0, "equally_fast": false, "several_decimals": true, "segments": 3,
    "segment_bytes": 124, "segment_us": 4.5, "sparse": false, "in_segments": false,
    "reason": "dense"})"));
}

}  // namespace
}  // namespace lockstep::cli
