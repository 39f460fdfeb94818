// The checker's reader of plans against the verifier's, field by field: two decoders that share no
// code. Damaged plans with a repaired checksum are refused wherever the runtime refuses them for
// their bytes, and decode alike wherever the runtime opens them.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>

#include "compile/compile.h"
#include "compile/support/error.h"
#include "tests/compile/random_network.h"
#include "tests/fuzz/random_graph/random_graph.h"
#include "tests/intrt/mixed_network.h"
#include "tests/intrt/stored_network.h"
#include "tools/zoo/zoo.h"
#include "verify/checker/plan.h"
#include "verify/proof/plan_reader.h"

namespace {

using namespace lockstep;
namespace test = lockstep::test;
using testing::AlignedBytes;

// What occurred in the plans that were compared.
using Seen = std::map<std::string, int>;

std::span<const std::byte> span_of(const AlignedBytes& bytes) {
  return {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()};
}

void compare_tensor(const verify::OpenPlan& open, std::uint32_t index,
                    const checker::PlanTensor& got, Seen& seen) {
  const verify::VisibleTensor want = open.tensor(index);
  const intrt_tensor_record record = open.tensor_record(index);
  REQUIRE(got.name == want.name);
  REQUIRE(got.channels == want.channels);
  REQUIRE(got.height == want.height);
  REQUIRE(got.width == want.width);
  REQUIRE(got.bits == static_cast<int>(want.bits));
  REQUIRE(got.bytes == want.element_count() * want.element_bytes);
  REQUIRE(got.arena_offset == record.arena_offset);
  REQUIRE(got.logical_rank == static_cast<int>(want.logical_rank));
  REQUIRE(got.is_raw == want.bytes);
  REQUIRE(got.is_named == want.named);
  REQUIRE(got.is_input == ((record.flags & INTRT_TENSOR_INPUT) != 0));
  REQUIRE(got.is_output == ((record.flags & INTRT_TENSOR_OUTPUT) != 0));
  REQUIRE(got.has_map == !want.channel_map.empty());
  REQUIRE(got.offsets.size() == want.offsets.size());
  for (std::size_t c = 0; c < got.offsets.size(); ++c)  // bit by bit, whatever they are
    REQUIRE(std::memcmp(&got.offsets[c], &want.offsets[c], sizeof(float)) == 0);
  REQUIRE(got.decimals.size() == want.channels);
  REQUIRE(got.channel_of.size() == want.channels);
  for (std::size_t c = 0; c < want.channels; ++c) {
    REQUIRE(got.decimals[c] == want.decimals[want.decimals.size() == 1 ? 0 : c]);
    REQUIRE(got.channel_of[c] == (want.channel_map.empty() ? static_cast<checker::Int>(c)
                                                           : checker::Int{want.channel_map[c]}));
  }
  seen["map"] += got.has_map;
  seen["offsets"] += !got.offsets.empty();
  seen["raw"] += got.is_raw;
  seen["decimals"] += want.decimals.size() > 1;
}

void compare_post(const verify::PlanPost& want, const checker::Post& got, std::size_t channels,
                  Seen& seen) {
  REQUIRE(static_cast<std::uint32_t>(got.kind) == want.kind);
  REQUIRE(static_cast<int>(got.rounding) == static_cast<int>(want.rounding));
  REQUIRE(got.lo == want.lo);
  REQUIRE(got.hi == want.hi);
  REQUIRE(got.keep == want.keep);
  REQUIRE(got.shifts.size() == (want.shifts.empty() ? 0 : channels));
  for (std::size_t c = 0; c < got.shifts.size(); ++c)
    REQUIRE(got.shifts[c] == want.shift(static_cast<std::int64_t>(c)));
  REQUIRE(got.scales.size() == want.scales.size());
  for (std::size_t c = 0; c < got.scales.size(); ++c) {
    const checker::ScaleStep& scale = got.scales[c];
    const verify::PlanScale copy = {scale.multiplier, scale.addend,     scale.shift, scale.lo,
                                    scale.hi,         scale.thresholds, scale.codes};
    REQUIRE(copy == want.scales[c]);
    seen[scale.thresholds.empty() ? "scale" : "steps"] += 1;
  }
  seen["shift"] += !got.shifts.empty();
  seen["mask"] += !got.keep.empty();
}

void compare_windows(const verify::PlanOp& want, const checker::PlanOp& got) {
  using Pair = std::array<checker::Int, 2>;
  const verify::PlanWindow& window = want.window;
  REQUIRE(got.kernel == Pair{window.kernel_h, window.kernel_w});
  REQUIRE(got.stride == Pair{window.stride_h, window.stride_w});
  REQUIRE(got.dilation == Pair{window.dilation_h, window.dilation_w});
  REQUIRE(got.pad_before == Pair{window.pad_top, window.pad_left});
  REQUIRE(got.pad_after == Pair{window.pad_bottom, window.pad_right});
  for (const auto& [spans, wanted] :
       {std::pair(&got.rows, &want.rows), std::pair(&got.columns, &want.columns)}) {
    REQUIRE(spans->size() == wanted->size());
    for (std::size_t i = 0; i < spans->size(); ++i) {
      REQUIRE((*spans)[i].begin == (*wanted)[i].begin);
      REQUIRE((*spans)[i].end == (*wanted)[i].end);
      REQUIRE((*spans)[i].multiplier == (*wanted)[i].multiplier);
    }
  }
}

void compare_op(const verify::OpenPlan& open, std::uint32_t index, const checker::Plan& plan,
                Seen& seen) {
  const checker::PlanOp& got = plan.ops[index];
  const verify::PlanOp want = verify::read_op(open, index);
  REQUIRE(static_cast<std::uint32_t>(got.code) == want.code);
  REQUIRE(got.node == want.node);
  REQUIRE(got.output == want.output);
  REQUIRE(std::ranges::equal(got.inputs, want.inputs));
  REQUIRE(got.groups == want.groups);
  REQUIRE(got.weights == want.weights);
  REQUIRE(got.weight_bits == want.weight_bits);
  REQUIRE(got.is_wide == (want.weight_bits == 32));
  const auto channels = static_cast<std::size_t>(plan.tensors[got.output].channels);
  if (want.is_weighted() && want.bias.empty())
    REQUIRE(got.bias == std::vector<checker::Int>(channels));
  else
    REQUIRE(got.bias == want.bias);
  compare_windows(want, got);
  REQUIRE(got.multipliers == want.multipliers);
  REQUIRE(got.table_of == want.table.table_of);
  REQUIRE(got.tables == want.table.entries);
  REQUIRE(got.pieces.size() == want.pieces.size());
  for (std::size_t i = 0; i < got.pieces.size(); ++i) {
    const checker::Piece& piece = got.pieces[i];
    REQUIRE(piece.input == want.pieces[i].input);
    REQUIRE(piece.in_first == want.pieces[i].in_first);
    REQUIRE(piece.out_first == want.pieces[i].out_first);
    REQUIRE(piece.count == want.pieces[i].count);
    REQUIRE(piece.in_step == want.pieces[i].in_step);
    REQUIRE(piece.out_step == want.pieces[i].out_step);
  }
  compare_post(want.post, got.post, channels, seen);
  seen[fmt::format("op {}", want.code)] += 1;
  seen["wide"] += got.is_wide;
}

void compare(const verify::OpenPlan& open, const checker::Plan& plan, Seen& seen) {
  const intrt_plan* header = open.get();
  REQUIRE(plan.name == intrt_network_name(header));
  REQUIRE(plan.arena_bytes == intrt_arena_bytes(header));
  REQUIRE(plan.inputs.size() == intrt_input_count(header));
  for (std::uint32_t i = 0; i < plan.inputs.size(); ++i)
    REQUIRE(plan.inputs[i] == intrt_input(header, i));
  REQUIRE(plan.outputs.size() == intrt_output_count(header));
  for (std::uint32_t i = 0; i < plan.outputs.size(); ++i)
    REQUIRE(plan.outputs[i] == intrt_output(header, i));
  REQUIRE(plan.tensors.size() == intrt_tensor_count(header));
  for (std::uint32_t t = 0; t < plan.tensors.size(); ++t)
    compare_tensor(open, t, plan.tensors[t], seen);
  REQUIRE(plan.ops.size() == intrt_op_count(header));
  for (std::uint32_t i = 0; i < plan.ops.size(); ++i) compare_op(open, i, plan, seen);
}

// Compiles in both ways of keeping weights and compares; nothing where the compiler refuses.
void compare_network(const test::Network& network, bool keep_layers, Seen& seen) {
  for (const auto goal : {passes::Objective::kSpeed, passes::Objective::kSize}) {
    std::optional<Compiled> compiled;
    try {
      compiled = compile_network(network.graph, network.state,
                                 {.keep_layers = keep_layers, .optimize = goal, .after_pass = {}});
    } catch (const InputError&) {
      return;
    }
    compare(verify::OpenPlan(compiled->plan), checker::read_plan(compiled->plan), seen);
    seen["plans"] += 1;
    seen["sparse"] +=
        std::ranges::any_of(compiled->storage, [](const auto& c) { return c.sparse; });
  }
}

void require_seen(Seen& seen, std::initializer_list<const char*> wanted) {
  for (const char* const what : wanted) {
    CAPTURE(what);
    CHECK(seen[what] > 0);
  }
}

}  // namespace

TEST_CASE("the checker decodes plans of random networks to what the verifier reads") {
  Seen seen;
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    CAPTURE(seed);
    compare_network(test::random_network(seed), seed % 2 == 0, seen);
    compare_network(test::random_graph(seed), seed % 2 == 0, seen);
  }
  for (const auto& [what, count] : seen) MESSAGE(what, ": ", count);
  CHECK(seen["plans"] > 200);
  require_seen(seen, {"op 1",    "op 2",     "op 3",  "op 4",  "op 6",  "op 7",   "op 8",
                      "op 9",    "op 10",    "op 11", "op 12", "wide",  "sparse", "map",
                      "offsets", "decimals", "scale", "steps", "shift", "mask",   "raw"});
}

TEST_CASE("the checker decodes plans of zoo networks to what the verifier reads") {
  Seen seen;
  for (const zoo::Network& entry : zoo::networks()) {
    if (zoo::size_of(entry.build({})).macs > 3'000'000) continue;
    for (const zoo::NetworkOptions& options :
         {zoo::NetworkOptions{},
          zoo::NetworkOptions{.per_channel = true, .sparsity = 0.7, .structured = true}}) {
      INFO(entry.name);
      test::Network network;
      network.graph = entry.build(options);
      network.state = zoo::calibrated_state(network.graph, 1);
      compare_network(network, false, seen);
    }
  }
  for (const auto& [what, count] : seen) MESSAGE(what, ": ", count);
  CHECK(seen["plans"] >= 8);
}

namespace {

struct Tally {
  int decoded = 0, refused = 0;
  Seen seen;
};

// Faults that the checker's reader must find, too. The others may be those of the memory plan, of
// accumulators, or of the time that opening takes.
bool is_of_the_bytes(intrt_status status) {
  return status == INTRT_ERROR_SIZE || status == INTRT_ERROR_NOT_A_PLAN ||
         status == INTRT_ERROR_VERSION || status == INTRT_ERROR_CHECKSUM ||
         status == INTRT_ERROR_BOUNDS || status == INTRT_ERROR_OPERATOR ||
         status == INTRT_ERROR_SHAPE;
}

void judge(const AlignedBytes& bytes, Tally& tally) {
  intrt_plan plan;
  const intrt_status status = intrt_open(&plan, bytes.data(), bytes.size(), nullptr);
  std::optional<checker::Plan> got;
  try {
    got = checker::read_plan(span_of(bytes));
  } catch (const checker::BadFile& refusal) {
    const std::string text = refusal.what();
    CAPTURE(text);
    // The runtime never looks at channel maps.
    REQUIRE((status != INTRT_OK || text.find("channel_map: repeated") != std::string::npos));
  }
  ++(got ? tally.decoded : tally.refused);
  if (!got) return;
  CAPTURE(status);
  REQUIRE(!is_of_the_bytes(status));
  if (status == INTRT_OK) compare(verify::OpenPlan(span_of(bytes)), *got, tally.seen);
}

void edit_bytes(const std::vector<std::uint8_t>& plan, Tally& tally) {
  AlignedBytes bytes(plan);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::uint8_t original = bytes.data()[i];
    // One bit each, all, and to the limits of shifts and sizes.
    for (const int change : {1, 2, 4, 8, 16, 32, 64, 128, 255, int{original}, original ^ 127,
                             original ^ 30, original ^ 31, original ^ 62, original ^ 63}) {
      if (change == 0) continue;
      CAPTURE(i);
      CAPTURE(change);
      bytes.data()[i] = static_cast<std::uint8_t>(original ^ change);
      testing::reseal(bytes.data(), bytes.size());
      judge(bytes, tally);
    }
    bytes.data()[i] = original;
  }
}

void edit_fields(const std::vector<std::uint8_t>& plan, int runs, Tally& tally) {
  constexpr std::uint32_t kInteresting[] = {
      0,     1,     2,     3,     7,          15,         16,         64,         255,       256,
      32768, 65535, 65536, 65537, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF0, 0x10000000};
  test::Random random(4);
  const auto below = [&random](std::size_t end) {
    return static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(end) - 1));
  };
  for (int run = 0; run < runs; ++run) {
    CAPTURE(run);
    AlignedBytes bytes(plan);
    for (auto edits = random.between(1, 4); edits > 0; --edits) {
      const std::size_t at = below(bytes.size() / 4) * 4;
      std::uint32_t field = 0;
      std::memcpy(&field, bytes.data() + at, 4);
      const auto kind = random.between(0, 2);
      if (kind == 0) field = kInteresting[below(std::size(kInteresting))];
      if (kind == 1) field += static_cast<std::uint32_t>(below(9)) - 4;
      if (kind == 2) std::memcpy(&field, plan.data() + below(plan.size() / 4) * 4, 4);
      std::memcpy(bytes.data() + at, &field, 4);
    }
    testing::reseal(bytes.data(), bytes.size());
    judge(bytes, tally);
  }
}

// A compiled plan with tables, channel maps or whatever else the seed brings.
std::vector<std::uint8_t> compiled_plan(std::uint64_t seed) {
  for (;; ++seed) try {
      const test::Network network = test::random_graph(seed);
      const Compiled compiled = compile_network(network.graph, network.state, {});
      if (compiled.plan.size() > 20'000) continue;
      const auto* const data = reinterpret_cast<const std::uint8_t*>(compiled.plan.data());
      return {data, data + compiled.plan.size()};
    } catch (const InputError&) {
    }
}

}  // namespace

TEST_CASE("plans with every kind of stored weights decode to what the verifier reads") {
  Seen seen;
  for (const auto& plan :
       {testing::small_network(), testing::mixed_network(), testing::stored_network()}) {
    const AlignedBytes bytes(plan);
    compare(verify::OpenPlan(span_of(bytes)), checker::read_plan(span_of(bytes)), seen);
  }
}

TEST_CASE("truncated and extended plans are refused, resealed or not") {
  const std::vector<std::uint8_t> whole = testing::small_network();
  for (std::size_t size = 0; size < whole.size() + 64; ++size) {
    if (size == whole.size()) continue;
    CAPTURE(size);
    AlignedBytes bytes(size);
    std::memcpy(bytes.data(), whole.data(), std::min(size, whole.size()));
    CHECK_THROWS_AS(checker::read_plan(span_of(bytes)), checker::BadFile);
    if (size < sizeof(intrt_plan_header)) continue;
    const auto claimed = static_cast<std::uint32_t>(size);
    for (const bool is_size_repaired : {false, true}) {
      if (is_size_repaired)
        std::memcpy(bytes.data() + offsetof(intrt_plan_header, total_bytes), &claimed, 4);
      testing::reseal(bytes.data(), size);
      // Bytes behind the end belong to the plan once its size says so.
      if (is_size_repaired && size > whole.size()) continue;
      CHECK_THROWS_AS(checker::read_plan(span_of(bytes)), checker::BadFile);
    }
  }
}

TEST_CASE("a name ends inside the plan, whatever lies behind it in memory") {
  const std::vector<std::uint8_t> whole = testing::small_network();
  for (const bool is_terminated : {false, true}) {
    CAPTURE(is_terminated);
    AlignedBytes bytes(whole.size() + 64);  // all zeros behind the plan
    std::memcpy(bytes.data(), whole.data(), whole.size());
    std::memcpy(bytes.data() + whole.size(), is_terminated ? "abc" : "abcd", 4);
    const auto size = static_cast<std::uint32_t>(whole.size() + 4);
    const auto name = static_cast<std::uint32_t>(whole.size());
    std::memcpy(bytes.data() + offsetof(intrt_plan_header, total_bytes), &size, 4);
    std::memcpy(bytes.data() + offsetof(intrt_plan_header, name_offset), &name, 4);
    testing::reseal(bytes.data(), size);
    const auto plan = span_of(bytes).first(size);
    if (is_terminated)
      CHECK(checker::read_plan(plan).name == "abc");
    else
      CHECK_THROWS_AS(checker::read_plan(plan), checker::BadFile);
  }
}

TEST_CASE("every bit of a plan is guarded by the checksum") {
  AlignedBytes bytes(testing::small_network());
  for (std::size_t i = 0; i < bytes.size(); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      bytes.data()[i] = static_cast<std::uint8_t>(bytes.data()[i] ^ 1 << bit);
      CHECK_THROWS_AS(checker::read_plan(span_of(bytes)), checker::BadFile);
      bytes.data()[i] = static_cast<std::uint8_t>(bytes.data()[i] ^ 1 << bit);
    }
}

TEST_CASE("damaged plans are refused where the runtime refuses them, and else decode alike") {
  Tally tally;
  for (const auto& plan :
       {testing::small_network(), testing::mixed_network(), testing::stored_network()}) {
    edit_bytes(plan, tally);
    edit_fields(plan, 20000, tally);
  }
  for (const std::uint64_t seed : {3, 40, 80, 120, 160, 200}) {
    CAPTURE(seed);
    edit_fields(compiled_plan(seed), 3000, tally);
  }
  MESSAGE("decoded: ", tally.decoded, ", refused: ", tally.refused);
  CHECK(tally.decoded > 10000);
  CHECK(tally.refused > 10000);
}

TEST_CASE("a plan whose operators share weights cannot take memory out of all proportion") {
  testing::PlanBuilder builder;
  constexpr std::uint32_t kChannels = 1024, kOps = 64;
  builder.input({.channels = kChannels, .name = "in", .logical_rank = 1});
  intrt_linear_params linear{};
  linear.weight_type = INTRT_INT8;
  linear.weights_offset =
      builder.weights(std::vector<std::int64_t>(kChannels * kChannels), INTRT_INT8);
  linear.post = builder.shift_post({0}, INTRT_ROUND_FLOOR, -128, 127);
  for (std::uint32_t i = 1; i < kOps; ++i)
    builder.tensor({.channels = kChannels, .logical_rank = 1});
  builder.output({.channels = kChannels, .name = "out", .logical_rank = 1});
  for (std::uint32_t i = 0; i < kOps; ++i) builder.op(testing::k_linear, i, i + 1, linear);
  const AlignedBytes bytes(builder.finish("shared"));
  try {
    checker::read_plan(span_of(bytes));
    FAIL("512 MiB of weights were decoded");
  } catch (const checker::BadFile& refusal) {
    CHECK(std::string(refusal.what()).find("may stand for") != std::string::npos);
  }
}

TEST_CASE("a refusal names the operator and the tensor") {
  testing::EditablePlan plan(testing::small_network());
  const auto refusal = [&plan] {
    try {
      checker::read_plan(span_of(plan.sealed()));
    } catch (const checker::BadFile& bad) {
      return std::string(bad.what());
    }
    return std::string("decoded");
  };
  const std::string reason =
      " is out of range or contradicts other fields; compile the network again";
  plan.params<intrt_conv2d_params>(testing::kOpConv).groups = 7;
  CHECK(refusal() == "plan: operator 0 'op0': groups 7" + reason);
  plan.params<intrt_conv2d_params>(testing::kOpConv).groups = 1;
  plan.tensor(testing::kTensorCodes).bits = 9;
  CHECK(refusal() == "plan: tensor 6 'codes': bits 9" + reason);
}

TEST_CASE("a segment shifts by 30 at most, the first not at all, even where weights are 0") {
  testing::EditablePlan plan(testing::stored_network());
  const auto& conv = plan.params<intrt_conv2d_params>(testing::kStoredSegmentConv);
  REQUIRE(conv.segment_count == 2);
  for (std::uint32_t k = 0; k < 6 * 4; ++k)
    plan.at<std::int16_t>(conv.weights_offset + k * sizeof(std::int16_t)) = 0;
  auto& segment = plan.at<intrt_segment>(conv.segments_offset + sizeof(intrt_segment));
  segment.shift = 30;
  CHECK_NOTHROW(checker::read_plan(span_of(plan.sealed())));
  segment.shift = 31;
  CHECK_THROWS_AS(checker::read_plan(span_of(plan.sealed())), checker::BadFile);
  segment.shift = 3;
  plan.at<intrt_segment>(conv.segments_offset).shift = 1;
  CHECK_THROWS_AS(checker::read_plan(span_of(plan.sealed())), checker::BadFile);
}
