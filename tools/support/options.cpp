#include "tools/support/options.h"

#include <fmt/format.h>

#include <charconv>

#include "compile/support/error.h"

namespace lockstep::cli {
namespace {

// CLI11 would clamp or wrap a number that is too large. False unless all of `text` is one that
// fits.
template <typename Number>
bool parse(const std::string& text, Number& value) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end;
}

template <typename Number>
std::string default_text(Number value) {
  return fmt::to_string(value);
}

template <typename Number>
std::string default_text(const std::optional<Number>&) {
  return "";
}

}  // namespace

CLI::Option* add_path(CLI::App& verb, const std::string& name, std::filesystem::path& value,
                      const std::string& help, const std::string& value_name) {
  return verb
      .add_option_function<std::string>(
          name,
          [name, &value](const std::string& text) {
            if (text.empty()) throw InputError(fmt::format("{}: the name is empty", name));
            value = text;
          },
          help)
      ->type_name(value_name);
}

template <typename Value>
CLI::Option* add_integer(CLI::App& verb, const std::string& name, Value& value,
                         typename NumberIn<Value>::Type lo, typename NumberIn<Value>::Type hi,
                         const std::string& help) {
  return verb
      .add_option_function<std::string>(
          name,
          [name, &value, lo, hi](const std::string& text) {
            typename NumberIn<Value>::Type number{};
            if (!parse(text, number) || number < lo || number > hi)
              throw InputError(
                  fmt::format("{} {}: must be a whole number from {} to {}", name, text, lo, hi));
            value = number;
          },
          help)
      ->default_str(default_text(value))
      ->type_name("N");
}

template CLI::Option* add_integer(CLI::App&, const std::string&, int&, int, int,
                                  const std::string&);
template CLI::Option* add_integer(CLI::App&, const std::string&, std::int64_t&, std::int64_t,
                                  std::int64_t, const std::string&);
template CLI::Option* add_integer(CLI::App&, const std::string&, std::uint64_t&, std::uint64_t,
                                  std::uint64_t, const std::string&);
template CLI::Option* add_integer(CLI::App&, const std::string&, std::optional<std::int64_t>&,
                                  std::int64_t, std::int64_t, const std::string&);
template CLI::Option* add_integer(CLI::App&, const std::string&, std::optional<std::uint64_t>&,
                                  std::uint64_t, std::uint64_t, const std::string&);

template <typename Value>
void add_positive_real(CLI::App& verb, const std::string& name, Value& value, double hi,
                       const std::string& help, const std::string& value_name) {
  verb.add_option_function<std::string>(
          name,
          [name, &value, hi](const std::string& text) {
            double number = 0.0;
            // Written so that "nan" is refused, too.
            if (!parse(text, number) || !(number > 0.0 && number <= hi))
              throw InputError(
                  fmt::format("{} {}: must be a number above 0 and at most {:g}", name, text, hi));
            value = number;
          },
          help)
      ->default_str(default_text(value))
      ->type_name(value_name);
}

template void add_positive_real(CLI::App&, const std::string&, double&, double, const std::string&,
                                const std::string&);
template void add_positive_real(CLI::App&, const std::string&, std::optional<double>&, double,
                                const std::string&, const std::string&);

}  // namespace lockstep::cli
