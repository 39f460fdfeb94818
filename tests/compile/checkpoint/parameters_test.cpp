#include "compile/checkpoint/parameters.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <optional>

#include "tests/compile/checkpoint/tensors.h"
#include "tests/support/golden_net.h"
#include "tests/support/input_error.h"

using namespace lockstep;
using test::contains;
using test::input_error_of;
using test::make_tensor;

namespace {

Tensor floats(std::vector<std::int64_t> shape, const std::vector<float>& values) {
  return make_tensor(Dtype::kFloat32, std::move(shape), values);
}
Tensor bools(std::vector<std::int64_t> shape, const std::vector<std::uint8_t>& values) {
  return make_tensor(Dtype::kBool, std::move(shape), values);
}
Tensor int32s(std::vector<std::int64_t> shape, const std::vector<std::int32_t>& values) {
  return make_tensor(Dtype::kInt32, std::move(shape), values);
}
const Tensor kPlaceholder = int32s({}, {-1});

// A pruned and quantized linear layer with a quantized bias, an activation pruner and a quantizer.
Graph small_graph(const std::string& linear_attributes = "",
                  const std::string& quantize = R"("channelwise": 0, "bias_bits": 12)",
                  const std::string& prune = "") {
  return parse_graph(
      fmt::format(
          R"({{"format": "lockstep-graph", "version": 1, "name": "small", "inputs": [{{"name": "x", "shape": [3]}}],
             "nodes": [{{"name": "fc", "op": "linear", "inputs": ["x"], "attrs": {{"in_features": 3, "out_features": 2{}}},
                        "wrap": [{{"type": "prune"{}}}, {{"type": "quantize", {}}}]}},
                       {{"name": "p", "op": "prune", "inputs": ["fc"]}},
                       {{"name": "q", "op": "quantize", "inputs": ["p"], "attrs": {{"channelwise": -1}}}},
                       {{"name": "r", "op": "relu", "inputs": ["q"]}}],
             "outputs": ["r"]}})",
          linear_attributes, prune, quantize),
      "g.json");
}

using Entries = std::map<std::string, Tensor>;

void add_quantize(Entries& entries, const std::string& prefix, const Tensor& decimal, int bits) {
  entries[prefix + "decimal"] = decimal;
  entries[prefix + "_n_updates"] = int32s({1}, {241});
  entries[prefix + "bits"] = int32s({}, {bits});
  entries[prefix + "_quantized"] = bools({1}, {1});
}
void add_prune(Entries& entries, const std::string& prefix, const Tensor& mask) {
  entries[prefix + "mask"] = mask;
  entries[prefix + "_n_updates"] = int32s({1}, {241});
  entries[prefix + "_cur_sparsity"] = floats({1}, {0.5F});
}

Entries small_entries() {
  Entries entries;
  entries["fc.weight"] = floats({2, 3}, {1, -1, 0.5F, 0.25F, 2, -2});
  entries["fc.bias"] = floats({2}, {0.125F, -0.5F});
  add_prune(entries, "fc.prune.", bools({2, 3}, {1, 0, 1, 1, 0, 1}));
  add_quantize(entries, "fc.quantize.", floats({2}, {6, -3}), 8);
  add_quantize(entries, "fc.quantize_bias.", floats({2}, {10, 11}), 12);
  add_prune(entries, "p.", bools({2}, {1, 1}));
  add_quantize(entries, "q.", floats({1}, {5}), 8);
  return entries;
}

StateDict to_state(const Entries& entries) {
  StateDict state;
  for (const auto& [key, tensor] : entries) state.add(key, tensor);
  return state;
}
std::string error_of(const Graph& graph, const Entries& entries) {
  return input_error_of([&] { bind_parameters(graph, to_state(entries)); });
}
// The small network with one entry replaced, or removed.
std::string error_with(const std::string& key, const std::optional<Tensor>& tensor) {
  Entries entries = small_entries();
  if (tensor)
    entries[key] = *tensor;
  else
    REQUIRE(entries.erase(key) == 1);
  return error_of(small_graph(), entries);
}

}  // namespace

TEST_CASE("a complete state dict is bound, value for value") {
  const Graph graph = small_graph();
  const Parameters parameters = bind_parameters(graph, to_state(small_entries()));
  REQUIRE(parameters.nodes.size() == graph.nodes.size());
  const NodeParameters& fc = parameters.of(graph.nodes[0]);
  CHECK(fc.weight_shape == std::vector<std::int64_t>{2, 3});
  CHECK(fc.weight == std::vector<float>{1, -1, 0.5F, 0.25F, 2, -2});
  CHECK(fc.bias == std::vector<float>{0.125F, -0.5F});
  REQUIRE(fc.weight_quantize);
  CHECK(fc.weight_quantize->decimals == std::vector<int>{6, -3});
  CHECK(fc.weight_quantize->bits == 8);
  REQUIRE(fc.bias_quantize);
  CHECK(fc.bias_quantize->decimals == std::vector<int>{10, 11});
  CHECK(fc.bias_quantize->bits == 12);
  REQUIRE(fc.weight_mask);
  CHECK(fc.weight_mask->shape == std::vector<std::int64_t>{2, 3});
  CHECK(fc.weight_mask->keep == std::vector<std::uint8_t>{1, 0, 1, 1, 0, 1});
  const NodeParameters& p = parameters.of(graph.nodes[1]);
  REQUIRE(p.mask);
  CHECK(p.mask->keep == std::vector<std::uint8_t>{1, 1});
  const NodeParameters& q = parameters.of(graph.nodes[2]);
  REQUIRE(q.quantize);
  CHECK(q.quantize->decimals == std::vector<int>{5});
  CHECK(!parameters.of(graph.nodes[3]).quantize);
}

TEST_CASE("a weight pruned with strict = false binds only when all rows of its mask are equal") {
  const Graph graph =
      small_graph("", R"("channelwise": 0, "bias_bits": 12)", R"(, "strict": false)");
  Entries entries = small_entries();
  entries["fc.prune.mask"] = bools({2, 3}, {1, 0, 1, 1, 1, 1});
  CHECK(error_of(graph, entries) ==
        "layer 'fc': 'fc.prune.mask': row 1 differs from row 0, but with strict = false QSPARSE "
        "evaluates every row with row 0; say strict = true in the graph to mean the whole mask");
  for (const Tensor& mask : {bools({2, 3}, {0, 1, 1, 0, 1, 1}), bools({1, 3}, {0, 1, 1}),
                             bools({2, 1}, {1, 1}), bools({1, 1}, {1})}) {
    entries["fc.prune.mask"] = mask;
    CHECK(bind_parameters(graph, to_state(entries)).of(graph.nodes[0]).weight_mask->keep ==
          mask.bools("fc.prune.mask"));
  }
  entries["fc.prune.mask"] = bools({2, 1}, {1, 0});
  CHECK(contains(error_of(graph, entries), "row 1 differs from row 0"));
}

TEST_CASE("each recorded network binds, with the decimals that were recorded") {
  for (const std::string& name : test::golden_net_names()) {
    CAPTURE(name);
    const test::GoldenNet net = test::read_golden_net(name);
    const StateDict state = read_state_dict(net.folder / "state_dict.pt");
    for (const test::GoldenVariant& variant : net.variants) {
      const Parameters parameters = bind_parameters(variant.graph, state);
      for (const auto& [node, codes] : variant.codes)
        CHECK(parameters.of(*variant.graph.find_node(node)).quantize->decimals == codes.decimals);
    }
  }
}

TEST_CASE("every missing key is named with its layer") {
  for (const auto& [key, tensor] : small_entries()) {
    const std::string message = error_with(key, std::nullopt);
    CHECK(message == fmt::format("layer '{}': '{}': the state dict has no such key",
                                 key.substr(0, key.find('.')), key));
  }
}

TEST_CASE("messages begin with the file's name when there is one") {
  const StateDict state("state.pt");
  CHECK(input_error_of([&] { bind_parameters(small_graph(), state); }) ==
        "state.pt: layer 'fc': 'fc.weight': the state dict has no such key");
}

TEST_CASE("an extra key is named") {
  CHECK(error_with("fc2.weight", floats({1}, {1})) ==
        "key 'fc2.weight': no layer of graph 'small' has such an entry");
  CHECK(contains(error_with("r.decimal", floats({1}, {1})), "key 'r.decimal'"));
  CHECK(contains(error_with("fc.quantize.extra", floats({1}, {1})), "key 'fc.quantize.extra'"));
}

TEST_CASE("the state dict of an unwrapped layer, or of a layer without a bias, does not fit") {
  CHECK(
      contains(error_of(small_graph(R"(, "bias": false)", R"("channelwise": 0)"), small_entries()),
               "key 'fc.bias'"));
  CHECK(contains(error_of(small_graph("", R"("channelwise": 0)"), small_entries()),
                 "key 'fc.quantize_bias."));
}

TEST_CASE("every placeholder -1 is named: the layer never saw data") {
  for (const auto& [key, tensor] : small_entries()) {
    if (key == "fc.weight" || key == "fc.bias") continue;
    const std::string message = error_with(key, kPlaceholder);
    CHECK_MESSAGE(contains(message, fmt::format("'{}': still the placeholder -1", key)), message);
  }
}

TEST_CASE("every wrong dtype is named") {
  for (const auto& [key, tensor] : small_entries()) {
    Tensor wrong = tensor;
    wrong.dtype = Dtype::kFloat64;
    wrong.bytes.resize(static_cast<std::size_t>(wrong.element_count()) * 8);
    const std::string message = error_with(key, wrong);
    CHECK_MESSAGE(contains(message, fmt::format("'{}': dtype is float64, but it must be {}", key,
                                                dtype_name(tensor.dtype))),
                  message);
  }
}

TEST_CASE("every wrong shape is named") {
  for (const auto& [key, tensor] : small_entries()) {
    Tensor wrong = tensor;
    wrong.shape.insert(wrong.shape.begin(), {3, 1});
    wrong.bytes.resize(wrong.bytes.size() * 3);
    const std::string message = error_with(key, wrong);
    if (key == "p.mask")  // of an activation: its shape is known to the compiler alone
      CHECK(message == "(no error)");
    else
      CHECK_MESSAGE(contains(message, fmt::format("'{}': shape is [3, 1", key)), message);
  }
  CHECK(error_with("fc.weight", floats({3, 2}, {1, 2, 3, 4, 5, 6})) ==
        "layer 'fc': 'fc.weight': shape is [3, 2], but it must be [2, 3]");
}

TEST_CASE("NaN and infinity in weights and biases are named with their place") {
  CHECK(contains(error_with("fc.weight", floats({2, 3}, {1, 1, NAN, 1, 1, 1})),
                 "'fc.weight': element 2 is nan"));
  CHECK(
      contains(error_with("fc.bias", floats({2}, {1, -INFINITY})), "'fc.bias': element 1 is -inf"));
}

TEST_CASE("a decimal is an integer between -64 and 64, one per tensor or per channel") {
  const auto decimal = [](float value) { return error_with("q.decimal", floats({1}, {value})); };
  for (const float good : {-64.0F, 64.0F, 0.0F, -1.0F}) CHECK(decimal(good) == "(no error)");
  for (const float bad : {65.0F, -65.0F, 0.5F, NAN, INFINITY, 1e30F})
    CHECK(contains(decimal(bad), "layer 'q': 'q.decimal': decimal"));
  CHECK(contains(error_with("q.decimal", floats({2}, {5, 5})), "2 decimals, but it must be 1"));
  CHECK(contains(error_with("q.decimal", floats({0}, {})), "must have one axis"));
  CHECK(contains(error_with("q.decimal", floats({}, {5})), "must have one axis"));
  CHECK(contains(error_with("fc.quantize.decimal", floats({3}, {5, 5, 5})),
                 "3 decimals, but it must be 2"));
  CHECK(contains(error_with("fc.quantize.decimal", floats({1}, {5})),
                 "1 decimals, but it must be 2"));
  CHECK(contains(error_with("fc.quantize_bias.decimal", floats({1}, {5})),
                 "1 decimals, but it must be 2"));
  Entries entries = small_entries();
  entries["fc.quantize.decimal"] = floats({3}, {1, 2, 3});  // channelwise 1: input features
  CHECK(error_of(small_graph("", R"("channelwise": 1, "bias_bits": 12)"), entries) == "(no error)");
  CHECK(contains(error_of(small_graph("", R"("channelwise": -1, "bias_bits": 12)"), entries),
                 "3 decimals, but it must be 1"));
}

TEST_CASE("bits come from the state dict and are limited") {
  Entries entries = small_entries();
  entries["fc.quantize.bits"] = int32s({}, {4});  // the graph says 8
  const Graph graph = small_graph();
  CHECK(bind_parameters(graph, to_state(entries)).of(graph.nodes[0]).weight_quantize->bits == 4);
  for (const int bad : {1, 0, 17, -2}) {
    CHECK(contains(error_with("fc.quantize.bits", int32s({}, {bad})),
                   fmt::format("bits = {}, but 2 to 16 are supported", bad)));
    CHECK(contains(error_with("q.bits", int32s({}, {bad})), "layer 'q': 'q.bits'"));
  }
  CHECK(error_with("fc.quantize_bias.bits", int32s({}, {32})) == "(no error)");
  CHECK(contains(error_with("fc.quantize_bias.bits", int32s({}, {33})), "2 to 32"));
}

TEST_CASE("a layer that never began to quantize is named") {
  for (const std::string key :
       {"fc.quantize._quantized", "fc.quantize_bias._quantized", "q._quantized"})
    CHECK(contains(error_with(key, bools({1}, {0})),
                   fmt::format("'{}': false: training ended before", key)));
}

TEST_CASE("a mask must broadcast to its weight and hold 0 or 1") {
  using Shape = std::vector<std::int64_t>;
  for (const Shape& shape : {Shape{2, 1}, Shape{1, 3}, Shape{1, 1}}) {
    const auto size = static_cast<std::size_t>(shape[0] * shape[1]);
    CHECK(error_with("fc.prune.mask", bools(shape, std::vector<std::uint8_t>(size, 1))) ==
          "(no error)");
  }
  CHECK(contains(error_with("fc.prune.mask", bools({3, 2}, {1, 1, 1, 1, 1, 1})),
                 "shape is [3, 2], but it must be [2, 3]"));
  CHECK(contains(error_with("fc.prune.mask", bools({3}, {1, 1, 1})), "shape is [3]"));
  CHECK(
      contains(error_with("fc.prune.mask", bools({2, 3}, {1, 1, 1, 1, 1, 2})), "holds the byte 2"));
}

TEST_CASE("a mask without elements is refused") {
  using Shape = std::vector<std::int64_t>;
  for (const Shape& shape : {Shape{0}, Shape{2, 0}, Shape{0, 3}})
    for (const char* const key : {"p.mask", "fc.prune.mask"}) {
      const std::string message = error_with(key, bools(shape, {}));
      CHECK_MESSAGE(
          contains(message, fmt::format("'{}': shape is [{}], but a mask has at least one "
                                        "element",
                                        key, fmt::join(shape, ", "))),
          message);
    }
  CHECK(error_with("p.mask", bools({}, {1})) == "(no error)");
}

TEST_CASE("counters and sparsities that cannot be are refused") {
  CHECK(contains(error_with("q._n_updates", int32s({1}, {-1})), "'q._n_updates': -1 steps"));
  CHECK(contains(error_with("p._cur_sparsity", floats({1}, {1.5F})), "sparsity 1.5"));
  CHECK(contains(error_with("p._cur_sparsity", floats({1}, {NAN})), "sparsity nan"));
}

TEST_CASE(
    "bias_bits without a bias: the placeholders that QSPARSE keeps may be there, nothing else") {
  const Graph graph = small_graph(R"(, "bias": false)");
  Entries entries = small_entries();
  entries.erase("fc.bias");
  for (const std::string entry : {"decimal", "_n_updates", "bits", "_quantized"})
    entries["fc.quantize_bias." + entry] = kPlaceholder;
  CHECK(error_of(graph, entries) == "(no error)");
  CHECK(!bind_parameters(graph, to_state(entries)).of(graph.nodes[0]).bias_quantize);
  entries["fc.quantize_bias.bits"] = int32s({}, {12});
  CHECK(contains(error_of(graph, entries), "the layer has no bias"));
  for (const std::string entry : {"decimal", "_n_updates", "bits", "_quantized"})
    entries.erase("fc.quantize_bias." + entry);
  CHECK(error_of(graph, entries) == "(no error)");
}

TEST_CASE("two layers whose names give one key are told so") {
  const Graph graph = parse_graph(
      R"({"format": "lockstep-graph", "version": 1, "name": "clash", "inputs": [{"name": "x", "shape": [3]}],
         "nodes": [{"name": "a", "op": "linear", "inputs": ["x"], "attrs": {"in_features": 3, "out_features": 2, "bias": false},
                    "wrap": [{"type": "prune"}]},
                   {"name": "a.prune", "op": "prune", "inputs": ["a"]}], "outputs": ["a.prune"]})",
      "g.json");
  Entries entries;
  entries["a.weight"] = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  add_prune(entries, "a.prune.", bools({2, 3}, {1, 1, 1, 1, 1, 1}));
  CHECK(contains(error_of(graph, entries),
                 "layer 'a.prune': 'a.prune.mask': layer 'a' has this key too"));
}

TEST_CASE("a batch norm's entries are bound, and each wrong one is named") {
  const Graph graph = parse_graph(
      R"({"format": "lockstep-graph", "version": 1, "name": "bn", "inputs": [{"name": "x", "shape": [2]}],
          "nodes": [{"name": "n", "op": "batch_norm1d", "inputs": ["x"], "attrs": {"num_features": 2}}],
          "outputs": ["n"]})",
      "g.json");
  const auto bind = [&](const std::string& key, const Tensor& tensor) {
    Entries entries = {
        {"n.weight", floats({2}, {1, 2})},
        {"n.bias", floats({2}, {3, 4})},
        {"n.running_mean", floats({2}, {5, 6})},
        {"n.running_var", floats({2}, {7, 0})},
        {"n.num_batches_tracked", make_tensor(Dtype::kInt64, {}, std::vector<std::int64_t>{9})}};
    entries[key] = tensor;
    StateDict state;
    for (const auto& [name, value] : entries) state.add(name, value);
    return *bind_parameters(graph, state).of(graph.nodes[0]).batch_norm;
  };
  const auto error = [&](const std::string& key, const Tensor& tensor) {
    return input_error_of([&] { bind(key, tensor); });
  };
  const BatchNormParameters bound = bind("n.bias", floats({2}, {3, 4}));
  CHECK(bound.weight == std::vector<float>{1, 2});
  CHECK(bound.running_mean == std::vector<float>{5, 6});
  CHECK(bound.running_var == std::vector<float>{7, 0});
  CHECK(contains(error("n.weight", floats({3}, {1, 2, 3})), "'n.weight': shape is [3]"));
  CHECK(contains(error("n.running_var", floats({2}, {1, -1})), "'n.running_var': variance -1"));
  CHECK(contains(error("n.num_batches_tracked", int32s({}, {9})), "dtype is int32"));
  CHECK(contains(error("n.x", floats({1}, {1})), "key 'n.x': no layer"));
}
