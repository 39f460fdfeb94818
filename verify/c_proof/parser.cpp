#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "verify/c_proof/syntax.h"

namespace lockstep::c_proof {
namespace {

using Kind = Statement::Kind;

// The type of a tensor of the interface, up to its name.
constexpr std::string_view kTensorType =
    "typedef struct { const char * name ; uint8_t type ; uint8_t bits ; uint8_t logical_rank ; "
    "uint8_t decimal_count ; uint32_t channels , height , width ; uint32_t arena_offset ; "
    "const int8_t * decimals ; const uint32_t * offsets ; const uint16_t * channel_map ; "
    "uint8_t flags ; } ";

std::optional<Type> integer_type(std::string_view name) {
  static const std::map<std::string_view, Type> kTypes = {
      {"int8_t", {false, 8, true}},   {"uint8_t", {false, 8, false}},
      {"int16_t", {false, 16, true}}, {"uint16_t", {false, 16, false}},
      {"int32_t", {false, 32, true}}, {"uint32_t", {false, 32, false}},
      {"int64_t", {false, 64, true}}, {"int", {false, 32, true}},
      {"void", {false, 0, true}},
  };
  const auto found = kTypes.find(name);
  return found == kTypes.end() ? std::nullopt : std::optional(found->second);
}

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
    result[3].name = "LOCKSTEP_OBSERVE";
    result[3].parameters = {size, bytes};
    for (Function& function : result) function.is_known = true;
    return result;
  }();
  return functions;
}

class Parser {
 public:
  Parser(const std::vector<Token>& tokens, std::string_view source, std::string_view arithmetic,
         const std::string& prefix)
      : tokens_(tokens), prefix_(prefix) {
    const std::size_t at = source.find(arithmetic);
    if (arithmetic.empty() || at == std::string_view::npos)
      refuse("", 1, "the arithmetic is not that of this version of Lockstep, word for word");
    arithmetic_ = source.substr(at, arithmetic.size());
    result_.functions = known_functions();
    for (std::size_t i = 0; i < result_.functions.size(); ++i)
      functions_[result_.functions[i].name] = static_cast<int>(i);
  }

  Source parse() {
    while (peek().kind != Token::Kind::kEnd) outside();
    result_.table_of = globals_;
    return std::move(result_);
  }

 private:
  const Token& peek(std::size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  const Token& next() {
    const Token& token = peek();
    if (token.kind != Token::Kind::kEnd) ++at_;
    return token;
  }
  bool is(std::string_view text) const {
    return peek().text == text && peek().kind != Token::Kind::kString;
  }
  bool take(std::string_view text) {
    if (!is(text)) return false;
    ++at_;
    return true;
  }
  void expect(std::string_view text) {
    if (!take(text)) unexpected(fmt::format("expected '{}'", text));
  }
  [[noreturn]] void unexpected(const std::string& text) const {
    refuse("", peek().line, fmt::format("{} before '{}'", text, peek().text));
  }
  std::string_view name() {
    if (peek().kind != Token::Kind::kName) unexpected("expected a name");
    return next().text;
  }

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
    const Type type = declared_type();
    const int line = peek().line;
    const std::string_view called = name();
    if (is("["))
      table(type, called, is_const);
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

  // T, T * or T *const, where `const` has been taken.
  Type declared_type() {
    const auto found = integer_type(peek().text);
    if (!found) unexpected("expected a type");
    next();
    take("const");
    Type type = *found;
    if (take("*")) {
      type.is_pointer = true;
      take("const");
    }
    return type;
  }

  int table(Type element, std::string_view called, bool is_const) {
    if (!is_const || !element.is_integer()) unexpected("arrays must be constant integers");
    expect("[");
    const Int size = constant();
    expect("]");
    expect("=");
    expect("{");
    Table table{called, element, {}};
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
  const Function& function_at(int index) const {
    return result_.functions[static_cast<std::size_t>(index)];
  }

  // ---- statements
  struct Variable {
    int slot = -1;
    Type type;
    int table = -1;  // a constant array within a function
  };
  void declare(std::string_view called, Type type, int table = -1) {
    if (type.is_void()) unexpected("a variable of type void");
    if (!scopes_.back().emplace(called, Variable{table < 0 ? slots_++ : -1, type, table}).second)
      unexpected(fmt::format("'{}' exists twice", called));
  }
  const Variable* variable(std::string_view called) const {
    for (std::size_t i = scopes_.size(); i-- > 0;)
      if (const auto found = scopes_[i].find(called); found != scopes_[i].end())
        return &found->second;
    return nullptr;
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

  // ---- expressions
  ExpressionPtr node(Op op, Type type, ExpressionPtr a = nullptr, ExpressionPtr b = nullptr) const {
    auto result = std::make_unique<Expression>();
    result->op = op;
    result->type = type;
    result->line = peek().line;
    result->a = std::move(a);
    result->b = std::move(b);
    return result;
  }

  ExpressionPtr converted(ExpressionPtr value, Type type) const {
    if (value->type == type) return value;
    if (value->type.is_pointer && type.is_pointer) {
      value = node(Op::kCast, type, std::move(value));
      return value;
    }
    if (!value->type.is_integer() || !type.is_integer()) unexpected("types that do not fit");
    if (value->op == Op::kNumber && type.lowest() <= value->number &&
        value->number <= type.highest()) {
      value->type = type;
      return value;
    }
    return node(Op::kCast, type, std::move(value));
  }
  ExpressionPtr promoted(ExpressionPtr value) const {
    if (!value->type.is_integer()) unexpected("an operand that is no integer");
    if (value->type.bits >= 32) return value;
    return converted(std::move(value), kInt32);
  }
  // The usual arithmetic conversions.
  static Type common(const Type& a, const Type& b) {
    if (a.bits != b.bits) return a.bits > b.bits ? a : b;
    return a.is_signed ? b : a;
  }

  // A whole expression: what it changes must not depend on the order in which C works it out.
  ExpressionPtr whole() {
    ExpressionPtr result = assignment();
    require_sequenced(*result);
    return result;
  }
  ExpressionPtr expression() { return assignment(); }

  template <typename Visit>
  static void each_node(const Expression& e, const Visit& visit) {
    visit(e);
    for (const ExpressionPtr* part : {&e.a, &e.b, &e.c})
      if (*part != nullptr) each_node(**part, visit);
    for (const ExpressionPtr& argument : e.arguments) each_node(*argument, visit);
  }
  static bool is_step(const Expression& e) {
    return e.op == Op::kStepFirst || e.op == Op::kStepAfter;
  }
  static bool changes_variable(const Expression& e) {
    return is_step(e) || e.op == Op::kSet || e.op == Op::kAddTo;
  }
  // A variable that is stepped may not occur again; other changes must be the whole expression.
  void require_sequenced(const Expression& root) const {
    each_node(root, [&](const Expression& e) {
      if (&e != &root && (e.op == Op::kSet || e.op == Op::kAddTo || e.op == Op::kStore))
        unexpected("an assignment within an expression");
      if (!is_step(e)) return;
      each_node(root, [&](const Expression& other) {
        if (&other != &e && other.index == e.index &&
            (other.op == Op::kVariable || changes_variable(other)))
          unexpected("a variable that is changed and used in one expression");
      });
    });
  }

  static std::optional<Op> assignment_operator(std::string_view text) {
    static const std::map<std::string_view, Op> kOps = {
        {"+=", Op::kAdd},         {"-=", Op::kSubtract},  {"*=", Op::kMultiply},
        {"/=", Op::kDivide},      {"%=", Op::kRemainder}, {"<<=", Op::kShiftLeft},
        {">>=", Op::kShiftRight}, {"&=", Op::kAnd},       {"|=", Op::kOr},
        {"^=", Op::kXor}};
    const auto found = kOps.find(text);
    return found == kOps.end() ? std::nullopt : std::optional(found->second);
  }

  ExpressionPtr assignment() {
    ExpressionPtr target = choice();
    if (take("=")) {
      ExpressionPtr value = converted(assignment(), target->type);
      if (target->op == Op::kLoad) {
        writes_ = true;
        return node(Op::kStore, target->type, std::move(target->a), std::move(value));
      }
      return set(std::move(target), std::move(value));
    }
    const auto op = assignment_operator(peek().text);
    if (!op) return target;
    next();
    if (target->op != Op::kVariable) unexpected("only a variable may be changed in place");
    const Type type = target->type;
    ExpressionPtr value = assignment();
    if (*op == Op::kAdd && type.is_integer() && type.bits >= 32 && value->type.is_integer() &&
        common(type, promoted_type(value->type)) == type) {
      ExpressionPtr result = node(Op::kAddTo, type, converted(std::move(value), type));
      result->index = target->index;
      return result;
    }
    const int slot = target->index;
    ExpressionPtr left = node(Op::kVariable, type);
    left->index = slot;
    return set(std::move(target), converted(binary(*op, std::move(left), std::move(value)), type));
  }
  static Type promoted_type(const Type& type) { return type.bits < 32 ? kInt32 : type; }
  ExpressionPtr set(ExpressionPtr target, ExpressionPtr value) const {
    if (target->op != Op::kVariable) unexpected("this cannot be assigned to");
    ExpressionPtr result = node(Op::kSet, target->type, std::move(value));
    result->index = target->index;
    return result;
  }

  ExpressionPtr choice() {
    ExpressionPtr condition = operation(0);
    if (!take("?")) return condition;
    if (!condition->type.is_integer()) unexpected("a condition that is no integer");
    ExpressionPtr a = expression();
    expect(":");
    ExpressionPtr b = choice();
    Type type = a->type;
    if (type.is_integer() && b->type.is_integer()) {
      a = promoted(std::move(a));
      b = promoted(std::move(b));
      type = common(a->type, b->type);
    }
    ExpressionPtr result =
        node(Op::kChoose, type, std::move(condition), converted(std::move(a), type));
    result->c = converted(std::move(b), type);
    return result;
  }

  struct Binary {
    std::string_view text;
    int level;
    Op op;
    bool is_swapped = false;  // a > b is b < a
  };
  static const Binary* binary_operator(std::string_view text) {
    static constexpr Binary kOps[] = {{"||", 0, Op::kEither},
                                      {"&&", 1, Op::kBoth},
                                      {"|", 2, Op::kOr},
                                      {"^", 3, Op::kXor},
                                      {"&", 4, Op::kAnd},
                                      {"==", 5, Op::kEqual},
                                      {"!=", 5, Op::kUnequal},
                                      {"<", 6, Op::kLess},
                                      {">", 6, Op::kLess, true},
                                      {"<=", 6, Op::kLessOrEqual},
                                      {">=", 6, Op::kLessOrEqual, true},
                                      {"<<", 7, Op::kShiftLeft},
                                      {">>", 7, Op::kShiftRight},
                                      {"+", 8, Op::kAdd},
                                      {"-", 8, Op::kSubtract},
                                      {"*", 9, Op::kMultiply},
                                      {"/", 9, Op::kDivide},
                                      {"%", 9, Op::kRemainder}};
    const auto* const found = std::ranges::find(kOps, text, &Binary::text);
    return found == std::end(kOps) ? nullptr : found;
  }

  ExpressionPtr operation(int level) {
    ExpressionPtr left = unary();
    for (;;) {
      const Binary* const op =
          peek().kind == Token::Kind::kPunctuation ? binary_operator(peek().text) : nullptr;
      if (op == nullptr || op->level < level) return left;
      next();
      ExpressionPtr right = operation(op->level + 1);
      left = op->is_swapped ? binary(op->op, std::move(right), std::move(left))
                            : binary(op->op, std::move(left), std::move(right));
    }
  }

  ExpressionPtr binary(Op op, ExpressionPtr a, ExpressionPtr b) const {
    if (a->type.is_pointer && op == Op::kAdd) {
      if (a->type.bits == 0) unexpected("arithmetic on a pointer to void");
      const Type type = a->type;
      return node(Op::kAdvance, type, std::move(a), promoted(std::move(b)));
    }
    if (op == Op::kBoth || op == Op::kEither) {
      if (!a->type.is_integer() || !b->type.is_integer())
        unexpected("an operand that is no integer");
      return node(op, kInt32, std::move(a), std::move(b));
    }
    a = promoted(std::move(a));
    b = promoted(std::move(b));
    if (op == Op::kShiftLeft || op == Op::kShiftRight) {
      const Type type = a->type;
      return node(op, type, std::move(a), std::move(b));
    }
    const Type type = common(a->type, b->type);
    a = converted(std::move(a), type);
    b = converted(std::move(b), type);
    const bool compares =
        op == Op::kLess || op == Op::kLessOrEqual || op == Op::kEqual || op == Op::kUnequal;
    return node(op, compares ? kInt32 : type, std::move(a), std::move(b));
  }

  ExpressionPtr unary() {
    if (is("(") && (peek(1).text == "const" || integer_type(peek(1).text))) {
      next();
      take("const");
      const Type type = declared_type();
      expect(")");
      ExpressionPtr value = unary();
      if (type.is_void()) return node(Op::kCast, type, std::move(value));
      return converted(std::move(value), type);
    }
    if (take("-")) {
      ExpressionPtr value = promoted(unary());
      const Type type = value->type;
      return node(Op::kNegate, type, std::move(value));
    }
    if (take("~")) {
      ExpressionPtr value = promoted(unary());
      const Type type = value->type;
      return node(Op::kComplement, type, std::move(value));
    }
    if (take("!")) {
      ExpressionPtr value = unary();
      if (!value->type.is_integer()) unexpected("an operand that is no integer");
      return node(Op::kNot, kInt32, std::move(value));
    }
    if (take("+")) return promoted(unary());
    if (take("*")) return load(unary());
    if (take("&")) {
      ExpressionPtr value = unary();
      if (value->op != Op::kLoad) unexpected("the address of something else than an element");
      return std::move(value->a);
    }
    if (is("++") || is("--")) {
      const Int step = next().text == "++" ? 1 : -1;
      return stepped(unary(), Op::kStepFirst, step);
    }
    return postfix();
  }
  ExpressionPtr load(ExpressionPtr pointer) const {
    if (!pointer->type.is_pointer || pointer->type.bits == 0)
      unexpected("only a pointer to an integer can be followed");
    const Type type = pointer->type.pointee();
    return node(Op::kLoad, type, std::move(pointer));
  }
  ExpressionPtr stepped(ExpressionPtr target, Op op, Int step) const {
    if (target->op != Op::kVariable) unexpected("only a variable may be stepped");
    ExpressionPtr result = node(op, target->type);
    result->index = target->index;
    result->number = step;
    return result;
  }

  ExpressionPtr postfix() {
    ExpressionPtr value = primary();
    for (;;) {
      if (take("[")) {
        ExpressionPtr index = expression();
        expect("]");
        if (!value->type.is_pointer) unexpected("only a pointer has elements");
        value = load(binary(Op::kAdd, std::move(value), std::move(index)));
      } else if (is("++") || is("--")) {
        const Int step = next().text == "++" ? 1 : -1;
        value = stepped(std::move(value), Op::kStepAfter, step);
      } else {
        return value;
      }
    }
  }

  ExpressionPtr primary() {
    if (take("(")) {
      ExpressionPtr value = expression();
      expect(")");
      return value;
    }
    if (peek().kind == Token::Kind::kNumber) {
      const Token& token = next();
      ExpressionPtr value = node(Op::kNumber, {false, token.bits, token.is_signed});
      value->number = token.number;
      return value;
    }
    const std::string_view called = name();
    if (const Variable* const found = variable(called)) {
      ExpressionPtr value = node(found->table < 0 ? Op::kVariable : Op::kGlobal, found->type);
      value->index = found->table < 0 ? found->slot : found->table;
      return value;
    }
    if (const auto global = globals_.find(called); global != globals_.end()) {
      const Type element = result_.tables[static_cast<std::size_t>(global->second)].element;
      ExpressionPtr value = node(Op::kGlobal, {true, element.bits, element.is_signed});
      value->index = global->second;
      return value;
    }
    const auto function = functions_.find(called);
    if (function == functions_.end()) unexpected(fmt::format("unknown name '{}'", called));
    return call(function->second);
  }

  ExpressionPtr call(int index) {
    expect("(");
    ExpressionPtr result = node(Op::kCall, function_at(index).result);
    if (result->type.is_void()) writes_ = true;
    result->index = index;
    if (!is(")")) do {
        const std::vector<Type>& parameters = function_at(index).parameters;
        if (result->arguments.size() == parameters.size()) unexpected("too many arguments");
        const Type type = parameters[result->arguments.size()];
        result->arguments.push_back(converted(assignment(), type));
      } while (take(","));
    expect(")");
    if (result->arguments.size() != function_at(index).parameters.size())
      unexpected("too few arguments");
    return result;
  }

  const std::vector<Token>& tokens_;
  const std::string& prefix_;
  std::string_view arithmetic_;
  std::size_t at_ = 0;
  Source result_;
  std::map<std::string_view, int> globals_, functions_;
  std::vector<std::map<std::string_view, Variable>> scopes_;
  int slots_ = 0;
  bool writes_ = false;  // the function at hand changes memory
  Type returns_;
};

}  // namespace

Source parse(const std::vector<Token>& tokens, std::string_view source, std::string_view arithmetic,
             const std::string& prefix) {
  return Parser(tokens, source, arithmetic, prefix).parse();
}

}  // namespace lockstep::c_proof
