// The exact semantics against what QSPARSE recorded: every quantize node of all networks, for every
// recorded shape of the input.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tests/verify/recorded_net.h"
#include "verify/semantics/exact_network.h"

using namespace lockstep;
using namespace lockstep::test;
using verify::NodeValues;
using verify::TensorCodes;

namespace {

// Float biases, and batch norm: the recorder had no exact integers for these, only its float32.
const std::vector<std::string> kFloatNetworks = {"bn_netpq", "float_bias_default"};

bool is_float_network(const std::string& name) {
  return std::ranges::find(kFloatNetworks, name) != kFloatNetworks.end();
}

// The decimal of one element of a recorded tensor, whose channels are axis 1 with the batch.
int recorded_decimal(const GoldenCodes& recorded, std::int64_t element, std::int64_t elements) {
  if (recorded.decimals.size() == 1) return recorded.decimals[0];
  return recorded.decimals[static_cast<std::size_t>(element / (elements / recorded.shape.at(1)))];
}

// The codes that the recorded float32 values are.
std::vector<std::int64_t> codes_of_values(const std::vector<float>& values,
                                          const GoldenCodes& recorded, std::int64_t elements) {
  std::vector<std::int64_t> codes;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const int decimal =
        recorded_decimal(recorded, static_cast<std::int64_t>(i) % elements, elements);
    const double code = std::ldexp(static_cast<double>(values[i]), decimal);
    REQUIRE(code == std::trunc(code));
    codes.push_back(static_cast<std::int64_t>(code));
  }
  return codes;
}

// How many codes of `node` differ from those that were recorded. Grids must be equal.
std::int64_t compare(const std::string& network, const GoldenVariant& variant,
                     const NodeValues& values, const std::string& node) {
  const GoldenCodes& recorded = variant.codes.at(node);
  const TensorCodes& found = values.find(node)->second;
  const std::int64_t elements = found.element_count();
  REQUIRE(!found.real);
  for (std::int64_t e = 0; e < elements; ++e)
    REQUIRE(found.decimals[found.decimals.size() == 1 ? 0 : static_cast<std::size_t>(e)] ==
            recorded_decimal(recorded, e, elements));
  const std::vector<std::int64_t> expected =
      is_float_network(network) ? codes_of_values(variant.values.at(node), recorded, elements)
                                : recorded.values;
  REQUIRE(found.codes.size() == expected.size());
  std::int64_t differing = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (found.codes[i] == expected[i]) continue;
    differing += 1;
    MESSAGE(fmt::format("{}, node '{}', element {}: expected {}, found {}", network, node, i,
                        expected[i], found.codes[i]));
  }
  return differing;
}

}  // namespace

TEST_CASE("every quantize node of every recorded network has the recorded codes") {
  const std::vector<std::string> names = golden_net_names();
  REQUIRE(names.size() >= 16);
  std::int64_t nodes = 0, codes = 0;
  for (const std::string& name : names) {
    CAPTURE(name);
    const std::size_t variants = read_golden_net(name).variants.size();
    for (std::size_t v = 0; v < variants; ++v) {
      CAPTURE(v);
      const Recorded net = read_recorded(name, v);
      const NodeValues values =
          verify::evaluate_exactly(net.graph, net.parameters, net.batch, net.samples);
      const GoldenVariant& variant = net.golden.variants[v];
      REQUIRE(!variant.codes.empty());
      for (const auto& item : variant.codes) {
        CAPTURE(item.first);
        CHECK(compare(name, variant, values, item.first) == 0);
        nodes += 1;
        codes += static_cast<std::int64_t>(item.second.values.size());
      }
    }
  }
  MESSAGE(fmt::format("{} quantize nodes, {} codes compared", nodes, codes));
}

TEST_CASE("the outputs of the recorded networks have the recorded exact values") {
  int compared = 0;
  for (const std::string& name : golden_net_names()) {
    CAPTURE(name);
    const std::size_t variants = read_golden_net(name).variants.size();
    for (std::size_t v = 0; v < variants; ++v) {
      const Recorded net = read_recorded(name, v);
      const auto& output = net.golden.variants[v].output;
      if (!output) continue;
      const NodeValues values =
          verify::evaluate_exactly(net.graph, net.parameters, net.batch, net.samples);
      const TensorCodes& found = values.find(net.graph.outputs[0])->second;
      REQUIRE(!found.real);
      REQUIRE(found.codes.size() == output->accumulators.size());
      const auto elements = static_cast<std::size_t>(found.element_count());
      for (std::size_t i = 0; i < found.codes.size(); ++i) {
        const int decimal =
            found.decimals.size() == 1 ? found.decimals[0] : found.decimals[i % elements];
        const int gap = output->exponents[i % elements] - decimal;
        REQUIRE(gap >= 0);
        REQUIRE(found.codes[i] * (std::int64_t{1} << gap) == output->accumulators[i]);
        ++compared;
      }
    }
  }
  CHECK(compared > 0);
}

TEST_CASE("an output with a float bias has the recorded float values but for their last bits") {
  // bn_netpq ends in a linear layer with a float bias; the library adds it at another place of the
  // sum.
  const Recorded net = read_recorded("bn_netpq");
  const NodeValues values =
      verify::evaluate_exactly(net.graph, net.parameters, net.batch, net.samples);
  const TensorCodes& found = values.find(net.graph.outputs[0])->second;
  REQUIRE(found.real);
  const StateDict io = read_state_dict(net.golden.folder / "io.safetensors");
  const std::vector<float> recorded = io.at("v0.float.output").floats("v0.float.output");
  REQUIRE(found.codes.size() == recorded.size());
  float largest = 0;
  for (std::size_t i = 0; i < recorded.size(); ++i) {
    const float value = verify::real_from_bits(found.codes[i]);
    largest = std::max(largest, std::fabs(value));
    CHECK(std::fabs(value - recorded[i]) <= 2.4e-7F);
  }
  CHECK(largest > 0.1F);
}
