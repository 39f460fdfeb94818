// The zoo's networks have the sizes that were published, and their state dicts belong to them and
// are the same every time.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>

#include "compile/checkpoint/parameters.h"
#include "compile/checkpoint/state_dict.h"
#include "compile/graph/shapes.h"
#include "compile/support/files.h"
#include "tools/zoo/float_run.h"
#include "tools/zoo/zoo.h"

namespace lockstep::zoo {
namespace {

// Parameters: weights, biases, and scale and offset of batch norms. Published: netpq by QSPARSE's
// tutorial, whose network is PyTorch's MNIST example (1,199,882) with three batch norms; MLPerf
// Tiny's four by Keras ("Trainable params"); the others by torchvision, pytorch-cifar and PyTorch's
// DCGAN example. LeNet-5 has 61,706 in every textbook with full connections between its planes.
// Where nothing was published the numbers are sums over the layers, made by hand.
struct Published {
  std::string_view name;
  std::int64_t parameters, macs;
};
constexpr Published kPublished[] = {
    {"lenet", 61706, 416520},
    {"netpq", 1199882 + 448, 11992448},
    {"resnet8", 78186, 12501632},
    {"ds_cnn", 23756, 2656768},
    {"mobilenet_v1_025", 216322, 7489664},
    {"autoencoder", 267928, 264192},
    {"mobilenet_v2_cifar", 2296922, 91154944},
    {"mobilenet_v2_224", 3504872, 300774272},
    {"resnet18", 11689512, 1814073344},
    {"espcn_17x17", 22729, 17 * 17 * 22624},
    {"espcn_48x64", 22729, 48 * 64 * 22624},
    {"espcn_90x160", 22729, 90 * 160 * 22624},
    {"dcgan_generator", 3576704, 104628224},
    {"tcn", 66510, 784 * 65825 + 250},
    {"unet_small", 117378, 100466688},
    {"unet_small_upsample", 130226, 134021120},
};

struct Variant {
  std::string_view what;
  NetworkOptions options;
};
const Variant kVariants[] = {
    {"per tensor", {}},
    {"per channel", {.per_channel = true}},
    {"pruned", {.sparsity = 0.5}},
    {"per channel, channels pruned", {.per_channel = true, .sparsity = 0.5, .structured = true}},
    {"float", {.quantize = false}},
};

bool is_large(const Graph& graph) { return size_of(graph).macs > 100'000'000; }

double kept_share(const std::vector<std::uint8_t>& keep) {
  return static_cast<double>(std::ranges::count(keep, std::uint8_t{1})) /
         static_cast<double>(keep.size());
}

}  // namespace

TEST_CASE("every network has the published number of parameters and multiply-accumulates") {
  CHECK(networks().size() == std::size(kPublished));
  for (const Published& published : kPublished) {
    INFO(published.name);
    for (const Variant& variant : kVariants) {
      const NetworkSize size = size_of(find_network(published.name).build(variant.options));
      CHECK(size.parameters == published.parameters);
      CHECK(size.macs == published.macs);
    }
  }
}

TEST_CASE("every network can be written and read, and has the shapes that its name promises") {
  for (const Network& network : networks())
    for (const Variant& variant : kVariants) {
      INFO(network.name, ", ", variant.what);
      const Graph graph = network.build(variant.options);
      CHECK(graph.name == network.name);
      CHECK(parse_graph(to_json(graph), "zoo") == graph);
    }
  const auto output_of = [](std::string_view name) {
    const Graph graph = find_network(name).build({});
    return infer_shapes(graph, "zoo").at(graph.outputs.at(0));
  };
  using Shape = std::vector<std::int64_t>;
  CHECK(output_of("resnet18") == Shape{1000});
  CHECK(output_of("espcn_48x64") == Shape{1, 144, 192});
  CHECK(output_of("dcgan_generator") == Shape{3, 64, 64});
  CHECK(output_of("unet_small") == Shape{2, 64, 64});
}

TEST_CASE("options decide what stands in a graph") {
  for (const Network& network : networks()) {
    INFO(network.name);
    for (const Node& node : network.build({.quantize = false}).nodes) {
      CHECK(!node.quantize);
      CHECK(!node.prune);
      CHECK(node.wraps.empty());
    }
    std::size_t prunes = 0;
    for (const Node& node :
         network.build({.per_channel = true, .bits = 5, .sparsity = 0.25, .structured = true})
             .nodes) {
      if (node.quantize) CHECK(node.quantize->channelwise == 1);
      if (node.quantize) CHECK(node.quantize->bits == 5);
      if (node.prune) CHECK(node.prune->sparsity == 0.25);
      if (node.prune) CHECK(node.prune->structured_dims == std::vector<std::int64_t>{0});
      if (const QuantizeSpec* const spec = node.weight_quantize())
        CHECK(spec->channelwise == (node.op.starts_with("conv_transpose") ? 1 : 0));
      prunes += node.prune ? 1 : 0;
    }
    CHECK(prunes > 0);
    for (const Node& node : network.build({}).nodes) {
      CHECK(!node.prune);
      CHECK(node.weight_prune() == nullptr);
      if (node.quantize) CHECK(node.quantize->channelwise == -1);
    }
  }
  CHECK_THROWS_WITH_AS(find_network("alexnet"),
                       doctest::Contains("the zoo has no network 'alexnet'; there are lenet,"),
                       std::exception);
}

TEST_CASE("calibrated states belong to their graphs and use the codes that there are") {
  for (const Network& network : networks())
    for (const Variant& variant : kVariants) {
      INFO(network.name, ", ", variant.what);
      const Graph graph = network.build(variant.options);
      if (is_large(graph) && variant.options.quantize && !variant.options.structured) continue;
      const StateDict state = calibrated_state(graph, 1);
      const Parameters parameters = bind_parameters(graph, state);
      for (const Node& node : graph.nodes) {
        INFO(node.name);
        const NodeParameters& p = parameters.of(node);
        if (p.batch_norm) {
          const auto variance = std::minmax_element(p.batch_norm->running_var.begin(),
                                                    p.batch_norm->running_var.end());
          CHECK(*variance.first > 0);
          CHECK(*variance.second > *variance.first);
        }
        if (p.quantize) {
          const auto [least, most] = std::ranges::minmax(p.quantize->decimals);
          CHECK(most - least <= 4);
        }
        // Half of them, up to the one that QSPARSE's rule leaves and to rounding.
        if (p.mask && p.mask->keep.size() > 8)
          CHECK(kept_share(p.mask->keep) >= doctest::Approx(0.5).epsilon(0.01));
        if (p.weight_mask && p.weight_mask->keep.size() > 100)
          CHECK(kept_share(p.weight_mask->keep) == doctest::Approx(0.5).epsilon(0.05));
        if (!p.weight_quantize || p.weight_mask) continue;
        // The largest weight of each decimal takes more than half of the codes, and none saturates.
        std::vector<float> largest(p.weight_quantize->decimals.size());
        const std::size_t axis = node.op.starts_with("conv_transpose") ? 1 : 0;
        std::size_t inner = p.weight.size();
        for (std::size_t i = 0; i <= axis; ++i)
          inner /= static_cast<std::size_t>(p.weight_shape[i]);
        for (std::size_t i = 0; i < p.weight.size(); ++i) {
          float& most = largest[largest.size() == 1 ? 0 : i / inner % largest.size()];
          most = std::max(most, std::fabs(p.weight[i]));
        }
        for (std::size_t c = 0; c < largest.size(); ++c) {
          const float code = std::ldexp(largest[c], p.weight_quantize->decimals[c]);
          CHECK(code <= 127.0F);
          CHECK(code > 63.5F);
        }
      }
    }
}

TEST_CASE("a state dict follows from graph and seed alone") {
  const Graph graph = find_network("resnet8").build({.per_channel = true, .sparsity = 0.5});
  const auto digest = [&](std::uint64_t seed) {
    return sha256_hex(std::span<const std::byte>(to_safetensors(calibrated_state(graph, seed))));
  };
  const std::string first = digest(7);
  CHECK(first == digest(7));
  CHECK(first != digest(8));
  // The same on every machine, compiler and optimization level.
  CHECK(first == "095030ca559d306e8250c3c8ae264294daa544942acc3227619c514c749103d0");
}

// ---- the operators that calibration runs, against their definitions ----

namespace {

Node node_of(const std::string& op, const std::string& attributes, const std::string& shape) {
  return parse_graph(
             fmt::format(
                 R"({{"format":"lockstep-graph","version":1,"name":"one","inputs":[{{"name":"x","shape":{}}}],"nodes":[{{"name":"y","op":"{}","inputs":["x"],"attrs":{}}}],"outputs":["y"]}})",
                 shape, op, attributes),
             "one")
      .nodes.at(0);
}

Samples counting(std::vector<std::int64_t> shape, std::int64_t count) {
  Samples samples{.shape = std::move(shape), .count = count, .data = {}};
  for (std::int64_t i = 0; i < count * samples.elements(); ++i)
    samples.data.push_back(static_cast<float>(i * 7 % 23 - 11));
  return samples;
}

float element(const Samples& samples, std::int64_t n, std::int64_t c, std::int64_t y,
              std::int64_t x) {
  if (y < 0 || y >= samples.shape[1] || x < 0 || x >= samples.shape[2]) return 0;
  return samples.data[static_cast<std::size_t>(
      ((n * samples.shape[0] + c) * samples.shape[1] + y) * samples.shape[2] + x)];
}

}  // namespace

TEST_CASE("a convolution of any geometry is the sum over its window") {
  const Node node = node_of(
      "conv2d",
      R"({"in_channels":4,"out_channels":6,"kernel_size":[3,2],"stride":[2,1],"padding":[2,1],"dilation":[1,2],"groups":2})",
      "[4,7,6]");
  const Samples input = counting({4, 7, 6}, 2);
  const std::vector<float> weight = counting({6, 2, 3, 2}, 1).data, bias = {1, 2, 3, 4, 5, 6};
  const Samples output = run_weighted(node, input, weight, bias, {6, 5, 6});
  REQUIRE(output.data.size() == 2 * 6 * 5 * 6);
  for (std::int64_t n = 0; n < 2; ++n)
    for (std::int64_t o = 0; o < 6; ++o)
      for (std::int64_t y = 0; y < 5; ++y)
        for (std::int64_t x = 0; x < 6; ++x) {
          float sum = bias[static_cast<std::size_t>(o)];
          for (std::int64_t i = 0; i < 2; ++i)
            for (std::int64_t ky = 0; ky < 3; ++ky)
              for (std::int64_t kx = 0; kx < 2; ++kx)
                sum += weight[static_cast<std::size_t>(((o * 2 + i) * 3 + ky) * 2 + kx)] *
                       element(input, n, o / 3 * 2 + i, y * 2 + ky - 2, x + kx * 2 - 1);
          CHECK(element(output, n, o, y, x) == sum);
        }
}

TEST_CASE("a transposed convolution adds each input's window to the output") {
  const Node node = node_of(
      "conv_transpose2d",
      R"({"in_channels":3,"out_channels":2,"kernel_size":[4,3],"stride":[2,3],"padding":[1,0],"output_padding":[1,0]})",
      "[3,3,2]");
  const Samples input = counting({3, 3, 2}, 2);
  const std::vector<float> weight = counting({3, 2, 4, 3}, 1).data;
  const Samples output = run_weighted(node, input, weight, {}, {2, 7, 6});
  Samples expected{.shape = {2, 7, 6}, .count = 2, .data = std::vector<float>(2 * 2 * 7 * 6)};
  for (std::int64_t n = 0; n < 2; ++n)
    for (std::int64_t i = 0; i < 3; ++i)
      for (std::int64_t y = 0; y < 3; ++y)
        for (std::int64_t x = 0; x < 2; ++x)
          for (std::int64_t o = 0; o < 2; ++o)
            for (std::int64_t ky = 0; ky < 4; ++ky)
              for (std::int64_t kx = 0; kx < 3; ++kx) {
                const std::int64_t oy = y * 2 + ky - 1, ox = x * 3 + kx;
                if (oy < 0 || oy >= 7 || ox >= 6) continue;
                expected.data[static_cast<std::size_t>(((n * 2 + o) * 7 + oy) * 6 + ox)] +=
                    weight[static_cast<std::size_t>(((i * 2 + o) * 4 + ky) * 3 + kx)] *
                    element(input, n, i, y, x);
              }
  CHECK(output.data == expected.data);
}

TEST_CASE("moves and pools take the elements that PyTorch takes") {
  const Samples input = {.shape = {4, 2, 2},
                         .count = 1,
                         .data = {0, 1, 2, 3, 4, 5, 6, 7,  //
                                  8, 9, 10, 11, 12, 13, 14, 15}};
  const auto run = [&](const std::string& op, const std::string& attributes,
                       std::vector<std::int64_t> shape) {
    return run_plain(node_of(op, attributes, "[4,2,2]"), {&input}, std::move(shape)).data;
  };
  CHECK(run("pixel_shuffle", R"({"upscale_factor":2})", {1, 4, 4}) ==
        std::vector<float>{0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15});
  CHECK(run("max_pool2d", R"({"kernel_size":2})", {4, 1, 1}) == std::vector<float>{3, 7, 11, 15});
  CHECK(run("adaptive_avg_pool2d", R"({"output_size":1})", {4, 1, 1}) ==
        std::vector<float>{1.5F, 5.5F, 9.5F, 13.5F});
  CHECK(run("slice", R"({"dim":2,"start":1})", {4, 1, 2}) ==
        std::vector<float>{2, 3, 6, 7, 10, 11, 14, 15});
  const std::vector<float> padded = run("pad", R"({"padding":[1,0,0,2]})", {4, 4, 3});
  CHECK(std::vector<float>(padded.begin(), padded.begin() + 12) ==
        std::vector<float>{0, 0, 1, 0, 2, 3, 0, 0, 0, 0, 0, 0});
  const std::vector<float> wide = run("upsample", R"({"scale_factor":2})", {4, 4, 4});
  CHECK(std::vector<float>(wide.begin(), wide.begin() + 8) ==
        std::vector<float>{0, 0, 1, 1, 0, 0, 1, 1});
  const std::vector<float> squashed = run("tanh", "{}", {4, 2, 2});
  for (std::size_t i = 0; i < squashed.size(); ++i)
    CHECK(squashed[i] == doctest::Approx(std::tanh(input.data[i])).epsilon(0.03));
}

}  // namespace lockstep::zoo
