#include "compile/graph/fields.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>

#include "compile/support/error.h"

namespace lockstep {
namespace {

using nlohmann::json;

// JSON has one kind of number: 3.0 is the integer 3; 3.7 and 2^64 are none.
std::optional<std::int64_t> exact_integer(const json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
    return static_cast<std::int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  constexpr double kExactBelow = 9007199254740992.0;  // 2^53
  if (!(std::fabs(number) < kExactBelow) || std::trunc(number) != number) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

}  // namespace

std::string shown(const json& value) {
  constexpr std::size_t kLongest = 60;
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);  // ASCII only
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

Fields::Fields(const json& object, std::string owner, std::string_view what)
    : object_(object), owner_(std::move(owner)) {
  if (!object.is_object())
    throw InputError(fmt::format("{}: {} must be an object, not {}", owner_, what, shown(object)));
}

const json* Fields::find(std::string_view name) {
  known_.emplace(name);
  const auto found = object_.find(name);
  return found == object_.end() ? nullptr : &*found;
}

const json& Fields::require(std::string_view name) {
  const json* const value = find(name);
  if (value == nullptr) throw InputError(fmt::format("{}: '{}' is missing", owner_, name));
  return *value;
}

void Fields::refuse_unknown_members() const {
  for (const auto& [name, value] : object_.items())
    if (!known_.contains(name))
      throw InputError(
          known_.empty() ? fmt::format("{}: unknown {}; none is allowed here", owner_, shown(name))
                         : fmt::format("{}: unknown {}; allowed: {}", owner_, shown(name),
                                       fmt::join(known_, ", ")));
}

void Fields::refuse(std::string_view name, const json& value, std::string_view allowed) const {
  throw InputError(fmt::format("{}: {} = {}, but {}", owner_, name, shown(value), allowed));
}

std::string Fields::text(std::string_view name) {
  const json& value = require(name);
  if (!value.is_string()) refuse(name, value, "it must be a string");
  return value.get<std::string>();
}

void Fields::read_integer(std::string_view name, std::int64_t& value, std::int64_t lo,
                          std::int64_t hi) {
  if (const json* const found = find(name)) value = to_integer(*found, name, lo, hi);
}

void Fields::read_number(std::string_view name, double& value, double lo, double hi) {
  if (const json* const found = find(name)) value = to_number(*found, name, lo, hi);
}

void Fields::read_flag(std::string_view name, bool& value) {
  if (const json* const found = find(name)) value = to_flag(*found, name);
}

std::int64_t Fields::to_integer(const json& value, std::string_view name, std::int64_t lo,
                                std::int64_t hi) const {
  const std::optional<std::int64_t> number = exact_integer(value);
  if (!number || *number < lo || *number > hi)
    refuse(name, value,
           lo == hi ? fmt::format("only the integer {} is supported", lo)
                    : fmt::format("it must be an integer from {} to {}", lo, hi));
  return *number;
}

double Fields::to_number(const json& value, std::string_view name, double lo, double hi) const {
  if (!value.is_number() || !(value.get<double>() >= lo && value.get<double>() <= hi))
    refuse(name, value, fmt::format("it must be a number from {} to {}", lo, hi));
  return value.get<double>();
}

bool Fields::to_flag(const json& value, std::string_view name) const {
  if (!value.is_boolean()) refuse(name, value, "it must be true or false");
  return value.get<bool>();
}

const json& Fields::to_list(const json& value, std::string_view name, std::size_t least,
                            std::size_t most) const {
  if (!value.is_array() || value.size() < least || value.size() > most)
    refuse(name, value,
           least == most ? fmt::format("it must be a list of {} values", least)
                         : fmt::format("it must be a list of {} to {} values", least, most));
  return value;
}

}  // namespace lockstep
