// Explanations: what they print is what the exact semantics and a run of the plan hold, for every
// kind of operator.
#include "verify/explain/explain.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <regex>
#include <set>
#include <sstream>

#include "compile/compile.h"
#include "tests/fuzz/random_graph/random_graph.h"
#include "tests/support/input_error.h"
#include "tests/verify/recorded.h"
#include "verify/semantics/exact_network.h"

namespace lockstep::test {
namespace {

constexpr std::int64_t kSample = 1;

struct Explained {
  Recorded net;
  verify::Options options;
  std::vector<std::byte> plan;
  verify::Batch sample;
  verify::NodeValues values;  // of the sample

  Explained(const std::string& name, bool keep_layers) : net(read_recorded(name)) {
    plan = compile_plan(net, keep_layers);
    options.plan = plan;
    options.random_samples = 0;
    options.source = {net.samples, [this](std::int64_t first, std::int64_t count) {
                        verify::TensorCodes codes = net.batch[0];
                        const std::int64_t elements = codes.element_count();
                        codes.codes = {net.batch[0].codes.begin() + first * elements,
                                       net.batch[0].codes.begin() + (first + count) * elements};
                        return verify::Batch{codes};
                      }};
    sample = options.source.take(kSample, 1);
    values = verify::evaluate_exactly(net.graph, net.parameters, sample, 1);
  }
  Explained(const Explained&) = delete;

  std::string text(const std::string& layer, std::int64_t channel = 0, std::int64_t y = 0,
                   std::int64_t x = 0) const {
    return verify::explain_value(net.graph, net.state, {layer, channel, y, x, kSample}, options);
  }
};

// What stands behind `label`, each time.
std::vector<std::string> behind(const std::string& text, const std::string& label) {
  std::vector<std::string> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t at = line.find("    " + label + " ");
    if (at == 0) found.push_back(line.substr(line.find_first_not_of(' ', 4 + label.size())));
  }
  return found;
}

// The sums of the last columns of all tables that have a column "product", in their order.
std::vector<std::int64_t> sums_of_products(const std::string& text) {
  std::vector<std::int64_t> sums;
  std::istringstream lines(text);
  bool in_table = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with("  product")) {
      in_table = true;
      sums.push_back(0);
      continue;
    }
    static const std::regex row(R"(.*  (-?\d+))");
    std::smatch match;
    in_table = in_table && line.find('[') != std::string::npos;
    if (!in_table) continue;
    REQUIRE_MESSAGE(std::regex_match(line, match, row), line);
    sums.back() += std::stoll(match[1]);
  }
  return sums;
}

// "47 * 2^-6 = 0.734375 ..." or "0.734375".
double value_of_text(const std::string& text) {
  const std::size_t equals = text.find("= ");
  return std::stod(equals == std::string::npos ? text : text.substr(equals + 2));
}

}  // namespace

TEST_CASE("every layer of the recorded networks is explained, and every sum adds up") {
  std::set<std::string> explained;
  int sums = 0, padded = 0;
  for (const char* const name :
       {"bias12", "lenet_pt_bias20", "conv1d_wave", "cw_act_into_conv", "depthwise",
        "doc_single_conv", "float_bias_default", "gan_convtranspose", "left_shift",
        "negative_decimals", "residual_add", "seq_default_cw", "structured_masks",
        "superres_pixelshuffle", "bn_netpq"})
    for (const bool keep_layers : {true, false}) {
      const Explained net(name, keep_layers);
      std::vector<std::string> layers;
      for (const GraphInput& input : net.net.graph.inputs) layers.push_back(input.name);
      for (const Node& node : net.net.graph.nodes) layers.push_back(node.name);
      for (const std::string& layer : layers) {
        const verify::TensorCodes& value = net.values.at(layer);
        const std::vector<std::int64_t>& shape = value.shape;
        const std::int64_t last_x = shape.size() > 1 ? shape.back() - 1 : 0;
        const std::int64_t last_y = shape.size() == 3 ? shape[1] - 1 : 0;
        for (const bool last : {false, true}) {
          const std::string text =
              last ? net.text(layer, shape[0] - 1, last_y, last_x) : net.text(layer);
          CAPTURE(name);
          CAPTURE(text);
          const std::size_t element =
              last ? static_cast<std::size_t>(value.element_count()) - 1 : 0;
          const double expected =
              value.real ? static_cast<double>(verify::real_from_bits(value.codes[element]))
                         : std::ldexp(static_cast<double>(value.codes[element]),
                                      -value.decimals[value.decimals.size() == 1 ? 0 : element]);
          const std::vector<std::string> exact = behind(text, "exact semantics");
          REQUIRE(!exact.empty());
          CHECK(value_of_text(exact.back()) == doctest::Approx(expected).epsilon(1e-7));
          CHECK(text.find("DIFFERS") == std::string::npos);
          CHECK(text.find("not understood") == std::string::npos);

          const std::vector<std::string> printed = behind(text, "sum of products");
          const std::vector<std::int64_t> added = sums_of_products(text);
          REQUIRE(added.size() == printed.size());
          for (std::size_t i = 0; i < added.size(); ++i)
            CHECK(fmt::to_string(added[i]) == printed[i]);
          sums += static_cast<int>(added.size());
          padded += text.find("(padding)") != std::string::npos &&
                    text.find("more weights meet padding") != std::string::npos;

          // What the plan keeps of the element itself is its value.
          const std::vector<std::string> held = behind(text, "the run holds");
          if (held.empty() || text.find("does not keep") != std::string::npos ||
              text.find("with its offset") != std::string::npos)
            continue;
          CHECK(value_of_text(held.back()) == doctest::Approx(expected).epsilon(1e-7));
        }
        const Node* const node = net.net.graph.find_node(layer);
        explained.insert(node == nullptr ? "input" : node->op);
      }
    }
  CHECK(sums > 100);
  CHECK(padded > 0);
  std::string ops;
  for (const std::string& op : explained) ops += " " + op;
  MESSAGE(fmt::format("operators explained:{}", ops));
  for (const char* const op : {"conv1d", "conv2d", "conv_transpose2d", "linear", "max_pool2d",
                               "avg_pool2d", "add", "quantize", "prune", "relu", "pixel_shuffle"})
    CHECK_MESSAGE(explained.contains(op), op);
}

// The sums are asserted inside.
TEST_CASE("every operator of random networks is explained") {
  std::set<std::string> explained;
  constexpr std::uint64_t kSeeds = 60;
  int networks = 0;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const Network network = random_graph(seed);
    std::vector<std::byte> plan;
    try {
      plan = compile_network(network.graph, network.state, {.after_pass = {}}).plan;
    } catch (const InputError&) {
      continue;  // a careless network
    }
    ++networks;
    verify::Options options;
    options.plan = plan;
    options.random_samples = 1;
    const Parameters parameters = bind_parameters(network.graph, network.state);
    const verify::ExactNetwork exact(network.graph, parameters);
    for (const Node& node : network.graph.nodes) {
      const std::vector<std::int64_t>& shape = exact.format(node.name).shape;
      for (const bool last : {false, true}) {
        verify::ExplainedPlace place{.layer = node.name, .sample = 3};
        if (last)
          place = {node.name, shape[0] - 1, shape.size() == 3 ? shape[1] - 1 : 0,
                   shape.size() > 1 ? shape.back() - 1 : 0, 3};
        const std::string text =
            verify::explain_value(network.graph, network.state, place, options);
        CAPTURE(seed);
        CAPTURE(text);
        CHECK(text.find("DIFFERS") == std::string::npos);
        CHECK(!behind(text, "exact semantics").empty());
      }
      explained.insert(node.op);
    }
  }
  CHECK(networks > 30);
  for (const char* const op :
       {"argmax", "mul", "sub", "upsample", "concat", "slice", "pad", "transpose", "max_pool1d",
        "adaptive_avg_pool2d", "conv_transpose1d", "relu6", "sigmoid", "softmax"})
    CHECK_MESSAGE(explained.contains(op), op);
}

TEST_CASE("the parts of a value inside a fused operator are told one by one") {
  const Explained net("bias12", false);
  const std::string text = net.text("q1", 2, 3, 4);
  CAPTURE(text);
  CHECK(text.starts_with("q1[2, 3, 4] of sample 1 (data 1)\n"));
  CHECK(text.find("  c1[2, 3, 4] (conv2d)\n") != std::string::npos);
  CHECK(text.find("  q1[2, 3, 4] (quantize)\n") != std::string::npos);
  CHECK(text.find("rounding toward_zero, clamp to [-128, 127] (8 bits)") != std::string::npos);
  CHECK(text.find("(conv2d of 'c1')") != std::string::npos);
  const float weight = net.net.parameters.nodes.at("c1").weight.at(2 * 9);
  CHECK(text.find(fmt::format("{:.9g}", weight)) != std::string::npos);
}

TEST_CASE("another plan's numbers show beside what the graph says") {
  Explained net("bias12", true);
  // A state dict with a smaller bias than the one that was compiled.
  StateDict changed;
  for (auto [key, tensor] : net.net.state.entries()) {
    if (key == "c1.bias") {
      float bias = tensor.floats(key).at(0) - 1.0F;
      std::memcpy(tensor.bytes.data(), &bias, sizeof bias);
    }
    changed.add(key, tensor);
  }
  net.net.state = changed;
  const std::string text = net.text("q1");
  CAPTURE(text);
  const std::vector<std::string> sums = behind(text, "accumulator");
  REQUIRE(sums.size() == 2);
  CHECK(!sums[0].starts_with(sums[1] + " "));
  CHECK(behind(text, "bias").size() == 2);
}

TEST_CASE("what is not there is refused with what is") {
  const Explained net("bias12", true);
  const auto error = [&](const verify::ExplainedPlace& place) {
    return input_error_of(
        [&] { verify::explain_value(net.net.graph, net.net.state, place, net.options); });
  };
  CHECK(contains(error({"nothing", 0, 0, 0, 0}), "layer 'nothing'"));
  CHECK(contains(error({"nothing", 0, 0, 0, 0}), "input, c1, q1"));
  CHECK(contains(error({"c1", 6, 0, 0, 0}),
                 "channel 6, but its value of shape [6, 10, 10] has 0 to 5"));
  CHECK(contains(error({"c1", 0, 10, 0, 0}), "y 10"));
  CHECK(contains(error({"c1", 0, 0, -1, 0}), "x -1"));
  CHECK(contains(error({"c1", 0, 0, 0, net.net.samples}), "sample"));
}

}  // namespace lockstep::test
