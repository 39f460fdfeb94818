// The tensors and operators of a plan, as the runtime sees them.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "tools/inspect/inspect.h"
#include "tools/support/open_plan.h"
#include "tools/support/table.h"

namespace lockstep::cli {
namespace {

using Json = nlohmann::ordered_json;

const char* operator_name(std::uint32_t code) {
  switch (code) {
#define INTRT_OP(value, name) \
  case value:                 \
    return #name;
#include "intrt/op_list.def"
#undef INTRT_OP
    default:
      return "unknown";  // intrt_open has refused such a plan
  }
}

const char* type_name(std::uint32_t type) {
  return type == INTRT_INT8 ? "int8" : type == INTRT_INT16 ? "int16" : "int32";
}

std::string flags_text(std::uint32_t flags) {
  std::string text;
  const auto add = [&](std::uint32_t flag, const char* name) {
    if ((flags & flag) != 0) text += (text.empty() ? "" : ", ") + std::string(name);
  };
  add(INTRT_TENSOR_INPUT, "input");
  add(INTRT_TENSOR_OUTPUT, "output");
  add(INTRT_TENSOR_NAMED, "visible");
  return text;
}

std::string decimals_text(std::span<const int> decimals) {
  const auto [lo, hi] = std::ranges::minmax(decimals);
  return lo == hi ? fmt::format("{}", lo) : fmt::format("{} to {}", lo, hi);
}

template <typename Params>
Params params_of(const intrt_op_record* record) {
  Params params;  // copied: nothing promises its alignment to C++
  std::memcpy(&params, record + 1, sizeof params);
  return params;
}

// Weights and biases.
std::uint64_t weight_bytes(const PlanFile& plan, const intrt_op_record* op) {
  const auto bytes_of = [](std::uint32_t type) { return type == INTRT_INT8 ? 1u : 2u; };
  const std::uint64_t inputs = plan.tensor(op->inputs[0]).channels;
  const std::uint64_t outputs = plan.tensor(op->output).channels;
  const auto bias_bytes = [&](std::uint32_t offset) { return offset == 0 ? 0 : 4 * outputs; };
  const std::string_view name = operator_name(op->code);
  if (name == "conv2d") {
    const auto params = params_of<intrt_conv2d_params>(op);
    return outputs * params.kernel_h * params.kernel_w * (inputs / params.groups) *
               bytes_of(params.weight_type) +
           bias_bytes(params.bias_offset);
  }
  if (name == "linear") {
    const auto params = params_of<intrt_linear_params>(op);
    return outputs * plan.tensor(op->inputs[0]).element_count * bytes_of(params.weight_type) +
           bias_bytes(params.bias_offset);
  }
  return 0;
}

}  // namespace

void inspect_plan(const std::filesystem::path& path, Console& console) {
  using enum Table::Align;
  const PlanFile plan(path);

  Table tensors({{"tensor", kRight},
                 {"node", kLeft},
                 {"type", kLeft},
                 {"bits", kRight},
                 {"shape", kLeft},
                 {"decimals", kLeft},
                 {"arena bytes", kRight},
                 {"role", kLeft}});
  Json tensor_list = Json::array();
  for (std::uint32_t i = 0; i < intrt_tensor_count(plan.plan()); ++i) {
    const intrt_tensor tensor = plan.tensor(i);
    const std::vector<int> decimals(tensor.decimals, tensor.decimals + tensor.decimal_count);
    const std::uint64_t bytes = std::uint64_t{tensor.element_count} * tensor.element_bytes;
    tensors.add_row({fmt::to_string(i), tensor.name, type_name(tensor.type),
                     fmt::to_string(tensor.bits), shape_text(logical_shape(tensor)),
                     decimals_text(decimals), fmt::to_string(bytes), flags_text(tensor.flags)});
    tensor_list.push_back({{"node", tensor.name},
                           {"type", type_name(tensor.type)},
                           {"bits", tensor.bits},
                           {"shape", logical_shape(tensor)},
                           {"decimals", decimals},
                           {"bytes", bytes},
                           {"input", (tensor.flags & INTRT_TENSOR_INPUT) != 0},
                           {"output", (tensor.flags & INTRT_TENSOR_OUTPUT) != 0},
                           {"visible", (tensor.flags & INTRT_TENSOR_NAMED) != 0}});
  }

  Table operators({{"step", kRight},
                   {"operator", kLeft},
                   {"node", kLeft},
                   {"inputs", kLeft},
                   {"output", kRight},
                   {"weight bytes", kRight}});
  Json operator_list = Json::array();
  for (std::uint32_t i = 0; i < intrt_op_count(plan.plan()); ++i) {
    const intrt_op_record* op = intrt_op(plan.plan(), i);
    const std::vector<std::uint32_t> inputs(op->inputs, op->inputs + op->input_count);
    const char* const node = plan.op_node(i);
    operators.add_row({fmt::to_string(i), operator_name(op->code), node,
                       fmt::format("{}", fmt::join(inputs, ", ")), fmt::to_string(op->output),
                       fmt::to_string(weight_bytes(plan, op))});
    operator_list.push_back({{"operator", operator_name(op->code)},
                             {"node", node},
                             {"inputs", inputs},
                             {"output", op->output},
                             {"weight_bytes", weight_bytes(plan, op)}});
  }

  const char* const network = intrt_network_name(plan.plan());
  console.print(tensors.to_text());
  console.print("\n" + operators.to_text());
  console.print(fmt::format("\n{}: plan {} bytes, arena {} bytes", network, plan.bytes().size(),
                            plan.arena_bytes()));
  console.print_json({{"kind", "plan"},
                      {"file", plan.path()},
                      {"network", network},
                      {"plan_bytes", plan.bytes().size()},
                      {"arena_bytes", plan.arena_bytes()},
                      {"tensors", std::move(tensor_list)},
                      {"operators", std::move(operator_list)}});
}

}  // namespace lockstep::cli
