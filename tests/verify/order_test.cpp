// Correct plans of networks in which accumulators go somewhere else than straight into a quantize,
// or in which a relu has nothing to do: the verifier must understand and accept them, and refute
// each of them once a number is changed.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstring>

#include "compile/compile.h"
#include "compile/support/error.h"
#include "intrt/intrt.h"
#include "tests/compile/random_network.h"
#include "verify/verify.h"

using namespace lockstep;

namespace {

using Bytes = std::vector<std::byte>;

std::string node(const std::string& name, const std::string& op, const std::string& input,
                 const std::string& attrs = "") {
  return fmt::format(R"({{"name":"{}","op":"{}","inputs":["{}"],"attrs":{{{}}}}})", name, op, input,
                     op == "quantize" && attrs.empty() ? R"("channelwise":-1)" : attrs);
}
std::string conv(const std::string& name, const std::string& input, int outputs) {
  return fmt::format(
      R"({{"name":"{}","op":"conv2d","inputs":["{}"],"attrs":{{"in_channels":1,"out_channels":{},"kernel_size":3,"bias":false}},"wrap":[{{"type":"quantize","channelwise":-1}}]}})",
      name, input, outputs);
}

struct Case {
  Graph graph;
  StateDict state;
  Bytes plan;
};

Case make(const std::string& nodes, const std::string& output, test::StateBuilder builder) {
  const std::string json = fmt::format(
      R"({{"format":"lockstep-graph","version":1,"name":"n","inputs":[{{"name":"input","shape":[1,8,8]}}],"nodes":[{}],"outputs":["{}"]}})",
      nodes, output);
  Case result = {parse_graph(json, "n"), builder.take(), {}};
  result.plan =
      compile_network(result.graph, result.state, {.keep_layers = false, .after_pass = {}}).plan;
  return result;
}

verify::Report verify_it(const Case& net, const Bytes& plan) {
  verify::Options options;
  options.plan = plan;
  options.random_samples = 4;
  return verify::verify_plan(net.graph, net.state, {}, options);
}

void check_agreed(const Case& net) {
  const verify::Report report = verify_it(net, net.plan);
  if (const auto* refuted = std::get_if<verify::Refuted>(&report.verdict))
    FAIL(refuted->first_difference);
  if (const auto* unknown = std::get_if<verify::Unknown>(&report.verdict)) CAPTURE(unknown->reason);
  CHECK(report.agreed);
}

void seal(Bytes& plan) {
  const std::uint32_t crc = intrt_plan_crc32(plan.data(), plan.size());
  std::memcpy(plan.data() + offsetof(intrt_plan_header, crc32), &crc, sizeof crc);
}

// `plan` with one byte one higher, sealed again.
Bytes nudged(Bytes plan, std::size_t offset) {
  plan[offset] = static_cast<std::byte>(static_cast<unsigned>(plan[offset]) + 1U);
  seal(plan);
  return plan;
}

// Whether the plan was refuted; the runtime may instead refuse to open it.
bool check_refuted(const Case& net, const char* what, std::size_t offset) {
  CAPTURE(what);
  CAPTURE(offset);
  try {
    const verify::Report report = verify_it(net, nudged(net.plan, offset));
    CHECK(std::holds_alternative<verify::Refuted>(report.verdict));
    return true;
  } catch (const InputError& error) {
    CHECK(std::string(error.what()).find("does not open") != std::string::npos);
    return false;
  }
}

// One decimal of every tensor, one weight of every convolution and one shift of every requantize;
// returns how many of these changes were refuted.
int check_mutants(const Case& net) {
  const auto read = [&](std::size_t offset, auto& record) {
    std::memcpy(&record, net.plan.data() + offset, sizeof record);
  };
  int refuted = 0;
  intrt_plan_header header;
  read(0, header);
  for (std::uint32_t t = 0; t < header.tensor_count; ++t) {
    intrt_tensor_record tensor;
    read(header.tensors_offset + t * sizeof tensor, tensor);
    refuted += check_refuted(net, "decimal", tensor.decimals_offset) ? 1 : 0;
  }
  for (std::uint32_t k = 0; k < header.op_count; ++k) {
    std::uint32_t at = 0;
    intrt_op_record op;
    read(header.ops_offset + 4 * k, at);
    read(at, op);
    if (op.code == 1) {
      intrt_conv2d_params params;
      read(at + sizeof op, params);
      refuted += check_refuted(net, "weight", params.weights_offset) ? 1 : 0;
    } else if (op.code == 4) {
      intrt_post_record post;
      read(at + sizeof op, post);
      if (post.kind != INTRT_POST_SHIFT) continue;
      refuted += check_refuted(net, "shift", post.shifts_offset) ? 1 : 0;
    }
  }
  return refuted;
}

std::vector<float> weights(std::size_t count, bool positive) {
  test::Random random(3);
  std::vector<float> result(count);
  for (float& value : result) {
    value = random.real(1.0F);
    if (positive && value < 0) value = -value;
  }
  return result;
}

// input -> prune -> convolution -> relu -> quantize, with this mask.
Case masked_net(const std::vector<std::uint8_t>& mask) {
  test::StateBuilder state;
  state.prune("m.", {1, 8, 8}, mask);
  state.floats("c.weight", {1, 1, 3, 3}, weights(9, false));
  state.quantize("c.quantize.", {5}, 8);
  state.quantize("q.", {4}, 8);
  return make(node("m", "prune", "input") + "," + conv("c", "m", 1) + "," + node("r", "relu", "c") +
                  "," + node("q", "quantize", "r"),
              "q", std::move(state));
}

// The offset of the convolution's record.
std::size_t convolution(const Bytes& plan) {
  const auto read = [&](std::size_t offset, auto& record) {
    std::memcpy(&record, plan.data() + offset, sizeof record);
  };
  intrt_plan_header header;
  read(0, header);
  for (std::uint32_t k = 0; k < header.op_count; ++k) {
    std::uint32_t at = 0;
    intrt_op_record op;
    read(header.ops_offset + 4 * k, at);
    read(at, op);
    if (op.code == 1) return at;
  }
  FAIL("the plan has no convolution");
  return 0;
}

}  // namespace

TEST_CASE("a pooling of accumulators is understood") {
  for (const bool relu : {false, true}) {
    CAPTURE(relu);
    test::StateBuilder state;
    state.floats("c.weight", {2, 1, 3, 3}, weights(18, false));
    state.quantize("c.quantize.", {5}, 8);
    state.quantize("q.", {4}, 8);
    const Case net =
        make(conv("c", "input", 2) + "," + (relu ? node("r", "relu", "c") + "," : std::string()) +
                 node("p", "max_pool2d", relu ? "r" : "c", R"("kernel_size":2)") + "," +
                 node("q", "quantize", "p"),
             "q", std::move(state));
    check_agreed(net);
    CHECK(check_mutants(net) >= 2);
  }
}

TEST_CASE("a relu6 of sums on several grids that follows their pooling is understood") {
  test::StateBuilder state;
  state.floats("c.weight", {2, 1, 3, 3}, weights(18, false));
  state.quantize("c.quantize.", {5}, 8);
  state.quantize("q.", {4, 6}, 10);
  state.quantize("q2.", {3}, 8);
  const Case net = make(
      conv("c", "input", 2) + "," + node("q", "quantize", "c", R"("channelwise":1,"bits":10)") +
          "," + node("m", "mul", R"(q","q)") + "," + node("r", "relu6", "m") + "," +
          node("p", "max_pool2d", "r", R"("kernel_size":2)") + "," + node("q2", "quantize", "p"),
      "q2", std::move(state));
  check_agreed(net);
  CHECK(check_mutants(net) >= 2);
}

TEST_CASE("a relu6 is exact although some of its values had a grid without 6") {
  // Where two grids meet in channel 1, the compiler brings channel 0 to the finer one, too.
  test::StateBuilder state;
  std::vector<float> large = weights(18, false);
  for (float& weight : large) weight *= 16;
  state.floats("c.weight", {2, 1, 3, 3}, large);
  state.quantize("c.quantize.", {3}, 9);
  state.quantize("a.", {-2, -2}, 8);
  state.quantize("b.", {-2, 0}, 8);
  state.quantize("q.", {3}, 8);
  const Case net = make(
      conv("c", "input", 2) + "," + node("a", "quantize", "c", R"("channelwise":1)") + "," +
          node("b", "quantize", "c", R"("channelwise":1)") + "," +
          node("j", "concat", R"(a","b)", R"("dim":2)") + "," + node("r", "relu6", "j") + "," +
          node("p", "avg_pool2d", "r", R"("kernel_size":2)") + "," + node("q", "quantize", "p"),
      "q", std::move(state));
  check_agreed(net);
  CHECK(check_mutants(net) >= 2);
}

TEST_CASE("a bias whose low bits the plan leaves out is understood") {
  // Channel 2 of `one` is always 25 / 32, on a finer grid than the others.
  const std::string wrap = R"("wrap":[{"type":"quantize","channelwise":-1,"bias_bits":8}])";
  const auto layer = [&](const std::string& name, const std::string& input,
                         const std::string& attrs) {
    return fmt::format(R"({{"name":"{}","op":"conv2d","inputs":["{}"],"attrs":{{{}}},{}}},)", name,
                       input, attrs, wrap);
  };
  test::StateBuilder state;
  state.floats("one.weight", {3, 1, 1, 1}, {4, -8, 0});
  state.floats("one.bias", {3}, {0, 0, 0.78125F});
  state.quantize("one.quantize.", {3}, 8);
  state.quantize("one.quantize_bias.", {6, 6, 6}, 8);
  state.quantize("q.", {0, 0, 5}, 8);
  state.floats("two.weight", {2, 3, 3, 3}, weights(54, false));
  state.quantize("two.quantize.", {7}, 8);
  state.quantize("out.", {1}, 8);
  const Case net = make(
      layer("one", "input", R"("in_channels":1,"out_channels":3,"kernel_size":1)") +
          node("q", "quantize", "one", R"("channelwise":1)") + "," +
          layer("two", "q", R"("in_channels":3,"out_channels":2,"kernel_size":3,"bias":false)") +
          node("r", "relu", "two") + "," + node("out", "quantize", "r"),
      "out", std::move(state));
  check_agreed(net);
  CHECK(check_mutants(net) >= 4);

  const auto read = [&](std::size_t offset, auto& record) {
    std::memcpy(&record, net.plan.data() + offset, sizeof record);
  };
  intrt_plan_header header;
  read(0, header);
  std::uint32_t at = 0;
  intrt_op_record op;
  intrt_conv2d_params params;
  read(header.ops_offset + 4 * (header.op_count - 1), at);
  read(at, op);
  REQUIRE(op.code == 1);
  read(at + sizeof op, params);
  CHECK(params.weight_type == INTRT_INT8);
  for (const std::size_t channel : {0, 1})
    CHECK(check_refuted(net, "bias", params.bias_offset + 4 * channel));
}

TEST_CASE("a flatten of accumulators is understood") {
  test::StateBuilder state;
  state.floats("c.weight", {2, 1, 3, 3}, weights(18, false));
  state.quantize("c.quantize.", {5}, 8);
  std::vector<int> decimals;
  for (int i = 0; i < 72; ++i) decimals.push_back(3 + i % 2);
  state.quantize("q.", decimals, 8);
  const Case net = make(conv("c", "input", 2) + "," + node("f", "flatten", "c") + "," +
                            node("q", "quantize", "f", R"("channelwise":1)"),
                        "q", std::move(state));
  check_agreed(net);
  CHECK(check_mutants(net) >= 2);
}

TEST_CASE("a relu that nothing negative reaches does not count as left out") {
  test::StateBuilder state;
  for (const char* layer : {"c1", "c2"}) {
    state.floats(fmt::format("{}.weight", layer), {1, 1, 3, 3}, weights(9, true));
    state.quantize(fmt::format("{}.quantize.", layer), {5}, 8);
  }
  state.quantize("q0.", {7}, 8);
  for (const char* layer : {"q1.", "q2.", "q3."}) state.quantize(layer, {4}, 8);
  check_agreed(make(node("q0", "quantize", "input") + "," + node("r0", "relu", "q0") + "," +
                        conv("c1", "r0", 1) + "," + node("q1", "quantize", "c1") + "," +
                        node("r1", "relu", "q1") + "," + node("q2", "quantize", "r1") + "," +
                        conv("c2", "q2", 1) + "," + node("r2", "relu", "c2") + "," +
                        node("q3", "quantize", "r2"),
                    "q3", std::move(state)));
}

TEST_CASE("a relu behind a masked input does not count as left out") {
  check_agreed(masked_net(std::vector<std::uint8_t>(64, 0)));
}

TEST_CASE("a plan without the clamp of a relu agrees where a mask leaves nothing to clamp") {
  std::vector<std::uint8_t> mask(64, 0);
  for (const bool one_is_kept : {false, true}) {
    CAPTURE(one_is_kept);
    mask[27] = one_is_kept ? 1 : 0;
    Case net = masked_net(mask);
    const std::size_t offset = convolution(net.plan) + sizeof(intrt_op_record) +
                               offsetof(intrt_conv2d_params, post) +
                               offsetof(intrt_post_record, lo);
    std::int32_t limit = 1;
    std::memcpy(&limit, net.plan.data() + offset, sizeof limit);
    if (one_is_kept) REQUIRE(limit == 0);
    limit = -128;
    std::memcpy(net.plan.data() + offset, &limit, sizeof limit);
    seal(net.plan);
    const verify::Report report = verify_it(net, net.plan);
    CHECK(report.agreed != one_is_kept);
    if (!one_is_kept) continue;
    const auto* refuted = std::get_if<verify::Refuted>(&report.verdict);
    REQUIRE(refuted != nullptr);
    CHECK(refuted->first_difference.find("lower limit: expected 0, found -128") !=
          std::string::npos);
  }
}

TEST_CASE("an operator that names no node opens and runs, but proves nothing") {
  Case net = masked_net(std::vector<std::uint8_t>(64, 1));
  const std::uint32_t none = 0;
  std::memcpy(net.plan.data() + convolution(net.plan) + offsetof(intrt_op_record, name_offset),
              &none, sizeof none);
  seal(net.plan);
  const verify::Report report = verify_it(net, net.plan);
  const auto* refuted = std::get_if<verify::Refuted>(&report.verdict);
  REQUIRE(refuted != nullptr);
  CHECK(refuted->first_difference ==
        "layer 'q': the plan's operator that writes it names no node of the graph");
}
