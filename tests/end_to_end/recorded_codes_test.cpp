// Every recorded network through the command line, from both kinds of state dict and for every
// recorded shape of the input: each code that was recorded at a quantize node must come out of
// `lockstep run --dump-layers`, and each exact output as well. LOCKSTEP_NETS_DIR names another
// folder of recorded networks.
//
// Where biases stay float or a batch norm is not folded, the recorder's float64 integers are no
// standard; there the recorded float32 values are. Values that the library itself may have rounded
// otherwise than the canonical float path are counted and printed, and `verify` must agree.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "compile/graph/graph.h"
#include "compile/support/npy.h"
#include "tests/end_to_end/process.h"
#include "tests/support/golden_net.h"

namespace lockstep::test {
namespace {

namespace fs = std::filesystem;

bool has_float_functions(const Graph& graph) {
  for (const Node& node : graph.nodes) {
    if (node.op.starts_with("batch_norm")) return true;
    const QuantizeSpec* quantize = node.weight_quantize();
    if (quantize != nullptr && node.flag("bias") && quantize->bias_bits < 0) return true;
  }
  return false;
}

NpyArray<std::int64_t> read_codes(const fs::path& path) {
  return std::get<NpyArray<std::int64_t>>(read_npy(path));
}

struct Counts {
  std::int64_t compared = 0, differing = 0;
};

// The decimal of element `i` of one sample with `per_sample` elements.
int decimal_of(const std::vector<int>& decimals, std::int64_t i, std::int64_t channels,
               std::int64_t per_sample) {
  return decimals.size() == 1 ? decimals[0]
                              : decimals.at(static_cast<std::size_t>(i / (per_sample / channels)));
}

Counts compare_node(const GoldenVariant& variant, const std::string& node, bool by_value,
                    const NpyArray<std::int64_t>& got) {
  const GoldenCodes& expected = variant.codes.at(node);
  CHECK(got.shape == expected.shape);
  REQUIRE(got.values.size() == expected.values.size());
  const std::vector<float>& values = variant.values.at(node);
  const std::int64_t per_sample =
      static_cast<std::int64_t>(got.values.size()) / expected.shape.at(0);
  Counts counts;
  for (std::size_t i = 0; i < got.values.size(); ++i) {
    const int decimal = decimal_of(expected.decimals, static_cast<std::int64_t>(i) % per_sample,
                                   expected.shape.at(1), per_sample);
    const bool equal = by_value ? std::ldexp(static_cast<double>(got.values[i]), -decimal) ==
                                      static_cast<double>(values.at(i))
                                : got.values[i] == expected.values[i];
    counts.compared += 1;
    counts.differing += equal ? 0 : 1;
  }
  return counts;
}

void compare_output(const GoldenOutput& expected, const std::vector<int>& decimals,
                    const NpyArray<std::int64_t>& got) {
  CHECK(got.shape == expected.shape);
  REQUIRE(got.values.size() == expected.accumulators.size());
  const auto per_sample = static_cast<std::int64_t>(expected.exponents.size());
  for (std::size_t i = 0; i < got.values.size(); ++i) {
    const std::int64_t within = static_cast<std::int64_t>(i) % per_sample;
    const int decimal = decimal_of(decimals, within, got.shape.at(1), per_sample);
    CHECK(std::ldexp(static_cast<double>(got.values[i]), -decimal) ==
          std::ldexp(static_cast<double>(expected.accumulators[i]),
                     -expected.exponents[static_cast<std::size_t>(within)]));
  }
}

void check_variant(const GoldenNet& net, std::size_t index, const std::string& state_file) {
  const GoldenVariant& variant = net.variants[index];
  const TemporaryFolder folder;
  const fs::path here = folder.path();
  const std::string graph = (here / "graph.json").string(), plan = (here / "net.plan").string(),
                    weights = (net.folder / state_file).string(), x = (here / "x.npy").string(),
                    y = (here / "y.npy").string(), layers = (here / "layers").string();
  write_text(graph, to_json(variant.graph));
  const Finished compiled = run_process({kLockstep, "compile", "--graph", graph, "--weights",
                                         weights, "--out", plan, "--keep-layers"});
  INFO(compiled.err);
  REQUIRE(compiled.exit_code == 0);
  write_npy(x, NpyArray<std::int32_t>{variant.input.shape,
                                      {variant.input.values.begin(), variant.input.values.end()}});
  const Finished run = run_process({kLockstep, "run", "--plan", plan, "--input", x, "--output", y,
                                    "--dump-layers", layers, "--json"});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);

  const bool by_value = has_float_functions(variant.graph);
  Counts counts;
  for (const auto& [node, codes] : variant.codes) {
    INFO(node);
    const Counts of_node =
        compare_node(variant, node, by_value, read_codes(fs::path(layers) / (node + ".npy")));
    counts.compared += of_node.compared;
    counts.differing += of_node.differing;
    if (!by_value) CHECK(of_node.differing == 0);
  }
  CHECK(counts.compared > 0);
  std::printf("%s variant %zu, %s: %lld codes, %lld differ from the recorded %s\n",
              net.name.c_str(), index, state_file.c_str(), static_cast<long long>(counts.compared),
              static_cast<long long>(counts.differing), by_value ? "float32 values" : "integers");
  if (counts.differing > 0) {
    const Finished verify = run_process({kLockstep, "verify", "--graph", graph, "--weights",
                                         weights, "--plan", plan, "--accept", "tested"});
    INFO(verify.out, verify.err);
    CHECK(verify.exit_code == 0);
  }
  if (variant.output) {
    const auto report = nlohmann::json::parse(run.out);
    const std::vector<int> decimals = report.at("files").at(0).at("decimals");
    compare_output(*variant.output, decimals, read_codes(y));
  }
}

}  // namespace

TEST_CASE("run computes every recorded code of every recorded network") {
  const std::vector<std::string> names = golden_net_names();
  REQUIRE(!names.empty());
  for (const std::string& name : names) {
    const GoldenNet net = read_golden_net(name);
    for (std::size_t i = 0; i < net.variants.size(); ++i)
      for (const char* state_file : {"state_dict.pt", "state_dict.safetensors"}) {
        INFO(name, " variant ", i, " ", state_file);
        check_variant(net, i, state_file);
      }
  }
}

}  // namespace lockstep::test
