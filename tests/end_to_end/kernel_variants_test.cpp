// Plans of the recorded networks and of the zoo on every variant of kernels that this CPU runs, and
// on those of a 64-bit Arm under emulation: every tensor has the bits that the scalar kernels give
// here. LOCKSTEP_ZOO_MACS names the largest network of the zoo to take by its multiplications.
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "compile/checkpoint/state_dict.h"
#include "compile/compile.h"
#include "tests/end_to_end/process.h"
#include "tests/support/golden_net.h"
#include "tests/support/plan_digest.h"
#include "tools/zoo/zoo.h"

namespace lockstep::test {
namespace {

constexpr std::uint64_t kSamples = 3;

std::int64_t largest_macs() {
  if (const char* const macs = std::getenv("LOCKSTEP_ZOO_MACS")) return std::atoll(macs);
  return 13'000'000;
}

// Lines "VARIANT DIGEST VALUES", each variant once; all with one digest, which is returned.
std::string only_digest(const std::string& lines, const std::vector<std::string>& variants) {
  std::istringstream in(lines);
  std::string variant, digest, first;
  std::uint64_t values = 0;
  std::vector<std::string> found;
  while (in >> variant >> digest >> values) {
    INFO(variant);
    CHECK(values > 0);
    if (first.empty()) first = digest;
    CHECK(digest == first);
    found.push_back(variant);
  }
  CHECK(found == variants);
  return first;
}

std::vector<std::string> variants_here() {
  std::vector<std::string> variants;
  for (std::uint32_t v = 0; intrt_kernel_variant(v) != nullptr; ++v)
    if (intrt_kernel_variant_runs_here(v) != 0) variants.push_back(intrt_kernel_variant(v));
  return variants;
}

std::string emulated_digest(const std::string& cpu, const std::string& plan,
                            const std::vector<std::string>& variants) {
  const Finished finished = run_process({"/usr/bin/env", "qemu-aarch64", "-cpu", cpu,
                                         LOCKSTEP_AARCH64_DIGEST, std::to_string(kSamples), plan});
  INFO(cpu, ": ", finished.err);
  REQUIRE(finished.exit_code == 0);
  return only_digest(finished.out, variants);
}

void compare_variants(const Graph& graph, const StateDict& state) {
  const Compiled compiled = compile_network(graph, state, {});
  std::vector<std::uint8_t> bytes(compiled.plan.size());
  std::memcpy(bytes.data(), compiled.plan.data(), bytes.size());
  const std::string expected = only_digest(testing::digest_lines(bytes, kSamples), variants_here());
  const TemporaryFolder folder;
  const std::string plan = (folder / "net.plan").string();
  write_text(plan, std::string(bytes.begin(), bytes.end()));
  CHECK(emulated_digest("max", plan, {"neondot", "scalar"}) == expected);
  // A core without the dot product.
  CHECK(emulated_digest("cortex-a53", plan, {"scalar"}) == expected);
}

}  // namespace

TEST_CASE("recorded networks have the same codes on every variant of kernels") {
  int compared = 0;
  for (const std::string& name : golden_net_names()) {
    const GoldenNet net = read_golden_net(name);
    const StateDict state = read_state_dict((net.folder / "state_dict.safetensors").string());
    for (const GoldenVariant& variant : net.variants) {
      INFO(name);
      compare_variants(variant.graph, state);
      ++compared;
    }
  }
  CHECK(compared >= 17);
}

TEST_CASE("networks of the zoo have the same codes on every variant of kernels") {
  const zoo::NetworkOptions options[] = {
      {},
      {.per_channel = true, .sparsity = 0.5},
      {.per_channel = true, .sparsity = 0.5, .structured = true}};
  int compared = 0;
  for (const zoo::Network& network : zoo::networks()) {
    if (zoo::size_of(network.build({})).macs > largest_macs()) continue;
    for (const zoo::NetworkOptions& option : options) {
      INFO(std::string(network.name), std::string(option.per_channel ? ", per channel" : ""));
      const Graph graph = network.build(option);
      compare_variants(graph, zoo::calibrated_state(graph, 1));
      ++compared;
    }
  }
  CHECK(compared >= 3);
}

}  // namespace lockstep::test
