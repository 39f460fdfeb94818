#include <fmt/format.h>

#include <algorithm>

#include "verify/c_proof/expressions.h"
#include "verify/c_proof/micro_kernels.h"

namespace lockstep::c_proof {
namespace {

using Kind = Statement::Kind;

constexpr Int kLargestArray = 1 << 16;  // within a function, in elements

// The type of a tensor of the interface, up to its name.
constexpr std::string_view kTensorType =
    "typedef struct { const char * name ; uint8_t type ; uint8_t bits ; uint8_t logical_rank ; "
    "uint8_t decimal_count ; uint32_t channels , height , width ; uint32_t arena_offset ; "
    "const int8_t * decimals ; const uint32_t * offsets ; const uint16_t * channel_map ; "
    "uint8_t flags ; } ";

// Functions of C and of compilers.
const std::vector<Function>& known_functions() {
  static const std::vector<Function> functions = [] {
    const Type bytes{true, 0, true}, size{false, 32, false};
    std::vector<Function> result(4);
    result[0].name = "memcpy";
    result[0].parameters = {bytes, bytes, size};
    result[1].name = "memset";
    result[1].parameters = {bytes, kInt32, size};
    result[2].name = "__builtin_ctz";
    result[2].result = kInt32;
    result[2].parameters = {size};
    result[3].name = kObserve;
    result[3].parameters = {size, bytes};
    for (Function& function : result) function.is_known = true;
    return result;
  }();
  return functions;
}

class Parser : private Expressions {
 public:
  Parser(const std::vector<Token>& tokens, const KnownTexts& known, const std::string& prefix)
      : Expressions(tokens), prefix_(prefix), arithmetic_(known.arithmetic) {
    result_.functions = known_functions();
    for (const MicroKernel* const kernel : known.kernels) {
      Function& function = result_.functions.emplace_back();
      function.name = kernel->name;
      function.parameters = kernel->parameters;
      function.is_known = true;
      function.kernel = kernel;
    }
    for (std::size_t i = 0; i < result_.functions.size(); ++i)
      functions_[result_.functions[i].name] = static_cast<int>(i);
  }

  Source parse() {
    while (peek().kind != Token::Kind::kEnd) outside();
    result_.table_of = globals_;
    return std::move(result_);
  }

 private:
  // ---- outside of functions
  void outside() {
    if (take(";")) return;
    if (is("typedef")) {
      if (until_semicolon() != fmt::format("{}{}_tensor ;", kTensorType, prefix_))
        unexpected("another type of tensors");
      return;
    }
    if (is("extern")) {  // of what is defined in the source
      until_semicolon();
      return;
    }
    const bool is_static = take("static");
    take("inline");
    skip_attribute();
    bool is_const = take("const");
    if (is(prefix_ + "_tensor")) {
      if (!is_const || is_static) unexpected("tensors must be constant and not static");
      tensors();
      return;
    }
    const bool is_aligned = take(kAligned);
    const Type type = declared_type();
    const int line = peek().line;
    const std::string_view called = name();
    if (is("["))
      table(type, called, is_const, is_aligned);
    else
      function(type, called, line);
  }

  // The tokens of a declaration.
  std::string until_semicolon() {
    std::string text;
    int depth = 0;
    for (; peek().kind != Token::Kind::kEnd; ++at_) {
      if (is("{") || is("(")) ++depth;
      if (is("}") || is(")")) --depth;
      text += text.empty() ? "" : " ";
      text += peek().text;
      if (depth == 0 && is(";")) break;
    }
    expect(";");
    return text;
  }

  // const PREFIX_tensor PREFIX_tensors[N] = {{...}, ...};
  void tensors() {
    next();
    if (!take(prefix_ + "_tensors") || !result_.tensors.empty())
      unexpected("another table of tensors");
    expect("[");
    const Int size = constant();
    expect("]");
    expect("=");
    expect("{");
    while (take("{")) {
      std::vector<Entry>& members = result_.tensors.emplace_back();
      do {
        members.push_back(entry());
      } while (take(","));
      expect("}");
      if (!take(",")) break;
    }
    expect("}");
    expect(";");
    if (std::ssize(result_.tensors) != size) unexpected("another number of tensors");
  }
  Entry entry() {
    if (peek().kind == Token::Kind::kString) return {Entry::Kind::kString, 0, string()};
    if (peek().kind != Token::Kind::kName) return {Entry::Kind::kNumber, constant(), ""};
    const auto global = globals_.find(next().text);
    if (global == globals_.end()) unexpected("an unknown table");
    return {Entry::Kind::kTable, global->second, ""};
  }
  // Of letters and escapes of three octal digits.
  std::string string() {
    const std::string_view text = next().text;
    std::string result;
    for (std::size_t i = 1; i + 1 < text.size(); ++i) {
      if (text[i] != '\\') {
        result += text[i];
        continue;
      }
      int code = 0;
      for (std::size_t k = i + 1; k <= i + 3; ++k) {
        if (k + 1 >= text.size() || text[k] < '0' || text[k] > '7')
          unexpected("a string with an escape that is not of three octal digits");
        code = code * 8 + (text[k] - '0');
      }
      if (code == 0 || code > 255) unexpected("a string with a character that cannot be");
      result += static_cast<char>(code);
      i += 3;
    }
    return result;
  }

  void skip_attribute() {
    if (!take("__attribute__")) return;
    for (const char* const part : {"(", "(", "unused", ")", ")"}) expect(part);
  }

  int table(Type element, std::string_view called, bool is_const, bool is_aligned = false) {
    if (!is_const || !element.is_integer()) unexpected("arrays must be constant integers");
    expect("[");
    const Int size = constant();
    expect("]");
    Table table{called, element, {}, is_aligned ? kAlignedBytes : element.size()};
    expect("=");
    expect("{");
    while (!is("}")) {
      const int line = peek().line;
      const Int number = constant();
      if (number < element.lowest() || number > element.highest())
        refuse("", line, fmt::format("{} does not fit array '{}'", number, called));
      table.numbers.push_back(number);
      if (!take(",")) break;
    }
    expect("}");
    expect(";");
    if (static_cast<Int>(table.numbers.size()) != size)
      unexpected(
          fmt::format("array '{}' of {} has {} elements", called, size, table.numbers.size()));
    declare_unique(called);
    result_.tables.push_back(std::move(table));
    return static_cast<int>(result_.tables.size()) - 1;
  }

  // Of a table's elements: numbers, brackets, + and -.
  Int constant() {
    Int value = constant_term();
    while (is("+") || is("-")) value += take("+") ? constant_term() : (next(), -constant_term());
    return value;
  }
  Int constant_term() {
    if (take("-")) return -constant_term();
    if (take("(")) {
      const Int value = constant();
      expect(")");
      return value;
    }
    if (peek().kind != Token::Kind::kNumber) unexpected("expected a number");
    const Int value = next().number;
    if (value > Int{1} << 61) unexpected("a number that is too large");
    return value;
  }

  void declare_unique(std::string_view called) {
    if (globals_.contains(called) || functions_.contains(called))
      unexpected(fmt::format("'{}' exists twice", called));
    globals_[called] = static_cast<int>(result_.tables.size());
  }

  void function(Type result, std::string_view called, int line) {
    Function made;
    made.name = called;
    made.line = line;
    made.result = result;
    scopes_.assign(1, {});
    slots_ = 0;
    expect("(");
    if (!(is("void") && peek(1).text == ")" && take("void"))) {
      do {
        take("const");
        const Type type = declared_type();
        made.parameters.push_back(type);
        if (peek().kind == Token::Kind::kName) declare(next().text, type);
      } while (take(","));
    }
    expect(")");
    int index = 0;
    if (const auto found = functions_.find(called); found != functions_.end()) {
      index = found->second;
      const Function& before = function_at(index);
      if (before.is_known || before.body != nullptr || before.result != made.result ||
          before.parameters != made.parameters)
        refuse("", line, fmt::format("'{}' exists twice", called));
    } else {
      if (globals_.contains(called)) refuse("", line, fmt::format("'{}' exists twice", called));
      index = static_cast<int>(result_.functions.size());
      functions_[called] = index;
      result_.functions.push_back(made);
    }
    if (take(";")) return;  // a prototype
    if (called.starts_with("intrt_")) {
      if (called.data() < arithmetic_.data() ||
          called.data() >= arithmetic_.data() + arithmetic_.size())
        refuse("", line, fmt::format("'{}' is not that of the arithmetic", called));
      expect("{");
      for (int depth = 1; depth > 0; ++at_) {
        if (peek().kind == Token::Kind::kEnd) unexpected("a function without an end");
        depth += is("{") ? 1 : is("}") ? -1 : 0;
      }
      made.is_known = true;
    } else {
      returns_ = result;
      writes_ = false;
      made.body = std::make_shared<const Statement>(block());
      made.slots = slots_;
      // Then the order of calls within an expression does not matter.
      if (writes_ && !result.is_void())
        refuse("", line, fmt::format("'{}' has a result and changes memory", called));
    }
    result_.functions[static_cast<std::size_t>(index)] = std::move(made);
  }
  // ---- statements
  void declare(std::string_view called, Type type, int table = -1) {
    if (type.is_void()) unexpected("a variable of type void");
    if (!scopes_.back().emplace(called, Variable{table < 0 ? slots_++ : -1, type, table}).second)
      unexpected(fmt::format("'{}' exists twice", called));
  }
  Statement make(Kind kind) const {
    Statement statement;
    statement.kind = kind;
    statement.line = peek().line;
    return statement;
  }

  Statement block() {
    Statement result = make(Kind::kBlock);
    expect("{");
    scopes_.emplace_back();
    while (!is("}")) statement(result.body);
    scopes_.pop_back();
    expect("}");
    return result;
  }

  void statement(std::vector<Statement>& to) {
    if (peek().kind == Token::Kind::kEnd) unexpected("a block without an end");
    if (take(";")) return;
    if (is("{")) {
      to.push_back(block());
    } else if (is("static") || is("const") || integer_type(peek().text)) {
      declaration(to);
    } else if (is("if")) {
      Statement result = make(Kind::kIf);
      next();
      result.expression = condition();
      result.body.push_back(single());
      if (take("else")) result.body.push_back(single());
      to.push_back(std::move(result));
    } else if (is("for") || is("while")) {
      to.push_back(loop());
    } else if (is("return")) {
      Statement result = make(Kind::kReturn);
      next();
      if (!is(";")) result.expression = converted(whole(), returns_);
      if (returns_.is_void() != (result.expression == nullptr)) unexpected("a wrong return");
      expect(";");
      to.push_back(std::move(result));
    } else if (is("break") || is("continue")) {
      to.push_back(make(is("break") ? Kind::kBreak : Kind::kContinue));
      next();
      expect(";");
    } else {
      to.push_back(make(Kind::kExpression));
      to.back().expression = whole();
      expect(";");
    }
  }
  Statement single() {
    Statement result = make(Kind::kBlock);
    scopes_.emplace_back();
    statement(result.body);
    scopes_.pop_back();
    return result;
  }
  ExpressionPtr condition() {
    expect("(");
    ExpressionPtr result = whole();
    if (!result->type.is_integer()) unexpected("a condition that is no integer");
    expect(")");
    return result;
  }
  Statement loop() {
    Statement result = make(Kind::kLoop);
    scopes_.emplace_back();
    if (take("while")) {
      result.expression = condition();
    } else {
      expect("for");
      expect("(");
      if (!take(";")) {
        if (is("const") || integer_type(peek().text)) {
          declaration(result.first);
        } else {
          result.first.push_back(make(Kind::kExpression));
          result.first.back().expression = whole();
          expect(";");
        }
      }
      if (!is(";")) result.expression = whole();
      expect(";");
      if (!is(")")) result.step = whole();
      expect(")");
    }
    result.body.push_back(single());
    scopes_.pop_back();
    return result;
  }

  void declaration(std::vector<Statement>& to) {
    const bool is_static = take("static");
    const bool is_const = take("const");
    const auto base = integer_type(peek().text);
    if (!base) unexpected("expected a type");
    next();
    take("const");
    do {
      Type type = *base;
      if (take("*")) {
        type.is_pointer = true;
        take("const");
      }
      const std::string_view called = name();
      if (is("[")) {
        if (!is_static && !is_const) {
          array(type, called, to);
          continue;
        }
        if (!is_static) unexpected("an array that is not static");
        const int index = table(type, called, is_const);
        globals_.erase(called);
        declare(called, {true, type.bits, type.is_signed}, index);
        return;
      }
      if (is_static) unexpected("a static variable");
      Statement result = make(Kind::kExpression);
      ExpressionPtr value;
      if (take("=")) value = converted(assignment(), type);
      declare(called, type);
      const bool has_value = value != nullptr;
      result.expression = node(has_value ? Op::kSet : Op::kForget, type, std::move(value));
      result.expression->index = variable(called)->slot;
      require_sequenced(*result.expression);
      to.push_back(std::move(result));
    } while (take(","));
    expect(";");
  }

  // TYPE NAME[SIZE], none of its elements set.
  void array(Type element, std::string_view called, std::vector<Statement>& to) {
    if (!element.is_integer()) unexpected("an array of something else than integers");
    expect("[");
    const Int size = constant();
    expect("]");
    if (size < 1 || size > kLargestArray)
      unexpected(fmt::format("array '{}' of {} elements", called, size));
    const Type type{true, element.bits, element.is_signed};
    declare(called, type);
    Variable& made = scopes_.back().at(called);
    made.is_array = true;
    Statement result = make(Kind::kExpression);
    result.expression = node(Op::kNewArray, type);
    result.expression->index = made.slot;
    result.expression->number = size;
    to.push_back(std::move(result));
  }

  const std::string& prefix_;
  std::string_view arithmetic_;
  int slots_ = 0;
  Type returns_;
};

}  // namespace

Source parse(const std::vector<Token>& tokens, const KnownTexts& known, const std::string& prefix) {
  return Parser(tokens, known, prefix).parse();
}

}  // namespace lockstep::c_proof
