#include "verify/proof/plan_reader.h"

#include <fmt/format.h>

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

void read_weights(const OpenPlan& plan, std::uint32_t type, std::uint32_t offset, std::size_t count,
                  PlanOp& op) {
  op.weight_bits = type == INTRT_INT8 ? 8 : 16;
  op.weights = type == INTRT_INT8 ? read_array<std::int8_t, std::int64_t>(plan, offset, count)
                                  : read_array<std::int16_t, std::int64_t>(plan, offset, count);
}

std::vector<std::int64_t> read_bias(const OpenPlan& plan, std::uint32_t offset, std::size_t count) {
  if (offset == 0) return {};
  return read_array<std::int32_t, std::int64_t>(plan, offset, count);
}

// A plan numbers the roundings as the graph's enumeration does.
static_assert(static_cast<int>(Rounding::kTowardZero) == INTRT_ROUND_TOWARD_ZERO &&
              static_cast<int>(Rounding::kFloor) == INTRT_ROUND_FLOOR &&
              static_cast<int>(Rounding::kHalfEven) == INTRT_ROUND_HALF_EVEN);

PlanPost read_post(const OpenPlan& plan, const intrt_post_record& record,
                   const VisibleTensor& output) {
  PlanPost post;
  post.kind = record.kind;
  post.rounding = static_cast<Rounding>(record.rounding);
  post.lo = record.lo;
  post.hi = record.hi;
  if (record.kind == INTRT_POST_SHIFT)
    post.shifts = read_array<std::int8_t, int>(plan, record.shifts_offset, record.shift_count);
  if (record.mask_offset != 0)
    for (std::size_t i = 0; i < static_cast<std::size_t>(output.element_count()); ++i)
      post.keep.push_back(plan.bytes()[record.mask_offset + i / 8] >> (i % 8) & 1U);
  return post;
}

template <typename Params>
PlanWindow read_window(const Params& params) {
  return {params.kernel_h,   params.kernel_w, params.stride_h, params.stride_w,   params.dilation_h,
          params.dilation_w, params.pad_top,  params.pad_left, params.pad_bottom, params.pad_right};
}

}  // namespace

PlanOp read_op(const OpenPlan& plan, std::uint32_t index) {
  const intrt_op_record* record = intrt_op(plan.get(), index);
  const std::size_t params_offset =
      static_cast<std::size_t>(reinterpret_cast<const std::uint8_t*>(record) - plan.bytes()) +
      sizeof(intrt_op_record);
  PlanOp op;
  op.code = record->code;
  op.node = reinterpret_cast<const char*>(plan.bytes() + record->name_offset);
  op.output = record->output;
  op.inputs.assign(record->inputs, record->inputs + record->input_count);
  if (op.inputs.size() != 1)
    throw NotUnderstood{
        fmt::format("operator '{}' of the plan has {} inputs", op.node, op.inputs.size())};
  const VisibleTensor input = plan.tensor(op.inputs[0]), output = plan.tensor(op.output);
  switch (op.code) {
    case PlanOp::kConv2d: {
      const auto params = read_record<intrt_conv2d_params>(plan, params_offset);
      op.window = read_window(params);
      op.groups = params.groups;
      const std::size_t count = std::size_t{output.channels} * params.kernel_h * params.kernel_w *
                                (input.channels / params.groups);
      read_weights(plan, params.weight_type, params.weights_offset, count, op);
      op.bias = read_bias(plan, params.bias_offset, output.channels);
      op.post = read_post(plan, params.post, output);
      break;
    }
    case PlanOp::kLinear: {
      const auto params = read_record<intrt_linear_params>(plan, params_offset);
      const auto outputs = static_cast<std::size_t>(output.element_count());
      read_weights(plan, params.weight_type, params.weights_offset,
                   outputs * static_cast<std::size_t>(input.element_count()), op);
      op.bias = read_bias(plan, params.bias_offset, outputs);
      op.post = read_post(plan, params.post, output);
      break;
    }
    case PlanOp::kMaxPool2d:
      op.window = read_window(read_record<intrt_max_pool2d_params>(plan, params_offset));
      break;
    case PlanOp::kRequantize:
      op.post =
          read_post(plan, read_record<intrt_requantize_params>(plan, params_offset).post, output);
      break;
    case PlanOp::kTranspose:
      break;
    default:
      throw NotUnderstood{
          fmt::format("operator '{}' of the plan has the unknown code {}", op.node, op.code)};
  }
  return op;
}

}  // namespace lockstep::verify
