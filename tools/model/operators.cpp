#include "tools/model/operators.h"

#include "intrt/plan_view.h"

namespace lockstep {
namespace {

std::uint64_t positions(const intrt_tensor_record& tensor) {
  return std::uint64_t{tensor.height} * tensor.width;
}

// Stored weights: each is multiplied once for each position.
std::uint64_t weight_bytes(const intrt_plan& plan, std::uint32_t op) {
  const intrt_op_record& record = intrt::op_record(plan, op);
  const std::uint64_t macs = intrt_op_macs(&plan, op);
  switch (record.code) {
    case intrt::kOp_conv2d:
      return macs / positions(intrt::tensor_record(plan, record.output)) *
             intrt::element_bytes(intrt::params_of<intrt_conv2d_params>(record).weight_type);
    case intrt::kOp_conv_transpose2d:
      return macs / positions(intrt::input_record(plan, record, 0)) *
             intrt::element_bytes(
                 intrt::params_of<intrt_conv_transpose2d_params>(record).weight_type);
    case intrt::kOp_linear:
      return macs * intrt::element_bytes(intrt::params_of<intrt_linear_params>(record).weight_type);
    default:
      return 0;
  }
}

std::uint64_t tensor_bytes(const intrt_tensor_record& tensor) {
  return intrt::element_count(tensor) * intrt::element_bytes(tensor.type);
}

}  // namespace

std::vector<OperatorInfo> operators_of(const intrt_plan& plan, const void* prepared) {
  std::vector<OperatorInfo> operators;
  for (std::uint32_t op = 0; op < intrt_op_count(&plan); ++op) {
    const intrt_op_record& record = intrt::op_record(plan, op);
    std::uint64_t bytes =
        weight_bytes(plan, op) + tensor_bytes(intrt::tensor_record(plan, record.output));
    for (std::uint32_t i = 0; i < record.input_count; ++i)
      bytes += tensor_bytes(intrt::input_record(plan, record, i));
    operators.push_back(
        {.node = record.name_offset == 0 ? "" : intrt::object_at<char>(plan, record.name_offset),
         .kernel = intrt_op_kernel(&plan, op),
         .macs = intrt_op_macs(&plan, op),
         .bytes = bytes,
         .chain_links = intrt_chain_links(prepared, op)});
  }
  return operators;
}

}  // namespace lockstep
