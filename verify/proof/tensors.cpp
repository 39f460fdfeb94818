#include "verify/proof/tensors.h"

#include <fmt/format.h>

#include "intrt/plan_format.h"

namespace lockstep::verify {
namespace {

constexpr int kAccumulatorBits = 32;

void check_tensor(PlanCheck& check, std::uint32_t index) {
  const VisibleTensor& tensor = check.tensors[index];
  const std::string& name = tensor.name;
  if (check.graph.find_node(name) == nullptr && check.graph.find_input(name) == nullptr)
    throw Difference{
        name, fmt::format("layer '{}': the plan has a tensor of this name, the graph has no such "
                          "node",
                          name)};
  const Format& format = check.network.format(name);
  check.expect<std::int64_t>(name, "rank", static_cast<std::int64_t>(format.shape.size()),
                             tensor.logical_rank);
  if (format.shape.size() ==
      1) {  // a flattened map keeps the height and width of what was flattened
    check.expect(name, "number of elements", format.shape[0], tensor.element_count());
  } else {
    check.expect<std::int64_t>(name, "channels", format.shape[0], tensor.channels);
    check.expect<std::int64_t>(name, "height", format.shape.size() == 3 ? format.shape[1] : 1,
                               tensor.height);
    check.expect<std::int64_t>(name, "width", format.shape.back(), tensor.width);
  }
  const int bits = format.bits == 0 ? kAccumulatorBits : format.bits;
  check.expect<std::int64_t>(name, "bits", bits, tensor.bits);
  check.expect<std::int64_t>(name, "bytes per code", bits <= 8 ? 1 : (bits <= 16 ? 2 : 4),
                             tensor.element_bytes);
  if (format.bits == 0) return;  // an accumulator's decimals follow from the weights that make it
  check.checked += static_cast<std::int64_t>(tensor.decimals.size());
  for (std::int64_t e = 0; e < format.element_count(); ++e)
    expect_decimal(tensor, e, format.decimal(e));
}

// The network's inputs and outputs, and that tensors say so.
void check_ends(PlanCheck& check) {
  const auto ends = [&](const char* what, std::uint32_t count,
                        std::uint32_t (*index)(const intrt_plan*, std::uint32_t),
                        const std::vector<std::string>& names, std::uint32_t flag) {
    check.expect<std::size_t>(check.graph.name, fmt::format("number of {}s", what), names.size(),
                              count);
    std::vector<bool> is_end(check.tensors.size(), false);
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t tensor = index(check.plan.get(), i);
      check.expect(names[i], fmt::format("{} {}", what, i), names[i], check.tensors[tensor].name);
      is_end[tensor] = true;
    }
    for (std::uint32_t t = 0; t < check.tensors.size(); ++t)
      check.expect<bool>(check.tensors[t].name, fmt::format("flag '{}'", what), is_end[t],
                         (check.plan.tensor_record(t).flags & flag) != 0);
    return is_end;
  };
  std::vector<std::string> inputs;
  for (const GraphInput& input : check.graph.inputs) inputs.push_back(input.name);
  check.made =
      ends("input", intrt_input_count(check.plan.get()), intrt_input, inputs, INTRT_TENSOR_INPUT);
  ends("output", intrt_output_count(check.plan.get()), intrt_output, check.graph.outputs,
       INTRT_TENSOR_OUTPUT);
  for (std::uint32_t t = 0; t < check.tensors.size(); ++t)
    check.expect<bool>(check.tensors[t].name, "flag 'named'", true,
                       (check.plan.tensor_record(t).flags & INTRT_TENSOR_NAMED) != 0);
}

}  // namespace

void check_tensors(PlanCheck& check) {
  for (std::uint32_t t = 0; t < check.tensors.size(); ++t) check_tensor(check, t);
  check_ends(check);
  for (std::size_t t = 0; t < check.tensors.size(); ++t) {
    if (!check.made[t]) continue;
    const Format& format = check.network.format(check.tensors[t].name);
    for (std::int64_t e = 0; e < format.element_count(); ++e)
      check.held[t].push_back(format.decimal(e), format.lo, format.hi);
  }
}

void expect_decimal(const VisibleTensor& tensor, std::int64_t element, int expected) {
  if (tensor.decimal(element) != expected)
    throw Difference{tensor.name,
                     fmt::format("layer '{}': decimal of {}: expected {}, found {}", tensor.name,
                                 place_text(tensor, element), expected, tensor.decimal(element))};
}

}  // namespace lockstep::verify
