#include "compile/support/strict_json.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "compile/support/error.h"
#include "compile/support/printable.h"

namespace lockstep {
namespace {

using nlohmann::json;

// Builds the value while it checks it. The path of open containers is kept for messages.
class StrictBuilder final : public nlohmann::json_sax<json> {
 public:
  StrictBuilder(const std::string& name, const JsonLimits& limits) : name_(name), limits_(limits) {}

  json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // never called for text

  bool start_object(std::size_t) override { return open(json::object()); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& key) override {
    Level& level = levels_.back();
    if (level.container->contains(key))
      throw InputError(fmt::format("{}: {}duplicate key {}", name_, owner(), path_to(key)));
    level.key = std::move(key);
    return true;
  }

  bool parse_error(std::size_t, const std::string&,
                   const nlohmann::detail::exception& error) override {
    std::string_view reason =
        error.what();  // "[json.exception.parse_error.101] parse error at ..."
    if (const std::size_t end = reason.find("] "); end != std::string_view::npos)
      reason.remove_prefix(end + 2);
    constexpr std::size_t kLongest = 240;  // the reason quotes the token, whatever its length
    throw InputError(fmt::format("{}: not valid JSON: {}", name_, printable(reason, kLongest)));
  }

 private:
  struct Level {
    json* container;
    std::string key;  // of the value being read, in an object
  };

  json* insert(json value) {
    if (++values_ > limits_.values)
      throw InputError(fmt::format("{}: more than {} JSON values", name_, limits_.values));
    if (levels_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Level& level = levels_.back();
    if (level.container->is_array()) {
      level.container->push_back(std::move(value));
      return &level.container->back();
    }
    return &((*level.container)[level.key] = std::move(value));
  }
  bool add(json value) {
    insert(std::move(value));
    return true;
  }
  bool open(json container) {
    if (levels_.size() == limits_.depth)
      throw InputError(fmt::format("{}: JSON nested deeper than {} levels", name_, limits_.depth));
    levels_.push_back({insert(std::move(container)), {}});
    return true;
  }
  bool close() {
    levels_.pop_back();
    return true;
  }

  std::string path_to(const std::string& key) const {
    std::string path;
    for (std::size_t i = 0; i + 1 < levels_.size(); ++i) {
      const Level& level = levels_[i];
      if (level.container->is_array())
        path += fmt::format("[{}]", level.container->size() - 1);
      else
        path += path.empty() ? level.key : "." + level.key;
    }
    path += path.empty() ? key : "." + key;
    return printable(json(path).dump(-1, ' ', false, json::error_handler_t::replace));
  }
  // "'conv1': " for the innermost enclosing object whose name has been read already.
  std::string owner() const {
    for (auto level = levels_.rbegin(); level != levels_.rend(); ++level) {
      const json& container = *level->container;
      if (container.is_object() && container.contains("name") && container["name"].is_string())
        return printable(container["name"].dump()) + ": ";
    }
    return {};
  }

  const std::string& name_;
  const JsonLimits& limits_;
  json root_;
  std::vector<Level> levels_;
  std::size_t values_ = 0;
};

}  // namespace

json parse_strict_json(std::string_view text, const std::string& name_for_errors,
                       const JsonLimits& limits) {
  StrictBuilder builder(name_for_errors, limits);
  json::sax_parse(text, &builder);
  return builder.take();
}

}  // namespace lockstep
