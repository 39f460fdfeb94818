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
constexpr Int kMostConstants = UINT32_MAX;

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

// The macros of the header.
class Macros {
 public:
  Macros(const Tokens& tokens, std::string prefix) : tokens_(tokens), prefix_(std::move(prefix)) {}

  // Its number, which must lie between these.
  Int require(const std::string& name, Int least, Int most) const {
    const std::string macro = full(name);
    const auto found = tokens_.constants.find(macro);
    if (found == tokens_.constants.end() || found->second < least || found->second > most)
      fail(fmt::format("{} is not {}{}", macro, least,
                       least == most ? "" : fmt::format(" to {}", most)));
    return found->second;
  }
  void require(const std::string& name, Int number) const { require(name, number, number); }

  // Those of an input or output: PREFIX_INPUT0_HEIGHT, ...
  void require_place(const std::string& place, const PlanTensor& tensor) const {
    const std::string type = full(place + "_TYPE");
    const auto found = tokens_.names.find(type);
    const char* const expected = kTypeNames[type_of(tensor) - 1];
    if (found == tokens_.names.end() || found->second != expected)
      fail(fmt::format("{} is not {}", type, expected));
    const Int half = Int{1} << (tensor.bits - 1);
    require(place + "_OFFSET", tensor.arena_offset);
    require(place + "_HEIGHT", tensor.height);
    require(place + "_WIDTH", tensor.width);
    require(place + "_CHANNELS", tensor.channels);
    require(place + "_ELEMENTS", tensor.count());
    require(place + "_LOWEST", tensor.is_raw ? 0 : -half);
    require(place + "_HIGHEST", tensor.is_raw ? 255 : half - 1);
    const std::vector<int>& decimals = tensor.decimals;
    const std::string decimal = full(place + "_DECIMAL");
    if (!tensor.is_raw && std::ranges::count(decimals, decimals[0]) == std::ssize(decimals))
      require(place + "_DECIMAL", decimals[0]);
    else if (tokens_.constants.contains(decimal))
      fail(fmt::format("{}: there is no one decimal", decimal));
  }

 private:
  static constexpr const char* kTypeNames[] = {"int8_t", "int16_t", "int32_t", "uint8_t"};

  std::string full(const std::string& name) const { return fmt::format("{}_{}", prefix_, name); }
  [[noreturn]] static void fail(const std::string& text) {
    throw checker::Failure{true, "", "C", "the C's " + text};
  }

  const Tokens& tokens_;
  std::string prefix_;
};

// Of the tables of the network, but for that of its tensors; those within functions have other
// names.
Int table_bytes(const Source& source, const std::string& prefix) {
  Int bytes = 0;
  for (const Table& table : source.tables)
    if (table.name.starts_with(prefix + "_"))
      bytes += table.element.size() * std::ssize(table.numbers);
  return bytes;
}

}  // namespace

std::string upper(std::string prefix) {
  for (char& c : prefix)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return prefix;
}

Int require_interface(const Source& source, const Tokens& tokens, const std::string& prefix,
                      const Plan& plan) {
  Interface interface(source, plan);
  interface.compare_tensors();
  interface.compare_list(prefix + "_inputs", plan.inputs);
  interface.compare_list(prefix + "_outputs", plan.outputs);
  const Macros macros(tokens, upper(prefix));
  macros.require("TENSOR_COUNT", std::ssize(plan.tensors));
  macros.require("INPUT_COUNT", std::ssize(plan.inputs));
  macros.require("OUTPUT_COUNT", std::ssize(plan.outputs));
  for (const auto& [kind, indices] :
       {std::pair("INPUT", &plan.inputs), std::pair("OUTPUT", &plan.outputs)})
    for (std::size_t i = 0; i < indices->size(); ++i)
      macros.require_place(fmt::format("{}{}", kind, i), plan.tensors[(*indices)[i]]);
  macros.require("ARENA_ALIGNMENT", INTRT_ARENA_ALIGNMENT);
  macros.require("CONSTANT_BYTES", table_bytes(source, prefix), kMostConstants);
  return macros.require("ARENA_BYTES", plan.arena_bytes, plan.arena_bytes + kMostScratch);
}

}  // namespace lockstep::c_proof
