#include "verify/mutate/c_sites.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <optional>

namespace lockstep::mutate {
namespace {

using Site = CMutants::Site;

enum class TokenKind : std::uint8_t { kWord, kNumber, kSign };
struct Token {
  TokenKind kind = TokenKind::kSign;
  std::string_view text;
  std::size_t offset = 0;
};

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Comments, strings and preprocessor lines are no tokens.
std::vector<Token> tokens_of(std::string_view source) {
  static constexpr std::array<std::string_view, 15> kLong = {
      "<<=", ">>=", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+=", "-=", "++", "--", "->"};
  std::vector<Token> tokens;
  std::size_t i = 0;
  bool is_line_start = true;
  while (i < source.size()) {
    const char c = source[i];
    const std::string_view rest = source.substr(i);
    std::size_t length = 1;
    if (c == '\n') {
      is_line_start = true;
      ++i;
      continue;
    }
    if (c == ' ') {
      ++i;
      continue;
    }
    if (rest.starts_with("/*")) {
      i = source.find("*/", i) + 2;
      continue;
    }
    if (c == '"') {
      i = source.find('"', i + 1) + 1;
      continue;
    }
    if (c == '#' && is_line_start) {
      do {
        i = std::min(source.find('\n', i + 1), source.size());
      } while (i < source.size() && source[i - 1] == '\\');
      continue;
    }
    is_line_start = false;
    TokenKind kind = TokenKind::kSign;
    if (is_word(c)) {
      kind = is_digit(c) ? TokenKind::kNumber : TokenKind::kWord;
      while (length < rest.size() && is_word(rest[length])) ++length;
    } else {
      for (const std::string_view sign : kLong)
        if (rest.starts_with(sign)) {
          length = sign.size();
          break;
        }
    }
    tokens.push_back({kind, rest.substr(0, length), i});
    i += length;
  }
  return tokens;
}

// Whether it is one of intrt/micro.
bool is_kernel(std::string_view name) {
  return name.starts_with("intrt_dsp_") || name.starts_with("intrt_packed_") ||
         name.starts_with("intrt_mve_");
}

class Scanner {
 public:
  explicit Scanner(std::string_view source) : source_(source), tokens_(tokens_of(source)) {}

  CSites scan() {
    macros();
    for (std::size_t i = 0; i < tokens_.size();) i = definition(i);
    other_tables();
    return std::move(sites_);
  }

 private:
  std::string_view text(std::size_t i) const {
    return i < tokens_.size() ? tokens_[i].text : std::string_view();
  }
  bool is(std::size_t i, std::string_view what) const { return text(i) == what; }

  // Behind the bracket that closes the one at i.
  std::size_t behind(std::size_t i) const {
    int depth = 0;
    for (; i < tokens_.size(); ++i) {
      if (is(i, "(") || is(i, "[") || is(i, "{")) ++depth;
      if (is(i, ")") || is(i, "]") || is(i, "}")) --depth;
      if (depth == 0) return i + 1;
    }
    return i;
  }

  void add(const std::string& kind, std::size_t token, std::vector<std::string> choices) {
    add(kind, tokens_[token].offset, tokens_[token].text.size(), std::move(choices));
  }
  void add(const std::string& kind, std::size_t offset, std::size_t length,
           std::vector<std::string> choices) {
    const std::string_view before = source_.substr(offset, length);
    std::erase(choices, before);
    if (!choices.empty()) sites_[kind][place_].push_back({offset, length, choices, false});
  }
  void add_number(const std::string& kind, std::size_t token) {
    std::int64_t number = 0;
    const std::string_view digits = text(token);
    const char* const end = digits.data() + digits.size();
    const std::string suffix(std::from_chars(digits.data(), end, number).ptr, end);
    std::vector<std::string> choices = {std::to_string(number + 1) + suffix};
    if (number > 0) choices.push_back(std::to_string(number - 1) + suffix);
    if (number > 2) choices.push_back(std::to_string(2 * number) + suffix);
    if (kind == "arena offset") {
      choices = {std::to_string(number + 16) + suffix};
      if (number >= 16) choices.push_back(std::to_string(number - 16) + suffix);
    }
    add(kind, token, std::move(choices));
  }

  // #define NAME NUMBER, the number with or without brackets and a sign.
  void macros() {
    place_ = "macros";
    for (std::size_t line = source_.find("#define "); line != source_.npos;
         line = source_.find("#define ", line + 1)) {
      const std::size_t end = source_.find('\n', line);
      const std::string_view all = source_.substr(line, end - line);
      const std::size_t last = all.find_last_not_of(')');
      if (!is_digit(all[last]) || all.find('(') < all.find(' ', 8)) continue;
      std::size_t first = last;
      while (is_digit(all[first - 1])) --first;
      if (is_word(all[first - 1])) continue;
      std::int64_t number = 0;
      std::from_chars(all.data() + first, all.data() + last + 1, number);
      add("macro", line + first, last + 1 - first, {std::to_string(number + 1)});
    }
  }

  // A table or a function; returns the token behind it.
  std::size_t definition(std::size_t i) {
    std::optional<std::size_t> name, bracket;
    bool is_table = false;
    for (; i < tokens_.size() && !is(i, ";") && !is(i, "{"); ++i) {
      is_table = is_table || is(i, "=");
      if (!bracket && (is(i, "(") || is(i, "["))) {
        bracket = i;
        name = i - 1;
      }
    }
    if (!is(i, "{") || !name) return i + 1;
    place_ = std::string(text(*name));
    const std::size_t end = behind(i);
    if (is_kernel(place_)) return end;  // known word for word
    if (place_.starts_with("intrt_")) place_ = "the arithmetic";
    if (is_table)
      table(*name, i, end);
    else
      function(*bracket, i, end);
    return end;
  }

  void table(std::size_t name, std::size_t begin, std::size_t end) {
    tables_.push_back(place_);
    std::string kind = "tensor row";
    if (!place_.ends_with("tensors")) {
      kind = "table " + place_.substr(place_.rfind('_') + 1);
      while (is_digit(kind.back())) kind.pop_back();  // of the tensor, or the input of an add
    }
    if (is(name - 1, "int8_t") || is(name - 1, "int16_t") || is(name - 1, "int32_t"))
      add("type", name - 1, {"int8_t", "int16_t", "int32_t"});
    for (std::size_t i = begin; i < end; ++i) {
      if (tokens_[i].kind != TokenKind::kNumber) continue;
      if (kind == "tensor row") {
        add_number(kind, i);
        continue;
      }
      const std::size_t sign = is(i - 1, "-") ? 1 : 0;
      sites_[kind][place_].push_back({tokens_[i].offset - sign, text(i).size() + sign, {}, true});
    }
  }

  // What the innermost round brackets around a token belong to.
  struct Around {
    std::string call;
    bool is_index = false, is_for = false;
    int parts = 0;  // of a for: which of the three
  };

  void function(std::size_t parameters, std::size_t begin, std::size_t end) {
    is_run_ = place_.ends_with("_run");
    std::vector<Around> around(1);
    for (std::size_t i = parameters; i < end; ++i) {
      if (i >= begin && is(i, "LOCKSTEP_OBSERVE")) {
        i = behind(i + 1);
        continue;
      }
      if (is(i, "(") || is(i, "[")) {
        const std::string before(text(i - 1));
        around.push_back({is(i, "(") && is_word(before[0]) ? before : "", is(i, "["),
                          is(i, "(") && before == "for", 0});
      } else if (is(i, ")") || is(i, "]")) {
        around.pop_back();
      } else if (is(i, ";")) {
        ++around.back().parts;
      }
      if (i > begin) token(i, around.back());
      if (i > begin && (is(i - 1, ";") || is(i - 1, "{") || is(i - 1, "}")) &&
          !around.back().is_for)
        statement(i);
      if (i < begin) type(i);
    }
  }

  void token(std::size_t i, const Around& around) {
    if (tokens_[i].kind == TokenKind::kNumber) return number(i, around);
    if (tokens_[i].kind == TokenKind::kWord) return word(i);
    static const std::map<std::string_view, std::vector<std::string>> kOperators = {
        {"+", {"-", "*"}},   {"-", {"+"}},        {"*", {"+"}},   {"<", {"<=", ">"}},
        {"<=", {"<", ">="}}, {">", {">=", "<"}},  {">=", {">"}},  {"==", {"!="}},
        {"!=", {"=="}},      {">>", {"<<"}},      {"<<", {">>"}}, {"&&", {"||"}},
        {"||", {"&&"}},      {"&", {"|"}},        {"/", {"*"}},   {"%", {"/"}},
        {"+=", {"-=", "="}}, {"-=", {"+=", "="}}, {"++", {"--"}}, {"--", {"++"}},
        {">>=", {"<<="}},    {"<<=", {">>="}}};
    const auto found = kOperators.find(text(i));
    if (found == kOperators.end()) return;
    // A pointer's star and an address are no operators, nor is the sign of a number.
    const bool is_binary = tokens_[i - 1].kind != TokenKind::kSign || is(i - 1, ")") ||
                           is(i - 1, "]") || text(i).size() > 1;
    const bool is_pointer =
        is(i, "*") && (is(i + 1, "const") || text(i - 1).ends_with("_t") || text(i - 1) == "void");
    if (is_binary && !is_pointer) add("operator", i, found->second);
  }

  void number(std::size_t i, const Around& around) {
    if (is_run_) return add_number("arena offset", i);
    if (around.is_for) {
      static const std::array<std::string, 3> kParts = {"loop start", "loop bound", "loop step"};
      return add_number(kParts.at(static_cast<std::size_t>(std::min(around.parts, 2))), i);
    }
    if (around.is_index) return add_number("index", i);
    if (is(i - 1, "+=") && is(i + 1, ";")) return add_number("pointer step", i);
    if (is_kernel(around.call)) return add_number("kernel argument", i);
    if (around.call.starts_with("intrt_")) return add_number("limit", i);
    add_number("constant", i);
  }

  void word(std::size_t i) {
    if (is_kernel(text(i))) kernel_call(i);
    static const std::array<std::vector<std::string>, 3> kFamilies = {
        std::vector<std::string>{"intrt_shift_right_toward_zero", "intrt_shift_right_floor",
                                 "intrt_shift_right_half_even"},
        {"INTRT_ROUND_TOWARD_ZERO", "INTRT_ROUND_FLOOR", "INTRT_ROUND_HALF_EVEN"},
        {"intrt_requantize", "intrt_requantize_wide"}};
    const std::string name(text(i));
    for (const auto& family : kFamilies)
      if (std::ranges::find(family, name) != family.end()) add("rounding", i, family);
    type(i);
    if (is_run_) return;
    static const std::map<std::string, std::string> kOthers = {
        {"y", "x"},   {"x", "y"},    {"ky", "kx"},       {"kx", "ky"},           {"y0", "x0"},
        {"x0", "y0"}, {"lo", "hi"},  {"hi", "lo"},       {"x_first", "y_first"}, {"o", "c"},
        {"c", "o"},   {"in", "in1"}, {"x_end", "y_end"}, {"in0", "in1"},         {"in1", "in0"},
        {"p", "w"},   {"w", "p"},    {"v", "x"},         {"v0", "x0"},           {"b", "o"}};
    const bool is_declared = text(i - 1).ends_with("_t") || is(i - 1, "*");
    if (const auto other = kOthers.find(name); other != kOthers.end() && !is_declared)
      add("variable", i, {other->second});
    if (name.starts_with("acc") && is_digit(name.back()) && !is_declared)
      add("variable", i, {name.substr(0, name.size() - 1) + (name.back() == '0' ? '1' : '0')});
    if (name.find("_op") != name.npos && !is(i + 1, "(")) uses_.push_back({i, place_});
    if (name == "if") {
      const std::size_t first = tokens_[i + 1].offset + 1, last = tokens_[behind(i + 1) - 1].offset;
      const std::string condition(source_.substr(first, last - first));
      add("condition", first, last - first, {"!(" + condition + ")", "1", "0"});
    }
  }

  // Two arguments of a micro-kernel change places: neighbours, or those of two positions.
  void kernel_call(std::size_t i) {
    const std::size_t end = behind(i + 1) - 1;  // the bracket
    std::vector<std::string> arguments;
    std::size_t first = tokens_[i + 1].offset + 1;
    for (std::size_t k = i + 2; k <= end;) {
      if (is(k, ",") || k == end) {
        arguments.emplace_back(source_.substr(first, tokens_[k].offset - first));
        first = tokens_[k].offset + 1;
        ++k;
      } else {
        k = is(k, "(") || is(k, "[") ? behind(k) : k + 1;
      }
    }
    std::vector<std::string> choices;
    for (const std::size_t step : {1, 3})
      for (std::size_t k = 0; k + step < arguments.size(); ++k) {
        std::vector<std::string> others = arguments;
        std::swap(others[k], others[k + step]);
        std::string joined = others[0];
        for (std::size_t n = 1; n < others.size(); ++n) joined += "," + others[n];
        choices.push_back(joined);
      }
    const std::size_t begin = tokens_[i + 1].offset + 1;
    add("kernel order", begin, tokens_[end].offset - begin, std::move(choices));
    static const std::vector<std::string> kPanels = {"intrt_dsp_panel", "intrt_dsp_panel_in_order"};
    if (std::ranges::find(kPanels, text(i)) != kPanels.end()) add("other kernel", i, kPanels);
  }

  void type(std::size_t i) {
    static const std::vector<std::string> kTypes = {"int8_t", "int16_t", "int32_t", "int64_t",
                                                    "uint8_t"};
    if (std::ranges::find(kTypes, text(i)) == kTypes.end()) return;
    const bool is_cast = is(i - 1, "(") && is(i + 1, ")");
    const bool is_accumulator = text(i + 1).starts_with("acc") || is(i + 1, "wide");
    add(is_cast ? "cast" : is_accumulator ? "accumulator type" : "type", i, kTypes);
  }

  // A statement that begins at i: it may be left out, and in net_run change places.
  void statement(std::size_t i) {
    std::size_t end = i;
    while (end < tokens_.size() && !is(end, ";") && !is(end, "{") && !is(end, "}")) ++end;
    if (!is(end, ";") || end == i || text(i).ends_with("_t") || is(i, "const") || is(i, "for") ||
        is(i, "return") || is(i, "else") || is(i, "if"))
      return;
    const std::size_t first = tokens_[i].offset, last = tokens_[end].offset + 1;
    add(is_run_ ? "removed call" : "removed statement", first, last - first, {";"});
    if (!is_run_) return;
    const std::string call(source_.substr(first, last - first));
    if (last_call_.size() == 2) {
      const std::size_t before = last_call_[0], between = last_call_[1];
      add("call order", before, last - before,
          {call + std::string(source_.substr(between, first - between)) +
           std::string(source_.substr(before, between - before))});
    }
    last_call_ = {first, last};
    // (void *)(base + A), (void *)(base + B): the first two change places.
    const std::size_t open = call.find('('), comma = call.find(", (void"),
                      next = call.find(", (void", comma + 1);
    if (comma == call.npos) return;
    const std::size_t close = next == call.npos ? call.rfind(')') : next;
    add("call arguments", first, last - first,
        {call.substr(0, open + 1) + call.substr(comma + 2, close - comma - 2) + ", " +
         call.substr(open + 1, comma - open - 1) + call.substr(close)});
  }

  // Instead of a table that is read another one with the same last word.
  void other_tables() {
    for (const auto& [token, place] : uses_) {
      place_ = place;
      const std::string name(text(token)), last = name.substr(name.rfind('_'));
      std::vector<std::string> choices;
      for (const std::string& table : tables_)
        if (table != name && table.ends_with(last) && table.find("_op") != table.npos)
          choices.push_back(table);
      add("other table", token, std::move(choices));
    }
  }

  std::string_view source_;
  std::vector<Token> tokens_;
  CSites sites_;
  std::string place_;
  bool is_run_ = false;
  std::vector<std::size_t> last_call_;  // where the last call of net_run begins and ends
  std::vector<std::string> tables_;
  std::vector<std::pair<std::size_t, std::string>> uses_;  // of tables: token, function
};

}  // namespace

CSites c_sites_of(std::string_view source) { return Scanner(source).scan(); }

}  // namespace lockstep::mutate
