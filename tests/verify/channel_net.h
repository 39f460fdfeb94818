// Networks for plans whose tensors hold some channels only, and what is asked of the verifier.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "compile/backends/plan/writer.h"
#include "compile/compile.h"
#include "compile/passes/lower.h"
#include "compile/passes/pass.h"
#include "tests/compile/random_network.h"
#include "tests/verify/channel_edits.h"
#include "verify/verify.h"

namespace lockstep::test {

using Kept = std::map<std::string, std::vector<std::int64_t>>;

// Networks of input "x", layers with random weights, and what a test does to them.
class Net {
 public:
  explicit Net(const std::string& shape, std::uint64_t seed = 1) : random_(seed) {
    input_ = fmt::format(R"({{"name":"x","shape":[{}],"bits":6,"decimal":4}})", shape);
  }

  void node(const std::string& name, const std::string& op, const std::vector<std::string>& from,
            const std::string& attributes = "", const std::string& wrap = "") {
    nodes_.push_back(fmt::format(R"({{"name":"{}","op":"{}","inputs":["{}"],"attrs":{{{}}}{}}})",
                                 name, op, fmt::join(from, "\",\""), attributes, wrap));
  }
  void quantize(const std::string& name, const std::string& from,
                const std::vector<int>& decimals = {4}) {
    node(name, "quantize", {from},
         fmt::format(R"("bits":6,"channelwise":{})", decimals.size() == 1 ? -1 : 1));
    state_.quantize(name + ".", decimals, 6);
  }
  void prune(const std::string& name, const std::string& from,
             const std::vector<std::int64_t>& shape, std::int64_t channel) {
    node(name, "prune", {from});
    std::vector<std::uint8_t> mask;
    const std::int64_t count = shape[0] * shape[1] * shape[2];
    for (std::int64_t e = 0; e < count; ++e)
      mask.push_back(e / (shape[1] * shape[2]) == channel ? 0 : 1);
    state_.prune(name + ".", shape, mask);
  }
  // A linear operator with weights in [-1, 1] and biases of 6 decimals; weight(o, i) = 0 makes all
  // weights of output o and input i, counted within its group, 0.
  using IsZero = std::function<bool(std::int64_t o, std::int64_t i)>;
  void weighted(const std::string& name, const std::string& op, const std::string& from,
                const std::string& attributes, const std::vector<std::int64_t>& shape,
                const IsZero& is_zero, std::vector<float> bias) {
    node(name, op, {from}, attributes,
         R"(,"wrap":[{"type":"quantize","bits":5,"channelwise":-1,"bias_bits":10}])");
    std::int64_t taps = 1;
    for (std::size_t d = 2; d < shape.size(); ++d) taps *= shape[d];
    std::vector<float> weights;
    for (std::int64_t row = 0; row < shape[0] * shape[1]; ++row)
      for (std::int64_t tap = 0; tap < taps; ++tap) {
        const float sign = random_.chance(50) ? 1.0F : -1.0F;
        const float weight = sign * static_cast<float>(random_.between(2, 14)) / 16.0F;
        weights.push_back(is_zero(row / shape[1], row % shape[1]) ? 0.0F : weight);
      }
    state_.floats(name + ".weight", shape, weights);
    state_.quantize(name + ".quantize.", {4}, 5);
    state_.floats(name + ".bias", {static_cast<std::int64_t>(bias.size())}, bias);
    state_.quantize(name + ".quantize_bias.", std::vector<int>(bias.size(), 6), 10);
  }
  void conv(const std::string& name, const std::string& from, std::int64_t inputs,
            std::int64_t outputs, std::int64_t kernel, const IsZero& is_zero,
            const std::string& more = "", std::int64_t groups = 1) {
    weighted(name, "conv2d", from,
             fmt::format(R"("in_channels":{},"out_channels":{},"kernel_size":{},"groups":{}{})",
                         inputs, outputs, kernel, groups, more),
             {outputs, inputs / groups, kernel, kernel}, is_zero,
             std::vector<float>(static_cast<std::size_t>(outputs), 0.25F));
  }

  void finish(const std::vector<std::string>& outputs) {
    graph = parse_graph(
        fmt::format(
            R"({{"format":"lockstep-graph","version":1,"name":"n","inputs":[{}],"nodes":[{}],"outputs":["{}"]}})",
            input_, fmt::join(nodes_, ","), fmt::join(outputs, "\",\"")),
        "n");
    state = state_.take();
    // Whole, with every layer visible: what a test leaves out is all that is left out.
    compiled.program = passes::lower(graph, bind_parameters(graph, state), true);
    for (const auto pass :
         {passes::remove_dead, passes::resolve_flatten, passes::fuse_prune, passes::fuse_requantize,
          passes::fuse_relu, passes::assign_layout, passes::plan_memory})
      compiled.program = pass(std::move(compiled.program));
    compiled.plan = backends::write_plan(compiled.program);
  }

  // With some channels left out, by hand.
  Compiled keeping(const Kept& kept, Fold fold = Fold::kConstants) const {
    Compiled result = compiled;
    keep_channels(result.program, kept, fold);
    result.plan = backends::write_plan(result.program);
    return result;
  }
  verify::Report verify(const Compiled& edited, std::int64_t samples = 60) const {
    verify::Options options;
    options.plan = edited.plan;
    options.random_samples = samples;
    return verify::verify_plan(graph, state, {}, options);
  }

  Graph graph;
  StateDict state;
  Compiled compiled;

 private:
  Random random_;
  std::string input_;
  std::vector<std::string> nodes_;
  StateBuilder state_;
};

inline bool none(std::int64_t, std::int64_t) { return false; }
inline Net::IsZero input_is(std::int64_t channel) {
  return [=](std::int64_t, std::int64_t i) { return i == channel; };
}
inline Net::IsZero output_is(std::int64_t channel) {
  return [=](std::int64_t o, std::int64_t) { return o == channel; };
}

inline ir::Value& value_of(ir::Program& program, const std::string& node) {
  for (ir::Value& value : program.values)
    if (value.node == node) return value;
  FAIL("no value of node " << node);
  return program.values[0];
}

inline Compiled rewritten(Compiled compiled, const std::function<void(ir::Program&)>& change) {
  change(compiled.program);
  compiled.plan = backends::write_plan(compiled.program);
  return compiled;
}

inline void check_agreed(const Net& net, const Compiled& edited) {
  const verify::Report report = net.verify(edited);
  if (const auto* refuted = std::get_if<verify::Refuted>(&report.verdict))
    FAIL_CHECK(refuted->first_difference);
  if (const auto* unknown = std::get_if<verify::Unknown>(&report.verdict)) CAPTURE(unknown->reason);
  CHECK(report.agreed);
}

// Refuted by the constants alone, in `layer`, with `text`.
inline void check_refuted(const Net& net, const Compiled& edited, const std::string& layer,
                          const std::string& text) {
  const verify::Report report = net.verify(edited, 0);
  if (const auto* unknown = std::get_if<verify::Unknown>(&report.verdict)) FAIL(unknown->reason);
  const auto* refuted = std::get_if<verify::Refuted>(&report.verdict);
  REQUIRE(refuted != nullptr);
  CAPTURE(refuted->first_difference);
  CHECK(refuted->layer == layer);
  CHECK(refuted->first_difference.find("'" + layer + "'") != std::string::npos);
  CHECK(refuted->first_difference.find(text) != std::string::npos);
}

}  // namespace lockstep::test
