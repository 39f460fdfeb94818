// The recorded networks, compiled from both kinds of state dict: the plan computes what QSPARSE
// computed.
#include <doctest/doctest.h>

#include <set>

#include "compile/compile.h"
#include "tests/compile/run_plan.h"
#include "tests/support/golden_net.h"

namespace lockstep {
namespace {

constexpr const char* kNets[] = {"bias12", "doc_single_conv", "left_shift", "lenet_pt_bias20"};

// Sample `s` of `codes`.
std::vector<std::int64_t> sample(const test::GoldenCodes& codes, std::int64_t s) {
  const auto per_sample = static_cast<std::ptrdiff_t>(codes.values.size()) / codes.shape.at(0);
  const auto first = codes.values.begin() + s * per_sample;
  return {first, first + per_sample};
}

// a * 2^-d equals b * 2^-e.
bool same_number(std::int64_t a, int d, std::int64_t b, int e) {
  return a * (std::int64_t{1} << std::max(0, e - d)) == b * (std::int64_t{1} << std::max(0, d - e));
}

void compare_outputs(const ir::Program& program, const test::GoldenOutput& expected, std::int64_t s,
                     const std::vector<std::int64_t>& got) {
  const ir::Value& output = program.values[program.outputs.at(0)];
  const std::size_t per_sample = got.size();
  REQUIRE(expected.exponents.size() == per_sample);
  std::size_t differing = 0;
  for (std::size_t i = 0; i < per_sample; ++i) {
    const auto channel = static_cast<std::int64_t>(i) / (output.shape.h * output.shape.w);
    if (!same_number(got[i], output.decimal(channel),
                     expected.accumulators[static_cast<std::size_t>(s) * per_sample + i],
                     expected.exponents[i]))
      ++differing;
  }
  CHECK(differing == 0);
}

void compare(const test::GoldenVariant& variant, const StateDict& state) {
  const Compiled compiled =
      compile_network(variant.graph, state, {.keep_layers = true, .after_pass = {}});
  for (std::int64_t s = 0; s < variant.input.shape.at(0); ++s) {
    CAPTURE(s);
    const std::vector<std::vector<std::int64_t>> inputs{sample(variant.input, s)};
    const auto evaluated = ir::evaluate(compiled.program, inputs);
    const test::PlanRun run = test::run_plan(compiled.plan, inputs);
    std::set<std::string> seen;
    for (ir::ValueId id = 0; id < compiled.program.values.size(); ++id) {
      const ir::Value& value = compiled.program.values[id];
      CHECK_MESSAGE(run.at(value.node) == evaluated[id], value.node);
      const auto recorded = variant.codes.find(value.node);
      if (recorded == variant.codes.end()) continue;
      seen.insert(value.node);
      CHECK_MESSAGE(evaluated[id] == sample(recorded->second, s), value.node);
      for (std::int64_t c = 0; c < value.shape.c; ++c)
        CHECK(
            value.decimal(c) ==
            recorded->second
                .decimals[recorded->second.decimals.size() == 1 ? 0 : static_cast<std::size_t>(c)]);
    }
    CHECK(seen.size() == variant.codes.size());
    if (variant.output)
      compare_outputs(compiled.program, *variant.output, s, evaluated[compiled.program.outputs[0]]);
  }
}

TEST_CASE("recorded networks give the recorded integers from .pt and from .safetensors") {
  for (const char* name : kNets) {
    CAPTURE(name);
    const test::GoldenNet net = test::read_golden_net(name);
    REQUIRE(net.is_exact);
    for (const test::GoldenVariant& variant : net.variants) {
      REQUIRE(!variant.codes.empty());
      REQUIRE(variant.output);
      for (const char* file : {"state_dict.pt", "state_dict.safetensors"}) {
        CAPTURE(file);
        compare(variant, read_state_dict(net.folder / file));
      }
    }
  }
}

TEST_CASE("both state dict files of a recorded network give the same plan, byte for byte") {
  for (const char* name : kNets) {
    const test::GoldenNet net = test::read_golden_net(name);
    const Graph& graph = net.variants.at(0).graph;
    const auto plan = [&](const char* file) {
      return compile_network(graph, read_state_dict(net.folder / file), {}).plan;
    };
    CHECK(plan("state_dict.pt") == plan("state_dict.safetensors"));
  }
}

}  // namespace
}  // namespace lockstep
