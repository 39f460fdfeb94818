// Networks of the zoo with calibrated states, as if they had been recorded, for tests on emulated
// cores.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <random>
#include <string>

#include "tests/verify/recorded.h"
#include "tools/zoo/zoo.h"
#include "verify/differential/targets.h"

namespace lockstep::test {

// The core that the environment variable LOCKSTEP_TEST_CORE names.
inline const verify::EmulatedTarget& core() {
  const char* const name = std::getenv("LOCKSTEP_TEST_CORE");
  REQUIRE_MESSAGE(name != nullptr, "set LOCKSTEP_TEST_CORE to a core, as ctest does");
  const verify::EmulatedTarget* const target = verify::find_emulated_target(name);
  REQUIRE_MESSAGE(target != nullptr, "there is no core ", name);
  return *target;
}

// It runs the C of Cortex-M4, and tests on it leave networks out.
inline bool resembles_cortex_m4() {
  return core().name == "cortex-m7" || core().name == "cortex-m33";
}

// The first `samples` of the network's.
inline verify::Batch first_samples(const Recorded& net, std::int64_t samples) {
  verify::Batch batch = net.batch;
  for (verify::TensorCodes& tensor : batch)
    tensor.codes.resize(static_cast<std::size_t>(tensor.element_count() * samples));
  return batch;
}

// With one sample of random codes.
inline Recorded zoo_network(const std::string& name) {
  Recorded net;
  net.graph = zoo::find_network(name).build({});
  net.state = zoo::calibrated_state(net.graph, 1);
  net.parameters = bind_parameters(net.graph, net.state);
  net.samples = 1;
  std::mt19937 random(1);
  for (const GraphInput& input : net.graph.inputs) {
    REQUIRE(!input.raw);
    verify::TensorCodes codes{
        .shape = input.shape, .decimals = {static_cast<int>(input.decimal)}, .codes = {}};
    const std::int64_t half = std::int64_t{1} << (input.bits - 1);
    for (std::int64_t i = 0; i < codes.element_count(); ++i)
      codes.codes.push_back(static_cast<std::int64_t>(random() % (2 * half)) - half);
    net.batch.push_back(std::move(codes));
  }
  return net;
}

}  // namespace lockstep::test
