#include "verify/c_proof/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <climits>
#include <map>
#include <optional>

#include "intrt/arith.h"

namespace lockstep::c_proof {
namespace {

using Kind = Value::Kind;

constexpr int kDeepest = 32;  // calls within calls

}  // namespace

Machine::Machine(const Source& source, Chains& chains, const AtomRanges& atoms, Arena& arena)
    : source_(source), chains_(chains), atoms_(atoms), arena_(arena) {}

void Machine::run(std::string_view name) {
  const auto found = std::ranges::find(source_.functions, name, &Function::name);
  if (found == source_.functions.end() || found->body == nullptr || !found->result.is_void() ||
      found->parameters != std::vector<Type>{{true, 0, true}})
    refuse("", 1, fmt::format("no function 'void {}(void *)'", name));
  Frame frame(at(found->slots));
  frame[0] = {Kind::kPointer, Value::kArena, 0, 0, nullptr};
  run_observed(*found->body, frame);
}

// Before each statement the arena is told which tensor is observed next.
void Machine::run_observed(const Statement& body, Frame& frame) {
  const auto observed = [&](const Statement& statement) -> const Expression* {
    const Expression* const e = statement.expression.get();
    const bool is_call = statement.kind == Statement::Kind::kExpression && e != nullptr &&
                         e->op == Op::kCall && source_.functions[at(e->index)].name == kObserve;
    return is_call ? e : nullptr;
  };
  bool is_told = false;
  for (std::size_t i = 0; i < body.body.size(); ++i) {
    for (std::size_t k = i; !is_told; ++k) {
      if (k == body.body.size()) {
        arena_.begin(-1);
      } else if (const Expression* const call = observed(body.body[k])) {
        arena_.begin(number(evaluate(*call->arguments[0], frame), call->line));
      } else {
        continue;
      }
      is_told = true;
    }
    if (execute(body.body[i], frame) != Flow::kNext)
      refuse("", body.body[i].line, "the run ends before its last statement");
    if (observed(body.body[i]) != nullptr) is_told = false;
  }
}

Machine::Flow Machine::execute_all(const std::vector<Statement>& statements, Frame& frame) {
  for (const Statement& statement : statements)
    if (const Flow flow = execute(statement, frame); flow != Flow::kNext) return flow;
  return Flow::kNext;
}

Machine::Flow Machine::execute(const Statement& statement, Frame& frame) {
  switch (statement.kind) {
    case Statement::Kind::kExpression:
      evaluate(*statement.expression, frame);
      return Flow::kNext;
    case Statement::Kind::kBlock: {
      const auto before = std::ssize(arrays_);
      const Flow flow = execute_all(statement.body, frame);
      arrays_.erase(arrays_.begin() + before, arrays_.end());
      return flow;
    }
    case Statement::Kind::kIf: {
      const Value condition = evaluate(*statement.expression, frame);
      if (condition.kind == Kind::kCondition) {
        choose_by_input(statement, condition, frame);
        return Flow::kNext;
      }
      if (number(condition, statement.line) != 0) return execute(statement.body[0], frame);
      return statement.body.size() > 1 ? execute(statement.body[1], frame) : Flow::kNext;
    }
    case Statement::Kind::kLoop:
      return loop(statement, frame);
    case Statement::Kind::kReturn:
      if (statement.expression != nullptr) returned_ = evaluate(*statement.expression, frame);
      return Flow::kReturn;
    case Statement::Kind::kBreak:
      return Flow::kBreak;
    case Statement::Kind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

Machine::Flow Machine::loop(const Statement& statement, Frame& frame) {
  if (const Flow flow = execute_all(statement.first, frame); flow != Flow::kNext) return flow;
  while (statement.expression == nullptr || holds(*statement.expression, frame)) {
    const Flow flow = execute_all(statement.body, frame);
    if (flow == Flow::kReturn) return flow;
    if (flow == Flow::kBreak) break;
    if (statement.step != nullptr) evaluate(*statement.step, frame);
    spend(1, statement.line);
  }
  return Flow::kNext;
}

void Machine::spend(Int nodes, int line) {
  nodes_left_ -= nodes;
  if (nodes_left_ < 0) refuse("", line, "it runs longer than it can need");
}

// if (a < b) { variables = values; }, where a < b depends on the input: the largest of a and b, and
// the place where it was found.
void Machine::choose_by_input(const Statement& statement, const Value& condition, Frame& frame) {
  if (statement.body.size() != 1) refuse("", statement.line, "the input decides about the way");
  std::vector<const Statement*> pending = {&statement.body[0]};
  std::vector<std::pair<int, Value>> changes;
  while (!pending.empty()) {
    const Statement& one = *pending.back();
    pending.pop_back();
    if (one.kind == Statement::Kind::kBlock) {
      for (auto part = one.body.rbegin(); part != one.body.rend(); ++part)
        pending.push_back(&*part);
      continue;
    }
    if (one.kind != Statement::Kind::kExpression || one.expression->op != Op::kSet)
      refuse("", one.line, "the input decides about the way");
    const int slot = one.expression->index;
    const Value value = evaluate(*one.expression->a, frame);
    const Value& old = frame[at(slot)];
    const Value &less = condition.root->sides[0], &more = condition.root->sides[1];
    if (value == more && old == less)
      changes.emplace_back(slot, largest(less, more, one.line));
    else if (value.is_number())
      changes.emplace_back(slot, place(condition, old, value.number, one.line));
    else
      refuse("", one.line, "a choice by the input that is no largest value");
  }
  for (auto& [slot, value] : changes) frame[at(slot)] = std::move(value);
}

bool Machine::holds(const Expression& e, Frame& frame) {
  return number(evaluate(e, frame), e.line) != 0;
}

Int Machine::number(const Value& value, int line) const {
  if (value.kind == Kind::kNothing) refuse("", line, "a variable that was not set");
  if (!value.is_number()) refuse("", line, "what decides about the way depends on the input");
  return value.number;
}

Value Machine::evaluate(const Expression& e, Frame& frame) {
  ++nodes_used_;
  switch (e.op) {
    case Op::kNumber:
      return Value::of(e.number);
    case Op::kVariable:
      if (frame[at(e.index)].kind == Kind::kNothing)
        refuse("", e.line, "a variable that was not set");
      return frame[at(e.index)];
    case Op::kArray:
      return frame[at(e.index)];
    case Op::kNewArray:
      spend(e.number, e.line);
      if (next_array_ == INT_MIN) refuse("", e.line, "more arrays than the proof can number");
      arrays_.push_back({--next_array_, e.type.pointee(), std::vector<Value>(at(e.number))});
      frame[at(e.index)] = {Kind::kPointer, next_array_, 0, 0, nullptr};
      return Value();
    case Op::kGlobal:
      return {Kind::kPointer, e.index, 0, 0, nullptr};
    case Op::kCast:
      return converted(evaluate(*e.a, frame), e.type, e.line);
    case Op::kLoad:
      return load(evaluate(*e.a, frame), e.type, e.line);
    case Op::kAdvance: {
      const Value pointer = evaluate(*e.a, frame);
      return advanced(pointer, evaluate(*e.b, frame), e.type, e.line);
    }
    case Op::kNegate:
      return multiply(evaluate(*e.a, frame), Value::of(-1), e.type, e.line);
    case Op::kComplement: {
      const Int x = ~number(evaluate(*e.a, frame), e.line);
      return Value::of(e.type.is_signed ? x : x & e.type.highest());
    }
    case Op::kNot:
      return Value::of(holds(*e.a, frame) ? 0 : 1);
    case Op::kBoth:
      return Value::of(holds(*e.a, frame) && holds(*e.b, frame) ? 1 : 0);
    case Op::kEither:
      return Value::of(holds(*e.a, frame) || holds(*e.b, frame) ? 1 : 0);
    case Op::kChoose: {
      const Value condition = evaluate(*e.a, frame);
      if (condition.kind != Kind::kCondition)
        return evaluate(number(condition, e.line) != 0 ? *e.b : *e.c, frame);
      const Value yes = evaluate(*e.b, frame), no = evaluate(*e.c, frame);
      const Value &less = condition.root->sides[0], &more = condition.root->sides[1];
      if (yes != more || no != less)
        refuse("", e.line, "a choice by the input that is no largest value");
      return largest(less, more, e.line);
    }
    case Op::kSet:
      return frame[at(e.index)] = evaluate(*e.a, frame);
    case Op::kForget:
      frame[at(e.index)] = Value();
      return Value();
    case Op::kAddTo: {
      const Value more = evaluate(*e.a, frame);
      Value& variable = frame[at(e.index)];
      // Moved, so that a sum that nobody else holds grows in place.
      return variable = add(std::move(variable), more, 1, e.type, e.line), Value();
    }
    case Op::kStore: {
      const Value pointer = evaluate(*e.a, frame);
      Value value = evaluate(*e.b, frame);
      store(pointer, e.type, value, e.line);
      return value;
    }
    case Op::kStepFirst:
    case Op::kStepAfter: {
      Value& variable = frame[at(e.index)];
      const Value step = Value::of(e.number);
      Value after =
          variable.kind == Kind::kPointer
              ? advanced(variable, step, e.type, e.line)
              : converted(add(variable, step, 1, e.type.bits < 32 ? kInt32 : e.type, e.line),
                          e.type, e.line);
      std::swap(variable, after);
      return e.op == Op::kStepFirst ? variable : after;
    }
    case Op::kCall:
      return call(e, frame);
    default:
      return binary(e, frame);
  }
}

Value Machine::binary(const Expression& e, Frame& frame) {
  Value a = evaluate(*e.a, frame);
  const Value b = evaluate(*e.b, frame);
  switch (e.op) {
    case Op::kAdd:
      return add(std::move(a), b, 1, e.type, e.line);
    case Op::kSubtract:
      return add(std::move(a), b, -1, e.type, e.line);
    case Op::kMultiply:
      return multiply(a, b, e.type, e.line);
    case Op::kLess:
    case Op::kLessOrEqual:
    case Op::kEqual:
    case Op::kUnequal:
      return compare(e.op, a, b, e.line);
    default:
      break;
  }
  const Int x = number(a, e.line), y = number(b, e.line);
  switch (e.op) {
    case Op::kDivide:
    case Op::kRemainder:
      if (y == 0 || (x == e.type.lowest() && y == -1)) refuse("", e.line, "a division");
      return Value::of(e.op == Op::kDivide ? x / y : x % y);
    case Op::kShiftLeft:
    case Op::kShiftRight: {
      if (y < 0 || y >= e.type.bits) refuse("", e.line, "a shift by too many places");
      if (e.op == Op::kShiftRight) return Value::of(x >> y);
      if (e.type.is_signed && (x < 0 || x > e.type.highest() >> y))
        refuse("", e.line, "a shift loses bits");
      return Value::of(e.type.is_signed ? x << y : (x << y) & e.type.highest());
    }
    case Op::kAnd:
      return Value::of(x & y);
    case Op::kOr:
      return Value::of(x | y);
    default:
      return Value::of(x ^ y);
  }
}

const Table& Machine::table(const Value& pointer, int line) const {
  if (pointer.index < 0) refuse("", line, "a constant array is needed here");
  return source_.tables[at(pointer.index)];
}

const Machine::Array& Machine::array(const Value& pointer, int line) const {
  for (std::size_t i = arrays_.size(); i-- > 0;)
    if (arrays_[i].index == pointer.index) return arrays_[i];
  refuse("", line, "an array whose block has ended");
}

// Of what it points into.
Int Machine::bytes_of(const Value& pointer, int line) const {
  if (pointer.index == Value::kArena) return arena_.bytes();
  if (pointer.index < 0) {
    const Array& of = array(pointer, line);
    return std::ssize(of.numbers) * of.element.size();
  }
  const Table& of = table(pointer, line);
  return std::ssize(of.numbers) * of.element.size();
}

Value Machine::advanced(const Value& pointer, const Value& by, const Type& type, int line) const {
  if (pointer.kind != Kind::kPointer) refuse("", line, "a pointer is needed here");
  if (!by.is_number()) {
    const Table& entries = table(pointer, line);
    Value element = as_function(by, line);
    if (type.size() != entries.element.size()) refuse("", line, "an array of another type");
    element.kind = Kind::kElement;
    element.index = pointer.index;
    element.number = pointer.number;
    return element;
  }
  const Int bytes = bytes_of(pointer, line);
  Value result = pointer;
  Int distance = 0;
  if (__builtin_mul_overflow(by.number, Int{type.size()}, &distance) ||
      __builtin_add_overflow(pointer.number, distance, &result.number) || result.number < 0 ||
      result.number > bytes)
    refuse("", line, "a pointer leaves its array");
  return result;
}

Value Machine::load(const Value& pointer, const Type& type, int line) const {
  if (pointer.kind == Kind::kPointer && pointer.index == Value::kArena)
    return arena_.load(pointer.number, type, line);
  if (pointer.kind != Kind::kPointer && pointer.kind != Kind::kElement)
    refuse("", line, "a pointer is needed here");
  const Int first = pointer.number / type.size();
  if (pointer.index < 0) {
    const Array& from = array(pointer, line);
    if (from.element != type || pointer.number % type.size() != 0)
      refuse("", line, "an array of another type");
    if (first >= std::ssize(from.numbers)) refuse("", line, "a read behind an array");
    if (from.numbers[at(first)].kind == Kind::kNothing)
      refuse("", line, "an element of an array that was not set");
    return from.numbers[at(first)];
  }
  const Table& entries = table(pointer, line);
  if (entries.element != type) refuse("", line, "an array of another type");
  if (pointer.number % type.size() != 0) refuse("", line, "a pointer between elements");
  if (pointer.kind == Kind::kElement) {
    Value index = pointer;
    index.kind = Kind::kFunction;
    index.index = 0;
    index.number = 0;
    return extended(index, {Step::Kind::kLookUp, {pointer.index, first}}, line);
  }
  if (first >= static_cast<Int>(entries.numbers.size())) refuse("", line, "a read behind an array");
  return Value::of(entries.numbers[at(first)]);
}

void Machine::store(const Value& pointer, const Type& type, const Value& value, int line) {
  if (pointer.kind != Kind::kPointer || pointer.index >= 0)
    refuse("", line, "a constant is written to");
  if (pointer.index == Value::kArena) return arena_.store(pointer.number, type, value, line);
  Array& to = arrays_[at(&array(pointer, line) - arrays_.data())];
  if (to.element != type || pointer.number % type.size() != 0)
    refuse("", line, "an array of another type");
  const Int first = pointer.number / type.size();
  if (first >= std::ssize(to.numbers)) refuse("", line, "a write behind an array");
  to.numbers[at(first)] = value;
}

Value Machine::call(const Expression& e, Frame& frame) {
  const Function& function = source_.functions[at(e.index)];
  std::vector<Value> arguments;
  arguments.reserve(e.arguments.size());
  for (const ExpressionPtr& argument : e.arguments) arguments.push_back(evaluate(*argument, frame));
  if (function.kernel != nullptr) {
    micro_call(*function.kernel, arguments, e.line);
    return Value();
  }
  if (function.is_known)
    return function.name.starts_with("intrt_") ? arithmetic_call(e, arguments)
                                               : known_call(e, arguments);
  if (function.body == nullptr) refuse("", e.line, fmt::format("'{}' has no body", function.name));
  if (++depth_ > kDeepest) refuse("", e.line, "calls within calls without an end");
  arguments.resize(at(function.slots));
  const Flow flow = execute(*function.body, arguments);
  --depth_;
  if (function.result.is_void()) {
    if (flow == Flow::kBreak || flow == Flow::kContinue) refuse("", e.line, "a lost break");
    return Value();
  }
  if (flow != Flow::kReturn) refuse("", e.line, "a function without its return");
  return std::move(returned_);
}

Value Machine::known_call(const Expression& e, const std::vector<Value>& arguments) {
  const std::string_view name = source_.functions[at(e.index)].name;
  if (name == kObserve) {
    if (arguments[1].kind != Kind::kPointer || arguments[1].index != Value::kArena)
      refuse("", e.line, "a tensor outside of the arena");
    arena_.observe(number(arguments[0], e.line), arguments[1].number, e.line);
    return Value();
  }
  if (name == "__builtin_ctz") {
    const Int bits = number(arguments[0], e.line);
    if (bits == 0) refuse("", e.line, "the lowest bit of 0");
    return Value::of(std::countr_zero(static_cast<std::uint32_t>(bits)));
  }
  // memcpy and memset, element by element.
  const Value& to = arguments[0];
  const Type element = arena_.element(e.line);
  const Int bytes = number(arguments[2], e.line);
  if (to.kind != Kind::kPointer || to.index != Value::kArena)
    refuse("", e.line, "a place outside of the arena is written to");
  if (bytes < 0 || bytes % element.size() != 0) refuse("", e.line, "a part of an element");
  if (name == "memset") {
    if (number(arguments[1], e.line) != 0) refuse("", e.line, "memset of something else than 0");
    for (Int i = 0; i < bytes; i += element.size())
      arena_.store(to.number + i, element, Value::of(0), e.line);
    return Value();
  }
  const Value& from = arguments[1];
  if (from.kind != Kind::kPointer ||
      (from.index == Value::kArena && from.number < to.number + bytes &&
       to.number < from.number + bytes))
    refuse("", e.line, "memcpy between places that overlap");
  const Type byte{true, 8, true};
  for (Int i = 0; i < bytes; i += element.size())
    arena_.store(to.number + i, element,
                 load(advanced(from, Value::of(i), byte, e.line), element, e.line), e.line);
  return Value();
}

// The functions of intrt/arith.h.
Value Machine::arithmetic_call(const Expression& e, const std::vector<Value>& arguments) {
  static const std::map<std::string_view, Step::Kind> kKinds = {
      {"intrt_clamp", Step::Kind::kClamp},
      {"intrt_shift_right_toward_zero", Step::Kind::kShiftRightTowardZero},
      {"intrt_shift_right_floor", Step::Kind::kShiftRightFloor},
      {"intrt_shift_right_half_even", Step::Kind::kShiftRightHalfEven},
      {"intrt_shift_right", Step::Kind::kShiftRight},
      {"intrt_shift_left_clamp", Step::Kind::kShiftLeftClamp},
      {"intrt_requantize", Step::Kind::kRequantize},
      {"intrt_requantize_wide", Step::Kind::kRequantizeWide},
      {"intrt_scale", Step::Kind::kScale},
      {"intrt_scale_high", Step::Kind::kScale},
      {"intrt_scale_top", Step::Kind::kScale},
      {"intrt_step", Step::Kind::kStep}};
  const auto kind = kKinds.find(source_.functions[at(e.index)].name);
  if (kind == kKinds.end()) refuse("", e.line, "an unknown function of the arithmetic");
  Step step{kind->second, {}};
  if (step.kind == Step::Kind::kStep) {
    const auto list = [&](const Value& pointer, const Type& type) {
      if (pointer.kind != Kind::kPointer || table(pointer, e.line).element != type ||
          pointer.number % type.size() != 0)
        refuse("", e.line, "an array of another type");
      return pointer.number / type.size();
    };
    step.numbers = {arguments[1].index, list(arguments[1], kInt32), number(arguments[2], e.line),
                    arguments[3].index, list(arguments[3], {false, 16, true})};
  } else {
    for (std::size_t i = 1; i < arguments.size(); ++i)
      step.numbers[i - 1] = number(arguments[i], e.line);
    // The same as intrt_scale of other numbers.
    const auto n = step.numbers;
    if (kind->first == "intrt_scale_high")
      step.numbers = {n[0], n[1], 32, n[2], n[3], n[4]};
    else if (kind->first == "intrt_scale_top")
      step.numbers = {n[0], n[1] * (Int{1} << 32), 32, INTRT_ROUND_FLOOR, n[2], n[3]};
  }
  return stepped(arguments[0], step, e.line);
}

}  // namespace lockstep::c_proof
