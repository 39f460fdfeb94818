// The tensors and operators of a plan and its memory, as the runtime sees them.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <tuple>

#include "tools/inspect/inspect.h"
#include "tools/inspect/lifetime.h"
#include "tools/inspect/plan_operator.h"
#include "tools/support/open_plan.h"
#include "tools/support/table.h"

namespace lockstep::cli {
namespace {

using Json = nlohmann::ordered_json;
using enum Table::Align;

const char* type_name(std::uint32_t type) {
  switch (type) {
    case INTRT_INT8:
      return "int8";
    case INTRT_INT16:
      return "int16";
    case INTRT_UINT8:
      return "uint8";
    default:
      return "int32";
  }
}

// What a tensor is for; "base": not its node's value, but what float functions are still to be
// applied to.
std::string role_text(const intrt_tensor& tensor) {
  std::string text;
  const auto add = [&](bool is, const char* name) {
    if (is) text += (text.empty() ? "" : ", ") + std::string(name);
  };
  add((tensor.flags & INTRT_TENSOR_INPUT) != 0, "input");
  add((tensor.flags & INTRT_TENSOR_OUTPUT) != 0, "output");
  add((tensor.flags & INTRT_TENSOR_NAMED) != 0, "visible");
  add(tensor.type == INTRT_UINT8, "raw bytes");
  add((tensor.flags & INTRT_TENSOR_NAMED) == 0 && tensor.type != INTRT_UINT8, "base");
  add(tensor.offsets != nullptr, "offsets");
  add(tensor.channel_map != nullptr, "channel map");
  return text;
}

std::string decimals_text(const intrt_tensor& tensor) {
  const auto [lo, hi] = std::ranges::minmax(axis_decimals(tensor));
  return lo == hi ? fmt::format("{}", lo) : fmt::format("{} to {}", lo, hi);
}

struct Listing {
  Table table;
  Json json = Json::array();
};

Listing list_tensors(const PlanFile& plan, const std::vector<Lifetime>& memory) {
  Listing listing{Table({{"tensor", kRight},
                         {"node", kLeft},
                         {"type", kLeft},
                         {"bits", kRight},
                         {"shape", kLeft},
                         {"decimals", kLeft},
                         {"role", kLeft}})};
  for (const Lifetime& life : memory) {
    const intrt_tensor tensor = plan.tensor(life.tensor);
    listing.table.add_row({fmt::to_string(life.tensor), tensor.name, type_name(tensor.type),
                           fmt::to_string(tensor.bits), shape_text(logical_shape(tensor)),
                           decimals_text(tensor), role_text(tensor)});
    listing.json.push_back({{"node", tensor.name},
                            {"type", type_name(tensor.type)},
                            {"bits", tensor.bits},
                            {"shape", logical_shape(tensor)},
                            {"decimals", axis_decimals(tensor)},
                            {"offsets", offsets_of(tensor)},
                            {"channel_map", channel_map_of(tensor)},
                            {"bytes", life.bytes},
                            {"arena_offset", life.offset},
                            {"first_step", life.first < 0 ? Json() : Json(life.first)},
                            {"last_step", life.last < 0 ? Json() : Json(life.last)},
                            {"input", (tensor.flags & INTRT_TENSOR_INPUT) != 0},
                            {"output", (tensor.flags & INTRT_TENSOR_OUTPUT) != 0},
                            {"visible", (tensor.flags & INTRT_TENSOR_NAMED) != 0}});
  }
  return listing;
}

Listing list_operators(const PlanFile& plan, const std::vector<PlanOperator>& operators) {
  Listing listing{Table({{"step", kRight},
                         {"operator", kLeft},
                         {"node", kLeft},
                         {"inputs", kLeft},
                         {"output", kRight},
                         {"shape", kLeft},
                         {"bits", kRight},
                         {"decimals", kLeft},
                         {"post-op", kLeft},
                         {"weight bytes", kRight},
                         {"storage", kLeft}})};
  for (std::size_t step = 0; step < operators.size(); ++step) {
    const PlanOperator& op = operators[step];
    const intrt_tensor output = plan.tensor(op.output);
    listing.table.add_row(
        {fmt::to_string(step), op.name, op.node, fmt::format("{}", fmt::join(op.inputs, ", ")),
         fmt::to_string(op.output), shape_text(logical_shape(output)), fmt::to_string(output.bits),
         decimals_text(output), op.post, fmt::to_string(op.weight_bytes), op.storage});
    listing.json.push_back({{"operator", op.name},
                            {"node", op.node},
                            {"inputs", op.inputs},
                            {"output", op.output},
                            {"shape", logical_shape(output)},
                            {"bits", output.bits},
                            {"decimals", axis_decimals(output)},
                            {"post", op.post_json},
                            {"weight_bytes", op.weight_bytes},
                            {"storage", op.storage_json}});
  }
  return listing;
}

// By place in memory, then by time.
Table arena_map(const PlanFile& plan, std::vector<Lifetime> memory) {
  std::ranges::sort(memory, [](const Lifetime& a, const Lifetime& b) {
    return std::tie(a.offset, a.first, a.tensor) < std::tie(b.offset, b.first, b.tensor);
  });
  Table table({{"offset", kRight},
               {"bytes", kRight},
               {"first step", kRight},
               {"last step", kRight},
               {"tensor", kRight},
               {"node", kLeft}});
  for (const Lifetime& life : memory) {
    const intrt_tensor tensor = plan.tensor(life.tensor);
    const bool is_input = (tensor.flags & INTRT_TENSOR_INPUT) != 0,
               is_output = (tensor.flags & INTRT_TENSOR_OUTPUT) != 0;
    table.add_row({fmt::to_string(life.offset), fmt::to_string(life.bytes),
                   is_input ? "input" : fmt::to_string(life.first),
                   is_output       ? "output"
                   : life.last < 0 ? "input"
                                   : fmt::to_string(life.last),
                   fmt::to_string(life.tensor), tensor.name});
  }
  return table;
}

}  // namespace

void inspect_plan(const std::filesystem::path& path, Console& console) {
  const PlanFile plan(path);
  std::vector<PlanOperator> operators;
  for (std::uint32_t i = 0; i < intrt_op_count(plan.plan()); ++i)
    operators.push_back(plan_operator(plan, i));
  const std::vector<Lifetime> memory = lifetimes(plan, operators);
  Listing tensor_list = list_tensors(plan, memory);
  Listing operator_list = list_operators(plan, operators);

  const char* const network = intrt_network_name(plan.plan());
  console.print(tensor_list.table.to_text());
  console.print("\n" + operator_list.table.to_text());
  console.print("\n" + arena_map(plan, memory).to_text());
  console.print(fmt::format("\n{}: plan {} bytes, arena {} bytes", network, plan.bytes().size(),
                            plan.arena_bytes()));
  console.print_json({{"kind", "plan"},
                      {"file", plan.path()},
                      {"network", network},
                      {"plan_bytes", plan.bytes().size()},
                      {"arena_bytes", plan.arena_bytes()},
                      {"tensors", std::move(tensor_list.json)},
                      {"operators", std::move(operator_list.json)}});
}

}  // namespace lockstep::cli
