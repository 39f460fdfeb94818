#include "verify/proof/plan_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "intrt/arith.h"
#include "verify/proof/finding.h"

namespace lockstep::verify {
namespace {

template <typename Record>
Record read_record(const OpenPlan& plan, std::size_t offset) {
  Record record;
  std::memcpy(&record, plan.bytes() + offset, sizeof record);
  return record;
}

template <typename T, typename Wide>
std::vector<Wide> read_array(const OpenPlan& plan, std::size_t offset, std::size_t count) {
  std::vector<Wide> values;
  values.reserve(count);
  for (std::size_t i = 0; i < count; ++i)
    values.push_back(read_record<T>(plan, offset + i * sizeof(T)));
  return values;
}

// Where the weights [rows][taps][inputs] of an operator are.
struct WeightPlace {
  std::uint32_t type, offset;
  std::size_t rows, taps, inputs;

  std::size_t count() const { return rows * taps * inputs; }
};

std::vector<std::int64_t> read_values(const OpenPlan& plan, const WeightPlace& place,
                                      std::size_t count) {
  return place.type == INTRT_INT8 ? read_array<std::int8_t, std::int64_t>(plan, place.offset, count)
         : place.type == INTRT_INT16
             ? read_array<std::int16_t, std::int64_t>(plan, place.offset, count)
             : read_array<std::int32_t, std::int64_t>(plan, place.offset, count);
}

// Sparse weights with their zeros. The runtime has checked that starts and bits say the same, so
// that the values follow one another in the order of the bits.
std::vector<std::int64_t> read_sparse(const OpenPlan& plan, const WeightPlace& place,
                                      std::uint32_t nonzero_offset, std::uint32_t starts_offset) {
  const auto stored =
      read_record<std::uint32_t>(plan, starts_offset + place.rows * sizeof(std::uint32_t));
  const std::vector<std::int64_t> values = read_values(plan, place, stored);
  const std::size_t tap_bytes = (place.inputs + 7) / 8;
  std::vector<std::int64_t> weights;
  weights.reserve(place.count());
  std::size_t next = 0;
  for (std::size_t tap = 0; tap < place.rows * place.taps; ++tap)
    for (std::size_t i = 0; i < place.inputs; ++i) {
      const unsigned bits = plan.bytes()[nonzero_offset + tap * tap_bytes + i / 8];
      const bool is_stored = (bits >> (i % 8) & 1U) != 0;
      weights.push_back(is_stored ? values.at(next++) : 0);
    }
  return weights;
}

// Makes of each weight what it stands for: times 2 to the shifts of all later segments. The runtime
// has bounded that to 31 bits, so beyond 31 only zeros are shifted.
void apply_segments(const OpenPlan& plan, std::uint32_t offset, std::size_t count,
                    std::size_t inputs, std::vector<std::int64_t>& weights) {
  std::vector<std::int64_t> factor(inputs, 1);
  std::int64_t later = 1;
  std::size_t end = inputs;
  while (count-- > 0) {
    const auto segment = read_record<intrt_segment>(plan, offset + count * sizeof(intrt_segment));
    const std::size_t begin =
        count == 0 ? 0
                   : read_record<intrt_segment>(plan, offset + (count - 1) * sizeof segment).end;
    std::fill(factor.begin() + static_cast<std::ptrdiff_t>(begin),
              factor.begin() + static_cast<std::ptrdiff_t>(end), later);
    constexpr std::int64_t kMost = std::int64_t{1} << 31;
    later = std::min(kMost, later << segment.shift);
    end = begin;
  }
  for (std::size_t k = 0; k < weights.size(); ++k) weights[k] *= factor[k % inputs];
}

void read_weights(const OpenPlan& plan, const WeightPlace& place, PlanOp& op) {
  op.weight_bits = place.type == INTRT_INT8 ? 8 : (place.type == INTRT_INT16 ? 16 : 32);
  op.weights = read_values(plan, place, place.count());
}

// conv2d and linear; op.weights are dense, each what it stands for, however they are stored.
template <typename Params>
void read_stored_weights(const OpenPlan& plan, const Params& params, const WeightPlace& place,
                         PlanOp& op) {
  if (params.nonzero_offset == 0) {
    read_weights(plan, place, op);
    apply_segments(plan, params.segments_offset, params.segment_count, place.inputs, op.weights);
    return;
  }
  op.weight_bits = place.type == INTRT_INT8 ? 8 : (place.type == INTRT_INT16 ? 16 : 32);
  op.weights = read_sparse(plan, place, params.nonzero_offset, params.starts_offset);
}

std::vector<std::int64_t> read_bias(const OpenPlan& plan, std::uint32_t offset, std::size_t count) {
  if (offset == 0) return {};
  return read_array<std::int32_t, std::int64_t>(plan, offset, count);
}

// A plan numbers the roundings as the graph's enumeration does.
static_assert(static_cast<int>(Rounding::kTowardZero) == INTRT_ROUND_TOWARD_ZERO &&
              static_cast<int>(Rounding::kFloor) == INTRT_ROUND_FLOOR &&
              static_cast<int>(Rounding::kHalfEven) == INTRT_ROUND_HALF_EVEN);

std::vector<PlanScale> read_scales(const OpenPlan& plan, const intrt_post_record& record,
                                   std::size_t channels) {
  std::vector<PlanScale> scales(channels);
  const auto wide = [](auto value) { return static_cast<std::int64_t>(value); };
  for (std::size_t c = 0; c < channels; ++c) {
    PlanScale& scale = scales[c];
    scale.multiplier = wide(read_record<std::int32_t>(plan, record.multipliers_offset + 4 * c));
    scale.addend = read_record<std::int64_t>(plan, record.addends_offset + 8 * c);
    scale.shift = read_record<std::int8_t>(plan, record.shifts_offset + c);
    scale.lo = wide(read_record<std::int16_t>(plan, record.limits_offset + 4 * c));
    scale.hi = wide(read_record<std::int16_t>(plan, record.limits_offset + 4 * c + 2));
    if (record.starts_offset == 0) continue;
    const std::size_t first = read_record<std::uint32_t>(plan, record.starts_offset + 4 * c);
    const std::size_t last = read_record<std::uint32_t>(plan, record.starts_offset + 4 * c + 4);
    if (first == last) continue;
    scale.thresholds = read_array<std::int32_t, std::int64_t>(
        plan, record.thresholds_offset + 4 * first, last - first);
    scale.codes = read_array<std::int16_t, std::int64_t>(
        plan, record.codes_offset + 2 * (first + c), last - first + 1);
  }
  return scales;
}

std::vector<std::uint8_t> read_mask(const OpenPlan& plan, std::uint32_t offset,
                                    const VisibleTensor& output) {
  std::vector<std::uint8_t> keep;
  if (offset == 0) return keep;
  for (std::size_t i = 0; i < static_cast<std::size_t>(output.element_count()); ++i)
    keep.push_back(plan.bytes()[offset + i / 8] >> (i % 8) & 1U);
  return keep;
}

PlanPost read_post(const OpenPlan& plan, const intrt_post_record& record,
                   const VisibleTensor& output) {
  PlanPost post;
  post.kind = record.kind;
  post.rounding = static_cast<Rounding>(record.rounding);
  post.lo = record.lo;
  post.hi = record.hi;
  if (record.kind == INTRT_POST_SHIFT)
    post.shifts = read_array<std::int8_t, int>(plan, record.shifts_offset, record.shift_count);
  if (record.kind == INTRT_POST_SCALE) post.scales = read_scales(plan, record, output.channels);
  post.keep = read_mask(plan, record.mask_offset, output);
  return post;
}

template <typename Params>
PlanWindow read_window(const Params& params) {
  PlanWindow window = {.kernel_h = params.kernel_h,
                       .kernel_w = params.kernel_w,
                       .stride_h = params.stride_h,
                       .stride_w = params.stride_w,
                       .dilation_h = params.dilation_h,
                       .dilation_w = params.dilation_w,
                       .pad_top = params.pad_top,
                       .pad_left = params.pad_left};
  if constexpr (requires { params.pad_bottom; }) {
    window.pad_bottom = params.pad_bottom;
    window.pad_right = params.pad_right;
  }
  return window;
}

template <typename Params>
void read_convolution(const OpenPlan& plan, std::size_t offset, const VisibleTensor& input,
                      const VisibleTensor& output, PlanOp& op) {
  const auto params = read_record<Params>(plan, offset);
  op.window = read_window(params);
  op.groups = params.groups;
  const WeightPlace place{params.weight_type, params.weights_offset, output.channels,
                          std::size_t{params.kernel_h} * params.kernel_w,
                          input.channels / params.groups};
  if constexpr (requires { params.nonzero_offset; })
    read_stored_weights(plan, params, place, op);
  else
    read_weights(plan, place, op);
  op.bias = read_bias(plan, params.bias_offset, output.channels);
  op.post = read_post(plan, params.post, output);
}

std::vector<PlanSpan> read_spans(const OpenPlan& plan, std::size_t offset, std::size_t count) {
  std::vector<PlanSpan> spans;
  for (std::size_t i = 0; i < count; ++i) {
    const auto span = read_record<intrt_pool_span>(plan, offset + i * sizeof(intrt_pool_span));
    spans.push_back({span.begin, span.end, span.multiplier});
  }
  return spans;
}

void read_table(const OpenPlan& plan, const intrt_table_params& params, const VisibleTensor& input,
                const VisibleTensor& output, PlanOp& op) {
  op.table.table_of.assign(output.channels, 0);
  if (params.tables_offset != 0)
    op.table.table_of =
        read_array<std::uint16_t, std::size_t>(plan, params.tables_offset, output.channels);
  const std::size_t entries = std::size_t{1} << input.bits;
  for (std::size_t t = 0; t < params.table_count; ++t) {
    const std::size_t offset = params.entries_offset + t * entries * output.element_bytes;
    op.table.entries.push_back(output.element_bytes == 1
                                   ? read_array<std::int8_t, std::int64_t>(plan, offset, entries)
                                   : read_array<std::int16_t, std::int64_t>(plan, offset, entries));
  }
  op.post.keep = read_mask(plan, params.mask_offset, output);
}

std::vector<PlanPiece> read_pieces(const OpenPlan& plan, const intrt_move_params& params) {
  std::vector<PlanPiece> pieces;
  for (std::size_t i = 0; i < params.piece_count; ++i) {
    const auto record =
        read_record<intrt_move_piece>(plan, params.pieces_offset + i * sizeof(intrt_move_piece));
    PlanPiece piece = {record.input, record.in_first, record.out_first, {}, {}, {}};
    for (std::size_t k = 0; k < 4; ++k) {
      piece.count[k] = record.count[k];
      piece.in_step[k] = record.in_step[k];
      piece.out_step[k] = record.out_step[k];
    }
    pieces.push_back(piece);
  }
  return pieces;
}

}  // namespace

PlanOp read_op(const OpenPlan& plan, std::uint32_t index) {
  const intrt_op_record* record = intrt_op(plan.get(), index);
  const std::size_t params =
      static_cast<std::size_t>(reinterpret_cast<const std::uint8_t*>(record) - plan.bytes()) +
      sizeof(intrt_op_record);
  PlanOp op;
  op.code = record->code;
  if (record->name_offset != 0)
    op.node = reinterpret_cast<const char*>(plan.bytes() + record->name_offset);
  op.output = record->output;
  op.inputs =
      read_array<std::uint32_t, std::uint32_t>(plan, record->inputs_offset, record->input_count);
  const VisibleTensor input = plan.tensor(op.inputs[0]), output = plan.tensor(op.output);
  switch (op.code) {
    case PlanOp::kConv2d:
      read_convolution<intrt_conv2d_params>(plan, params, input, output, op);
      break;
    case PlanOp::kConvTranspose2d:
      read_convolution<intrt_conv_transpose2d_params>(plan, params, input, output, op);
      break;
    case PlanOp::kLinear: {
      const auto linear = read_record<intrt_linear_params>(plan, params);
      const auto outputs = static_cast<std::size_t>(output.element_count());
      const auto inputs = static_cast<std::size_t>(input.element_count());
      // Bits go through all elements of the input, segments through the channels of each place.
      const std::size_t per_tap = linear.nonzero_offset != 0 ? inputs : input.channels;
      read_stored_weights(
          plan, linear,
          {linear.weight_type, linear.weights_offset, outputs, inputs / per_tap, per_tap}, op);
      op.bias = read_bias(plan, linear.bias_offset, outputs);
      op.post = read_post(plan, linear.post, output);
      break;
    }
    case PlanOp::kMaxPool2d:
      op.window = read_window(read_record<intrt_max_pool2d_params>(plan, params));
      break;
    case PlanOp::kAvgPool2d: {
      const auto pool = read_record<intrt_avg_pool2d_params>(plan, params);
      op.rows = read_spans(plan, pool.rows_offset, output.height);
      op.columns = read_spans(plan, pool.columns_offset, output.width);
      op.post = read_post(plan, pool.post, output);
      break;
    }
    case PlanOp::kAdd: {
      const auto add = read_record<intrt_add_params>(plan, params);
      for (std::size_t i = 0; i < 2; ++i)
        op.multipliers[i] = read_array<std::int32_t, std::int64_t>(
            plan, add.multipliers_offset + i * output.channels * sizeof(std::int32_t),
            output.channels);
      op.post = read_post(plan, add.post, output);
      break;
    }
    case PlanOp::kMul:
      op.post = read_post(plan, read_record<intrt_mul_params>(plan, params).post, output);
      break;
    case PlanOp::kRequantize:
      op.post = read_post(plan, read_record<intrt_requantize_params>(plan, params).post, output);
      break;
    case PlanOp::kTable:
      read_table(plan, read_record<intrt_table_params>(plan, params), input, output, op);
      break;
    case PlanOp::kMove:
      op.pieces = read_pieces(plan, read_record<intrt_move_params>(plan, params));
      break;
    case PlanOp::kArgMax:
      break;
    default:
      throw NotUnderstood{
          fmt::format("operator '{}' of the plan has the unknown code {}", op.node, op.code)};
  }
  return op;
}

}  // namespace lockstep::verify
