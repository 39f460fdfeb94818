// Every recorded network and every network of the zoo that is not too large gives the same codes,
// at every layer, on every kernel variant of this machine, for 1, 2, 3 and 7 threads.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "compile/checkpoint/state_dict.h"
#include "lockstep/model.h"
#include "tests/support/golden_net.h"
#include "tests/tools/model/model_networks.h"

namespace lockstep::test {
namespace {

using Layers = std::map<std::string, std::vector<std::int32_t>>;

Layers layers_of(const std::vector<std::byte>& plan, const ModelOptions& options) {
  Model model = Model::copy(plan, options);
  std::vector<std::vector<std::int32_t>> in, out;
  std::uint32_t seed = 1;
  for (const TensorInfo& input : model.inputs()) {
    in.emplace_back();
    for (std::size_t i = 0; i < input.elements; ++i) {
      seed = seed * 1664525 + 1013904223;
      const std::int32_t range = 1 << input.bits;
      const auto code = static_cast<std::int32_t>(seed >> 8) % range;
      in.back().push_back(input.is_bytes ? code : code - range / 2);
    }
  }
  for (const TensorInfo& output : model.outputs()) out.emplace_back(output.elements);
  Layers layers;
  model.observe([&](std::size_t, std::size_t layer, std::span<const std::int32_t> codes) {
    layers[model.layers()[layer].name] = {codes.begin(), codes.end()};
  });
  model.run(std::vector<ModelInput>(in.begin(), in.end()),
            std::vector<ModelOutput>(out.begin(), out.end()));
  for (std::size_t i = 0; i < out.size(); ++i) layers["output " + model.outputs()[i].name] = out[i];
  // Once more, when operators may run together.
  model.observe({});
  for (std::vector<std::int32_t>& codes : out) codes.assign(codes.size(), 1 << 30);
  model.run(std::vector<ModelInput>(in.begin(), in.end()),
            std::vector<ModelOutput>(out.begin(), out.end()));
  for (std::size_t i = 0; i < out.size(); ++i)
    layers["unobserved output " + model.outputs()[i].name] = out[i];
  return layers;
}

void check_threads(const std::vector<std::byte>& plan) {
  const Layers expected = layers_of(plan, {.kernels = "scalar"});
  for (std::uint32_t v = 0; intrt_kernel_variant(v) != nullptr; ++v) {
    if (intrt_kernel_variant_runs_here(v) == 0) continue;
    for (const int threads : {1, 2, 3, 7}) {
      INFO(intrt_kernel_variant(v), ", ", threads, " threads");
      CHECK(layers_of(plan, {.kernels = intrt_kernel_variant(v), .threads = threads}) == expected);
    }
  }
}

bool has_chain(const OperatorInfo& op) { return op.chain_links > 0; }

}  // namespace

TEST_CASE("recorded networks") {
  int seen = 0;
  for (const std::string& name : golden_net_names()) {
    const GoldenNet net = read_golden_net(name);
    const StateDict state = read_state_dict(net.folder / "state_dict.pt");
    for (const GoldenVariant& variant : net.variants) {
      INFO(name);
      check_threads(
          compile_network(variant.graph, state, {.keep_layers = true, .after_pass = {}}).plan);
      ++seen;
    }
  }
  CHECK(seen > 10);
}

TEST_CASE("networks of the zoo, of which the larger ones are divided") {
  int seen = 0, divided = 0, with_chains = 0;
  bool is_scalar = false;
  for (const zoo::Network& network : zoo::networks()) {
    const std::int64_t macs = zoo::size_of(network.build({})).macs;
    if (macs > 110'000'000) continue;
    INFO(network.name);
    const std::vector<std::byte> plan = zoo_plan(network.name);
    check_threads(plan);
    const Model model = Model::view(plan);
    is_scalar = model.kernels() == "scalar";
    with_chains += std::ranges::any_of(model.operators(), &has_chain) ? 1 : 0;
    ++seen;
    divided += macs > 20'000'000 ? 1 : 0;
  }
  CHECK(seen >= 10);
  CHECK(divided >= 4);
  CHECK((with_chains >= 1 || is_scalar));  // threads share a chain, too
}

}  // namespace lockstep::test
