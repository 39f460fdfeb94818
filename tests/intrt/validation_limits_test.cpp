// Where the limits of accumulators and of work lie: what just fits opens, and what is shared must
// be paid for.
#include "intrt/arith.h"
#include "tests/intrt/faults.h"

namespace {

using namespace lockstep::testing;

Opened open_sum(std::int32_t first, std::int32_t second, std::uint8_t bits, std::uint8_t out_bits) {
  PlanBuilder b;
  b.input({.type = INTRT_INT32, .bits = bits});
  b.input({.type = INTRT_INT16, .bits = 16});
  b.output({.type = INTRT_INT32, .bits = out_bits});
  intrt_add_params p{};
  p.multipliers_offset = b.array(std::vector<std::int32_t>{first, second});
  b.op(k_add, {0, 1}, 2, p);
  return open_plan(AlignedBytes(b.finish()));
}

Opened open_product(std::uint8_t first, std::uint8_t second, std::uint8_t out_bits) {
  PlanBuilder b;
  b.input({.type = INTRT_INT32, .bits = first});
  b.input({.type = INTRT_INT16, .bits = second});
  b.output({.type = INTRT_INT32, .bits = out_bits});
  b.op(k_mul, {0, 1}, 2, intrt_mul_params{});
  return open_plan(AlignedBytes(b.finish()));
}

Opened open_average(std::uint32_t rows, std::uint32_t row_multiplier,
                    std::uint32_t column_multiplier, std::uint8_t bits) {
  PlanBuilder b;
  b.input({.height = 128, .type = INTRT_INT16, .bits = bits});
  b.output({.type = INTRT_INT32, .bits = 32});
  intrt_avg_pool2d_params p{};
  p.rows_offset = b.array(std::vector<intrt_pool_span>{{0, rows, row_multiplier}});
  p.columns_offset = b.array(std::vector<intrt_pool_span>{{0, 1, column_multiplier}});
  b.op(k_avg_pool2d, 0, 1, p);
  return open_plan(AlignedBytes(b.finish()));
}

}  // namespace

TEST_CASE("the bounds of sums, products and averages are exact") {
  const Opened ok = {INTRT_OK, kNoOp}, overflow = {INTRT_ERROR_OVERFLOW, 0};
  CHECK(open_sum(1, 32767, 31, 32) == ok);  // 2^30 + 32767 * 2^15 = 2^31 - 2^15
  CHECK(open_sum(-1, -32767, 31, 32) == ok);
  CHECK(open_sum(1, 32768, 31, 32) == overflow);
  CHECK(open_sum(2, 0, 31, 32) == overflow);
  CHECK(open_sum(1, 0, 32, 32) == overflow);
  CHECK(open_sum(0, 0, 32, 32) == ok);
  CHECK(open_sum(INT32_MIN, INT32_MIN, 32, 32) == overflow);
  CHECK(open_sum(1, 1, 16, 18) == ok);
  CHECK(open_sum(1, 1, 16, 17) == overflow);

  CHECK(open_product(16, 16, 32) == ok);
  CHECK(open_product(17, 16, 32) == overflow);
  CHECK(open_product(32, 16, 32) == overflow);
  CHECK(open_product(8, 8, 16) == ok);
  CHECK(open_product(8, 8, 15) == overflow);

  CHECK(open_average(127, 1 << 9, 1, 16) == ok);  // 127 * 2^9 * 2^15
  CHECK(open_average(128, 1 << 9, 1, 16) == overflow);
  CHECK(open_average(127, 1, 1 << 9, 16) == ok);
  CHECK(open_average(128, 1 << 24, 1 << 24, 2) == overflow);
  CHECK(open_average(1, 1 << 24, 1 << 5, 2) == ok);
  CHECK(open_average(1, 1 << 24, 1 << 6, 2) == overflow);
}

TEST_CASE("an average pooling that would run for days is refused") {
  PlanBuilder b;
  b.input({.height = 4096, .width = 4096});
  b.output({.height = 4096, .width = 4096});
  intrt_avg_pool2d_params p{};
  const auto spans = [&](std::uint32_t size) {
    return b.array(std::vector<intrt_pool_span>(4096, {0, size, 1}));
  };
  p.post = b.shift_post({0}, INTRT_ROUND_FLOOR, 0, 1);
  p.rows_offset = spans(64);
  p.columns_offset = spans(64);
  b.op(k_avg_pool2d, 0, 1, p);
  EditablePlan plan(b.finish());
  CHECK(open_plan(plan.bytes()) == Opened{INTRT_OK, kNoOp});
  plan.at<intrt_pool_span>(p.rows_offset).end = 65;
  CHECK(open_plan(plan.sealed()) == Opened{INTRT_ERROR_WORK, 0});
}

TEST_CASE("what is shared by many operators is paid for by each") {
  struct Case {
    const char* name;
    std::function<void(PlanBuilder&)> build;
  };
  constexpr std::uint32_t kChannels = 20000, kCount = 300;
  const auto tensor = [](PlanBuilder& b, std::uint32_t op, std::uint8_t bits) {
    TensorSpec spec = {.channels = kChannels, .bits = bits};
    return op + 1 == kCount ? b.output(spec) : b.tensor(spec);
  };
  const std::vector<Case> cases = {
      {"tables of channels",
       [&](PlanBuilder& b) {
         b.input({.channels = kChannels, .bits = 2});
         intrt_table_params p{};
         p.table_count = 1;
         p.tables_offset = b.array(std::vector<std::uint16_t>(kChannels, 0));
         p.entries_offset = b.weights(std::vector<std::int64_t>(4, 0), INTRT_INT8);
         for (std::uint32_t op = 0; op < kCount; ++op) b.op(k_table, op, tensor(b, op, 2), p);
       }},
      {"entries of tables",
       [&](PlanBuilder& b) {
         b.input({.channels = kChannels, .bits = 7});
         intrt_table_params p{};
         p.table_count = 500;
         p.entries_offset = b.weights(std::vector<std::int64_t>(500 * 128, 0), INTRT_INT8);
         for (std::uint32_t op = 0; op < kCount; ++op) b.op(k_table, op, tensor(b, op, 7), p);
       }},
      {"multipliers of sums",
       [&](PlanBuilder& b) {
         b.input({.channels = kChannels});
         intrt_add_params p{};
         p.multipliers_offset = b.array(std::vector<std::int32_t>(2 * kChannels, 1));
         p.post = b.shift_post({0}, INTRT_ROUND_FLOOR, 0, 1);
         for (std::uint32_t op = 0; op < kCount; ++op) b.op(k_add, {op, op}, tensor(b, op, 8), p);
       }},
      {"scales",
       [&](PlanBuilder& b) {
         b.input({.channels = kChannels});
         const intrt_requantize_params p{
             b.scale_post(std::vector<PlanBuilder::ScaleChannel>(kChannels), INTRT_ROUND_FLOOR)};
         for (std::uint32_t op = 0; op < kCount; ++op) b.op(k_requantize, op, tensor(b, op, 8), p);
       }},
      {"steps",
       [&](PlanBuilder& b) {
         b.input({.channels = 1});
         PlanBuilder::ScaleChannel channel;
         channel.codes.assign(kChannels + 1, 0);
         for (std::uint32_t i = 0; i < kChannels; ++i)
           channel.thresholds.push_back(static_cast<std::int32_t>(i));
         const intrt_requantize_params p{b.scale_post({channel}, INTRT_ROUND_FLOOR)};
         for (std::uint32_t op = 0; op < kCount; ++op)
           b.op(k_requantize, op, op + 1 == kCount ? b.output({}) : b.tensor({}), p);
       }},
      {"spans of poolings",
       [&](PlanBuilder& b) {
         const TensorSpec spec = {.height = kChannels};
         b.input(spec);
         intrt_avg_pool2d_params p{};
         p.rows_offset = b.array(std::vector<intrt_pool_span>(kChannels, {0, 1, 1}));
         p.columns_offset = p.rows_offset;
         p.post = b.shift_post({0}, INTRT_ROUND_FLOOR, 0, 1);
         for (std::uint32_t op = 0; op < kCount; ++op)
           b.op(k_avg_pool2d, op, op + 1 == kCount ? b.output(spec) : b.tensor(spec), p);
       }},
      {"pieces of moves",
       [&](PlanBuilder& b) {
         const TensorSpec spec = {.channels = kChannels};
         b.input(spec);
         const intrt_move_params p = b.move(std::vector<intrt_move_piece>(
             kChannels, {0, 0, 0, {1, 1, 1, 1}, {0, 0, 0, 0}, {0, 0, 0, 0}}));
         for (std::uint32_t op = 0; op < kCount; ++op)
           b.op(k_move, op, op + 1 == kCount ? b.output(spec) : b.tensor(spec), p);
       }},
      {"decimals of argmaxes",
       [&](PlanBuilder& b) {
         TensorSpec spec = {.channels = kChannels};
         spec.decimals.assign(kChannels, 0);
         b.input(spec);
         for (std::uint32_t op = 0; op < kCount; ++op) {
           const TensorSpec to = {.type = INTRT_INT32, .bits = 32};
           b.op(k_argmax, 0, op + 1 == kCount ? b.output(to) : b.tensor(to));
         }
       }},
      {"shifts",
       [&](PlanBuilder& b) {
         b.input({.channels = kChannels});
         const intrt_requantize_params p{
             b.shift_post(std::vector<std::int8_t>(kChannels, 0), INTRT_ROUND_FLOOR, 0, 1)};
         for (std::uint32_t op = 0; op < kCount; ++op) b.op(k_requantize, op, tensor(b, op, 8), p);
       }},
      {"decimals of poolings",
       [&](PlanBuilder& b) {
         TensorSpec spec = {.channels = kChannels};
         spec.decimals.assign(kChannels, 0);
         b.input(spec);
         intrt_max_pool2d_params p{};
         p.kernel_h = p.kernel_w = p.stride_h = p.stride_w = p.dilation_h = p.dilation_w = 1;
         for (std::uint32_t op = 0; op < kCount; ++op) b.op(k_max_pool2d, 0, tensor(b, op, 8), p);
       }},
  };
  for (const Case& c : cases) {
    PlanBuilder b;
    c.build(b);
    INFO(std::string(c.name));
    CHECK(open_plan(AlignedBytes(b.finish())).status == INTRT_ERROR_WORK);
  }
}

TEST_CASE("each operator pays for reading a list of inputs that several share") {
  // Operator k reads 4 bytes of each input's index and passes k operators on the way back to its
  // writer; the plan has hardly more than the list, which allows 8 * 4 steps for each index.
  for (const std::uint32_t count : {5u, 6u}) {
    PlanBuilder b;
    b.input({});
    const intrt_move_params p = b.move({{0, 0, 0, {1, 1, 1, 1}, {0, 0, 0, 0}, {0, 0, 0, 0}}});
    for (std::uint32_t op = 0; op < count; ++op)
      b.op(k_move, 0, op + 1 == count ? b.output({}) : b.tensor({}), p);
    const std::vector<std::uint32_t> many(10000, 0);
    const std::uint32_t list = b.array(many);
    EditablePlan plan(b.finish());
    for (std::uint32_t op = 0; op < count; ++op) {
      plan.op(op).inputs_offset = list;
      plan.op(op).input_count = static_cast<std::uint32_t>(many.size());
    }
    CHECK(open_plan(plan.sealed()).status == (count == 5 ? INTRT_OK : INTRT_ERROR_WORK));
  }
}

TEST_CASE("biases and starts count besides the other arrays of an operator") {
  constexpr std::uint32_t kChannels = 20000;
  // Without the 4 bytes of each bias, 10 operators would read 10 of the 40 bytes allowed per row.
  PlanBuilder biases;
  biases.input({});
  intrt_linear_params linear{};
  linear.weight_type = INTRT_INT8;
  linear.weights_offset = biases.weights(std::vector<std::int64_t>(kChannels, 1), INTRT_INT8);
  linear.bias_offset = biases.array(std::vector<std::int32_t>(kChannels, 1), 16);
  // Without the 4 bytes of each start, 10 operators would read 150 of the 184 bytes allowed.
  PlanBuilder starts;
  starts.input({.channels = kChannels});
  intrt_requantize_params scale{
      starts.scale_post(std::vector<PlanBuilder::ScaleChannel>(kChannels), INTRT_ROUND_FLOOR)};
  scale.post.starts_offset = starts.array(std::vector<std::uint32_t>(kChannels + 1, 0));
  scale.post.thresholds_offset = scale.post.starts_offset;
  scale.post.codes_offset = starts.array(std::vector<std::int16_t>(kChannels, 0));
  for (std::uint32_t op = 0; op < 10; ++op) {
    const TensorSpec raw = {.channels = kChannels, .type = INTRT_INT32, .bits = 32};
    const TensorSpec codes = {.channels = kChannels};
    biases.op(k_linear, 0, op == 9 ? biases.output(raw) : biases.tensor(raw), linear);
    starts.op(k_requantize, op, op == 9 ? starts.output(codes) : starts.tensor(codes), scale);
  }
  CHECK(open_plan(AlignedBytes(biases.finish())).status == INTRT_ERROR_WORK);
  CHECK(open_plan(AlignedBytes(starts.finish())).status == INTRT_ERROR_WORK);
}

TEST_CASE("windows of the largest size, stride, dilation and padding open and run") {
  PlanBuilder b;
  b.input({});
  b.output({.height = 2, .width = 2, .type = INTRT_INT32, .bits = 32});
  intrt_conv2d_params p{};
  p.kernel_h = p.stride_h = p.stride_w = p.dilation_w = INTRT_MAX_DIM;
  p.pad_top = p.pad_left = p.pad_bottom = p.pad_right = INTRT_MAX_DIM;
  p.kernel_w = 2;
  p.dilation_h = p.groups = 1;
  p.weight_type = INTRT_INT8;
  p.weights_offset = b.weights(std::vector<std::int64_t>(2 * INTRT_MAX_DIM, 1), INTRT_INT8);
  b.op(k_conv2d, 0, 1, p);
  const AlignedBytes bytes(b.finish());
  REQUIRE(open_plan(bytes) == Opened{INTRT_OK, kNoOp});
  intrt_plan plan;
  REQUIRE(intrt_open(&plan, bytes.data(), bytes.size(), nullptr) == INTRT_OK);
  AlignedBytes arena(intrt_arena_bytes(&plan));
  *static_cast<std::int8_t*>(intrt_tensor_data(&plan, arena.data(), 0)) = 7;
  REQUIRE(intrt_run(&plan, arena.data(), arena.size(), nullptr) == INTRT_OK);
  // Along each axis the input lies at 65536 behind the first position of the padding: rows 0 ..
  // 65535 of the first window miss it, the second begins on it.
  const auto* sums = static_cast<const std::int32_t*>(intrt_tensor_data(&plan, arena.data(), 1));
  CHECK(std::vector<std::int32_t>(sums, sums + 4) == std::vector<std::int32_t>{0, 0, 7, 7});
}
