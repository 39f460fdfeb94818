// What LinearProbe says about a weight, held against changing that weight and computing again.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <random>

#include "tests/verify/quiet_network.h"
#include "tests/verify/recorded.h"
#include "verify/probes/aim.h"
#include "verify/probes/coverage.h"
#include "verify/proof/constants.h"
#include "verify/semantics/rounding.h"

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

bool shows(const verify::LinearProbe& layer, const std::vector<Codes>& probes, std::int64_t channel,
           std::int64_t k, std::int64_t step) {
  return std::ranges::any_of(
      probes, [&](const Codes& codes) { return shows(layer, codes, channel, k, step); });
}

// A layer before any probe, and the layer after all of `probes`.
struct Probed {
  std::unique_ptr<verify::PlanOp> op;  // the others refer to it
  verify::LinearProbe before, after;
  std::vector<Codes> probes;
};

// All linear layers of the network, each with one random probe and up to `aimed` aimed ones.
std::vector<Probed> probe_layers(const Recorded& net, int aimed) {
  const verify::ExactNetwork network(net.graph, net.parameters);
  const verify::OpenPlan plan(compile_plan(net, false));
  const verify::ConstantsResult constants = verify::check_constants(network, net.parameters, plan);
  REQUIRE(!constants.refuted);
  std::vector<Probed> layers;
  for (std::uint32_t i = 0; i < intrt_op_count(plan.get()); ++i) {
    auto kept = std::make_unique<verify::PlanOp>(verify::read_op(plan, i));
    const verify::PlanOp& op = *kept;
    if (op.weights.empty()) continue;
    REQUIRE(verify::LinearProbe::can_probe(op, plan.tensor(op.output)));
    const verify::ElementFacts& facts = constants.held[op.inputs[0]];
    verify::LinearProbe layer(op, plan.tensor(op.inputs[0]), plan.tensor(op.output), facts);
    const verify::LinearProbe before = layer;
    verify::Aim aim(layer);
    std::mt19937_64 random(i + 1);
    std::vector<Codes> probes;
    for (int p = 0; p <= aimed && (p == 0 || aim.wants_more()); ++p) {
      Codes codes(facts.lo.size());
      for (std::size_t e = 0; e < codes.size(); ++e)
        codes[e] =
            facts.lo[e] + static_cast<std::int64_t>(
                              random() % static_cast<std::uint64_t>(facts.hi[e] - facts.lo[e] + 1));
      if (p > 0) aim.take(codes, random);
      for (std::size_t e = 0; e < codes.size(); ++e)
        REQUIRE((codes[e] >= facts.lo[e] && codes[e] <= facts.hi[e]));
      layer.add(codes);
      probes.push_back(std::move(codes));
    }
    layers.push_back({std::move(kept), before, std::move(layer), std::move(probes)});
  }
  return layers;
}

// How far the number can be changed before its type ends.
std::int64_t room_of(const verify::LinearProbe& layer, std::int64_t channel, std::int64_t k,
                     bool upwards) {
  if (k == layer.reach().fan_in && layer.op().bias.empty()) return 0;
  const int bits = k == layer.reach().fan_in ? 32 : layer.op().weight_bits;
  const std::int64_t weight = layer.weight(channel, k);
  return upwards ? verify::highest_code(bits) - weight : weight - verify::lowest_code(bits);
}

struct Tally {
  int covered = 0, uncovered = 0, jumps = 0, harmless = 0;
};

// What is said of one number in one direction, against steps of many sizes.
void check_number(const Probed& layer, std::int64_t channel, std::int64_t k, bool upwards,
                  Tally& tally) {
  CAPTURE(channel);
  CAPTURE(k);
  CAPTURE(upwards);
  const std::int64_t least = layer.before.missing(channel, k, upwards);
  const std::int64_t room = room_of(layer.before, channel, k, upwards);
  const std::int64_t sign = upwards ? 1 : -1;
  REQUIRE(least <= room);
  const auto found = [&](std::int64_t step) {
    return shows(layer.before, layer.probes, channel, k, sign * step);
  };
  if (least == 0) {
    tally.harmless += 1;
    for (const std::int64_t step : {std::int64_t{1}, room / 2, room})
      if (step <= room) CHECK(!found(step));
    return;
  }
  if (least > 1) CHECK(!found(least - 1));
  const bool is_covered = layer.after.missing(channel, k, upwards) == 0;
  CHECK(found(least) == is_covered);
  if (is_covered)
    for (const std::int64_t step : {least + 1, (least + room) / 2, room})
      if (step <= room) CHECK(found(step));
  (is_covered ? tally.covered : tally.uncovered) += 1;
  tally.jumps += least > 1 ? 1 : 0;
}

Tally check_layers(const Recorded& net, int aimed) {
  Tally tally;
  for (const Probed& layer : probe_layers(net, aimed)) {
    const std::int64_t numbers = layer.before.reach().fan_in + 1;
    const std::int64_t all = numbers * layer.before.channels();
    for (std::int64_t n = 0; n<all; n += all> 2000 ? 37 : 1)
      for (const bool upwards : {true, false})
        check_number(layer, n / numbers, n % numbers, upwards, tally);
  }
  return tally;
}

}  // namespace

TEST_CASE("a number is covered upwards exactly when its least jump up changes some code") {
  Tally all;
  for (const char* const name : {"bias12", "doc_single_conv", "left_shift"}) {
    CAPTURE(std::string(name));
    const Tally tally = check_layers(read_recorded(name), 2);
    all.covered += tally.covered;
    all.uncovered += tally.uncovered;
    all.harmless += tally.harmless;
  }
  CHECK(all.covered > 1000);
  CHECK(all.uncovered > 20);
  CHECK(all.harmless > 20);
}

TEST_CASE("a channel that is 0 for every input counts, and jumps of its weights are covered") {
  const Recorded net = quiet_network();
  const std::vector<Probed> layers = probe_layers(net, 500);
  REQUIRE(layers.size() == 1);
  const verify::LinearProbe& layer = layers[0].after;
  // 24 weights and a bias in each of two channels.
  CHECK(layer.countable() == 2 * (kQuietInputs + 1));
  CHECK(layer.uncovered() == 0);
  // The sum ends at 4096 - 200, so that 100 must become 102: 2 * 127 >= 200. Down, the input -128
  // must make up for the 100 * 127 that 127 made.
  CHECK(layers[0].before.missing(0, 0, true) == 2);
  CHECK(layers[0].before.missing(0, 0, false) == 201);
  CHECK(layers[0].before.missing(0, 7, true) == 2);
  CHECK(layers[0].before.missing(0, kQuietInputs, true) == 200);
  CHECK(layers[0].before.missing(0, kQuietInputs, false) == 0);
  const Tally tally = check_layers(net, 500);
  CHECK(tally.uncovered == 0);
  CHECK(tally.jumps >= 2 * kQuietInputs);
}

TEST_CASE("without aim the jumps of a quiet channel stay uncovered, and are counted") {
  const std::vector<Probed> layers = probe_layers(quiet_network(), 0);
  CHECK(layers[0].after.uncovered(0) == kQuietInputs + 1);
}
