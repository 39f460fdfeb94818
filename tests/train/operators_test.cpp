// Every operator of graph.json as training runs it: PyTorch's function, the shape that the graph's
// shapes say, and a gradient that reaches the input.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "compile/graph/op_schema.h"
#include "compile/graph/shapes.h"
#include "tests/support/input_error.h"
#include "tests/support/torch_doctest.h"
#include "train/class_scores.h"
#include "train/network.h"

namespace lockstep::train {
namespace {

namespace F = torch::nn::functional;
using Shape = std::vector<std::int64_t>;
using torch::Tensor;

// A node 'n' with `members` that reads every input in turn.
Graph graph_of(const std::string& members, const std::vector<Shape>& shapes) {
  std::vector<std::string> inputs, names;
  for (const Shape& shape : shapes) {
    names.push_back(fmt::format("\"x{}\"", names.size()));
    inputs.push_back(
        fmt::format(R"({{"name": {}, "shape": [{}]}})", names.back(), fmt::join(shape, ", ")));
  }
  return parse_graph(
      fmt::format(R"({{"format": "lockstep-graph", "version": 1, "name": "g", "inputs": [{}],
                       "nodes": [{{"name": "n", "inputs": [{}], {}}}], "outputs": ["n"]}})",
                  fmt::join(inputs, ", "), fmt::join(names, ", "), members),
      "g.json");
}

struct Case {
  std::string op, attributes;
  std::vector<Shape> inputs;
  std::function<Tensor(const std::vector<Tensor>& x)> value;  // empty: compared elsewhere
};

const std::string kConv = R"("in_channels": 4, "out_channels": 6, "kernel_size": 3)";

const Case kCases[] = {
    {"conv1d", kConv, {{4, 6}}, {}},
    {"conv2d", kConv, {{4, 6, 6}}, {}},
    {"conv_transpose1d", kConv, {{4, 6}}, {}},
    {"conv_transpose2d", kConv, {{4, 6, 6}}, {}},
    {"linear", R"("in_features": 6, "out_features": 3)", {{4, 6}}, {}},
    {"batch_norm1d", R"("num_features": 4)", {{4, 6}}, {}},
    {"batch_norm2d", R"("num_features": 4)", {{4, 6, 6}}, {}},
    {"quantize", "", {{4, 6, 6}}, {}},
    {"prune", "", {{4, 6, 6}}, {}},
    {"dropout", "", {{4, 6}}, {}},
    {"identity", "", {{4, 6}}, [](const auto& x) { return x[0]; }},
    {"relu", "", {{4, 6}}, [](const auto& x) { return F::relu(x[0]); }},
    {"relu6", "", {{4, 6}}, [](const auto& x) { return F::relu6(x[0]); }},
    {"leaky_relu",
     R"("negative_slope": 0.3)",
     {{4, 6}},
     [](const auto& x) {
       return F::leaky_relu(x[0], F::LeakyReLUFuncOptions().negative_slope(0.3));
     }},
    {"hard_sigmoid", "", {{4, 6}}, [](const auto& x) { return F::relu6(x[0] + 3) / 6; }},
    {"hard_swish", "", {{4, 6}}, [](const auto& x) { return x[0] * F::relu6(x[0] + 3) / 6; }},
    {"tanh", "", {{4, 6}}, [](const auto& x) { return torch::nn::Tanh()(x[0]); }},
    {"sigmoid", "", {{4, 6}}, [](const auto& x) { return torch::nn::Sigmoid()(x[0]); }},
    {"silu", "", {{4, 6}}, [](const auto& x) { return F::silu(x[0]); }},
    {"gelu", "", {{4, 6}}, [](const auto& x) { return F::gelu(x[0]); }},
    {"elu",
     R"("alpha": 0.7)",
     {{4, 6}},
     [](const auto& x) { return F::elu(x[0], F::ELUFuncOptions().alpha(0.7)); }},
    {"softplus",
     R"("beta": 2, "threshold": 3)",
     {{4, 6}},
     [](const auto& x) {
       return F::softplus(x[0], F::SoftplusFuncOptions().beta(2).threshold(3));
     }},
    {"max_pool1d",
     R"("kernel_size": 3, "stride": 2, "padding": 1)",
     {{4, 6}},
     [](const auto& x) {
       return F::max_pool1d(x[0], F::MaxPool1dFuncOptions(3).stride(2).padding(1));
     }},
    {"max_pool2d",
     R"("kernel_size": [3, 2], "ceil_mode": true)",
     {{4, 7, 7}},
     [](const auto& x) {
       return F::max_pool2d(x[0], F::MaxPool2dFuncOptions({3, 2}).ceil_mode(true));
     }},
    {"avg_pool1d",
     R"("kernel_size": 3, "padding": 1, "count_include_pad": false)",
     {{4, 6}},
     [](const auto& x) {
       return F::avg_pool1d(x[0], F::AvgPool1dFuncOptions(3).padding(1).count_include_pad(false));
     }},
    {"avg_pool2d",
     R"("kernel_size": [3, 2], "stride": 2)",
     {{4, 7, 7}},
     [](const auto& x) {
       return F::avg_pool2d(x[0], F::AvgPool2dFuncOptions({3, 2}).stride(2));
     }},
    {"adaptive_avg_pool1d",
     R"("output_size": 4)",
     {{4, 7}},
     [](const auto& x) {
       return F::adaptive_avg_pool1d(x[0], F::AdaptiveAvgPool1dFuncOptions(4));
     }},
    {"adaptive_avg_pool2d",
     R"("output_size": [1, 3])",
     {{4, 7, 7}},
     [](const auto& x) {
       return F::adaptive_avg_pool2d(x[0], F::AdaptiveAvgPool2dFuncOptions({1, 3}));
     }},
    {"upsample",
     R"("scale_factor": 3)",
     {{4, 5}},
     [](const auto& x) {
       return F::interpolate(
           x[0],
           F::InterpolateFuncOptions().scale_factor(std::vector<double>{3}).mode(torch::kNearest));
     }},
    {"upsample",
     R"("scale_factor": [2, 3])",
     {{4, 5, 2}},
     [](const auto& x) {
       return F::interpolate(x[0], F::InterpolateFuncOptions()
                                       .scale_factor(std::vector<double>{2, 3})
                                       .mode(torch::kNearest));
     }},
    {"upsample",
     R"("scale_factor": 4, "mode": "bilinear")",
     {{4, 5, 2}},
     [](const auto& x) {
       return F::interpolate(x[0], F::InterpolateFuncOptions()
                                       .scale_factor(std::vector<double>{4, 4})
                                       .mode(torch::kBilinear)
                                       .align_corners(false));
     }},
    {"pixel_shuffle",
     R"("upscale_factor": 2)",
     {{4, 3, 2}},
     [](const auto& x) { return F::pixel_shuffle(x[0], F::PixelShuffleFuncOptions(2)); }},
    {"pixel_unshuffle",
     R"("downscale_factor": 2)",
     {{3, 4, 2}},
     [](const auto& x) { return F::pixel_unshuffle(x[0], F::PixelUnshuffleFuncOptions(2)); }},
    {"flatten", "", {{3, 4, 2}}, [](const auto& x) { return torch::flatten(x[0], 1); }},
    {"reshape",
     R"("shape": [6, -1])",
     {{3, 4, 2}},
     [](const auto& x) {
       return x[0].reshape({-1, 6, 4});
     }},
    {"transpose",
     R"("dim0": 1, "dim1": 3)",
     {{3, 4, 2}},
     [](const auto& x) {
       return x[0].permute({0, 3, 2, 1});
     }},
    {"slice",
     R"("dim": 2, "start": 1, "step": 2)",
     {{3, 6}},
     [](const auto& x) {
       using torch::indexing::Slice;
       return x[0].index({Slice(), Slice(), Slice(1, torch::indexing::None, 2)});
     }},
    {"pad",
     R"("padding": [1, 2])",
     {{3, 4, 2}},
     [](const auto& x) {
       return F::pad(x[0], F::PadFuncOptions({1, 2}));
     }},
    {"pad",
     R"("padding": [1, 0, 2, 3], "mode": "reflect")",
     {{3, 4, 2}},
     [](const auto& x) {
       return F::pad(x[0], F::PadFuncOptions({1, 0, 2, 3}).mode(torch::kReflect));
     }},
    {"pad",
     R"("padding": [1, 2], "mode": "replicate")",
     {{3, 4, 2}},
     [](const auto& x) {
       return F::pad(x[0], F::PadFuncOptions({1, 2, 0, 0}).mode(torch::kReplicate));
     }},
    {"pad",
     R"("padding": [3, 1], "mode": "reflect")",
     {{3, 4}},
     [](const auto& x) {
       return F::pad(x[0], F::PadFuncOptions({3, 1}).mode(torch::kReflect));
     }},
    {"concat",
     R"("dim": 2)",
     {{3, 4}, {3, 1}, {3, 2}},
     [](const auto& x) {
       return torch::cat({x[0], x[1], x[2]}, 2);
     }},
    {"add", "", {{3, 4}, {3, 1}}, [](const auto& x) { return x[0] + x[1]; }},
    {"sub", "", {{3, 1}, {3, 4}}, [](const auto& x) { return x[0] - x[1]; }},
    {"mul", "", {{3, 4}, {1, 4}}, [](const auto& x) { return x[0] * x[1]; }},
    {"argmax", "", {{3, 4}}, [](const auto& x) { return std::get<1>(x[0].max(1, true)); }},
    {"softmax",
     "",
     {{3, 4}},
     [](const auto& x) { return F::softmax(x[0], F::SoftmaxFuncOptions(1)); }},
    {"log_softmax",
     "",
     {{3}},
     [](const auto& x) { return F::log_softmax(x[0], F::LogSoftmaxFuncOptions(1)); }},
};

}  // namespace

TEST_CASE("every operator computes PyTorch's function, with its shape, and hands gradients on") {
  std::set<std::string_view> seen;
  for (const Case& one : kCases) {
    CAPTURE(one.op);
    CAPTURE(one.attributes);
    seen.insert(one.op);
    const Graph graph =
        graph_of(fmt::format(R"("op": "{}", "attrs": {{{}}})", one.op, one.attributes), one.inputs);
    Network network(graph, 1);
    std::vector<Tensor> inputs;
    for (const Shape& shape : one.inputs) {
      Shape sizes = shape;
      sizes.insert(sizes.begin(), 2);
      inputs.push_back((torch::randn(sizes) * 3).requires_grad_());
    }
    const Tensor found = network.forward(inputs).at(0);
    Shape sizes = infer_shapes(graph, "g").at("n");
    sizes.insert(sizes.begin(), 2);
    CHECK(found.sizes() == torch::IntArrayRef(sizes));
    CHECK(found.dtype() == torch::kFloat32);
    if (one.value) {
      const Tensor expected = one.value(inputs).to(torch::kFloat32);
      CHECK(torch::allclose(found, expected, 1e-6, 1e-6));
    }
    CHECK(found.requires_grad() == (one.op != "argmax"));
    if (!found.requires_grad()) continue;
    (found * torch::randn_like(found)).sum().backward();
    for (const Tensor& input : inputs) {
      REQUIRE(input.grad().defined());
      CHECK(input.grad().ne(0).any().item<bool>());
    }
  }
  for (const OpSchema& schema : op_schemas())
    CHECK_MESSAGE(seen.contains(schema.name), schema.name);
}

TEST_CASE("nearest upsampling repeats each position exactly as often as its factor says") {
  const Graph graph = graph_of(R"("op": "upsample", "attrs": {"scale_factor": 49})", {{1, 5}});
  const Tensor found =
      Network(graph, 1).forward({torch::arange(5, torch::kFloat32).reshape({1, 1, 5})}).at(0);
  for (std::int64_t i = 0; i < 5 * 49; ++i)
    CHECK(found[0][0][i].item<float>() == static_cast<float>(i / 49));
}

TEST_CASE("class scores are what a last softmax, log_softmax or argmax reads") {
  const auto scores = [](const std::string& nodes) {
    return class_scores_name(
        parse_graph(fmt::format(R"({{"format": "lockstep-graph", "version": 1, "name": "g",
                         "inputs": [{{"name": "x", "shape": [4]}}],
                         "nodes": [{{"name": "a", "op": "relu", "inputs": ["x"]}}, {}],
                         "outputs": ["z"]}})",
                                nodes),
                    "g.json"));
  };
  CHECK(scores(R"({"name": "z", "op": "identity", "inputs": ["a"]})") == "z");
  CHECK(scores(R"({"name": "z", "op": "relu", "inputs": ["a"]})") == "z");
  for (const std::string op : {"softmax", "log_softmax", "argmax"}) {
    CHECK(scores(fmt::format(R"({{"name": "z", "op": "{}", "inputs": ["a"]}})", op)) == "a");
    CHECK(scores(fmt::format(R"({{"name": "z", "op": "{}", "inputs": ["x"]}})", op)) == "z");
    CHECK(scores(fmt::format(R"({{"name": "b", "op": "{}", "inputs": ["a"]}},
                                {{"name": "z", "op": "identity", "inputs": ["b"]}})",
                             op)) == "a");
    CHECK(scores(fmt::format(R"({{"name": "b", "op": "{}", "inputs": ["a"]}},
                                {{"name": "z", "op": "relu", "inputs": ["b"]}})",
                             op)) == "z");
  }
}

}  // namespace lockstep::train
