// The zoo's networks against the exact semantics: every pass and the plan, with and without kept
// layers, on random codes, corners and zeros. LOCKSTEP_ZOO_MACS names the largest network to take
// by its multiplications; the large ones take minutes.
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/check_network.h"
#include "tools/zoo/zoo.h"

namespace lockstep::test {
namespace {

std::int64_t largest_macs() {
  if (const char* const macs = std::getenv("LOCKSTEP_ZOO_MACS")) return std::atoll(macs);
  return 13'000'000;
}

struct Variant {
  const char* name;
  zoo::NetworkOptions options;
};

TEST_CASE("zoo networks agree with the exact semantics at every tensor of every pass") {
  const Variant variants[] = {
      {"per tensor", {}},
      {"per channel, pruned", {.per_channel = true, .sparsity = 0.5}},
      {"per channel, channels pruned", {.per_channel = true, .sparsity = 0.5, .structured = true}},
  };
  int checked = 0;
  for (const zoo::Network& entry : zoo::networks()) {
    if (zoo::size_of(entry.build({})).macs > largest_macs()) continue;
    for (const Variant& variant : variants) {
      INFO(entry.name, ", ", variant.name);
      Network network;
      network.graph = entry.build(variant.options);
      network.state = zoo::calibrated_state(network.graph, 1);
      const CheckOutcome outcome = check_network(network, 1);
      CHECK_MESSAGE(outcome.result == CheckOutcome::Result::kAgrees, outcome.place, ": ",
                    outcome.text);
      CHECK(outcome.semantics_refusal.empty());
      CHECK(outcome.nonzero > outcome.values / 10);
      std::printf("%s, %s: %llu values agree\n", std::string(entry.name).c_str(), variant.name,
                  static_cast<unsigned long long>(outcome.values));
      ++checked;
    }
  }
  CHECK(checked >= 3);
}

}  // namespace
}  // namespace lockstep::test
