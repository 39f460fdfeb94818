// Typed access to the members of one JSON object. Whatever is wrong becomes an InputError that
// names the owner ("graph.json: layer 'conv1'"), the member, the value found and the values
// allowed.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lockstep {

class Fields {
 public:
  // `object` must outlive this. InputError unless it is an object; `what` says what it should be.
  Fields(const nlohmann::json& object, std::string owner, std::string_view what);

  // nullptr when absent. Every member that is asked for counts as known.
  const nlohmann::json* find(std::string_view name);
  const nlohmann::json& require(std::string_view name);
  // InputError naming a member that nobody asked for, and all that exist.
  void refuse_unknown_members() const;

  std::string text(std::string_view name);
  // Absent members keep `value`.
  void read_integer(std::string_view name, std::int64_t& value, std::int64_t lo, std::int64_t hi);
  void read_number(std::string_view name, double& value, double lo, double hi);
  void read_flag(std::string_view name, bool& value);

  // The same for a value that is already at hand; `name` is for the message.
  std::int64_t to_integer(const nlohmann::json& value, std::string_view name, std::int64_t lo,
                          std::int64_t hi) const;
  double to_number(const nlohmann::json& value, std::string_view name, double lo, double hi) const;
  bool to_flag(const nlohmann::json& value, std::string_view name) const;
  // Of at least `least` and at most `most` elements.
  const nlohmann::json& to_list(const nlohmann::json& value, std::string_view name,
                                std::size_t least, std::size_t most) const;

  const std::string& owner() const { return owner_; }
  void set_owner(std::string owner) { owner_ = std::move(owner); }
  // "<owner>: <name> = <value>, but <allowed>"
  [[noreturn]] void refuse(std::string_view name, const nlohmann::json& value,
                           std::string_view allowed) const;

 private:
  const nlohmann::json& object_;
  std::string owner_;
  std::set<std::string, std::less<>> known_;
};

// One line, at most about 60 characters, for messages.
std::string shown(const nlohmann::json& value);

}  // namespace lockstep
