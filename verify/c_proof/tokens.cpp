#include "verify/c_proof/tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <optional>
#include <span>

#include "verify/checker/files.h"
#include "verify/checker/proof.h"

namespace lockstep::c_proof {
namespace {

// What makes observing nothing, where no observer is defined.
constexpr std::string_view kObservesNothing =
    "define LOCKSTEP_OBSERVE ( tensor , data ) ( ( void ) 0 )";
constexpr int kMostNested = 16;  // macros within macros, brackets in their numbers

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name(char c) { return is_name_start(c) || is_digit(c); }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

// Cuts a text into tokens, line by line.
class Lexer {
 public:
  Lexer(std::string_view text, int first_line) : text_(text), line_(first_line) {
    // What C replaces before it sees tokens. A line may only go on between two tokens.
    if (text.find("?\?=") != std::string_view::npos || text.find("?\?/") != std::string_view::npos)
      refuse("", 1, "a trigraph");
    for (std::size_t i = text.find('\\'); i != std::string_view::npos; i = text.find('\\', i + 1)) {
      const std::size_t next = text.find_first_not_of(" \t\r", i + 1);
      const bool ends_line = next == std::string_view::npos || text[next] == '\n';
      if (ends_line && (next != i + 1 || i == 0 || text[i - 1] != ' '))
        refuse("", 1, "a backslash at the end of a line and not behind a space");
    }
  }

  bool at_end() {
    skip_blanks(true);
    return at_ == text_.size();
  }
  // Whether a directive begins here; passes over its '#'.
  bool take_hash() {
    if (text_[at_] != '#') return false;
    ++at_;
    return true;
  }
  // The tokens of the rest of the line, without its comments.
  std::vector<Token> rest_of_line() {
    std::vector<Token> tokens;
    for (;;) {
      skip_blanks(false);
      if (at_ == text_.size() || text_[at_] == '\n') return tokens;
      tokens.push_back(next());
    }
  }
  int line() const { return line_; }

  Token next() {
    Token token;
    token.line = line_;
    const std::size_t first = at_;
    const char c = text_[at_];
    if (is_name_start(c)) {
      while (at_ < text_.size() && is_name(text_[at_])) ++at_;
      token.kind = Token::Kind::kName;
    } else if (is_digit(c)) {
      while (at_ < text_.size() && is_name(text_[at_])) ++at_;
      token.kind = Token::Kind::kNumber;
      read_number(text_.substr(first, at_ - first), token);
    } else if (c == '"') {
      for (++at_; at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\n'; ++at_)
        if (text_[at_] == '\\') ++at_;
      if (at_ >= text_.size() || text_[at_] != '"') refuse("", line_, "a string without an end");
      ++at_;
      token.kind = Token::Kind::kString;
    } else {
      token.kind = Token::Kind::kPunctuation;
      at_ += punctuation();
    }
    token.text = text_.substr(first, at_ - first);
    return token;
  }

 private:
  std::size_t punctuation() const {
    static constexpr std::array<std::string_view, 21> kLong = {
        "<<=", ">>=", "->", "++", "--", "<<", ">>", "<=", ">=", "==", "!=",
        "&&",  "||",  "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^="};
    for (const std::string_view longer : kLong)
      if (text_.substr(at_).starts_with(longer)) return longer.size();
    constexpr std::string_view kShort = "()[]{};,?:+-*/%&|^!~<>=.";
    if (kShort.find(text_[at_]) == std::string_view::npos)
      refuse("", line_, fmt::format("character {:#x}", static_cast<unsigned char>(text_[at_])));
    return 1;
  }

  void read_number(std::string_view text, Token& token) const {
    std::string_view digits = text;
    while (!digits.empty() &&
           std::string_view("uUlL").find(digits.back()) != std::string_view::npos)
      digits.remove_suffix(1);
    const std::string_view suffix = text.substr(digits.size());
    const bool is_hex = digits.starts_with("0x") || digits.starts_with("0X");
    if (is_hex) digits.remove_prefix(2);
    const bool is_octal = !is_hex && digits.size() > 1 && digits[0] == '0';
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(),
                                              token.number, is_hex ? 16 : 10);
    if (digits.empty() || is_octal || error != std::errc() || end != digits.data() + digits.size())
      refuse("", line_, fmt::format("number '{}'", text));
    const bool is_unsigned = suffix.find_first_of("uU") != std::string_view::npos;
    const bool is_long = suffix.find_first_of("lL") != std::string_view::npos;
    // The first of int, unsigned (with a suffix or in hexadecimal) and long long that holds it.
    if (!is_long && token.number <= INT32_MAX && !is_unsigned) return;
    if (!is_long && token.number <= UINT32_MAX && (is_unsigned || is_hex)) {
      token.is_signed = false;
      return;
    }
    if (is_unsigned) refuse("", line_, fmt::format("number '{}' of 64 bits without sign", text));
    token.bits = 64;
  }

  bool skip_comment() {
    if (!text_.substr(at_).starts_with("/*") && !text_.substr(at_).starts_with("//")) return false;
    const bool is_line = text_[at_ + 1] == '/';
    const std::size_t end = text_.find(is_line ? "\n" : "*/", at_ + 2);
    if (end == std::string_view::npos && !is_line) refuse("", line_, "a comment without an end");
    if (is_line && end != std::string_view::npos && text_[end - 1] == '\\')
      refuse("", line_, "a comment that goes on");
    const std::size_t stop = end == std::string_view::npos ? text_.size() : end + (is_line ? 0 : 2);
    line_ += static_cast<int>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         text_.begin() + static_cast<std::ptrdiff_t>(stop), '\n'));
    at_ = stop;
    return true;
  }
  bool skip_splice() {
    if (!text_.substr(at_).starts_with("\\\n")) return false;
    at_ += 2;
    ++line_;
    return true;
  }
  void skip_blanks(bool over_lines) {
    while (at_ < text_.size()) {
      if (text_[at_] == '\n' && over_lines) {
        ++line_;
        ++at_;
      } else if (is_blank(text_[at_])) {
        ++at_;
      } else if (!skip_comment() && !skip_splice()) {
        return;
      }
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
};

// Every word of a text, of its comments, too.
std::set<std::string_view> words_of(std::string_view text) {
  std::set<std::string_view> words;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!is_name_start(text[i])) continue;
    const std::size_t first = i;
    while (i < text.size() && is_name(text[i])) ++i;
    words.insert(text.substr(first, i - first));
  }
  return words;
}

class Preprocessor {
 public:
  Preprocessor(std::string_view header_name, const std::set<std::string_view>& defined)
      : header_name_(header_name) {
    for (const std::string_view name : defined) {
      Token one;
      one.kind = Token::Kind::kNumber;
      one.text = "1";
      one.number = 1;
      macros_[name] = {one};
    }
  }

  // Appends the tokens of a whole text, or of a part that is one for itself.
  void read(std::string_view text, int first_line, std::vector<Token>& tokens) {
    Lexer lexer(text, first_line);
    while (!lexer.at_end()) {
      if (lexer.take_hash())
        directive(lexer);
      else
        for (const Token& token : lexer.rest_of_line())
          if (is_active()) add(token, tokens, 0);
    }
    if (!conditions_.empty()) refuse("", lexer.line(), "#if without #endif");
  }
  // The same of a text that is known: it is the same for all compilers.
  void read_known(std::string_view text, int first_line, std::vector<Token>& tokens) {
    is_known_ = true;
    read(text, first_line, tokens);
    is_known_ = false;
  }
  // A macro of nothing.
  void define_empty(std::string_view macro) {
    macros_[macro] = {};
    own_.insert(macro);
  }
  // No macro so far may change what these texts mean.
  void require_untouched(const KnownTexts& known, int line) const {
    for (const std::string_view text : {known.arithmetic, known.micro})
      for (const std::string_view word : words_of(text))
        if (own_.contains(word))
          refuse("", line, fmt::format("#define {} before the arithmetic", word));
  }

  std::set<std::string_view> asked() const {
    std::set<std::string_view> result;
    std::ranges::set_difference(asked_, own_, std::inserter(result, result.end()));
    return result;
  }
  std::map<std::string_view, Int> constants() const {
    std::map<std::string_view, Int> result;
    for (const auto& [name, tokens] : macros_) {
      std::size_t at = 0;
      const std::optional<Int> number = sum_of(tokens, at, 0);
      if (number && at == tokens.size()) result[name] = *number;
    }
    return result;
  }
  std::map<std::string_view, std::string_view> names() const {
    std::map<std::string_view, std::string_view> result;
    for (const auto& [name, tokens] : macros_)
      if (tokens.size() == 1 && tokens[0].kind == Token::Kind::kName) result[name] = tokens[0].text;
    return result;
  }

 private:
  // A condition: whether its text at hand counts, and whether one of its branches did.
  struct Condition {
    bool is_active, has_been;
  };
  bool is_active() const {
    return std::ranges::all_of(conditions_, [](const Condition& c) { return c.is_active; });
  }

  void directive(Lexer& lexer) {
    const int line = lexer.line();
    const std::vector<Token> tokens = lexer.rest_of_line();
    if (tokens.empty()) return;
    const std::string_view what = tokens[0].text;
    if (what == "ifndef" && name(tokens, line) == kObserve) {
      if (!is_next(lexer, kObservesNothing) || !is_next(lexer, "endif"))
        refuse("", line, fmt::format("{} is defined as something else than nothing", kObserve));
    } else if (what == "if" || what == "ifdef" || what == "ifndef") {
      const bool holds =
          is_active() && (what == "if" ? evaluate(tokens, 1, line)
                                       : is_defined(name(tokens, line), line) == (what == "ifdef"));
      conditions_.push_back({holds, holds});
    } else if (what == "else" || what == "elif") {
      if (conditions_.empty()) refuse("", line, "#else without #if");
      Condition& condition = conditions_.back();
      condition.is_active = !condition.has_been && (what == "else" || evaluate(tokens, 1, line));
      condition.has_been = condition.has_been || condition.is_active;
    } else if (what == "endif") {
      if (conditions_.empty()) refuse("", line, "#endif without #if");
      conditions_.pop_back();
    } else if (is_active() && what == "define") {
      define(tokens, line);
    } else if (is_active() && what == "include") {
      include(tokens, line);
    } else if (is_active()) {
      refuse("", line, fmt::format("#{}", what));
    }
  }

  // Whether the next line is this directive.
  static bool is_next(Lexer& lexer, std::string_view directive) {
    if (lexer.at_end() || !lexer.take_hash()) return false;
    std::string text;
    for (const Token& token : lexer.rest_of_line()) {
      text += text.empty() ? "" : " ";
      text += token.text;
    }
    return text == directive;
  }

  void include(const std::vector<Token>& tokens, int line) const {
    std::string file;
    for (std::size_t i = 1; i < tokens.size(); ++i) file += tokens[i].text;
    if (file != "<stdint.h>" && file != "<string.h>" && file != fmt::format("\"{}\"", header_name_))
      refuse("", line, fmt::format("#include {}", file));
  }

  static std::string_view name(const std::vector<Token>& tokens, int line) {
    if (tokens.size() < 2 || tokens[1].kind != Token::Kind::kName)
      refuse("", line, "a directive without a name");
    return tokens[1].text;
  }
  bool is_defined(std::string_view name, int line) {
    if (name == kObserve) refuse("", line, fmt::format("a condition of {}", kObserve));
    if (is_known_) return own_.contains(name);
    if (name != "__cplusplus") asked_.insert(name);
    return macros_.contains(name);
  }

  void define(const std::vector<Token>& tokens, int line) {
    const std::string_view macro = name(tokens, line);
    const bool has_arguments = tokens.size() > 2 && tokens[2].text == "(" &&
                               tokens[2].text.data() == macro.data() + macro.size();
    // The former stays a name; the latter is for bodies, which nobody reads.
    if (is_known_ && (macro == kAligned || has_arguments)) return;
    if (macro == kObserve || macro == kAligned || has_arguments || macros_.contains(macro))
      refuse("", line, fmt::format("#define {}", macro));
    macros_[macro] = {tokens.begin() + 2, tokens.end()};
    own_.insert(macro);
  }

  void add(const Token& token, std::vector<Token>& tokens, int depth) {
    const auto macro = token.kind == Token::Kind::kName ? macros_.find(token.text) : macros_.end();
    if (macro == macros_.end()) {
      tokens.push_back(token);
      return;
    }
    if (depth == kMostNested)
      refuse("", token.line, fmt::format("macro '{}' does not end", token.text));
    for (Token part : macro->second) {
      part.line = token.line;
      add(part, tokens, depth + 1);
    }
  }

  // Of ints: a number, or one without sign by itself; brackets, + and -. Nothing for all else.
  static std::optional<Int> sum_of(const std::vector<Token>& tokens, std::size_t& at, int depth) {
    if (tokens.size() == 1 && tokens[0].kind == Token::Kind::kNumber) {
      at = 1;
      return tokens[0].number;
    }
    std::optional<Int> sum = term_of(tokens, at, depth + 1);
    while (sum && at < tokens.size() && (tokens[at].text == "+" || tokens[at].text == "-")) {
      const bool is_minus = tokens[at++].text == "-";
      const std::optional<Int> term = term_of(tokens, at, depth + 1);
      if (!term) return std::nullopt;
      *sum += is_minus ? -*term : *term;
      if (*sum < INT32_MIN || *sum > INT32_MAX) return std::nullopt;
    }
    return sum;
  }
  static std::optional<Int> term_of(const std::vector<Token>& tokens, std::size_t& at, int depth) {
    if (depth > kMostNested) return std::nullopt;
    if (takes(tokens, at, "-")) {
      const std::optional<Int> term = term_of(tokens, at, depth + 1);
      return term ? std::optional(-*term) : std::nullopt;
    }
    if (takes(tokens, at, "(")) {
      const std::optional<Int> sum = sum_of(tokens, at, depth + 1);
      return takes(tokens, at, ")") ? sum : std::nullopt;
    }
    if (at == tokens.size() || tokens[at].kind != Token::Kind::kNumber || !tokens[at].is_signed ||
        tokens[at].bits != 32)
      return std::nullopt;
    return tokens[at++].number;
  }

  // defined(X), !, && and ||, brackets; no numbers.
  bool evaluate(const std::vector<Token>& tokens, std::size_t first, int line) {
    std::size_t at = first;
    const bool holds = either(tokens, at, line);
    if (at != tokens.size()) refuse("", line, "#if of more than defined(), !, && and ||");
    return holds;
  }
  bool either(const std::vector<Token>& tokens, std::size_t& at, int line) {
    bool holds = both(tokens, at, line);
    while (takes(tokens, at, "||")) holds = both(tokens, at, line) || holds;
    return holds;
  }
  bool both(const std::vector<Token>& tokens, std::size_t& at, int line) {
    bool holds = single(tokens, at, line);
    while (takes(tokens, at, "&&")) holds = single(tokens, at, line) && holds;
    return holds;
  }
  bool single(const std::vector<Token>& tokens, std::size_t& at, int line) {
    if (takes(tokens, at, "!")) return !single(tokens, at, line);
    bool holds = false;
    if (takes(tokens, at, "(")) {
      holds = either(tokens, at, line);
    } else {
      if (!takes(tokens, at, "defined") || !takes(tokens, at, "(") || at == tokens.size())
        refuse("", line, "#if of more than defined(), !, && and ||");
      holds = is_defined(tokens[at++].text, line);
    }
    if (!takes(tokens, at, ")")) refuse("", line, "#if without ')'");
    return holds;
  }
  static bool takes(const std::vector<Token>& tokens, std::size_t& at, std::string_view text) {
    if (at == tokens.size() || tokens[at].text != text) return false;
    ++at;
    return true;
  }

  std::string_view header_name_;
  std::map<std::string_view, std::vector<Token>> macros_;
  std::set<std::string_view> asked_, own_;  // names in conditions; defined here
  std::vector<Condition> conditions_;
  bool is_known_ = false;  // the text at hand
};

}  // namespace

void refuse(const std::string& layer, int line, const std::string& text) {
  throw checker::Failure{true, layer, "C",
                         layer.empty() ? fmt::format("C line {}: {}", line, text)
                                       : fmt::format("'{}', C line {}: {}", layer, line, text)};
}

Tokens read_tokens(std::string_view header_name, std::string_view header, const KnownTexts& known,
                   const std::set<std::string_view>& defined) {
  const auto line_at = [&](std::string_view text) {
    const auto first = text.data() - known.source.data();
    return static_cast<int>(1 +
                            std::count(known.source.begin(), known.source.begin() + first, '\n'));
  };
  Preprocessor preprocessor(header_name, defined);
  Tokens tokens;
  preprocessor.read(header, 1, tokens.list);
  preprocessor.read(known.before(), 1, tokens.list);
  preprocessor.require_untouched(known, line_at(known.arithmetic));
  preprocessor.read_known(known.arithmetic, line_at(known.arithmetic), tokens.list);
  for (const std::string_view word : known.words) preprocessor.define_empty(word);
  preprocessor.read(known.behind(), line_at(known.behind()), tokens.list);
  Token end;
  end.line = tokens.list.empty() ? 1 : tokens.list.back().line;
  tokens.list.push_back(end);
  tokens.constants = preprocessor.constants();
  tokens.names = preprocessor.names();
  tokens.asked = preprocessor.asked();
  return tokens;
}

std::string digest_of(const Tokens& all, const std::string& prefix) {
  constexpr std::ptrdiff_t kAttribute = 6;
  const std::vector<Token>& tokens = all.list;
  std::string text;
  const auto add_macro = [&](std::string_view name, auto value) {
    if (name.starts_with(prefix)) text += fmt::format("{} {}\n", name, value);
  };
  for (const auto& [name, number] : all.constants) add_macro(name, number);
  for (const auto& [name, other] : all.names) add_macro(name, other);
  for (auto token = tokens.begin(); token != tokens.end(); ++token) {
    const bool is_unused = token->text == "__attribute__" && tokens.end() - token > kAttribute &&
                           (token + 3)->text == "unused";
    if (is_unused) token += kAttribute;
    text += token->text;
    text += '\n';
  }
  return checker::sha256(std::as_bytes(std::span(text)));
}

}  // namespace lockstep::c_proof
