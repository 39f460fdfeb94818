// The verifier's "this changes nothing", held against every input there is: a network of four input
// codes of two bits, with masks in front of, inside and behind its layers, so that many of its
// numbers are dead.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>

#include "compile/checkpoint/parameters.h"
#include "compile/compile.h"
#include "tests/compile/random_network.h"
#include "tests/verify/mutants.h"
#include "verify/differential/comparison.h"
#include "verify/differential/plan_runner.h"
#include "verify/verify.h"

using namespace lockstep;
using namespace lockstep::test;

namespace {

constexpr std::int64_t kInputs = 256;  // 4 codes of 2 bits

struct Net {
  Graph graph;
  StateDict state;
};

// Input channel 0 is masked away, so are channel 2 of the convolution and one more element.
Net make_net(int seed) {
  const std::string json = R"({"format":"lockstep-graph","version":1,"name":"n",
    "inputs":[{"name":"x","shape":[2,2,1],"bits":2,"decimal":0}],
    "nodes":[
      {"name":"m","op":"prune","inputs":["x"]},
      {"name":"c","op":"conv2d","inputs":["m"],
       "attrs":{"in_channels":2,"out_channels":3,"kernel_size":[2,1],"padding":[1,0]},
       "wrap":[{"type":"prune"},{"type":"quantize","bits":4,"channelwise":0,"bias_bits":6}]},
      {"name":"cm","op":"prune","inputs":["c"]},
      {"name":"r","op":"relu","inputs":["cm"]},
      {"name":"q","op":"quantize","inputs":["r"],"attrs":{"bits":4,"channelwise":-1}},
      {"name":"p","op":"max_pool2d","inputs":["q"],"attrs":{"kernel_size":[2,1],"stride":[1,1]}},
      {"name":"f","op":"flatten","inputs":["p"]},
      {"name":"fc","op":"linear","inputs":["f"],
       "attrs":{"in_features":6,"out_features":3,"bias":false},
       "wrap":[{"type":"quantize","bits":4,"channelwise":-1}]},
      {"name":"qo","op":"quantize","inputs":["fc"],"attrs":{"bits":5,"channelwise":-1}}],
    "outputs":["qo"]})";
  Random random(static_cast<std::uint64_t>(seed));
  const auto reals = [&](std::size_t count) {
    std::vector<float> values(count);
    for (float& value : values) value = random.real(2.0F);
    return values;
  };
  StateBuilder state;
  state.prune("m.", {2, 1, 1}, {0, 1});
  state.floats("c.weight", {3, 2, 2, 1}, reals(12));
  state.floats("c.bias", {3}, reals(3));
  state.prune("c.prune.", {3, 2, 2, 1}, {1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1});
  state.quantize("c.quantize.", {2, 1, 2}, 4);
  state.quantize("c.quantize_bias.", {2, 3, 2}, 6);
  state.prune("cm.", {3, 3, 1}, {1, 1, 1, 1, 0, 1, 0, 0, 0});
  state.quantize("q.", {0}, 4);
  state.floats("fc.weight", {3, 6}, reals(18));
  state.quantize("fc.quantize.", {2}, 4);
  state.quantize("qo.", {0}, 5);
  return {parse_graph(json, "n"), state.take()};
}

// Every input that exists.
verify::Batch all_inputs() {
  verify::TensorCodes codes = {{2, 2, 1}, {0}, {}};
  for (std::int64_t i = 0; i < kInputs; ++i)
    for (int element = 0; element < 4; ++element)
      codes.codes.push_back((i >> (2 * element) & 3) - 2);
  return {codes};
}

}  // namespace

TEST_CASE("a mutant that is not refuted computes the same for every input there is") {
  const verify::Batch inputs = all_inputs();
  int refuted = 0, accepted = 0, cautious = 0;
  std::map<std::string, int> kinds;
  for (int seed = 1; seed <= 4; ++seed)
    for (const bool keep_layers : {false, true}) {
      CAPTURE(seed);
      CAPTURE(keep_layers);
      const Net net = make_net(seed);
      const Parameters parameters = bind_parameters(net.graph, net.state);
      const verify::ExactNetwork exact(net.graph, parameters);
      const verify::NodeValues values = exact.evaluate(inputs, kInputs);
      const Bytes plan =
          compile_network(net.graph, net.state, {.keep_layers = keep_layers, .after_pass = {}})
              .plan;
      verify::Options nothing;
      nothing.random_samples = 0;
      for (const Mutant& mutant : mutants_of(plan)) {
        const Bytes changed = apply(plan, mutant);
        if (!opens(changed)) continue;
        CAPTURE(mutant.kind);
        CAPTURE(mutant.offset);
        CAPTURE(mutant.value);
        nothing.plan = changed;
        const verify::Report report = verify::verify_plan(net.graph, net.state, {}, nothing);
        const verify::OpenPlan open(changed);
        const verify::PlanRun run = verify::run_plan(open, "scalar", net.graph, inputs, kInputs);
        verify::Comparison comparison(exact, "plan", [](std::int64_t) { return "input"; });
        if (run.seen) comparison.compare_codes(*run.seen, values, 0);
        const bool same = run.seen && !comparison.first_divergence();
        if (std::holds_alternative<verify::Refuted>(report.verdict)) {
          refuted += 1;
          cautious += same && mutant.kind != "name" && mutant.kind != "flags" ? 1 : 0;
          continue;
        }
        CHECK(std::get<verify::Unknown>(report.verdict).reason ==
              "nothing was compared: no samples");
        CHECK(same);
        accepted += 1;
        kinds[mutant.kind] += 1;
      }
    }
  std::string text;
  for (const auto& [kind, count] : kinds) text += fmt::format(" {} {},", kind, count);
  MESSAGE(fmt::format("{} refuted ({} of them change no output of any input), {} change nothing:{}",
                      refuted, cautious, accepted, text));
  CHECK(refuted > 500);
  CHECK(kinds["weight"] > 50);
  CHECK(kinds["bias"] > 3);
}

TEST_CASE("the unchanged plans of the exhaustive network agree") {
  for (int seed = 1; seed <= 4; ++seed) {
    const Net net = make_net(seed);
    const Bytes plan =
        compile_network(net.graph, net.state, {.keep_layers = true, .after_pass = {}}).plan;
    verify::Options options;
    options.plan = plan;
    const verify::Batch inputs = all_inputs();
    const verify::Report report = verify::verify_plan(net.graph, net.state, {&inputs, 1}, options);
    if (const auto* refuted = std::get_if<verify::Refuted>(&report.verdict))
      FAIL(refuted->first_difference);
    CHECK(report.agreed);
  }
}
