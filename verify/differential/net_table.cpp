#include "verify/differential/net_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace lockstep::verify {
namespace {

// Compares one number after the other and keeps the first difference.
class Differences {
 public:
  explicit Differences(std::string_view teller) : teller_(teller) {}

  template <typename T>
  void compare(const std::string& layer, const std::string& what, const T& plan, const T& c) {
    if (!first_ && plan != c)
      first_ = TableDifference{
          layer, fmt::format("{}: the plan says {}, {} says {}", what, plan, teller_, c)};
  }
  const std::optional<TableDifference>& first() const { return first_; }

 private:
  std::string_view teller_;
  std::optional<TableDifference> first_;
};

std::vector<std::string> names_of(const NetTable& table,
                                  const std::vector<std::uint32_t>& indices) {
  std::vector<std::string> names;
  for (const std::uint32_t index : indices) names.push_back(table.tensors[index].name);
  return names;
}

}  // namespace

NetTable plan_table(const OpenPlan& plan) {
  NetTable table;
  table.arena_bytes = intrt_arena_bytes(plan.get());
  for (std::uint32_t t = 0; t < intrt_tensor_count(plan.get()); ++t) {
    table.tensors.push_back(plan.tensor(t));
    table.arena_offsets.push_back(plan.tensor_record(t).arena_offset);
  }
  for (std::uint32_t i = 0; i < intrt_input_count(plan.get()); ++i)
    table.inputs.push_back(intrt_input(plan.get(), i));
  for (std::uint32_t i = 0; i < intrt_output_count(plan.get()); ++i)
    table.outputs.push_back(intrt_output(plan.get(), i));
  return table;
}

std::optional<TableDifference> first_difference(const NetTable& plan, const NetTable& c,
                                                std::string_view teller) {
  Differences differences(teller);
  const std::string& whole = plan.tensors[plan.outputs[0]].name;
  for (std::size_t t = 0; t < std::min(plan.tensors.size(), c.tensors.size()); ++t) {
    const VisibleTensor &expected = plan.tensors[t], &found = c.tensors[t];
    const auto compare = [&](const char* what, const auto& of_plan, const auto& of_c) {
      differences.compare(expected.name, fmt::format("{} of tensor {}", what, t), of_plan, of_c);
    };
    compare("name", expected.name, found.name);
    compare("bytes per code", expected.element_bytes, found.element_bytes);
    compare("bits", expected.bits, found.bits);
    compare("rank", expected.logical_rank, found.logical_rank);
    compare("channels", expected.channels, found.channels);
    compare("height", expected.height, found.height);
    compare("width", expected.width, found.width);
    compare("decimals", expected.decimals, found.decimals);
    compare("flag 'named'", expected.named, found.named);
    compare("raw bytes", expected.bytes, found.bytes);
    compare("offsets", expected.offsets, found.offsets);
    compare("channel map", expected.channel_map, found.channel_map);
    compare("arena offset", plan.arena_offsets[t], c.arena_offsets[t]);
  }
  differences.compare(whole, "number of tensors", plan.tensors.size(), c.tensors.size());
  if (differences.first()) return differences.first();  // else the indices below mean the same
  differences.compare(whole, "inputs", names_of(plan, plan.inputs), names_of(c, c.inputs));
  differences.compare(whole, "outputs", names_of(plan, plan.outputs), names_of(c, c.outputs));
  // The C may need memory of its own beside the plan's.
  if (c.arena_bytes < plan.arena_bytes)
    differences.compare(whole, "bytes of the arena", plan.arena_bytes, c.arena_bytes);
  return differences.first();
}

TableDifference self_test_difference(const NetTable& plan, std::int64_t position) {
  std::int64_t all = 0, rest = position;
  for (const std::uint32_t output : plan.outputs) all += plan.tensors[output].element_count();
  const std::int64_t which = rest / all;
  rest %= all;
  for (const std::uint32_t output : plan.outputs) {
    const VisibleTensor& tensor = plan.tensors[output];
    if (rest < tensor.element_count())
      return {
          tensor.name,
          fmt::format("self test: element {} in its case {} is not the known answer", rest, which)};
    rest -= tensor.element_count();
  }
  return {plan.tensors[plan.outputs[0]].name, "self test: failed"};
}

}  // namespace lockstep::verify
