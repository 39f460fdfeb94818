// A network that is fed with raw bytes, from its plan and its generated C to the verifier's
// verdict; and plans that normalise wrongly or not at all.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "compile/compile.h"
#include "compile/support/files.h"
#include "tests/compile/random_network.h"
#include "tests/support/input_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/verify/mutants.h"
#include "verify/semantics/exact_network.h"
#include "verify/verify.h"

using namespace lockstep;
using namespace lockstep::test;

namespace {

const std::string kCifar = R"("raw":{"mean":[0.4914,0.4822,0.4465],"std":[0.2470,0.2435,0.2616]})";

// A convolution over an image whose input has these members besides name and shape.
Graph image_graph(const std::string& members, const std::string& decimal = "5") {
  return parse_graph(fmt::format(
                         R"({{"format":"lockstep-graph","version":1,"name":"camera",
              "inputs":[{{"name":"image","shape":[3,6,5],"bits":8,"decimal":{}{}}}],
              "nodes":[{{"name":"c","op":"conv2d","inputs":["image"],
                        "attrs":{{"in_channels":3,"out_channels":4,"kernel_size":3,"bias":false}},
                        "wrap":[{{"type":"quantize","bits":6,"channelwise":-1}}]}},
                       {{"name":"q","op":"quantize","inputs":["c"],"attrs":{{"bits":8,"channelwise":-1}}}}],
              "outputs":["q"]}})",
                         decimal, members.empty() ? "" : "," + members),
                     "g");
}

StateDict image_state() {
  Random random(5);
  std::vector<float> weights(4 * 3 * 9);
  for (float& weight : weights) weight = random.real(1.0F);
  StateBuilder state;
  state.floats("c.weight", {4, 3, 3, 3}, weights);
  state.quantize("c.quantize.", {4}, 6);
  state.quantize("q.", {4}, 8);
  return state.take();
}

Compiled compiled(const Graph& graph, bool keep_layers = false) {
  return compile_network(graph, image_state(), {.keep_layers = keep_layers, .after_pass = {}});
}

verify::Report report_of(const Graph& graph, const std::vector<std::byte>& plan,
                         std::int64_t random_samples = 0) {
  verify::Options options;
  options.plan = plan;
  options.random_samples = random_samples;
  return verify::verify_plan(graph, image_state(), {}, options);
}

std::string refutation(const verify::Report& report) {
  const auto* refuted = std::get_if<verify::Refuted>(&report.verdict);
  return refuted == nullptr ? "" : refuted->first_difference;
}

std::string reason(const verify::Report& report) {
  const auto* unknown = std::get_if<verify::Unknown>(&report.verdict);
  return unknown == nullptr ? refutation(report) : unknown->reason;
}

template <typename T>
T get(const std::vector<std::byte>& plan, std::size_t offset) {
  T value;
  std::memcpy(&value, plan.data() + offset, sizeof value);
  return value;
}

// The parameters of the plan's only table.
intrt_table_params table_of(const std::vector<std::byte>& plan) {
  constexpr std::uint32_t kTable = 10;
  const auto header = get<intrt_plan_header>(plan, 0);
  for (std::uint32_t i = 0; i < header.op_count; ++i) {
    const auto record = get<std::uint32_t>(plan, header.ops_offset + 4 * i);
    if (get<intrt_op_record>(plan, record).code == kTable)
      return get<intrt_table_params>(plan, record + sizeof(intrt_op_record));
  }
  FAIL("the plan has no table");
  return {};
}

}  // namespace

TEST_CASE("the value of a raw input are the codes of its normalised bytes") {
  const Graph graph = image_graph(kCifar);
  const Parameters parameters = bind_parameters(graph, image_state());
  const verify::ExactNetwork network(graph, parameters);
  CHECK(network.fed_format("image").lo == 0);
  CHECK(network.fed_format("image").hi == 255);
  CHECK(network.format("image").decimals == std::vector<int>{5});

  verify::TensorCodes bytes{.shape = {3, 6, 5}, .decimals = {0}, .codes = {}};
  for (std::int64_t i = 0; i < 3 * 90; ++i) bytes.codes.push_back(i * 37 % 256);
  const verify::NodeValues values = network.evaluate({bytes}, 3);
  const std::vector<std::int64_t>& codes = values.find("image")->second.codes;
  REQUIRE(codes.size() == bytes.codes.size());
  const float mean[] = {0.4914F, 0.4822F, 0.4465F}, std[] = {0.2470F, 0.2435F, 0.2616F};
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const std::size_t channel = i / 30 % 3;
    const float scaled = static_cast<float>(bytes.codes[i]) / 255.0F;
    const float moved = scaled - mean[channel];
    const float number = moved / std[channel];
    CHECK(codes[i] == static_cast<std::int64_t>(std::trunc(number * 32.0F)));
    const verify::CodeRange range =
        network.format("image").range(static_cast<std::int64_t>(i % 90));
    CHECK(codes[i] >= range.lo);
    CHECK(codes[i] <= range.hi);
  }
}

TEST_CASE("bytes out of range, and codes in their place, are refused") {
  const Graph graph = image_graph(kCifar);
  const Parameters parameters = bind_parameters(graph, image_state());
  const verify::ExactNetwork network(graph, parameters);
  verify::TensorCodes bytes{
      .shape = {3, 6, 5}, .decimals = {0}, .codes = std::vector<std::int64_t>(90, 7)};
  const auto error = [&] { return input_error_of([&] { network.evaluate({bytes}, 1); }); };
  for (const std::int64_t wrong : {-1, 256}) {
    bytes.codes[3] = wrong;
    CHECK(contains(error(), fmt::format("input 'image': {}, but it takes bytes, 0 to 255", wrong)));
  }
  bytes.codes[3] = 255;
  bytes.decimals = {5};
  CHECK(contains(error(), "not on the declared grid, decimal 0"));
}

TEST_CASE("plan and generated C of a raw input agree, probes included") {
  struct Case {
    std::string raw;
    bool keep_layers;
    std::vector<std::string> targets;
  };
  for (const Case& tried :
       {Case{kCifar, false, {"host", "cortex-m4"}}, Case{kCifar, true, {"host"}},
        Case{R"("raw":{"scale":[0.02,0.01,0.03]})", false, {"host"}}}) {
    CAPTURE(tried.raw);
    CAPTURE(tried.keep_layers);
    const Graph graph = image_graph(tried.raw);
    const Compiled network = compiled(graph, tried.keep_layers);
    const TemporaryFolder folder;
    for (const CSourceFile& file : emit_c(network, {.prefix = "net"}))
      write_file_atomically(folder / file.name, file.text);
    CHECK(contains(read_text_file(folder / "net.h"), "input 0 'image': uint8_t [6][5][3]"));
    verify::Options options;
    options.plan = network.plan;
    options.c_folder = folder.path();
    options.random_samples = 8;
    options.c_samples = 40;
    options.targets = tried.targets;
    const verify::Report report = verify::verify_plan(graph, image_state(), {}, options);
    REQUIRE_MESSAGE(report.agreed, reason(report));
    CHECK(report.paths.size() >= 5);  // the plan and four builds of the C
    for (const verify::PathReport& path : report.paths) {
      CHECK(path.samples > 0);
      CHECK(path.differing == 0);
      CHECK(path.tensors == 2);  // the codes of the image, and the output
    }
    REQUIRE(report.c_probes.has_value());
    CHECK(report.c_probes->probes > 0);
  }
}

TEST_CASE("every entry of the table is compared, for every byte and channel") {
  const Graph graph = image_graph(kCifar);
  const std::vector<std::byte> plan = compiled(graph).plan;
  REQUIRE_MESSAGE(refutation(report_of(graph, plan)).empty(), refutation(report_of(graph, plan)));
  const intrt_table_params table = table_of(plan);
  REQUIRE(table.table_count == 3);
  for (std::size_t entry = 0; entry < 3 * 256; ++entry) {
    CAPTURE(entry);
    const std::size_t offset = table.entries_offset + entry;
    const auto code = get<std::int8_t>(plan, offset);
    for (const int by : {-1, 1}) {
      if (code + by < -128 || code + by > 127) continue;
      const auto wrong = static_cast<std::uint8_t>(code + by);
      const std::vector<std::byte> changed =
          apply(plan, {.kind = "entry", .layers = {}, .offset = offset, .size = 1, .value = wrong});
      REQUIRE(opens(changed));
      const std::string found = refutation(report_of(graph, changed));
      CHECK_MESSAGE(contains(found, fmt::format("layer 'image': channel {}", entry / 256)), found);
      CHECK_MESSAGE(contains(found, fmt::format("accumulator {} must become {}, but becomes {}",
                                                entry % 256, code, code + by)),
                    found);
    }
  }
}

TEST_CASE("a plan without normalisation, or with another, is refuted") {
  const Graph raw = image_graph(kCifar), codes = image_graph("");
  const std::string missing = refutation(report_of(raw, compiled(codes).plan));
  CHECK_MESSAGE(contains(missing, "layer 'image': raw bytes: expected true, found false"), missing);
  const std::string surplus = refutation(report_of(codes, compiled(raw).plan));
  CHECK_MESSAGE(contains(surplus, "layer 'image': raw bytes: expected false, found true"), surplus);

  for (const Graph& other :
       {image_graph(R"("raw":{"mean":[0.4914,0.4822,0.4466],"std":[0.2470,0.2435,0.2616]})"),
        image_graph(R"("raw":{"mean":[0.4822,0.4914,0.4465],"std":[0.2435,0.2470,0.2616]})"),
        image_graph(R"("raw":{"mean":[0.4914,0.4822,0.4465],"std":0.2435})"),
        image_graph(R"("raw":{})")}) {
    const std::string found = refutation(report_of(raw, compiled(other).plan));
    CHECK_MESSAGE(contains(found, "layer 'image': channel "), found);
  }
  const std::string grid = refutation(report_of(raw, compiled(image_graph(kCifar, "4")).plan));
  CHECK_FALSE(grid.empty());
}

TEST_CASE("generated inputs of a raw input are bytes") {
  const Graph graph = image_graph(kCifar);
  const verify::Report report = report_of(graph, compiled(graph, true).plan, 20);
  CHECK_MESSAGE(report.agreed, reason(report));
  CHECK(report.samples > 40);  // random ones, corners, and two extremes for each channel of 'c'
}
