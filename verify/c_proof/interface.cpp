#include "verify/c_proof/interface.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <optional>

#include "intrt/plan_format.h"

namespace lockstep::c_proof {
namespace {

using checker::Plan;
using checker::PlanTensor;

constexpr Int kMostScratch = 1 << 24;  // bytes behind the plan's arena

std::string upper(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

// The types' numbers in the table.
Int type_of(const PlanTensor& tensor) {
  if (tensor.is_raw) return 4;
  const Int size = tensor.bytes / tensor.count();
  return size == 1 ? 1 : size == 2 ? 2 : 3;
}

class Interface {
 public:
  Interface(const Source& source, const Plan& plan) : source_(source), plan_(plan) {}

  void compare_tensors() {
    require("", source_.tensors.size() == plan_.tensors.size(), "another number of tensors");
    for (std::size_t t = 0; t < plan_.tensors.size(); ++t) compare(plan_.tensors[t], t);
  }

  void compare_list(const std::string& name, const std::vector<std::size_t>& indices) const {
    const auto found = source_.table_of.find(name);
    require("", found != source_.table_of.end(), name + " is missing");
    const Table& table = source_.tables[static_cast<std::size_t>(found->second)];
    require("",
            table.element == Type{false, 16, false} &&
                std::ranges::equal(table.numbers, indices,
                                   [](Int a, std::size_t b) { return a == static_cast<Int>(b); }),
            name + " is another list than the plan's");
  }

 private:
  static void require(const std::string& layer, bool holds, const std::string& text) {
    if (!holds)
      throw checker::Failure{true, layer, "C", fmt::format("the C's table of tensors: {}", text)};
  }

  // The numbers of a member that is a table of this type, none where it is 0; nothing for any
  // other.
  std::optional<std::vector<Int>> list(const Entry& entry, const Type& type) const {
    if (entry.kind == Entry::Kind::kNumber && entry.number == 0) return std::vector<Int>();
    if (entry.kind != Entry::Kind::kTable) return std::nullopt;
    const Table& table = source_.tables[static_cast<std::size_t>(entry.number)];
    return table.element == type ? std::optional(table.numbers) : std::nullopt;
  }

  void compare(const PlanTensor& tensor, std::size_t t) const {
    const std::vector<Entry>& members = source_.tensors[t];
    const auto require_member = [&](bool holds, std::string_view member) {
      require(tensor.name, holds,
              fmt::format("member {} of tensor {} '{}' is not the plan's", member, t, tensor.name));
    };
    require_member(members.size() == 13, "by member");
    require_member(members[0].kind == Entry::Kind::kString && members[0].text == tensor.name,
                   "name");
    const std::vector<int>& decimals = tensor.decimals;
    const bool has_one_decimal = members[4].number == 1;
    const std::pair<std::string_view, Int> numbers[] = {{"type", type_of(tensor)},
                                                        {"bits", tensor.bits},
                                                        {"logical_rank", tensor.logical_rank},
                                                        {"decimal_count", has_one_decimal ? 1 : 0},
                                                        {"channels", tensor.channels},
                                                        {"height", tensor.height},
                                                        {"width", tensor.width},
                                                        {"arena_offset", tensor.arena_offset}};
    for (std::size_t i = 0; i < std::size(numbers); ++i)
      require_member(
          members[i + 1].kind == Entry::Kind::kNumber && members[i + 1].number == numbers[i].second,
          numbers[i].first);
    auto found = list(members[9], {false, 8, true});
    require_member(found && !found->empty(), "decimals");
    // Who reads the C takes the first one for all channels, whatever follows it.
    if (has_one_decimal) found = std::vector<Int>(decimals.size(), (*found)[0]);
    require_member(std::ranges::equal(*found, decimals), "decimals");
    const auto offsets = list(members[10], {false, 32, false});
    require_member(offsets && std::ranges::equal(*offsets, tensor.offsets,
                                                 [](Int bits, float offset) {
                                                   return bits ==
                                                          std::bit_cast<std::uint32_t>(offset);
                                                 }),
                   "offsets");
    const auto map = list(members[11], {false, 16, false});
    require_member(map && (tensor.has_map ? *map == tensor.channel_of : map->empty()),
                   "channel_map");
    const Int flags = (tensor.is_input ? INTRT_TENSOR_INPUT : 0U) |
                      (tensor.is_output ? INTRT_TENSOR_OUTPUT : 0U) |
                      (tensor.is_named ? INTRT_TENSOR_NAMED : 0U);
    require_member(members[12].kind == Entry::Kind::kNumber && members[12].number == flags,
                   "flags");
  }

  const Source& source_;
  const Plan& plan_;
};

}  // namespace

Int require_interface(const Source& source, const std::map<std::string_view, Int>& constants,
                      const std::string& prefix, const Plan& plan) {
  Interface interface(source, plan);
  interface.compare_tensors();
  interface.compare_list(prefix + "_inputs", plan.inputs);
  interface.compare_list(prefix + "_outputs", plan.outputs);
  const auto constant = [&](std::string_view name, Int least, Int most) {
    const std::string macro = fmt::format("{}_{}", upper(prefix), name);
    const auto found = constants.find(macro);
    if (found == constants.end() || found->second < least || found->second > most)
      throw checker::Failure{true, "", "C",
                             fmt::format("the C's {} is not {}{}", macro, least,
                                         least == most ? "" : fmt::format(" to {}", most))};
    return found->second;
  };
  const auto same = [&](std::string_view name, Int number) { constant(name, number, number); };
  same("TENSOR_COUNT", std::ssize(plan.tensors));
  same("INPUT_COUNT", std::ssize(plan.inputs));
  same("OUTPUT_COUNT", std::ssize(plan.outputs));
  return constant("ARENA_BYTES", plan.arena_bytes, plan.arena_bytes + kMostScratch);
}

}  // namespace lockstep::c_proof
