#include "verify/proof/tensors.h"

#include <fmt/format.h>

#include "intrt/plan_format.h"
#include "verify/differential/channel_map.h"
#include "verify/differential/output_names.h"
#include "verify/proof/wiring.h"
#include "verify/semantics/index.h"

namespace lockstep::verify {
namespace {

void check_shape(PlanCheck& check, const VisibleTensor& tensor, const Format& format) {
  const std::string& name = tensor.name;
  check.expect<std::int64_t>(name, "rank", static_cast<std::int64_t>(format.shape.size()),
                             tensor.logical_rank);
  const bool is_mapped = !tensor.channel_map.empty();
  if (format.shape.size() ==
      1) {  // a flattened map keeps the height and width of what was flattened
    if (!is_mapped)
      check.expect(name, "number of elements", format.shape[0], tensor.element_count());
  } else {
    if (!is_mapped) check.expect<std::int64_t>(name, "channels", format.shape[0], tensor.channels);
    check.expect<std::int64_t>(name, "height", format.shape.size() == 3 ? format.shape[1] : 1,
                               tensor.height);
    check.expect<std::int64_t>(name, "width", format.shape.back(), tensor.width);
  }
}

bool is_on_canonical_grid(const VisibleTensor& tensor, const Format& format) {
  for (std::int64_t e = 0; e < tensor.element_count(); ++e)
    if (tensor.decimal(e) != format.decimal(graph_element(tensor, e))) return false;
  return true;
}

void check_tensor(PlanCheck& check, std::uint32_t index) {
  const VisibleTensor& tensor = check.tensors[index];
  const std::string& name = tensor.name;
  const bool is_input = check.graph.find_input(name) != nullptr;
  const bool is_fed = is_input && (check.plan.tensor_record(index).flags & INTRT_TENSOR_INPUT) != 0;
  const bool is_raw = is_fed && check.network.raw_codes(name) != nullptr;
  if (check.graph.find_node(name) == nullptr && !is_input)
    throw Difference{
        name, fmt::format("layer '{}': the plan has a tensor of this name, the graph has no such "
                          "node",
                          name)};
  const Format& format = is_fed ? check.network.fed_format(name) : check.network.format(name);
  check.expect(name, "raw bytes", is_raw, tensor.bytes);
  // A step on the way to a node may have any shape; what it holds, and that its width suffices, is
  // shown where it is made.
  if (tensor.named || is_raw) check_shape(check, tensor, format);
  if (const std::string fault = map_fault(tensor, format); !fault.empty())
    throw Difference{name, fmt::format("layer '{}': {}", name, fault)};
  check.checked += static_cast<std::int64_t>(tensor.decimals.size() + tensor.offsets.size() +
                                             tensor.channel_map.size());
  if (is_fed)
    for (std::int64_t e = 0; e < format.element_count(); ++e)
      expect_decimal(tensor, e, format.decimal(e));
  // What a quantize node or an input gives has its width, and says that it is complete; sums and
  // moved codes, some of which were aligned or wider, have what they need.
  const Node* node = check.graph.find_node(name);
  const bool is_code = (node == nullptr || node->op == "quantize") && is_part_of(tensor, format) &&
                       is_on_canonical_grid(tensor, format);
  if ((tensor.named || is_raw) && is_code)
    check.expect<std::int64_t>(name, "bits", format.bits, tensor.bits);
  check.expect<std::int64_t>(name, "bytes per code",
                             tensor.bits <= 8 ? 1 : (tensor.bits <= 16 ? 2 : 4),
                             tensor.element_bytes);
  // Bytes are what becomes the value of the input, not that value.
  if (is_raw) check.expect(name, "flag 'named'", false, tensor.named);
  if (!is_raw && is_code && tensor.channel_map.empty() &&
      tensor.bits == static_cast<std::uint32_t>(format.bits))
    check.expect(name, "flag 'named'", true, tensor.named);
  if (format.real && tensor.offsets.empty())
    check.expect(name, "flag 'named'", false, tensor.named);
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
      const std::string& found = check.tensors[tensor].name;
      if (!is_output_name(check.graph, names[i], found))
        check.expect(names[i], fmt::format("{} {}", what, i), names[i], found);
      check.checked += 1;
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
  // Values that a reader gets are complete: exact, or with offsets.
  for (std::uint32_t i = 0; i < intrt_output_count(check.plan.get()); ++i) {
    const VisibleTensor& tensor = check.tensors[intrt_output(check.plan.get(), i)];
    check.expect(tensor.name, "flag 'named'", true, tensor.named);
  }
}

}  // namespace

void check_tensors(PlanCheck& check) {
  for (std::uint32_t t = 0; t < check.tensors.size(); ++t) {
    check_tensor(check, t);
    check.tensor_nodes.push_back(check.terms.number_of(check.tensors[t].name));
  }
  check_ends(check);
  for (std::size_t t = 0; t < check.tensors.size(); ++t) {
    if (!check.made[t]) continue;
    const Format& format = check.network.fed_format(check.tensors[t].name);
    const std::int32_t node = check.tensor_nodes[t];
    for (std::int64_t e = 0; e < format.element_count(); ++e)
      check.held[t].push_back(Terms::combined(node, e), format.decimal(e), format.range(e));
  }
}

Term target_of(PlanCheck& check, std::uint32_t index, std::int64_t element) {
  const VisibleTensor& tensor = check.tensors[index];
  const Term value = check.terms.term(check.tensor_nodes[index], graph_element(tensor, element));
  const bool is_exact = check.terms.chains().is_exact(value.chain);
  if (!tensor.offsets.empty()) {
    const std::int64_t channel = place_of(tensor, element).channel;
    const FloatChain offset = {{{FloatFunction::kAdd, tensor.offsets[at(channel)], 0}}};
    if (is_exact || check.terms.chains().last(value.chain).functions != offset)
      throw Difference{
          tensor.name,
          fmt::format(
              "layer '{}': offset of {}: expected {}, found {}", tensor.name,
              place_text(tensor, element),
              is_exact ? "none" : check.terms.chains().last(value.chain).functions.steps[0].text(),
              tensor.offsets[at(channel)])};
  } else if (tensor.named && !is_exact) {
    throw Difference{tensor.name,
                     fmt::format("layer '{}': {} is real, and a tensor of integers cannot hold it",
                                 tensor.name, place_text(tensor, element))};
  }
  return check.terms.base(value);
}

void expect_decimal(const VisibleTensor& tensor, std::int64_t element, int expected) {
  if (tensor.decimal(element) != expected)
    throw Difference{tensor.name,
                     fmt::format("layer '{}': decimal of {}: expected {}, found {}", tensor.name,
                                 place_text(tensor, element), expected, tensor.decimal(element))};
}

}  // namespace lockstep::verify
