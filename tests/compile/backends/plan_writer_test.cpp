// What the writer puts where: a plan read back with the structs of intrt/plan_format.h.
#include "compile/backends/plan/writer.h"

#include <doctest/doctest.h>

#include <bit>
#include <cstring>

#include "intrt/plan_format.h"
#include "tests/compile/backends/small_programs.h"

namespace lockstep {
namespace {

using namespace ir;
using test::ProgramMaker;
using Bytes = std::vector<std::byte>;

constexpr Shape kPair{2, 1, 1, 3};

template <typename T>
T read(const Bytes& plan, std::size_t offset) {
  T result;
  REQUIRE(offset + sizeof result <= plan.size());
  std::memcpy(&result, plan.data() + offset, sizeof result);
  return result;
}

template <typename T>
std::vector<T> read_all(const Bytes& plan, std::size_t offset, std::size_t count) {
  CHECK(offset % alignof(T) == 0);
  std::vector<T> result;
  for (std::size_t i = 0; i < count; ++i) result.push_back(read<T>(plan, offset + i * sizeof(T)));
  return result;
}

std::string text_at(const Bytes& plan, std::size_t offset) {
  return reinterpret_cast<const char*>(plan.data()) + offset;
}

intrt_tensor_record tensor_of(const Bytes& plan, std::uint32_t index) {
  const auto header = read<intrt_plan_header>(plan, 0);
  REQUIRE(index < header.tensor_count);
  return read<intrt_tensor_record>(plan,
                                   header.tensors_offset + index * sizeof(intrt_tensor_record));
}

std::size_t op_offset(const Bytes& plan, std::size_t index) {
  const auto header = read<intrt_plan_header>(plan, 0);
  REQUIRE(index < header.op_count);
  return read<std::uint32_t>(plan, header.ops_offset + 4 * index);
}

template <typename Params>
Params params_of(const Bytes& plan, std::size_t op) {
  const std::size_t offset = op_offset(plan, op);
  CHECK(read<intrt_op_record>(plan, offset).record_bytes ==
        sizeof(intrt_op_record) + sizeof(Params));
  return read<Params>(plan, offset + sizeof(intrt_op_record));
}

Post shift_by(std::vector<int> shifts) {
  return {.function = Requantize{std::move(shifts), Rounding::kFloor, -8, 7}, .mask = {}};
}

TEST_CASE("a plan has the version, the inputs and outputs of the operators and their names") {
  ProgramMaker maker;
  const ValueId a = maker.input(kPair, 8), b = maker.input(kPair, 8);
  Add add;
  add.multipliers = {{{1, -2}, {300, 4}}};
  add.post = shift_by({3, -1});
  add.post.mask = {0, 1};
  const ValueId sum = maker.add(add, {b, a}, kPair, 8);
  const Program program = maker.finish(false);
  const Bytes plan = backends::write_plan(program);

  const auto header = read<intrt_plan_header>(plan, 0);
  CHECK(header.version == 3);
  CHECK(header.total_bytes == plan.size());
  CHECK(read_all<std::uint32_t>(plan, header.inputs_offset, header.input_count) ==
        std::vector<std::uint32_t>{0, 1});
  CHECK(read_all<std::uint32_t>(plan, header.outputs_offset, header.output_count) ==
        std::vector<std::uint32_t>{2});
  const auto record = read<intrt_op_record>(plan, op_offset(plan, 0));
  CHECK(record.code == 8);
  CHECK(text_at(plan, record.name_offset) == program.values[sum].node);
  CHECK(record.output == sum);
  CHECK(read_all<std::uint32_t>(plan, record.inputs_offset, record.input_count) ==
        std::vector<std::uint32_t>{1, 0});
  const auto params = params_of<intrt_add_params>(plan, 0);
  CHECK(read_all<std::int32_t>(plan, params.multipliers_offset, 4) ==
        std::vector<std::int32_t>{1, -2, 300, 4});
  CHECK(params.post.kind == INTRT_POST_SHIFT);
  CHECK(params.post.rounding == 1);
  CHECK(params.post.lo == -8);
  CHECK(params.post.hi == 7);
  CHECK(read_all<std::int8_t>(plan, params.post.shifts_offset, params.post.shift_count) ==
        std::vector<std::int8_t>{3, -1});
  CHECK(read<std::uint8_t>(plan, params.post.mask_offset) == 2);
  CHECK(params.post.multipliers_offset == 0);
}

TEST_CASE("a tensor is named where its value is exact, and has its type and its offsets") {
  ProgramMaker maker;
  const ValueId bytes = maker.input(kPair, 8, true);
  Table table;
  table.tables = {std::vector<std::int16_t>(256, 1000)};
  table.table_of = {0, 0};
  const ValueId codes = maker.add(table, {bytes}, kPair, 16);
  Linear linear;
  linear.weights = xt::xarray<std::int32_t>::from_shape({2, 2});
  linear.weights.fill(1);
  const ValueId out = maker.add(linear, {codes}, {2, 1, 1, 1}, 32);
  maker.value(codes).exact = false;
  maker.value(out).exact = false;
  maker.value(out).offsets = {0.5F, -1e-3F};
  const Program program = maker.finish(false);
  const Bytes plan = backends::write_plan(program);

  CHECK(tensor_of(plan, 0).type == INTRT_UINT8);
  CHECK(tensor_of(plan, 0).flags == INTRT_TENSOR_INPUT);  // bytes are not the value
  CHECK(tensor_of(plan, 1).type == INTRT_INT16);
  CHECK(tensor_of(plan, 1).flags == 0);
  CHECK(tensor_of(plan, 1).offsets_offset == 0);
  CHECK(tensor_of(plan, 2).type == INTRT_INT32);
  CHECK(tensor_of(plan, 2).flags == INTRT_TENSOR_OUTPUT);
  CHECK(read_all<std::uint32_t>(plan, tensor_of(plan, 2).offsets_offset, 2) ==
        std::vector<std::uint32_t>{std::bit_cast<std::uint32_t>(0.5F),
                                   std::bit_cast<std::uint32_t>(-1e-3F)});
}

TEST_CASE("a scale is written channel by channel, and a channel without steps has one code") {
  ProgramMaker maker;
  RequantizeOp op;
  ChannelScale straight{.multiplier = -7,
                        .addend = -(std::int64_t{1} << 61),
                        .shift = 62,
                        .lo = -3,
                        .hi = 5,
                        .thresholds = {},
                        .codes = {}};
  ChannelScale steps;
  steps.thresholds = {-1, 4};
  steps.codes = {1, -2, 3};
  op.post.function = Scale{Rounding::kFloor, {straight, steps, straight}};
  const Shape shape{3, 1, 1, 3};
  maker.add(op, {maker.input(shape, 8)}, shape, 8);
  const Bytes plan = backends::write_plan(maker.finish(true));

  const intrt_post_record post = params_of<intrt_requantize_params>(plan, 0).post;
  CHECK(post.kind == INTRT_POST_SCALE);
  CHECK(post.rounding == 1);
  CHECK(post.shift_count == 3);
  CHECK(read_all<std::int8_t>(plan, post.shifts_offset, 3) == std::vector<std::int8_t>{62, 0, 62});
  CHECK(read_all<std::int32_t>(plan, post.multipliers_offset, 3) ==
        std::vector<std::int32_t>{-7, 0, -7});
  CHECK(read_all<std::int64_t>(plan, post.addends_offset, 3) ==
        std::vector<std::int64_t>{straight.addend, 0, straight.addend});
  CHECK(read_all<std::int16_t>(plan, post.limits_offset, 6) ==
        std::vector<std::int16_t>{-3, 5, 0, 0, -3, 5});
  CHECK(read_all<std::uint32_t>(plan, post.starts_offset, 4) ==
        std::vector<std::uint32_t>{0, 0, 2, 2});
  CHECK(read_all<std::int32_t>(plan, post.thresholds_offset, 2) ==
        std::vector<std::int32_t>{-1, 4});
  const auto codes = read_all<std::int16_t>(plan, post.codes_offset, 5);
  CHECK(std::vector<std::int16_t>(codes.begin() + 1, codes.begin() + 4) ==
        std::vector<std::int16_t>{1, -2, 3});
}

TEST_CASE("windows, spans, tables and pieces are written in the order of the format") {
  ProgramMaker maker;
  const Shape in{2, 3, 4, 3};
  ConvTranspose2d conv;
  conv.kernel = {1, 2};
  conv.stride = {3, 4};
  conv.dilation = {5, 6};
  conv.pad = {0, 1};
  conv.groups = 2;
  conv.weights = xt::xarray<std::int32_t>::from_shape({2, 1, 2, 1});
  for (std::size_t i = 0; i < 4; ++i) conv.weights.data()[i] = static_cast<std::int32_t>(i) - 200;
  conv.bias = {70000, -5};
  maker.add(conv, {maker.input(in, 8)}, {2, 7, 18, 3}, 32);
  AvgPool2d pool;
  pool.rows = {{0, 2, 3}, {1, 3, 1}};
  pool.columns = {{0, 4, 1}};
  maker.add(pool, {maker.input(in, 8)}, {2, 2, 1, 3}, 32);
  Table table;
  table.tables = {{1, 2, 3, 4}, {-1, -2, -3, -4}};
  table.table_of = {1, 0};
  table.mask = {1, 0};
  maker.add(table, {maker.input(kPair, 2)}, kPair, 8);
  MovePiece piece{.input = 1, .in_first = 1, .out_first = 2};
  piece.count = {1, 1, 1, 2};
  piece.in_step = {9, 8, 7, -1};
  piece.out_step = {6, 5, 4, 1};
  maker.add(Move{{piece}}, {maker.input(kPair, 8), maker.input(kPair, 8)}, {4, 1, 1, 3}, 8);
  const Bytes plan = backends::write_plan(maker.finish(false));

  const auto c = params_of<intrt_conv_transpose2d_params>(plan, 0);
  CHECK(std::vector<std::uint32_t>{c.kernel_h, c.kernel_w, c.stride_h, c.stride_w, c.dilation_h,
                                   c.dilation_w, c.pad_top, c.pad_left, c.groups, c.weight_type} ==
        std::vector<std::uint32_t>{1, 2, 3, 4, 5, 6, 0, 1, 2, INTRT_INT16});
  CHECK(read_all<std::int16_t>(plan, c.weights_offset, 4) ==
        std::vector<std::int16_t>{-200, -199, -198, -197});
  CHECK(read_all<std::int32_t>(plan, c.bias_offset, 2) == std::vector<std::int32_t>{70000, -5});
  CHECK(c.post.kind == INTRT_POST_NONE);

  const auto p = params_of<intrt_avg_pool2d_params>(plan, 1);
  CHECK(read_all<std::uint32_t>(plan, p.rows_offset, 6) ==
        std::vector<std::uint32_t>{0, 2, 3, 1, 3, 1});
  CHECK(read_all<std::uint32_t>(plan, p.columns_offset, 3) == std::vector<std::uint32_t>{0, 4, 1});

  const auto t = params_of<intrt_table_params>(plan, 2);
  CHECK(t.table_count == 2);
  CHECK(read_all<std::uint16_t>(plan, t.tables_offset, 2) == std::vector<std::uint16_t>{1, 0});
  CHECK(read_all<std::int8_t>(plan, t.entries_offset, 8) ==
        std::vector<std::int8_t>{1, 2, 3, 4, -1, -2, -3, -4});
  CHECK(read<std::uint8_t>(plan, t.mask_offset) == 1);

  const auto m = params_of<intrt_move_params>(plan, 3);
  CHECK(m.piece_count == 1);
  const auto written = read<intrt_move_piece>(plan, m.pieces_offset);
  CHECK(written.input == 1);
  CHECK(written.in_first == 1);
  CHECK(written.out_first == 2);
  for (std::size_t k = 0; k < 4; ++k) {
    CHECK(written.count[k] == piece.count[k]);
    CHECK(written.in_step[k] == piece.in_step[k]);
    CHECK(written.out_step[k] == piece.out_step[k]);
  }
}

TEST_CASE("sparse weights and segments are written as the format says") {
  ProgramMaker maker;
  const Shape in{10, 1, 2, 3};
  Conv2d conv;
  conv.window.kernel = {1, 2};
  conv.sparse = true;
  conv.weights = xt::xarray<std::int32_t>::from_shape({2, 1, 2, 10});
  conv.weights.fill(0);
  conv.weights(0, 0, 0, 0) = 3;
  conv.weights(0, 0, 0, 9) = -4;
  conv.weights(0, 0, 1, 8) = 5;
  conv.weights(1, 0, 1, 2) = 300;
  maker.add(conv, {maker.input(in, 8)}, {2, 1, 1, 3}, 32);
  Linear linear;
  linear.segments = {{2, 0}, {3, 4}};
  linear.weights = xt::xarray<std::int32_t>::from_shape({1, 3});
  for (std::size_t i = 0; i < 3; ++i) linear.weights(0, i) = static_cast<std::int32_t>(i) + 1;
  maker.add(linear, {maker.input({3, 1, 1, 1}, 8)}, {1, 1, 1, 1}, 32);
  const Bytes plan = backends::write_plan(maker.finish(false));

  const auto c = params_of<intrt_conv2d_params>(plan, 0);
  CHECK(c.weight_type == INTRT_INT16);
  CHECK(read_all<std::uint8_t>(plan, c.nonzero_offset, 8) ==
        std::vector<std::uint8_t>{1, 2, 0, 1, 0, 0, 4, 0});
  CHECK(read_all<std::uint32_t>(plan, c.starts_offset, 3) == std::vector<std::uint32_t>{0, 3, 4});
  CHECK(read_all<std::int16_t>(plan, c.weights_offset, 4) ==
        std::vector<std::int16_t>{3, -4, 5, 300});
  CHECK(c.segment_count == 0);
  CHECK(c.segments_offset == 0);

  const auto l = params_of<intrt_linear_params>(plan, 1);
  CHECK(l.nonzero_offset == 0);
  CHECK(l.starts_offset == 0);
  CHECK(l.segment_count == 2);
  CHECK(read_all<std::uint32_t>(plan, l.segments_offset, 4) ==
        std::vector<std::uint32_t>{2, 0, 3, 4});
  CHECK(read_all<std::int8_t>(plan, l.weights_offset, 3) == std::vector<std::int8_t>{1, 2, 3});
}

TEST_CASE("the same program gives the same bytes") {
  for (const std::string_view op : test::kOperators)
    CHECK(backends::write_plan(test::random_program(op, 5)) ==
          backends::write_plan(test::random_program(op, 5)));
}

}  // namespace
}  // namespace lockstep
