// The search for inputs that drive accumulators to their ends: what it says is so, and it finds
// what there is to find.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "compile/backends/c_source/aligned_input.h"
#include "tests/compile/random_network.h"
#include "tests/verify/recorded.h"
#include "verify/semantics/index.h"
#include "verify/worst/ancestors.h"
#include "verify/worst/worst_inputs.h"

using namespace lockstep;
using namespace lockstep::test;
using verify::at;

namespace {

constexpr std::int64_t kPlenty = std::int64_t{1} << 30;

// Two linear layers, 'a' and 'b', with a quantize node and a relu between them. Codes of `bits`
// bits; weights are whole numbers, without biases.
Recorded two_layers(int bits, std::int64_t inputs, const std::vector<float>& a,
                    const std::vector<float>& b, int hidden_decimal = 0) {
  const std::int64_t hidden = std::ssize(a) / inputs, outputs = std::ssize(b) / hidden;
  StateBuilder state;
  state.floats("a.weight", {hidden, inputs}, a);
  state.quantize("a.quantize.", {0}, 8);
  state.quantize("h.", {hidden_decimal}, bits);
  state.floats("b.weight", {outputs, hidden}, b);
  state.quantize("b.quantize.", {0}, 8);
  Recorded net;
  const auto linear = [](const char* name, const char* input, std::int64_t in, std::int64_t out) {
    return fmt::format(
        R"({{"name": "{}", "op": "linear", "inputs": ["{}"],
            "attrs": {{"in_features": {}, "out_features": {}, "bias": false}},
            "wrap": [{{"type": "quantize", "bits": 8, "channelwise": -1,
                       "decimal_range": [-20, 20]}}]}})",
        name, input, in, out);
  };
  net.graph = parse_graph(
      fmt::format(
          R"({{"format": "lockstep-graph", "version": 1, "name": "two",
    "inputs": [{{"name": "x", "shape": [{}], "bits": {}, "decimal": 0}}],
    "nodes": [{},
      {{"name": "h", "op": "quantize", "inputs": ["a"],
        "attrs": {{"bits": {}, "channelwise": -1, "decimal_range": [-20, 20]}}}},
      {{"name": "r", "op": "relu", "inputs": ["h"]}},
      {}],
    "outputs": ["b"]}})",
          inputs, bits, linear("a", "x", inputs, hidden), bits, linear("b", "r", hidden, outputs)),
      "two");
  net.state = state.take();
  net.parameters = bind_parameters(net.graph, net.state);
  return net;
}

const verify::WorstCase& case_of(const verify::WorstInputs& worst, const std::string& layer,
                                 std::int64_t channel, bool largest) {
  const auto found = std::ranges::find_if(worst.cases, [&](const verify::WorstCase& one) {
    return one.layer == layer && one.channel == channel && one.largest == largest;
  });
  REQUIRE(found != worst.cases.end());
  return *found;
}

verify::Batch batch_of(const verify::ExactNetwork& network, const verify::FedCodes& fed) {
  verify::Batch batch;
  for (std::size_t i = 0; i < fed.size(); ++i) {
    const verify::Format& format = network.fed_format(network.graph().inputs[i].name);
    verify::TensorCodes codes{.shape = format.shape, .decimals = format.decimals, .codes = {}};
    codes.codes.assign(fed[i].begin(), fed[i].end());
    batch.push_back(std::move(codes));
  }
  return batch;
}

// Whether the exact semantics find the attained accumulator at the best place of the channel.
void check_case(const verify::ExactNetwork& network, const verify::WorstInputs& worst,
                const verify::WorstCase& one) {
  CAPTURE(one.layer);
  CAPTURE(one.channel);
  CAPTURE(one.largest);
  const verify::NodeValues values =
      network.evaluate(batch_of(network, worst.inputs.at(one.input)), 1);
  const std::vector<std::int64_t>& sums = values.find(one.layer)->second.codes;
  const std::int64_t plane = std::ssize(sums) / network.constants(one.layer)->outputs;
  const auto first = sums.begin() + one.channel * plane;
  CHECK(std::find(first, first + plane, one.attained) != first + plane);
  const verify::CodeRange range = network.constants(one.layer)->sum_ranges[at(one.channel)];
  for (auto sum = first; sum != first + plane; ++sum)
    CHECK((one.largest ? *sum <= one.bound : *sum >= one.bound));
  CHECK(range.lo <= one.bound);
  CHECK(one.bound <= range.hi);
}

}  // namespace

TEST_CASE("a bound that the layers before allow is attained through the network") {
  // Each hidden channel has an input of its own; 'b' wants the first high and the second low.
  const Recorded net = two_layers(8, 2, {1, 0, 0, -1}, {3, -2});
  const verify::ExactNetwork network(net.graph, net.parameters);
  const verify::WorstInputs worst = verify::find_worst_inputs(network, 1, kPlenty);
  CHECK(worst.channels == 3);
  CHECK(worst.cases.size() == 6);
  for (const verify::WorstCase& one : worst.cases) {
    check_case(network, worst, one);
    CHECK(one.is_attained());
  }
  CHECK(case_of(worst, "b", 0, true).bound == 3 * 127);
  CHECK(case_of(worst, "b", 0, false).bound == -2 * 127);
  CHECK(case_of(worst, "a", 1, true).bound == 128);
}

TEST_CASE("a bound that only the layer alone attains is not, and the best is found") {
  // Both hidden channels are the same, but 'b' wants one high and the other low: at most 1 * 127.
  const Recorded net = two_layers(8, 2, {1, 0, 1, 0}, {3, -2});
  const verify::ExactNetwork network(net.graph, net.parameters);
  const verify::WorstInputs worst = verify::find_worst_inputs(network, 1, kPlenty);
  const verify::WorstCase& largest = case_of(worst, "b", 0, true);
  CHECK(largest.bound == 3 * 127);
  CHECK(largest.attained == 127);
  CHECK_FALSE(largest.is_attained());
  const verify::WorstCase& smallest = case_of(worst, "b", 0, false);
  CHECK(smallest.bound == -2 * 127);
  CHECK(smallest.attained == 0);
  for (const verify::WorstCase& one : worst.cases) check_case(network, worst, one);
}

TEST_CASE("in networks that can be run on every input, nearly every end is found") {
  int ends = 0, found = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    std::vector<float> a, b;
    for (int i = 0; i < 6 * 5; ++i) a.push_back(static_cast<float>(random.between(-3, 3)));
    for (int i = 0; i < 5 * 2; ++i) b.push_back(static_cast<float>(random.between(-3, 3)));
    const Recorded net = two_layers(2, 6, a, b, -1);  // codes -2 to 1
    const verify::ExactNetwork network(net.graph, net.parameters);
    verify::TensorCodes all{.shape = {6}, .decimals = {0}, .codes = {}};
    constexpr std::int64_t kInputs = 4096;
    for (std::int64_t i = 0; i < kInputs; ++i)
      for (int e = 0; e < 6; ++e) all.codes.push_back((i >> (2 * e)) % 4 - 2);
    const verify::NodeValues values = network.evaluate({all}, kInputs);
    const verify::WorstInputs worst = verify::find_worst_inputs(network, seed, kPlenty);
    CHECK(worst.cases.size() == 14);
    for (const verify::WorstCase& one : worst.cases) {
      const std::vector<std::int64_t>& sums = values.find(one.layer)->second.codes;
      const std::int64_t outputs = network.constants(one.layer)->outputs;
      std::int64_t truth = sums[at(one.channel)];
      for (std::int64_t i = 0; i < kInputs; ++i) {
        const std::int64_t sum = sums[at(i * outputs + one.channel)];
        truth = one.largest ? std::max(truth, sum) : std::min(truth, sum);
      }
      CAPTURE(one.layer);
      CAPTURE(one.channel);
      CHECK((one.largest ? one.attained <= truth : one.attained >= truth));
      CHECK((one.largest ? truth <= one.bound : truth >= one.bound));
      if (one.layer == "a") CHECK(one.is_attained());
      ends += 1;
      found += one.attained == truth ? 1 : 0;
    }
  }
  MESSAGE(fmt::format("{} of {} ends found", found, ends));
  CHECK(ends == 60 * 14);
  CHECK(found >= ends * 93 / 100);
}

TEST_CASE("every operator: what is attained is what the exact semantics say") {
  std::size_t cases = 0;
  for (const std::string name :
       {"bias12", "bits16_overflow24", "bn_netpq", "conv1d_wave", "cw_act_into_conv", "depthwise",
        "doc_single_conv", "gan_convtranspose", "left_shift", "negative_decimals", "residual_add",
        "seq_default_cw", "structured_masks", "superres_pixelshuffle"}) {
    CAPTURE(name);
    const Recorded net = read_recorded(name);
    const verify::ExactNetwork network(net.graph, net.parameters);
    const verify::WorstInputs worst = verify::find_worst_inputs(network, 1, kPlenty);
    CHECK(std::ssize(worst.cases) == 2 * worst.channels);
    for (const verify::WorstCase& one : worst.cases)
      if (!network.format(one.layer).real) check_case(network, worst, one);
    cases += worst.cases.size();
  }
  CHECK(cases > 300);
}

TEST_CASE("the first layer's bounds are attained in every random network with one") {
  int first_layers = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    const Network net = random_network(seed);
    const Parameters parameters = bind_parameters(net.graph, net.state);
    const verify::ExactNetwork network(net.graph, parameters);
    const verify::WorstInputs worst = verify::find_worst_inputs(network, seed, kPlenty);
    for (const verify::WorstCase& one : worst.cases) {
      CHECK((one.largest ? one.attained <= one.bound : one.attained >= one.bound));
      const Node& node = *net.graph.find_node(one.layer);
      if (net.graph.find_input(node.inputs[0]) == nullptr) continue;
      CAPTURE(one.layer);
      CAPTURE(one.channel);
      CHECK(one.attained == one.bound);
      first_layers += 1;
    }
  }
  CHECK(first_layers > 100);
}

TEST_CASE("what runs fast gives what the exact semantics give, forwards") {
  std::size_t layers = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    const Network net = random_network(seed);
    const Parameters parameters = bind_parameters(net.graph, net.state);
    const verify::ExactNetwork network(net.graph, parameters);
    const verify::FastSums fast(network);
    for (int corner = 0; corner < 4; ++corner) {
      verify::FedCodes fed;
      for (const std::vector<std::int64_t>& codes : input_codes(net.graph, seed, corner))
        fed.emplace_back(codes.begin(), codes.end());
      const verify::NodeValues exact = network.evaluate(batch_of(network, fed), 1);
      for (const Node& node : net.graph.nodes) {
        const verify::SampleValues values = verify::Ancestors(network, fast, node).run(fed);
        for (const auto& [name, codes] : values) CHECK(codes == exact.find(name)->second.codes);
        if (network.constants(node.name) == nullptr || !fast.has(node)) continue;
        layers += 1;
        if (network.format(node.name).real) continue;
        const std::vector<std::int64_t>& sums = exact.find(node.name)->second.codes;
        const std::size_t plane = sums.size() / at(network.constants(node.name)->outputs);
        const std::vector<std::int64_t> last = fast.sums_at(
            node, exact.find(node.inputs[0])->second.codes, static_cast<std::int64_t>(plane) - 1);
        for (std::size_t o = 0; o < last.size(); ++o) CHECK(last[o] == sums[(o + 1) * plane - 1]);
      }
    }
  }
  CHECK(layers > 100);
}

TEST_CASE("the search follows from seed and work, and ends when the work is used up") {
  const Recorded net = read_recorded("bias12");
  const verify::ExactNetwork network(net.graph, net.parameters);
  const verify::WorstInputs first = verify::find_worst_inputs(network, 7, kPlenty),
                            again = verify::find_worst_inputs(network, 7, kPlenty);
  CHECK(first.inputs == again.inputs);
  CHECK(verify::find_worst_inputs(network, 7, 0).cases.empty());
  CHECK(verify::find_worst_inputs(network, 7, 0).channels == first.channels);
  std::size_t before = 0;
  for (const std::int64_t work : {1 << 22, 1 << 24, 1 << 26}) {
    const std::size_t cases = verify::find_worst_inputs(network, 7, work).cases.size();
    CHECK(before <= cases);
    before = cases;
  }
  CHECK(verify::find_worst_inputs(network, 7, 1 << 22).cases.size() < first.cases.size());
}

TEST_CASE("verify runs the inputs that were found, and names the sample of each case") {
  const Recorded net = read_recorded("lenet_pt_bias20");
  const std::vector<std::byte> plan = compile_plan(net, true);
  verify::Options options;
  options.plan = plan;
  options.random_samples = 2;
  const verify::Report report = verify::verify_plan(net.graph, net.state, net.data(), options);
  CHECK(report.agreed);
  CHECK(std::ssize(report.worst_cases) == 2 * report.channels);
  const verify::ExactNetwork network(net.graph, net.parameters);
  const verify::WorstInputs worst = verify::worst_inputs_for(network, options);
  REQUIRE(worst.cases.size() == report.worst_cases.size());
  const std::int64_t corners = 13;  // behind the data
  for (std::size_t i = 0; i < worst.cases.size(); ++i)
    CHECK(report.worst_cases[i].sample ==
          net.samples + corners + static_cast<std::int64_t>(worst.cases[i].input));
  options.random_samples = 0;
  const verify::Report without = verify::verify_plan(net.graph, net.state, net.data(), options);
  CHECK(without.worst_cases.empty());
  CHECK(without.samples == net.samples);
  CHECK(report.samples == net.samples + corners + std::ssize(worst.inputs) + 2);
}

TEST_CASE("the known answers of generated C are of inputs with the first sums at both ends") {
  // The channels that have a window of their own: all, but for 'depthwise' with its four windows.
  const std::vector<std::pair<std::string, std::size_t>> networks = {
      {"bias12", 6}, {"depthwise", 4}, {"lenet_pt_bias20", 6}};
  for (const auto& [name, channels_with_window] : networks) {
    CAPTURE(name);
    const Recorded net = read_recorded(name);
    const verify::ExactNetwork network(net.graph, net.parameters);
    const Compiled compiled = compile_network(net.graph, net.state, {});
    const verify::Format& input = network.fed_format(net.graph.inputs[0].name);
    const auto elements = at(input.element_count());
    const std::vector<std::uint8_t> bits = backends::aligned_bits(compiled.program, 1 << 20);
    REQUIRE(bits.size() == elements);
    const Node& first = *std::ranges::find_if(
        net.graph.nodes, [&](const Node& node) { return network.constants(node.name) != nullptr; });
    const verify::LinearConstants& constants = *network.constants(first.name);
    std::vector<verify::CodeRange> reached(at(constants.outputs), {INT64_MAX, INT64_MIN});
    for (const std::uint8_t highest : {1, 0}) {
      verify::FedCodes fed = {std::vector<std::int16_t>(elements)};
      const std::size_t channels = at(input.shape[0]), plane = elements / channels;
      for (std::size_t e = 0; e < elements; ++e)  // from (H,W,C) order
        fed[0][e % channels * plane + e / channels] =
            static_cast<std::int16_t>(bits[e] == highest ? input.hi : input.lo);
      const verify::NodeValues values = network.evaluate(batch_of(network, fed), 1);
      const std::vector<std::int64_t>& sums = values.find(first.name)->second.codes;
      const std::size_t positions = sums.size() / at(constants.outputs);
      for (std::size_t i = 0; i < sums.size(); ++i) {
        verify::CodeRange& range = reached[i / positions];
        range = {std::min(range.lo, sums[i]), std::max(range.hi, sums[i])};
      }
    }
    std::size_t at_both_ends = 0;
    for (std::size_t o = 0; o < reached.size(); ++o)
      at_both_ends += reached[o] == constants.sum_ranges[o] ? 1 : 0;
    CHECK(at_both_ends >= channels_with_window);
    CHECK(backends::aligned_bits(compiled.program, 50).size() == 50);
  }
  // Nothing sums the input.
  const Network pool = {"",
                        parse_graph(R"({"format": "lockstep-graph", "version": 1, "name": "p",
    "inputs": [{"name": "x", "shape": [1, 4, 4], "bits": 8, "decimal": 0}],
    "nodes": [{"name": "m", "op": "max_pool2d", "inputs": ["x"], "attrs": {"kernel_size": 2}}],
    "outputs": ["m"]})",
                                    "p"),
                        {}};
  CHECK(backends::aligned_bits(compile_network(pool.graph, {}, {}).program, 100).empty());
}
