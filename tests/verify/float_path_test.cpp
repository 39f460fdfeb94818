// The float path against what QSPARSE computed with PyTorch, and against the exact semantics.
// `is_exact` networks were recorded with float values equal to code * 2^-decimal, so their recorded
// codes are their recorded floats.
#include "tests/support/torch_doctest.h"

#include <cmath>

#include "tests/verify/recorded.h"
#include "verify/semantics/raw_bytes.h"
#include "verify/semantics/semantics.h"

using namespace lockstep;
using namespace lockstep::test;

TEST_CASE("the float path gives the recorded float values at every quantize node") {
  for (const std::string& name : kRecordedNetworks) {
    CAPTURE(name);
    const Recorded net = read_recorded(name);
    REQUIRE(net.golden.is_exact);
    const auto path = verify::make_float_path(net.graph, net.state);
    std::vector<std::string> nodes;
    for (const auto& [node, codes] : net.golden.variants[0].codes) nodes.push_back(node);
    const std::vector<std::vector<float>> values = path->run(net.batch, net.samples, nodes);
    REQUIRE(values.size() == nodes.size());
    for (std::size_t n = 0; n < nodes.size(); ++n) {
      CAPTURE(nodes[n]);
      const GoldenCodes& recorded = net.golden.variants[0].codes.at(nodes[n]);
      REQUIRE(values[n].size() == recorded.values.size());
      const std::size_t channels = static_cast<std::size_t>(recorded.shape.at(1));
      std::size_t plane = 1;
      for (std::size_t d = 2; d < recorded.shape.size(); ++d)
        plane *= static_cast<std::size_t>(recorded.shape[d]);
      for (std::size_t i = 0; i < values[n].size(); ++i) {
        const int decimal =
            recorded.decimals[recorded.decimals.size() == 1 ? 0 : i / plane % channels];
        REQUIRE(static_cast<double>(values[n][i]) ==
                std::ldexp(static_cast<double>(recorded.values[i]), -decimal));
      }
    }
  }
}

TEST_CASE(
    "verify with the float path agrees on the recorded networks and says that it is no proof") {
  for (const std::string& name : kRecordedNetworks) {
    CAPTURE(name);
    const Recorded net = read_recorded(name);
    const std::vector<std::byte> plan = compile_plan(net, true);
    const auto path = verify::make_float_path(net.graph, net.state);
    verify::Options options;
    options.plan = plan;
    options.float_path = path.get();
    options.random_samples = 8;
    const verify::Report report = verify::verify_plan(net.graph, net.state, net.data(), options);
    const auto* unknown = std::get_if<verify::Unknown>(&report.verdict);
    REQUIRE(unknown != nullptr);
    CAPTURE(unknown->reason);
    CHECK(unknown->reason.find("agreed on " + std::to_string(report.samples) +
                               " inputs, not proved") == 0);
    CHECK(report.agreed);
    CHECK(report.float_predictions.size() == static_cast<std::size_t>(net.samples));
    CHECK(report.float_predictions == report.plan_predictions);
    const auto& floats = report.paths.back();
    CHECK(floats.path == "float (LibTorch)");
    CHECK(floats.samples == report.samples);
    CHECK(floats.values > 0);
    CHECK(floats.differing == 0);
  }
}

namespace {

// Adds `by` to one value of one node, as a broken float path might.
class Wrong final : public verify::FloatPath {
 public:
  Wrong(std::unique_ptr<FloatPath> path, std::string node, float by)
      : path_(std::move(path)), node_(std::move(node)), by_(by) {}
  std::vector<std::vector<float>> run(const verify::Batch& batch, std::int64_t samples,
                                      std::span<const std::string> nodes) override {
    auto values = path_->run(batch, samples, nodes);
    for (std::size_t n = 0; n < nodes.size(); ++n)
      if (nodes[n] == node_) values[n].back() += by_;
    return values;
  }

  std::vector<std::vector<double>> run_in_double(const verify::Batch& batch, std::int64_t samples,
                                                 std::span<const std::string> nodes,
                                                 std::span<const std::string> layers) override {
    auto values = path_->run_in_double(batch, samples, nodes, layers);
    for (std::size_t n = 0; n < nodes.size(); ++n)
      if (nodes[n] == node_) values[n].back() += double{by_};
    return values;
  }

 private:
  std::unique_ptr<FloatPath> path_;
  std::string node_;
  float by_;
};

}  // namespace

TEST_CASE("one float value that is off by less than a code is a difference") {
  const Recorded net = read_recorded("bias12");
  const std::vector<std::byte> plan = compile_plan(net, false);
  Wrong path(verify::make_float_path(net.graph, net.state), "q2", std::ldexp(1.0F, -18));
  verify::Options options;
  options.plan = plan;
  options.float_path = &path;
  options.random_samples = 1;
  const verify::Report report = verify::verify_plan(net.graph, net.state, {}, options);
  const auto* refuted = std::get_if<verify::Refuted>(&report.verdict);
  REQUIRE(refuted != nullptr);
  CHECK(refuted->layer == "q2");
  CHECK(refuted->first_difference.find("float (LibTorch): layer 'q2', channel") == 0);
  CHECK(refuted->first_difference.find("of layer 'c2', shift") != std::string::npos);
  CHECK(!report.agreed);
}

namespace {

Graph raw_graph(const std::string& raw) {
  return parse_graph(
      R"({"format":"lockstep-graph","version":1,"name":"raw","inputs":[
          {"name":"image","shape":[3,16,16],"bits":9,"decimal":6,"raw":)" +
          raw + R"(}],"nodes":[{"name":"r","op":"relu","inputs":["image"]}],"outputs":["r"]})",
      "raw");
}

// Every byte in every channel.
verify::TensorCodes all_bytes() {
  verify::TensorCodes bytes{.shape = {3, 16, 16}, .decimals = {0}, .codes = {}};
  for (std::int64_t i = 0; i < 3 * 256; ++i) bytes.codes.push_back(i % 256);
  return bytes;
}

}  // namespace

TEST_CASE("raw bytes become what PyTorch's ToTensor and Normalize make of them, bit for bit") {
  const Graph graph = raw_graph(R"({"mean":[0.485,0.456,0.406],"std":[0.229,0.224,0.225]})");
  const verify::TensorCodes bytes = all_bytes();
  // transforms.ToTensor()
  torch::Tensor expected =
      torch::tensor(bytes.codes).to(torch::kUInt8).reshape({1, 3, 16, 16}).to(torch::kFloat32);
  expected = expected.div(255);
  // transforms.Normalize(mean, std)
  expected = expected.sub(torch::tensor({0.485F, 0.456F, 0.406F}).reshape({1, 3, 1, 1}));
  expected = expected.div(torch::tensor({0.229F, 0.224F, 0.225F}).reshape({1, 3, 1, 1}));
  const verify::RawCodes codes(graph.inputs[0]);
  const float* numbers = expected.data_ptr<float>();
  const std::vector<std::string> nodes = {"image"};
  const std::vector<float> values =
      verify::make_float_path(graph, {})->run({bytes}, 1, nodes).front();
  REQUIRE(values.size() == 768);
  for (std::int64_t i = 0; i < 768; ++i) {
    const auto e = static_cast<std::size_t>(i);
    CAPTURE(i);
    CHECK(verify::apply_to_code(codes.functions(i / 256), i % 256, 0) == numbers[e]);
    const float code = std::clamp(std::trunc(numbers[e] * 64.0F), -256.0F, 255.0F);
    CHECK(values[e] == code / 64.0F);
    CHECK(static_cast<float>(codes.code(i / 256, i % 256)) == code);
  }
}

TEST_CASE("verify agrees with the float path on raw bytes, the value of the input included") {
  for (const char* const raw : {"{}", R"({"mean":[0.485,0.456,0.406],"std":[0.229,0.224,0.225]})",
                                R"({"scale":[0.0173,0.02,3e-4],"mean":2.2,"std":0.7})"}) {
    CAPTURE(raw);
    const Graph graph = raw_graph(raw);
    const std::vector<std::byte> plan =
        compile_network(graph, {}, {.keep_layers = true, .after_pass = {}}).plan;
    const auto path = verify::make_float_path(graph, {});
    verify::Options options;
    options.plan = plan;
    options.float_path = path.get();
    const verify::Batch data = {all_bytes()};
    const verify::Report report = verify::verify_plan(graph, {}, {&data, 1}, options);
    const auto* refuted = std::get_if<verify::Refuted>(&report.verdict);
    CHECK_MESSAGE(refuted == nullptr, refuted->first_difference);
    CHECK(report.agreed);
    CHECK(report.paths.back().path == "float (LibTorch)");
    CHECK(report.paths.back().tensors == 2);

    Wrong off(verify::make_float_path(graph, {}), "image", std::ldexp(1.0F, -12));
    options.float_path = &off;
    const verify::Report wrong = verify::verify_plan(graph, {}, {&data, 1}, options);
    const auto* found = std::get_if<verify::Refuted>(&wrong.verdict);
    REQUIRE(found != nullptr);
    CHECK(found->first_difference.find("float (LibTorch): layer 'image', channel 2") == 0);
  }
}
