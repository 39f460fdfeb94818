#include "tests/support/golden_net.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "compile/checkpoint/state_dict.h"
#include "compile/support/error.h"
#include "compile/support/files.h"

namespace lockstep::test {
namespace {

using nlohmann::json;

std::vector<std::int64_t> integers(const StateDict& io, const std::string& key) {
  const Tensor& tensor = io.at(key);
  if (tensor.dtype == Dtype::kInt64) {
    std::vector<std::int64_t> values(tensor.bytes.size() / sizeof(std::int64_t));
    std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    return values;
  }
  const std::vector<std::int32_t> values = tensor.int32s(key);
  return {values.begin(), values.end()};
}

std::vector<int> decimals(const StateDict& io, const std::string& key) {
  std::vector<int> result;
  for (const float decimal : io.at(key).floats(key)) {
    if (std::trunc(decimal) != decimal)
      throw InputError(fmt::format("'{}': decimal {} is no integer", key, decimal));
    result.push_back(static_cast<int>(decimal));
  }
  return result;
}

Graph graph_for(const json& topology, const std::string& file, const json& shape) {
  json graph = {{"format", "lockstep-graph"}, {"version", 1}, {"name", topology.at("name")}};
  json input = topology.at("input");
  input["name"] = "input";
  input["shape"] = shape;
  graph["inputs"].push_back(input);
  graph["nodes"] = topology.at("nodes");
  graph["outputs"].push_back(topology.at("output"));
  return parse_graph(graph.dump(), file);
}

GoldenVariant read_variant(const json& topology, const std::string& file, const StateDict& io,
                           std::size_t index) {
  const auto key = [&](std::string_view entry) { return fmt::format("v{}.{}", index, entry); };
  GoldenVariant variant;
  variant.graph = graph_for(topology, file, topology.at("variants").at(index));
  const std::string input_key = key("input_int");
  variant.input = {io.at(input_key).shape,
                   integers(io, input_key),
                   {static_cast<int>(variant.graph.inputs[0].decimal)}};
  for (const json& entry : topology.at("quantize_nodes")) {
    const auto node = entry.get<std::string>();
    const std::string codes_key = key("int." + node);
    variant.codes[node] = {io.at(codes_key).shape, integers(io, codes_key),
                           decimals(io, "decimal." + node)};
    const std::string value_key = key("float." + node);
    variant.values[node] = io.at(value_key).floats(value_key);
  }
  const std::string output_key = key("output_acc_int");
  if (const Tensor* const output = io.find(output_key)) {
    const std::vector<std::int64_t> exponents = integers(io, key("output_acc_exp"));
    variant.output = {
        output->shape, integers(io, output_key), {exponents.begin(), exponents.end()}};
  }
  return variant;
}

}  // namespace

std::filesystem::path golden_folder() {
  if (const char* const folder = std::getenv("LOCKSTEP_NETS_DIR")) return folder;
  return std::filesystem::path(LOCKSTEP_TEST_DATA) / "golden" / "nets";
}

std::vector<std::string> golden_net_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(golden_folder()))
    if (std::filesystem::exists(entry.path() / "topology.json"))
      names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

GoldenNet read_golden_net(const std::string& name) {
  GoldenNet net;
  net.name = name;
  net.folder = golden_folder() / name;
  const std::string file = (net.folder / "topology.json").string();
  const json topology = json::parse(read_text_file(file));
  net.is_exact = topology.at("exact_expected").get<bool>();
  const StateDict io = read_state_dict(net.folder / "io.safetensors");
  for (std::size_t i = 0; i < topology.at("variants").size(); ++i)
    net.variants.push_back(read_variant(topology, file, io, i));
  return net;
}

}  // namespace lockstep::test
