// Plans whose tensors hold some channels only: understood where the channels that are left out are
// dead or the same for every input, refuted with the layer's name where anything about it is wrong.
#include <algorithm>
#include <set>

#include "compile/support/files.h"
#include "tests/support/temporary_folder.h"
#include "tests/verify/channel_net.h"
#include "tests/verify/judge.h"
#include "verify/checker/model.h"
#include "verify/checker/plan.h"
#include "verify/checker/proof.h"
#include "verify/differential/differential.h"

using namespace lockstep;
using namespace lockstep::test;

namespace {

bool differs_when_run(const Net& net, const Compiled& edited) {
  const Parameters parameters = bind_parameters(net.graph, net.state);
  const verify::ExactNetwork network(net.graph, parameters);
  verify::Options options;
  options.random_samples = 60;
  const verify::DifferentialResult result =
      verify::run_differential(network, verify::OpenPlan(edited.plan), {}, options);
  return result.first_divergence.has_value();
}

// x -> c1 -> q1 (4 channels) -> c2 -> q2; c2 multiplies channel 2 by 0.
Net dead_channel(std::vector<int> decimals = {4}) {
  Net net("2,5,5");
  net.conv("c1", "x", 2, 4, 3, none);
  net.quantize("q1", "c1", decimals);
  net.conv("c2", "q1", 4, 3, 2, input_is(2), R"(,"padding":1)");
  net.quantize("q2", "c2");
  net.finish({"q2"});
  return net;
}

// Channel 1 of q1 is always 5 * 2^-4; c2 reads padding or none.
Net constant_channel(int padding, std::vector<int> decimals = {4}) {
  Net net("2,5,5");
  net.weighted("c1", "conv2d", "x", R"("in_channels":2,"out_channels":3,"kernel_size":3)",
               {3, 2, 3, 3}, output_is(1), {0.25F, 5.0F / 16.0F, -0.5F});
  net.node("r1", "relu", {"c1"});
  net.quantize("q1", "r1", decimals);
  net.conv("c2", "q1", 3, 3, 2, none, fmt::format(R"(,"padding":{})", padding));
  net.quantize("q2", "c2");
  net.finish({"q2"});
  return net;
}

}  // namespace

TEST_CASE("a channel that its reader multiplies by 0 may be left out, and the order is free") {
  for (const std::vector<int>& decimals : {std::vector<int>{4}, std::vector<int>{3, 4, 5, 4}}) {
    const Net net = dead_channel(decimals);
    check_agreed(net, net.compiled);
    for (const std::vector<std::int64_t>& left :
         {std::vector<std::int64_t>{0, 1, 3}, {3, 0, 1}, {0, 1, 2, 3}, {2, 3, 1, 0}}) {
      CAPTURE(fmt::format("{}", left));
      const Compiled edited = net.keeping({{"q1", left}});
      check_agreed(net, edited);
      const Compiled unnamed =
          rewritten(edited, [](ir::Program& program) { value_of(program, "q1").exact = false; });
      check_agreed(net, unnamed);
    }
  }
}

TEST_CASE("a channel that is read may not be left out") {
  const Net net = dead_channel();
  check_refuted(net, net.keeping({{"q1", {0, 2, 3}}}), "c2", "input channel 1, position");
  check_refuted(net, net.keeping({{"q1", {2, 3, 0}}}), "c2", "leaves out what it meets");
  CHECK(differs_when_run(net, net.keeping({{"q1", {0, 2, 3}}})));
}

TEST_CASE("a channel map that lists other channels than the tensor holds is refuted") {
  const Net net = dead_channel();
  const Compiled edited = net.keeping({{"q1", {0, 1, 3}}});
  const auto with_map = [&](std::vector<std::int64_t> map, bool named) {
    return rewritten(edited, [&](ir::Program& program) {
      value_of(program, "q1").channels = map;
      value_of(program, "q1").exact = named;
    });
  };
  for (const bool named : {true, false}) {
    CAPTURE(named);
    check_refuted(net, with_map({0, 1, 1}, named), "q1", "lists channel 1 twice");
    check_refuted(net, with_map({0, 4, 3}, named), "q1", "lists channel 4, but there are 4");
    check_refuted(net, with_map({1, 0, 3}, named), "c1", "weight of channel");
    check_refuted(net, with_map({0, 1, 2}, named), "c1", "weight of channel");
    check_refuted(net, with_map({}, named), named ? "q1" : "c1", "channels");
  }
  CHECK(differs_when_run(net, with_map({0, 1, 1}, true)));
  CHECK(differs_when_run(net, with_map({0, 4, 3}, true)));
  CHECK(differs_when_run(net, with_map({1, 0, 3}, true)));
  CHECK(differs_when_run(net, with_map({0, 1, 2}, true)));
}

TEST_CASE("every number of a plan with left-out channels is still compared") {
  const Net net = dead_channel({3, 4, 5, 4});
  const Compiled edited = net.keeping({{"q1", {3, 0, 1}}});
  int changed = 0;
  for (std::size_t k = 0; k < edited.program.ops.size(); ++k) {
    const auto* conv = std::get_if<ir::Conv2d>(&edited.program.ops[k].kind);
    if (conv == nullptr) continue;
    for (std::size_t w = 0; w < conv->weights.size(); w += 5)
      check_refuted(net,
                    rewritten(edited,
                              [&](ir::Program& program) {
                                std::get<ir::Conv2d>(program.ops[k].kind).weights.data()[w] += 1;
                              }),
                    edited.program.ops[k].node, "weight of channel");
    for (std::size_t o = 0; o < conv->bias.size(); ++o)
      check_refuted(net,
                    rewritten(edited,
                              [&](ir::Program& program) {
                                std::get<ir::Conv2d>(program.ops[k].kind).bias[o] += 1;
                              }),
                    edited.program.ops[k].node, "bias of channel");
    changed += 1;
  }
  CHECK(changed == 2);
}

TEST_CASE("a channel that is always 0 may be left out, also where padding is read") {
  for (const int padding : {0, 1}) {
    CAPTURE(padding);
    Net net("2,5,5");
    net.conv("c1", "x", 2, 3, 3, none);
    net.quantize("q0", "c1");
    net.prune("m", "q0", {3, 3, 3}, 1);
    net.quantize("q1", "m");
    net.conv("c2", "q1", 3, 3, 2, none, fmt::format(R"(,"padding":{})", padding));
    net.quantize("q2", "c2");
    net.finish({"q2"});
    const auto kept = [&](std::vector<std::int64_t> left) {
      Kept result;
      for (const ir::Value& value : net.compiled.program.values)
        if (value.node == "q0" || value.node == "m" || value.node == "q1")
          result[value.node] = left;
      return result;
    };
    check_agreed(net, net.keeping(kept({2, 0})));
    check_refuted(net, net.keeping(kept({0, 1})), "c2", "leaves out what it meets");
  }
}

TEST_CASE("a channel that is always the same becomes part of the bias") {
  for (const std::vector<int>& decimals : {std::vector<int>{4}, std::vector<int>{5, 4, 3}}) {
    const Net net = constant_channel(0, decimals);
    check_agreed(net, net.keeping({{"q1", {0, 2}}}));
    check_agreed(net, net.keeping({{"q1", {2, 0}}}));
    check_refuted(net, net.keeping({{"q1", {0, 2}}}, Fold::kNothing), "c2", "bias of channel 0");
    check_refuted(net, net.keeping({{"q1", {0, 1}}}), "c2", "input channel 2, position (0, 0)");
    const Compiled edited = net.keeping({{"q1", {0, 2}}});
    for (const int step : {1, -1})
      check_refuted(net,
                    rewritten(edited,
                              [&](ir::Program& program) {
                                std::get<ir::Conv2d>(program.ops.back().kind).bias[1] += step;
                              }),
                    "c2", "bias of channel 1");
  }
}

TEST_CASE("a constant that padding takes the place of is no part of a bias") {
  const Net net = constant_channel(1);
  check_agreed(net, net.compiled);
  for (const Fold fold : {Fold::kConstants, Fold::kNothing}) {
    const Compiled edited = net.keeping({{"q1", {0, 2}}}, fold);
    check_refuted(net, edited, "c2", "no bias can stand for them");
    CHECK(differs_when_run(net, edited));
  }
}

TEST_CASE("every changed byte of a channel map is noticed") {
  const std::set<std::string> may_change_nothing = {"arena offset", "flags", "rounding"};
  for (const bool is_constant : {false, true}) {
    const Net net = is_constant ? constant_channel(0) : dead_channel({3, 4, 5, 4});
    const Compiled edited = net.keeping({{"q1", is_constant ? std::vector<std::int64_t>{2, 0}
                                                            : std::vector<std::int64_t>{3, 0, 1}}});
    const Parameters parameters = bind_parameters(net.graph, net.state);
    const verify::ExactNetwork exact(net.graph, parameters);
    Tally tally;
    std::set<std::string> kinds;
    for (const Mutant& mutant : mutants_of(edited.plan)) {
      judge({net.graph, net.state, exact, {}}, apply(edited.plan, mutant), mutant,
            may_change_nothing, tally);
      kinds.insert(mutant.kind);
    }
    MESSAGE(tally.text());
    CHECK(kinds.contains("channel map"));
  }
}

TEST_CASE("constants of different grids are added up, whatever they are") {
  for (const float bias : {0.0F, 1.0F / 64, -1.0F / 64, 0.25F}) {
    CAPTURE(bias);
    Net net("3,4,4");
    const auto all = [](std::int64_t, std::int64_t) { return true; };
    net.weighted("c1", "conv2d", "x", R"("in_channels":3,"out_channels":2,"kernel_size":1)",
                 {2, 3, 1, 1}, all, {0.5F, 0.75F});
    net.quantize("q1", "c1", {4, 3});
    net.weighted("c2", "conv2d", "q1", R"("in_channels":2,"out_channels":2,"kernel_size":1)",
                 {2, 2, 1, 1}, none, {bias, bias});
    net.quantize("q2", "c2");
    net.finish({"q2"});
    const TemporaryFolder folder;
    write_file_atomically(folder / "graph.json", to_json(net.graph));
    write_file_atomically(folder / "state.safetensors", to_safetensors(net.state));
    try {
      checker::prove(checker::read_model(folder / "graph.json", folder / "state.safetensors"),
                     checker::read_plan(net.compiled.plan));
    } catch (const checker::Failure& failure) {
      FAIL_CHECK(failure.text);
    }
  }
}

TEST_CASE("a constant is not taken for what it is multiplied by") {
  Net net("2,4,4");
  net.weighted("c1", "conv2d", "x", R"("in_channels":2,"out_channels":2,"kernel_size":1)",
               {2, 2, 1, 1}, [](std::int64_t, std::int64_t) { return true; }, {0.5F, 0.75F});
  net.quantize("q1", "c1");
  net.node("y", "mul", {"q1", "x"});
  net.finish({"y"});
  const TemporaryFolder folder;
  write_file_atomically(folder / "graph.json", to_json(net.graph));
  write_file_atomically(folder / "state.safetensors", to_safetensors(net.state));
  const checker::Model model =
      checker::read_model(folder / "graph.json", folder / "state.safetensors");
  checker::Plan plan = checker::read_plan(net.compiled.plan);
  CHECK_NOTHROW(checker::prove(model, plan));
  const auto product = std::ranges::find(plan.ops, checker::OpCode::kMul, &checker::PlanOp::code);
  REQUIRE(product != plan.ops.end());
  product->inputs[1] = product->inputs[0];
  CHECK_THROWS_AS(checker::prove(model, plan), checker::Failure);
}

TEST_CASE("generated C with left-out channels agrees, in its layer probes, too") {
  const Net net = constant_channel(0);
  const Compiled edited = net.keeping({{"q1", {2, 0}}});
  const TemporaryFolder folder;
  for (const CSourceFile& file : emit_c(edited, {.prefix = "net"}))
    write_file_atomically(folder / file.name, file.text);
  verify::Options options;
  options.plan = edited.plan;
  options.c_folder = folder.path();
  options.random_samples = 8;
  options.c_samples = 8;
  const verify::Report report = verify::verify_plan(net.graph, net.state, {}, options);
  if (const auto* refuted = std::get_if<verify::Refuted>(&report.verdict))
    FAIL_CHECK(refuted->first_difference);
  CHECK(report.agreed);
  REQUIRE(report.c_probes.has_value());
  CHECK(report.c_probes->probes > 0);

  const Compiled swapped = rewritten(edited, [](ir::Program& program) {
    value_of(program, "q1").channels = {0, 2};
  });
  options.plan = swapped.plan;
  const verify::Report wrong = verify::verify_plan(net.graph, net.state, {}, options);
  CHECK(std::holds_alternative<verify::Refuted>(wrong.verdict));
}
