// Text of C programs: indented lines, literals, identifiers and names.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "compile/ir/ir.h"

namespace lockstep::backends {

// Collects lines; a line that ends with '{' indents what follows, one that starts with '}' ends
// that.
class CText {
 public:
  template <typename... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    add(fmt::format(format, std::forward<Args>(args)...));
  }
  void blank() { text_ += '\n'; }
  void verbatim(std::string_view text) { text_ += text; }

  // static const TYPE NAME[] = {...};  `elements` is not empty. The type ends in its bits and _t.
  void array(std::string_view type, std::string_view name,
             const std::vector<std::int64_t>& elements);
  // The bytes of all arrays so far, with those that were written as lines and counted here.
  std::int64_t constant_bytes() const { return constant_bytes_; }
  void count_constants(std::int64_t bytes) { constant_bytes_ += bytes; }

  std::string take() { return std::move(text_); }

 private:
  void add(std::string_view line);

  std::string text_;
  int depth_ = 0;
  std::int64_t constant_bytes_ = 0;
};

std::string_view c_type(ir::ElementType type);  // "int8_t", ...
// The narrowest of int8_t, ..., int64_t that holds all of `elements`.
std::string_view narrowest_type(const std::vector<std::int64_t>& elements);
std::string c_integer(std::int64_t value);  // a literal; INT32_MIN has none by itself
std::string c_string(
    std::string_view text);  // quoted; whatever is not plain ASCII as octal escapes
std::string in_comment(std::string_view text);  // with whatever could end a comment replaced

// Integer expressions without what changes nothing: plus("x", "0") is "x", times("x + y", 3) is "(x
// + y) * 3".
std::string plus(std::string_view a, std::string_view b);
std::string plus(std::string_view a, std::int64_t b);
std::string times(std::string_view a, std::int64_t factor);

// A pointer to element `index` of `array`. The index is one integer expression, so that no pointer
// ever leaves the array on the way.
std::string address(std::string_view array, std::string_view index);

// The macro prefix: "net" gives "NET".
std::string upper(std::string_view prefix);

// InputError unless it can begin every file's and symbol's name: a C identifier, not too long.
void require_c_prefix(const std::string& prefix);

}  // namespace lockstep::backends
