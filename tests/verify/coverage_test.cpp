// What LinearProbe says about a weight, held against changing that weight and computing again.
#include <doctest/doctest.h>

#include <random>

#include "tests/verify/recorded.h"
#include "verify/probes/aim.h"
#include "verify/probes/coverage.h"
#include "verify/proof/constants.h"

using namespace lockstep;
using namespace lockstep::test;

namespace {

using Codes = std::vector<std::int64_t>;

// Some output code of the channel differs when its weight (or, behind them, its bias) is changed.
bool shows(const verify::LinearProbe& layer, const Codes& codes, std::int64_t channel,
           std::int64_t k, std::int64_t step) {
  for (std::int64_t position = 0; position < layer.plane(); ++position) {
    if (!layer.keeps(channel, position)) continue;
    const std::int64_t sum = layer.sum(codes, channel, position);
    std::int64_t changed = sum;
    if (k == layer.reach().fan_in) changed += step;
    layer.reach().each(channel, position, [&](std::int64_t met, std::int64_t element) {
      if (met == k) changed += step * codes[static_cast<std::size_t>(element)];
    });
    if (layer.output_code(channel, sum) != layer.output_code(channel, changed)) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("a weight counts as covered exactly when a step up and a step down change some code") {
  int covered = 0, uncovered = 0;
  for (const char* const name : {"bias12", "doc_single_conv", "left_shift"}) {
    CAPTURE(name);
    const Recorded net = read_recorded(name);
    const verify::ExactNetwork network(net.graph, net.parameters);
    const verify::OpenPlan plan(compile_plan(net, false));
    const verify::ConstantsResult constants =
        verify::check_constants(network, net.parameters, plan);
    REQUIRE(!constants.refuted);
    for (std::uint32_t i = 0; i < intrt_op_count(plan.get()); ++i) {
      const verify::PlanOp op = verify::read_op(plan, i);
      if (op.weights.empty()) continue;
      const verify::ElementFacts& facts = constants.held[op.inputs[0]];
      verify::LinearProbe layer(op, plan.tensor(op.inputs[0]), plan.tensor(op.output), facts);
      verify::Aim aim(layer);
      std::mt19937_64 random(i + 1);
      std::vector<Codes> probes;
      for (int p = 0; p < 3; ++p) {
        Codes codes(facts.lo.size());
        for (std::size_t e = 0; e < codes.size(); ++e)
          codes[e] = facts.lo[e] +
                     static_cast<std::int64_t>(
                         random() % static_cast<std::uint64_t>(facts.hi[e] - facts.lo[e] + 1));
        if (p > 0) aim.take(codes, random);
        for (std::size_t e = 0; e < codes.size(); ++e)
          REQUIRE((codes[e] >= facts.lo[e] && codes[e] <= facts.hi[e]));
        layer.add(codes);
        probes.push_back(std::move(codes));
      }
      const std::int64_t stride = layer.reach().fan_in * layer.channels() > 2000 ? 37 : 1;
      for (std::int64_t n = 0; n < (layer.reach().fan_in + 1) * layer.channels(); n += stride) {
        const std::int64_t channel = n / (layer.reach().fan_in + 1);
        const std::int64_t k = n % (layer.reach().fan_in + 1);
        bool up = false, down = false;
        for (const Codes& codes : probes) {
          up = up || shows(layer, codes, channel, k, 1);
          down = down || shows(layer, codes, channel, k, -1);
        }
        // A weight that cannot count, or a bias that is not there, is none of the countable ones.
        const bool exists = k < layer.reach().fan_in || !op.bias.empty();
        if (up && down && exists) {
          CHECK(layer.is_covered(channel, k));
          ++covered;
        } else if (!layer.is_covered(channel, k)) {
          ++uncovered;
        } else {
          CHECK((!exists || (!up && !down)));  // said to change nothing
        }
      }
    }
  }
  CHECK(covered > 500);
  CHECK(uncovered > 20);
}
