// Options whose values are checked as they are read, so that a wrong one is refused by the option's
// name before the command does anything.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace lockstep::cli {

// An option that names a file or folder; an empty name is refused. `value_name` is for the help.
CLI::Option* add_path(CLI::App& verb, const std::string& name, std::filesystem::path& value,
                      const std::string& help, const std::string& value_name);

template <typename Value>
struct NumberIn {
  using Type = Value;
};
template <typename Number>
struct NumberIn<std::optional<Number>> {
  using Type = Number;
};

// A decimal number from `lo` to `hi`, which are shown when it is anything else, however long.
// `value` is a number, whose value before is the default that the help shows, or an optional one,
// whose default `help` names.
template <typename Value>  // of int, std::int64_t, std::uint64_t
CLI::Option* add_integer(CLI::App& verb, const std::string& name, Value& value,
                         typename NumberIn<Value>::Type lo, typename NumberIn<Value>::Type hi,
                         const std::string& help);

// A number above 0 and at most `hi`.
template <typename Value>  // of double
void add_positive_real(CLI::App& verb, const std::string& name, Value& value, double hi,
                       const std::string& help, const std::string& value_name);

}  // namespace lockstep::cli
