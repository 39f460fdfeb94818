// What `inspect` and `run` say about plans with operators of several inputs, float functions and
// offsets.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "compile/backends/plan/writer.h"
#include "compile/support/files.h"
#include "compile/support/npy.h"
#include "tests/compile/backends/small_programs.h"
#include "tests/end_to_end/process.h"

namespace lockstep::test {
namespace {

using namespace ir;
using Json = nlohmann::json;

constexpr Shape kPair{2, 1, 1, 3};

// input0 -> conv2d1 (scale and mask) -> add2, in place, with input0 -> linear3, the output, with
// offsets.
Program program() {
  ProgramMaker maker;
  const ValueId input = maker.input(kPair, 8);
  Conv2d conv;
  conv.weights = xt::xarray<std::int32_t>::from_shape({2, 1, 1, 2});
  conv.weights.fill(3);
  conv.bias = {5, -5};
  ChannelScale straight{.multiplier = 1,
                        .addend = 0,
                        .shift = 2,
                        .lo = -128,
                        .hi = 127,
                        .thresholds = {},
                        .codes = {}};
  ChannelScale steps;
  steps.thresholds = {0, 100};
  steps.codes = {-7, 0, 7};
  conv.post.function = Scale{Rounding::kFloor, {straight, steps}};
  conv.post.mask = {1, 0};
  const ValueId codes = maker.add(conv, {input}, kPair, 8);
  maker.value(codes).exact = false;
  Add add;
  add.multipliers = {{{1, 1}, {1, 1}}};
  add.post.function = Requantize{{0, 1}, Rounding::kTowardZero, -128, 127};
  const ValueId sum = maker.add(add, {codes, input}, kPair, 8);
  Linear linear;
  linear.weights = xt::xarray<std::int32_t>::from_shape({2, 2});
  linear.weights.fill(-2);
  const ValueId out = maker.add(linear, {sum}, {2, 1, 1, 1}, 32);
  maker.value(out).decimals = {3, 4};
  maker.value(out).offsets = {0.5F, -0.25F};
  return maker.finish(true);
}

struct Plan {
  Plan() { write_file_atomically(path, backends::write_plan(program())); }
  TemporaryFolder folder;
  std::string path = (folder / "net.plan").string();
};

std::string out_of(const std::vector<std::string>& command) {
  const Finished finished = run_process(command);
  INFO(finished.err);
  REQUIRE(finished.exit_code == 0);
  return finished.out;
}

}  // namespace

TEST_CASE("inspect lists several inputs, post-ops and when each piece of memory is in use") {
  const Plan plan;
  const Json shown = Json::parse(out_of({kLockstep, "inspect", plan.path, "--json"}));
  const Json& operators = shown.at("operators");
  CHECK(operators.at(0).at("operator") == "conv2d");
  CHECK(operators.at(0).at("weight_bytes") == 4 + 8);
  CHECK(operators.at(0).at("storage") == Json({{"kind", "dense"}}));
  CHECK(operators.at(1).at("storage").is_null());
  CHECK(operators.at(0).at("post") == Json({{"kind", "scale"},
                                            {"multiply", 1},
                                            {"rounding", "floor"},
                                            {"with_steps", 1},
                                            {"thresholds", 2},
                                            {"mask", true}}));
  CHECK(operators.at(1).at("inputs") == Json({1, 0}));
  CHECK(operators.at(1).at("post") == Json({{"kind", "shift"},
                                            {"shifts", {0, 1}},
                                            {"rounding", "toward_zero"},
                                            {"clamp", {-128, 127}},
                                            {"mask", false}}));
  CHECK(operators.at(2).at("bits") == 32);
  CHECK(operators.at(2).at("decimals") == Json({3, 4}));

  const Json& tensors = shown.at("tensors");
  CHECK(tensors.at(0).at("first_step").is_null());
  CHECK(tensors.at(0).at("last_step") == 1);
  CHECK(tensors.at(1).at("visible") == false);
  CHECK(tensors.at(1).at("arena_offset") == tensors.at(2).at("arena_offset"));
  CHECK(tensors.at(2).at("first_step") == 1);
  CHECK(tensors.at(2).at("last_step") == 2);
  CHECK(tensors.at(3).at("offsets") == Json({0.5, -0.25}));

  const std::string text = out_of({kLockstep, "inspect", plan.path});
  for (const char* part : {"scale: 1 multiply floor, 1 with steps (2 thresholds), mask",
                           "shift 0..1 toward_zero, clamp -128..127", "first step", "base"}) {
    CAPTURE(part);
    CHECK(text.find(part) != std::string::npos);
  }
}

TEST_CASE("inspect says how weights are stored and counts their bytes") {
  ProgramMaker maker;
  Linear sparse;
  sparse.weights = xt::xarray<std::int32_t>::from_shape({4, 1200});
  sparse.weights.fill(0);
  for (std::size_t k = 0; k < 1025; ++k) sparse.weights.data()[4 * k] = 7;
  sparse.sparse = true;
  sparse.post.function = Requantize{{9}, Rounding::kFloor, -128, 127};
  const ValueId codes = maker.add(sparse, {maker.input({1200, 1, 1, 1}, 8)}, {4, 1, 1, 1}, 8);
  Linear segments;
  segments.weights = xt::xarray<std::int32_t>::from_shape({2, 4});
  segments.weights.fill(1);
  segments.segments = {{1, 0}, {4, 3}};
  maker.add(segments, {codes}, {2, 1, 1, 1}, 32);
  const TemporaryFolder folder;
  const std::string path = (folder / "net.plan").string();
  write_file_atomically(path, backends::write_plan(maker.finish(false)));

  const Json operators =
      Json::parse(out_of({kLockstep, "inspect", path, "--json"})).at("operators");
  CHECK(operators.at(0).at("weight_bytes") == 1025 + 4 * 150 + 5 * 4);
  CHECK(operators.at(0).at("storage") ==
        Json({{"kind", "sparse"}, {"stored", 1025}, {"weights", 4800}}));
  CHECK(operators.at(1).at("weight_bytes") == 8 + 2 * 8);
  CHECK(operators.at(1).at("storage") ==
        Json({{"kind", "segments"},
              {"segments", {{{"end", 1}, {"shift", 0}}, {{"end", 4}, {"shift", 3}}}}}));
  const std::string text = out_of({kLockstep, "inspect", path});
  for (const char* part : {"sparse 1,025 of 4,800, 1,645 bytes", "segments 1:0 4:3"}) {
    CAPTURE(part);
    CHECK(text.find(part) != std::string::npos);
  }
}

TEST_CASE("run writes the codes of an output with offsets, and JSON tells the offsets") {
  const Plan plan;
  const std::vector<std::int64_t> input = {-100, 42};
  write_npy(plan.folder / "x.npy", NpyArray<std::int32_t>{{2, 1, 1}, {input.begin(), input.end()}});
  const Json report = Json::parse(
      out_of({kLockstep, "run", "--plan", plan.path, "--input", (plan.folder / "x.npy").string(),
              "--output", (plan.folder / "y.npy").string(), "--json"}));
  CHECK(report.at("files").at(0).at("offsets") == Json({0.5, -0.25}));
  const auto output = std::get<NpyArray<std::int64_t>>(read_npy(plan.folder / "y.npy"));
  const Program expected = program();
  CHECK(output.values == evaluate(expected, {input})[expected.outputs.at(0)]);
}

}  // namespace lockstep::test
