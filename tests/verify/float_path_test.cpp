// The float path against what QSPARSE computed with PyTorch, and against the exact semantics.
// `is_exact` networks were recorded with float values equal to code * 2^-decimal, so their recorded
// codes are their recorded floats.
#include "tests/support/torch_doctest.h"

#include <cmath>

#include "tests/verify/recorded.h"
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
