// The zoo's networks compile in all their variants, and compiled they use the codes that they have.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "compile/compile.h"
#include "tests/compile/run_plan.h"
#include "tests/support/plan_digest.h"
#include "tools/zoo/zoo.h"
#include "train/datasets/random.h"

namespace lockstep::zoo {
namespace {

struct Variant {
  std::string_view what;
  NetworkOptions options;
};
const Variant kVariants[] = {
    {"per tensor", {}},
    {"per channel", {.per_channel = true}},
    {"pruned", {.sparsity = 0.5}},
    {"per channel, pruned", {.per_channel = true, .sparsity = 0.5}},
    {"channels pruned", {.sparsity = 0.5, .structured = true}},
    {"per channel, channels pruned", {.per_channel = true, .sparsity = 0.5, .structured = true}},
};

// Smooth enough to look like an image, with codes over the whole range.
std::vector<std::int64_t> input_codes(const GraphInput& input) {
  train::Random random(3);
  std::int64_t elements = 1;
  for (const std::int64_t size : input.shape) elements *= size;
  std::vector<std::int64_t> codes;
  std::int64_t level = 0;
  for (std::int64_t i = 0; i < elements; ++i) {
    if (i % 16 == 0) level = random.below(129) - 64;
    codes.push_back(level + random.below(129) - 64);
  }
  return codes;
}

}  // namespace

TEST_CASE("every network compiles, per tensor and per channel, pruned and not, with all layers") {
  for (const Network& network : networks()) {
    const bool is_large = size_of(network.build({})).macs > 20'000'000;
    for (const Variant& variant : kVariants) {
      // Of a large network the variant that does most.
      if (is_large && !(variant.options.per_channel && variant.options.structured)) continue;
      INFO(network.name, ", ", variant.what);
      const Graph graph = network.build(variant.options);
      const StateDict state = calibrated_state(graph, 1);
      for (const bool keep_layers : {false, true}) {
        const Compiled compiled =
            compile_network(graph, state, {.keep_layers = keep_layers, .after_pass = {}});
        CHECK(!compiled.plan.empty());
        // The arena is at most 5 % above what any arena needs.
        const std::int64_t least = compiled.passes.back().live_bytes;
        CHECK(compiled.arena_bytes >= least);
        CHECK(compiled.arena_bytes <= least + least / 20);
      }
    }
  }
}

TEST_CASE("compiled networks use the codes of every quantize node") {
  for (const char* const name : {"lenet", "resnet8", "ds_cnn", "autoencoder", "espcn_17x17"})
    for (const bool per_channel : {false, true}) {
      const Graph graph = find_network(name).build({.per_channel = per_channel});
      const Compiled compiled = compile_network(graph, calibrated_state(graph, 1),
                                                {.keep_layers = true, .after_pass = {}});
      const test::PlanRun values = test::run_plan(compiled.plan, {input_codes(graph.inputs.at(0))});
      for (const Node& node : graph.nodes) {
        if (!node.quantize) continue;
        INFO(name, ", ", node.name);
        const std::vector<std::int64_t>& codes = values.at(node.name);
        const std::set<std::int64_t> different(codes.begin(), codes.end());
        // Half of the codes' reach, and not all of them at its ends. Few values cannot show it.
        if (codes.size() < 64) continue;
        const auto [least, most] = std::ranges::minmax(codes);
        CHECK(std::max(-least, most) >= 32);
        CHECK(different.size() >= 16);
      }
    }
}

TEST_CASE("pruned plans for every kind of machine have the same codes on all kernels") {
  for (const bool per_channel : {false, true}) {
    const Graph graph =
        find_network("resnet8").build({.per_channel = per_channel, .sparsity = 0.5});
    const StateDict state = calibrated_state(graph, 1);
    std::vector<std::size_t> sizes;
    std::set<std::string> digests;
    for (const std::string& target : passes::machine_names()) {
      const Compiled compiled = compile_network(
          graph, state, {.machine = *passes::machine_named(target), .after_pass = {}});
      std::vector<std::uint8_t> bytes(compiled.plan.size());
      std::memcpy(bytes.data(), compiled.plan.data(), bytes.size());
      sizes.push_back(bytes.size());
      digests.insert(testing::digest_lines(bytes, 3));
    }
    CHECK(digests.size() == 1);
    REQUIRE(sizes.size() == 4);
    for (std::size_t host = 1; host < 4; ++host) {
      // With a decimal per channel most weights have 16 bits.
      if (per_channel)
        CHECK(sizes[host] <= sizes[0]);
      else
        CHECK(sizes[host] < sizes[0] * 9 / 10);
    }
  }
}

TEST_CASE("pruning channels of a zoo network leaves less of it to compute and to store") {
  const auto total = [](const NetworkOptions& options) {
    const Graph graph = find_network("resnet8").build(options);
    const Compiled compiled = compile_network(graph, calibrated_state(graph, 1), {});
    std::int64_t nonzero = 0;
    for (const OperatorReport& row : compiled.operators) nonzero += row.nonzero_macs;
    return nonzero;
  };
  CHECK(total({.sparsity = 0.5}) < total({}) * 6 / 10);
  CHECK(total({.sparsity = 0.5, .structured = true}) < total({}) * 6 / 10);
}

}  // namespace lockstep::zoo
