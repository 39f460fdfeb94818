// The float path against every recorded network: what QSPARSE computed with PyTorch, at every
// quantize node, for every input shape.
#include <doctest/doctest.h>

#include <cmath>

#include "compile/checkpoint/state_dict.h"
#include "tests/support/golden_net.h"
#include "verify/verify.h"

using namespace lockstep;

TEST_CASE("the float path gives the recorded value of every quantize node of every network") {
  const std::vector<std::string> names = test::golden_net_names();
  REQUIRE(!names.empty());
  for (const std::string& name : names) {
    CAPTURE(name);
    const test::GoldenNet net = test::read_golden_net(name);
    const StateDict state = read_state_dict(net.folder / "state_dict.safetensors");
    for (const test::GoldenVariant& variant : net.variants) {
      std::vector<std::string> nodes;
      for (const auto& entry : variant.codes) nodes.push_back(entry.first);
      const verify::Batch batch = {{{variant.input.shape.begin() + 1, variant.input.shape.end()},
                                    variant.input.decimals,
                                    variant.input.values}};
      const auto values = verify::make_float_path(variant.graph, state)
                              ->run(batch, variant.input.shape.at(0), nodes);
      for (std::size_t n = 0; n < nodes.size(); ++n) {
        CAPTURE(nodes[n]);
        const test::GoldenCodes& recorded = variant.codes.at(nodes[n]);
        REQUIRE(values[n].size() == recorded.values.size());
        const auto channels = static_cast<std::size_t>(recorded.shape.at(1));
        std::size_t plane = 1, different = 0;
        for (std::size_t d = 2; d < recorded.shape.size(); ++d)
          plane *= static_cast<std::size_t>(recorded.shape[d]);
        for (std::size_t i = 0; i < values[n].size(); ++i) {
          const int decimal =
              recorded.decimals[recorded.decimals.size() == 1 ? 0 : i / plane % channels];
          const double distance = std::abs(std::ldexp(static_cast<double>(values[n][i]), decimal) -
                                           static_cast<double>(recorded.values[i]));
          REQUIRE((distance == 0 || distance == 1));
          different += distance == 0 ? 0 : 1;
        }
        // Sums of 16-bit codes leave the 24 bits of float32, which then rounds.
        if (name == "bits16_overflow24")
          CHECK(different * 100 < values[n].size());
        else
          CHECK(different == 0);
      }
    }
  }
}
