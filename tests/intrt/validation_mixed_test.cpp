// Each way in which an operator of the mixed network can be wrong, by name.
#include "intrt/arith.h"
#include "tests/intrt/faults.h"
#include "tests/intrt/mixed_network.h"

namespace {

using namespace lockstep::testing;

constexpr intrt_status kOverflow = INTRT_ERROR_OVERFLOW, kWork = INTRT_ERROR_WORK;

intrt_table_params& decode(P& p) { return p.params<intrt_table_params>(kMixedDecode); }
intrt_table_params& squash(P& p) { return p.params<intrt_table_params>(kMixedSquash); }
intrt_add_params& add(P& p) { return p.params<intrt_add_params>(kMixedAdd); }
intrt_avg_pool2d_params& average(P& p) { return p.params<intrt_avg_pool2d_params>(kMixedAverage); }
intrt_mul_params& mul(P& p) { return p.params<intrt_mul_params>(kMixedMul); }
intrt_conv_transpose2d_params& up(P& p) {
  return p.params<intrt_conv_transpose2d_params>(kMixedTransposed);
}
intrt_move_params& join(P& p) { return p.params<intrt_move_params>(kMixedJoin); }
intrt_move_piece& piece(P& p, std::uint32_t i) {
  return p.at<intrt_move_piece>(join(p).pieces_offset + i * sizeof(intrt_move_piece));
}
intrt_pool_span& row(P& p) { return p.at<intrt_pool_span>(average(p).rows_offset); }
intrt_pool_span& column(P& p) { return p.at<intrt_pool_span>(average(p).columns_offset); }

void check_mixed(const std::vector<Fault>& faults) { check_faults(faults, mixed_network()); }

// Gives a tensor another type, and all tensors so much room that nothing else changes.
void retype(P& p, std::uint32_t tensor, std::uint8_t type) {
  p.header().arena_bytes = 512 * kMixedTensors;
  for (std::uint32_t t = 0; t < kMixedTensors; ++t) p.tensor(t).arena_offset = 512 * t;
  p.tensor(tensor).type = type;
}

}  // namespace

TEST_CASE("the undamaged mixed network opens, also with all tensors apart") {
  EditablePlan plan(mixed_network());
  CHECK(open_plan(plan.bytes()) == Opened{INTRT_OK, kNoOp});
  retype(plan, kMixedUp, INTRT_INT8);
  CHECK(open_plan(plan.sealed()) == Opened{INTRT_OK, kNoOp});
}

TEST_CASE("wrong bytes and offsets of tensors are refused") {
  const auto raw = [](P& p) -> intrt_tensor_record& { return p.tensor(kMixedRaw); };
  check_mixed({
      {"bytes of 7 bits", kValue, kNoOp, [](P& p) { p.tensor(kMixedBytes).bits = 7; }},
      {"bytes of 9 bits", kValue, kNoOp, [](P& p) { p.tensor(kMixedBytes).bits = 9; }},
      {"bytes inside the network", kValue, kNoOp,
       [](P& p) {
         p.tensor(kMixedSquashed).type = INTRT_UINT8;
         p.tensor(kMixedSquashed).bits = 8;
       }},
      {"bytes as an output", kValue, kNoOp,
       [](P& p) { p.tensor(kMixedBytes).flags |= INTRT_TENSOR_OUTPUT; }},
      {"bytes moved", kShape, kMixedJoin, [](P& p) { p.op_input(kMixedJoin, 1) = kMixedBytes; }},
      {"offsets out", kBounds, kNoOp,
       [=](P& p) { raw(p).offsets_offset = p.header().total_bytes / 4 * 4 - 12; }},
      {"offsets in the header", kBounds, kNoOp, [=](P& p) { raw(p).offsets_offset = 60; }},
      {"offsets misaligned", kBounds, kNoOp, [=](P& p) { raw(p).offsets_offset += 2; }},
      {"offsets inside the network", kValue, kNoOp,
       [=](P& p) { p.tensor(kMixedUp).offsets_offset = raw(p).offsets_offset; }},
      {"offsets of an output that is not int32", kValue, kNoOp,
       [=](P& p) {
         retype(p, kMixedRaw, INTRT_INT16);
         raw(p).bits = 16;
       }},
  });
}

TEST_CASE("wrong numbers and places of inputs are refused") {
  check_mixed({
      {"add of one", kValue, kMixedAdd, [](P& p) { p.op(kMixedAdd).input_count = 1; }},
      {"add of three", kValue, kMixedAdd, [](P& p) { p.op(kMixedAdd).input_count = 3; }},
      {"mul of one", kValue, kMixedMul, [](P& p) { p.op(kMixedMul).input_count = 1; }},
      {"table of two", kValue, kMixedSquash, [](P& p) { p.op(kMixedSquash).input_count = 2; }},
      {"argmax of two", kValue, kMixedArgmax, [](P& p) { p.op(kMixedArgmax).input_count = 2; }},
      {"move of none", kValue, kMixedJoin, [](P& p) { p.op(kMixedJoin).input_count = 0; }},
      {"move of more than the plan holds", kBounds, kMixedJoin,
       [](P& p) { p.op(kMixedJoin).input_count = 0xFFFFFFFFu; }},
      {"second index", kBounds, kMixedAdd, [](P& p) { p.op_input(kMixedAdd, 1) = kMixedTensors; }},
      {"second input not yet written", kValue, kMixedAdd,
       [](P& p) { p.op_input(kMixedAdd, 1) = kMixedUp; }},
      {"second input overwritten", kValue, kMixedMul,
       [](P& p) { p.op_input(kMixedMul, 1) = kMixedDecoded; }},
      {"add half in place", kValue, kMixedAdd, [](P& p) { p.tensor(kMixedSum).arena_offset = 80; }},
      {"mul in place of an element of another size", kValue, kMixedMul,
       [](P& p) { p.tensor(kMixedGated).arena_offset = p.tensor(kMixedSum).arena_offset; }},
      {"mul in place of the input that is repeated", kValue, kMixedMul,
       [](P& p) {
         p.header().arena_bytes += 64;
         p.tensor(kMixedMean).type = INTRT_INT16;
         p.tensor(kMixedGated).arena_offset = p.tensor(kMixedMean).arena_offset;
       }},
      {"a move in place", kValue, kMixedJoin,
       [](P& p) { p.tensor(kMixedJoined).arena_offset = p.tensor(kMixedInput).arena_offset; }},
      {"argmax in place", kValue, kMixedArgmax,
       [](P& p) { p.tensor(kMixedBest).arena_offset = p.tensor(kMixedJoined).arena_offset; }},
  });
}

TEST_CASE("wrong tables are refused") {
  check_mixed({
      {"no table", kValue, kMixedDecode, [](P& p) { decode(p).table_count = 0; }},
      {"a table too many", kBounds, kMixedDecode, [](P& p) { decode(p).table_count = 1u << 31; }},
      {"entries out", kBounds, kMixedDecode,
       [](P& p) { decode(p).entries_offset = p.header().total_bytes - 255; }},
      {"entries 0", kBounds, kMixedDecode, [](P& p) { decode(p).entries_offset = 0; }},
      {"entries of 16 bits misaligned", kBounds, kMixedSquash,
       [](P& p) {
         retype(p, kMixedSquashed, INTRT_INT16);
         squash(p).entries_offset += 1;
       }},
      {"an entry beyond the bits", kValue, kMixedDecode,
       [](P& p) { p.at<std::int8_t>(decode(p).entries_offset + 255) = 64; }},
      {"an entry below the bits", kValue, kMixedDecode,
       [](P& p) { p.at<std::int8_t>(decode(p).entries_offset) = -65; }},
      {"tables out", kBounds, kMixedSquash,
       [](P& p) { squash(p).tables_offset = p.header().total_bytes / 2 * 2 - 2; }},
      {"tables misaligned", kBounds, kMixedSquash, [](P& p) { squash(p).tables_offset += 1; }},
      {"a table that is not there", kBounds, kMixedSquash,
       [](P& p) { p.at<std::uint16_t>(squash(p).tables_offset) = 2; }},
      {"mask out", kBounds, kMixedSquash,
       [](P& p) { squash(p).mask_offset = p.header().total_bytes - 3; }},
      {"onto another shape", kShape, kMixedSquash,
       [](P& p) { p.tensor(kMixedSquashed).height = 3; }},
      {"onto int32", kShape, kMixedSquash, [](P& p) { retype(p, kMixedSquashed, INTRT_INT32); }},
      {"of int32", kShape, kMixedSquash, [](P& p) { retype(p, kMixedInput, INTRT_INT32); }},
  });
}

TEST_CASE("wrong sums and products are refused") {
  check_mixed({
      {"add of another height", kShape, kMixedAdd,
       [](P& p) {
         retype(p, kMixedSum, INTRT_INT8);
         p.tensor(kMixedSum).height = 3;
       }},
      {"add of other channels", kShape, kMixedAdd,
       [](P& p) {
         retype(p, kMixedSum, INTRT_INT8);
         p.tensor(kMixedSum).channels = 4;
       }},
      {"multipliers out", kBounds, kMixedAdd,
       [](P& p) { add(p).multipliers_offset = p.header().total_bytes / 4 * 4 - 12; }},
      {"multipliers misaligned", kBounds, kMixedAdd, [](P& p) { add(p).multipliers_offset += 2; }},
      {"multipliers 0", kBounds, kMixedAdd, [](P& p) { add(p).multipliers_offset = 0; }},
      {"a first multiplier too large", kOverflow, kMixedAdd,
       [](P& p) { p.at<std::int32_t>(add(p).multipliers_offset + 4) = 1 << 25; }},
      {"a second multiplier of -2^31", kOverflow, kMixedAdd,
       [](P& p) { p.at<std::int32_t>(add(p).multipliers_offset + 8) = INT32_MIN; }},
      {"mul of two widths", kShape, kMixedMul,
       [](P& p) {
         p.tensor(kMixedMean).width = 2;
         average(p).columns_offset = average(p).rows_offset;  // two spans, one behind the other
       }},
      {"mul of raw products beyond their bits", kOverflow, kMixedMul,
       [](P& p) {
         retype(p, kMixedGated, INTRT_INT32);
         p.tensor(kMixedGated).bits = 13;  // 128 * 32 = 2^12
         mul(p).post = {};
       }},
  });
}

TEST_CASE("wrong average poolings are refused") {
  check_mixed({
      {"rows out", kBounds, kMixedAverage,
       [](P& p) { average(p).rows_offset = p.header().total_bytes / 4 * 4 - 8; }},
      {"rows misaligned", kBounds, kMixedAverage, [](P& p) { average(p).rows_offset += 2; }},
      {"columns 0", kBounds, kMixedAverage, [](P& p) { average(p).columns_offset = 0; }},
      {"an empty span", kValue, kMixedAverage, [](P& p) { row(p).end = 0; }},
      {"a span that begins behind its end", kValue, kMixedAverage,
       [](P& p) { column(p).begin = 5; }},
      {"a row too many", kBounds, kMixedAverage, [](P& p) { row(p).end = 5; }},
      {"a column far out", kBounds, kMixedAverage, [](P& p) { column(p).end = 0xFFFFFFFFu; }},
      {"multiplier 0", kValue, kMixedAverage, [](P& p) { row(p).multiplier = 0; }},
      {"multiplier beyond 2^24", kValue, kMixedAverage,
       [](P& p) { column(p).multiplier = (1u << 24) + 1; }},
      {"sums beyond 32 bits", kOverflow, kMixedAverage,
       [](P& p) { column(p).multiplier = 1u << 21; }},
      {"other channels", kShape, kMixedAverage, [](P& p) { p.tensor(kMixedMean).channels = 1; }},
      {"a post-op that does not fit", kShape, kMixedAverage,
       [](P& p) { average(p).post.shift_count = 3; }},
  });
}

TEST_CASE("wrong transposed convolutions are refused") {
  check_mixed({
      {"kernel 0", kValue, kMixedTransposed, [](P& p) { up(p).kernel_h = 0; }},
      {"kernel beyond the limit", kValue, kMixedTransposed,
       [](P& p) { up(p).kernel_w = INTRT_MAX_DIM + 1; }},
      {"stride 0", kValue, kMixedTransposed, [](P& p) { up(p).stride_h = 0; }},
      {"stride beyond the limit", kValue, kMixedTransposed,
       [](P& p) { up(p).stride_w = INTRT_MAX_DIM + 1; }},
      {"dilation 0", kValue, kMixedTransposed, [](P& p) { up(p).dilation_w = 0; }},
      {"padding beyond the limit", kValue, kMixedTransposed,
       [](P& p) { up(p).pad_left = INTRT_MAX_DIM + 1; }},
      {"no groups", kValue, kMixedTransposed, [](P& p) { up(p).groups = 0; }},
      {"groups that divide nothing", kShape, kMixedTransposed, [](P& p) { up(p).groups = 3; }},
      {"input of 32 bits", kShape, kMixedTransposed,
       [](P& p) { retype(p, kMixedGated, INTRT_INT32); }},
      {"weight type", kValue, kMixedTransposed, [](P& p) { up(p).weight_type = INTRT_UINT8; }},
      {"a window larger than the weights", kBounds, kMixedTransposed,
       [](P& p) { up(p).kernel_h = up(p).kernel_w = INTRT_MAX_DIM; }},
      {"weights misaligned", kBounds, kMixedTransposed, [](P& p) { up(p).weights_offset += 8; }},
      {"bias out", kBounds, kMixedTransposed, [](P& p) { up(p).bias_offset = 0xFFFFFFF0u; }},
      {"bias of 2^31-1", kOverflow, kMixedTransposed,
       [](P& p) { p.at<std::int32_t>(up(p).bias_offset) = INT32_MAX; }},
  });
}

TEST_CASE("wrong moves are refused") {
  check_mixed({
      {"no pieces", kValue, kMixedJoin, [](P& p) { join(p).piece_count = 0; }},
      {"pieces out", kBounds, kMixedJoin, [](P& p) { join(p).piece_count = 1u << 30; }},
      {"pieces misaligned", kBounds, kMixedJoin, [](P& p) { join(p).pieces_offset += 2; }},
      {"an input that is not there", kBounds, kMixedJoin, [](P& p) { piece(p, 1).input = 2; }},
      {"count 0", kValue, kMixedJoin, [](P& p) { piece(p, 1).count[0] = 0; }},
      {"a count that would wrap the product", kWork, kMixedJoin,
       [](P& p) { piece(p, 0).count[0] = 0x80000000u; }},
      {"one element more than there are", kWork, kMixedJoin,
       [](P& p) {
         piece(p, 0) = {0, 0, 0, {1, 1, 1, 33}, {0, 0, 0, 1}, {0, 0, 0, 1}};
       }},
      {"out_first behind the end", kBounds, kMixedJoin, [](P& p) { piece(p, 1).out_first = 64; }},
      {"the last element behind the end", kBounds, kMixedJoin,
       [](P& p) { piece(p, 1).out_first = 3; }},
      {"an out step that would wrap", kBounds, kMixedJoin,
       [](P& p) { piece(p, 0).out_step[1] = 0xFFFFFFFFu; }},
      {"in_first behind the end", kBounds, kMixedJoin, [](P& p) { piece(p, 1).in_first = 32; }},
      {"an element before the input", kBounds, kMixedJoin, [](P& p) { piece(p, 1).in_first = 30; }},
      {"an element behind the input", kBounds, kMixedJoin, [](P& p) { piece(p, 0).in_first = 13; }},
      {"a step far back", kBounds, kMixedJoin, [](P& p) { piece(p, 1).in_step[2] = INT32_MIN; }},
      {"a step far on", kBounds, kMixedJoin, [](P& p) { piece(p, 0).in_step[1] = INT32_MAX; }},
      {"another type", kShape, kMixedJoin, [](P& p) { retype(p, kMixedUp, INTRT_INT16); }},
      {"more bits than the output", kOverflow, kMixedJoin,
       [](P& p) { p.tensor(kMixedJoined).bits = 6; }},
  });
}

TEST_CASE("wrong argmaxes are refused") {
  check_mixed({
      {"two channels", kShape, kMixedArgmax,
       [](P& p) {
         p.tensor(kMixedBest).channels = 2;
         p.tensor(kMixedBest).height = 2;
       }},
      {"another height", kShape, kMixedArgmax, [](P& p) { p.tensor(kMixedBest).height = 3; }},
      {"another width", kShape, kMixedArgmax, [](P& p) { p.tensor(kMixedBest).width = 3; }},
      {"onto int16", kShape, kMixedArgmax, [](P& p) { p.tensor(kMixedBest).type = INTRT_INT16; }},
      {"bits that do not hold the last channel", kOverflow, kMixedArgmax,
       [](P& p) { p.tensor(kMixedBest).bits = 2; }},
      {"a decimal other than 0", kShape, kMixedArgmax,
       [](P& p) { p.tensor(kMixedBest).decimals_offset = p.tensor(kMixedRaw).decimals_offset; }},
      {"channels of several decimals", kShape, kMixedArgmax,
       [](P& p) {
         p.tensor(kMixedJoined).decimal_count = 4;
         p.tensor(kMixedJoined).decimals_offset = p.tensor(kMixedRaw).decimals_offset;
       }},
  });
}

TEST_CASE("wrong scales are refused") {
  const auto post = [](P& p) -> intrt_post_record& { return add(p).post; };
  check_mixed({
      {"half even", kValue, kMixedAdd, [=](P& p) { post(p).rounding = INTRT_ROUND_HALF_EVEN; }},
      {"reserved", kValue, kMixedAdd, [=](P& p) { post(p).reserved = 1; }},
      {"a lower limit for all", kValue, kMixedAdd, [=](P& p) { post(p).lo = -1; }},
      {"an upper limit for all", kValue, kMixedAdd, [=](P& p) { post(p).hi = 1; }},
      {"one shift for all", kShape, kMixedAdd, [=](P& p) { post(p).shift_count = 1; }},
      {"shifts 0", kBounds, kMixedAdd, [=](P& p) { post(p).shifts_offset = 0; }},
      {"shift -1", kValue, kMixedAdd, [=](P& p) { p.at<std::int8_t>(post(p).shifts_offset) = -1; }},
      {"shift 63", kValue, kMixedAdd, [=](P& p) { p.at<std::int8_t>(post(p).shifts_offset) = 63; }},
      {"multipliers out", kBounds, kMixedAdd,
       [=](P& p) { post(p).multipliers_offset = p.header().total_bytes / 4 * 4 - 4; }},
      {"multipliers misaligned", kBounds, kMixedAdd,
       [=](P& p) { post(p).multipliers_offset += 2; }},
      {"addends out", kBounds, kMixedAdd, [=](P& p) { post(p).addends_offset = 0; }},
      {"addends misaligned", kBounds, kMixedAdd, [=](P& p) { post(p).addends_offset += 4; }},
      {"addend 2^62", kValue, kMixedAdd,
       [=](P& p) { p.at<std::int64_t>(post(p).addends_offset + 8) = std::int64_t{1} << 62; }},
      {"addend -2^62", kValue, kMixedAdd,
       [=](P& p) { p.at<std::int64_t>(post(p).addends_offset) = -(std::int64_t{1} << 62); }},
      {"limits out", kBounds, kMixedAdd,
       [=](P& p) { post(p).limits_offset = p.header().total_bytes / 2 * 2 - 6; }},
      {"limits misaligned", kBounds, kMixedAdd, [=](P& p) { post(p).limits_offset += 1; }},
      {"lo above hi", kValue, kMixedAdd,
       [=](P& p) { p.at<std::int16_t>(post(p).limits_offset + 2) = -129; }},
      {"lo below the bits", kValue, kMixedAdd,
       [=](P& p) { p.at<std::int16_t>(post(p).limits_offset) = -129; }},
      {"hi above the bits", kValue, kMixedAdd,
       [=](P& p) { p.at<std::int16_t>(post(p).limits_offset + 2) = 128; }},
      {"starts out", kBounds, kMixedAdd,
       [=](P& p) { post(p).starts_offset = p.header().total_bytes / 4 * 4 - 8; }},
      {"starts misaligned", kBounds, kMixedAdd, [=](P& p) { post(p).starts_offset += 2; }},
      {"steps that begin at 1", kValue, kMixedAdd,
       [=](P& p) { p.at<std::uint32_t>(post(p).starts_offset) = 1; }},
      {"starts that fall", kValue, kMixedAdd,
       [=](P& p) { p.at<std::uint32_t>(post(p).starts_offset + 4) = 5; }},
      {"thresholds without starts", kValue, kMixedAdd, [=](P& p) { post(p).starts_offset = 0; }},
      {"thresholds out", kBounds, kMixedAdd, [=](P& p) { post(p).thresholds_offset = 0; }},
      {"thresholds misaligned", kBounds, kMixedAdd, [=](P& p) { post(p).thresholds_offset += 2; }},
      {"far too many thresholds", kBounds, kMixedAdd,
       [=](P& p) { p.at<std::uint32_t>(post(p).starts_offset + 8) = 0xFFFFFFFFu; }},
      {"two equal thresholds", kValue, kMixedAdd,
       [=](P& p) { p.at<std::int32_t>(post(p).thresholds_offset + 4) = 0; }},
      {"a threshold that falls", kValue, kMixedAdd,
       [=](P& p) { p.at<std::int32_t>(post(p).thresholds_offset + 12) = -1; }},
      {"codes out", kBounds, kMixedAdd,
       [=](P& p) { post(p).codes_offset = p.header().total_bytes / 2 * 2 - 8; }},
      {"codes misaligned", kBounds, kMixedAdd, [=](P& p) { post(p).codes_offset += 1; }},
      {"a code beyond the bits", kValue, kMixedAdd,
       [=](P& p) { p.at<std::int16_t>(post(p).codes_offset + 10) = 128; }},
      {"a code below the bits", kValue, kMixedAdd,
       [=](P& p) { p.at<std::int16_t>(post(p).codes_offset + 2) = -129; }},
      {"mask bit behind the last element", kValue, kMixedAverage,
       [=](P& p) {
         average(p).post.mask_offset = post(p).mask_offset;  // 0xFF for two elements
       }},
      {"multipliers of a shift", kValue, kMixedAverage,
       [=](P& p) { average(p).post.multipliers_offset = post(p).multipliers_offset; }},
      {"codes of a shift", kValue, kMixedAverage,
       [=](P& p) { average(p).post.codes_offset = post(p).codes_offset; }},
      {"limits of raw codes", kValue, kMixedCopy,
       [=](P& p) {
         p.params<intrt_requantize_params>(kMixedCopy).post.limits_offset = post(p).limits_offset;
       }},
  });
}
