// The part of the parser that reads expressions: C's types, conversions and precedence.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "verify/c_proof/syntax.h"

namespace lockstep::c_proof {

inline std::optional<Type> integer_type(std::string_view name) {
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

class Expressions {
 protected:
  explicit Expressions(const std::vector<Token>& tokens) : tokens_(tokens) {}

  struct Variable {
    int slot = -1;
    Type type;
    int table = -1;  // a constant array within a function
    bool is_array = false;
  };

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

  const Variable* variable(std::string_view called) const {
    for (std::size_t i = scopes_.size(); i-- > 0;)
      if (const auto found = scopes_[i].find(called); found != scopes_[i].end())
        return &found->second;
    return nullptr;
  }
  const Function& function_at(int index) const {
    return result_.functions[static_cast<std::size_t>(index)];
  }

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
    ExpressionPtr a = assignment();
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
        ExpressionPtr index = assignment();
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
      ExpressionPtr value = assignment();
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
      const Op op = found->table >= 0 ? Op::kGlobal : found->is_array ? Op::kArray : Op::kVariable;
      ExpressionPtr value = node(op, found->type);
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
  std::size_t at_ = 0;
  Source result_;
  std::map<std::string_view, int> globals_, functions_;
  std::vector<std::map<std::string_view, Variable>> scopes_;
  bool writes_ = false;  // the function at hand changes memory
};

}  // namespace lockstep::c_proof
