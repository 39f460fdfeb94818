#include "verify/proof/constants.h"

#include <fmt/format.h>

#include "verify/proof/elementwise.h"
#include "verify/proof/memory_plan.h"
#include "verify/proof/moving.h"
#include "verify/proof/plan_check.h"
#include "verify/proof/plan_reader.h"
#include "verify/proof/pooling.h"
#include "verify/proof/tensors.h"
#include "verify/proof/weights.h"
#include "verify/proof/wiring.h"

namespace lockstep::verify {
namespace {

void check_op(PlanCheck& check, const PlanOp& op) {
  check_wiring(check, op);
  switch (op.code) {
    case PlanOp::kConv2d:
      return check_conv2d(check, op);
    case PlanOp::kConvTranspose2d:
      return check_conv_transpose2d(check, op);
    case PlanOp::kLinear:
      return check_linear(check, op);
    case PlanOp::kMaxPool2d:
      return check_max_pool2d(check, op);
    case PlanOp::kAvgPool2d:
      return check_avg_pool2d(check, op);
    case PlanOp::kRequantize:
      return check_requantize(check, op);
    case PlanOp::kTable:
      return check_table(check, op);
    case PlanOp::kAdd:
      return check_add(check, op);
    case PlanOp::kMul:
      return check_mul(check, op);
    case PlanOp::kArgMax:
      return check_argmax(check, op);
    default:
      return check_move(check, op);
  }
}

void check_all(PlanCheck& check) {
  const std::string& name = check.graph.name;
  check.expect(name, "name of the network", name,
               std::string(intrt_network_name(check.plan.get())));
  check_tensors(check);
  for (std::uint32_t k = 0; k < intrt_op_count(check.plan.get()); ++k)
    check_op(check, read_op(check.plan, k));
  for (std::size_t t = 0; t < check.tensors.size(); ++t)
    if (!check.made[t])
      throw Difference{
          check.tensors[t].name,
          fmt::format("layer '{}': no operator of the plan computes it", check.tensors[t].name)};
  check.checked += check_memory_plan(check.plan);
}

}  // namespace

ConstantsResult check_constants(const ExactNetwork& network, const Parameters& parameters,
                                const OpenPlan& plan) {
  PlanCheck check(network, parameters, plan);
  ConstantsResult result;
  try {
    check_all(check);
  } catch (const Difference& difference) {
    result.refuted = Refuted{difference.layer, difference.text};
  } catch (const NotUnderstood& reason) {
    result.unknown = reason.reason;
  }
  result.checked = check.checked;
  result.held = std::move(check.held);
  return result;
}

}  // namespace lockstep::verify
