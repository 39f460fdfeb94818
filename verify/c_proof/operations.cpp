// What C's operators make of values that depend on the input.
#include <fmt/format.h>

#include <algorithm>

#include "verify/c_proof/machine.h"

namespace lockstep::c_proof {
namespace {

using Kind = Value::Kind;

}  // namespace

Range Machine::range(const Value& value, int line) const {
  switch (value.kind) {
    case Kind::kNumber:
      return {value.number, value.number};
    case Kind::kAtom: {
      const auto [lo, hi] = atoms_[at(value.index)];
      // Below 2^62: coefficients are checked when they are made.
      const Int a = value.number * lo, b = value.number * hi;
      return {std::min(a, b), std::max(a, b)};
    }
    case Kind::kFunction:
      return chains_.image(value.chain, value.root->range, line);
    case Kind::kNothing:
    case Kind::kPointer:
    case Kind::kElement:
    case Kind::kCondition:
    case Kind::kPacked:
      break;
  }
  refuse("", line,
         value.kind == Kind::kNothing ? "a variable that was not set" : "a number is needed here");
}

void Machine::require_type(const Range& range, const Type& type, int line) const {
  if (range.lo < type.lowest() || range.hi > type.highest())
    refuse("", line,
           fmt::format("a value of {} to {} does not fit {}int{}_t", range.lo, range.hi,
                       type.is_signed ? "" : "u", type.bits));
}

Value Machine::converted(Value value, const Type& type, int line) const {
  if (type.is_void()) return Value();
  if (type.is_pointer) {
    if (value.kind != Kind::kPointer) refuse("", line, "a pointer is needed here");
    return value;
  }
  if (value.is_number() && !type.is_signed) {
    value.number &= type.highest();
    return value;
  }
  require_type(range(value, line), type, line);
  return value;
}

Value Machine::add(Value a, const Value& b, Int sign, const Type& type, int line) const {
  if (a.is_number() && b.is_number()) {
    Int sum = 0;
    if (sign > 0 ? __builtin_add_overflow(a.number, b.number, &sum)
                 : __builtin_sub_overflow(a.number, b.number, &sum))
      refuse("", line, "a sum of more than 64 bits");
    if (!type.is_signed) sum &= type.highest();
    require_type({sum, sum}, type, line);
    return Value::of(sum);
  }
  const Range left = range(a, line), right = range(b, line);
  Range sum;
  if (sign > 0 ? __builtin_add_overflow(left.lo, right.lo, &sum.lo) ||
                     __builtin_add_overflow(left.hi, right.hi, &sum.hi)
               : __builtin_sub_overflow(left.lo, right.hi, &sum.lo) ||
                     __builtin_sub_overflow(left.hi, right.lo, &sum.hi))
    refuse("", line, "a sum of more than 64 bits");
  require_type(sum, type, line);

  std::shared_ptr<Root> root;
  if (a.is_root(Root::Kind::kSum)) {
    root = a.root.use_count() == 1 ? std::move(a.root) : std::make_shared<Root>(*a.root);
  } else {
    root = std::make_shared<Root>();
    if (a.is_number())
      root->constant = a.number;
    else if (a.kind == Kind::kAtom)
      root->terms.emplace_back(a.index, a.number);
    else
      refuse("", line, "a sum of what is no sum of elements");
  }
  if (b.is_number()) {
    root->constant += sign * b.number;
  } else if (b.kind == Kind::kAtom) {
    root->terms.emplace_back(b.index, sign * b.number);
  } else if (b.is_root(Root::Kind::kSum)) {
    root->constant += sign * b.root->constant;
    for (const auto& [atom, coefficient] : std::vector(b.root->terms))
      root->terms.emplace_back(atom, sign * coefficient);
  } else {
    refuse("", line, "a sum of what is no sum of elements");
  }
  root->range = sum;
  return {Kind::kFunction, 0, 0, 0, std::move(root)};
}

Value Machine::multiply(const Value& a, const Value& b, const Type& type, int line) const {
  if (b.is_number() && !a.is_number()) return multiply(b, a, type, line);
  if (a.kind == Kind::kAtom && b.kind == Kind::kAtom) {
    if (a.number != 1 || b.number != 1) refuse("", line, "a product of products");
    const Range x = range(a, line), y = range(b, line);
    auto root = std::make_shared<Root>();
    root->kind = Root::Kind::kProduct;
    root->terms = {{a.index, 1}, {b.index, 1}};
    const auto [lo, hi] = std::minmax({x.lo * y.lo, x.lo * y.hi, x.hi * y.lo, x.hi * y.hi});
    root->range = {lo, hi};
    require_type(root->range, type, line);
    return {Kind::kFunction, 0, 0, 0, std::move(root)};
  }
  if (!a.is_number()) refuse("", line, "a product of what is no element");
  const Range factor = range(b, line);
  const Int n = a.number;
  Range product;
  if (__builtin_mul_overflow(n, n < 0 ? factor.hi : factor.lo, &product.lo) ||
      __builtin_mul_overflow(n, n < 0 ? factor.lo : factor.hi, &product.hi))
    refuse("", line, "a product of more than 64 bits");
  if (b.is_number() && !type.is_signed) {
    product.lo &= type.highest();  // of 32 bits
    product.hi = product.lo;
  }
  require_type(product, type, line);
  if (b.is_number() || n == 0) return Value::of(product.lo);
  if (b.kind == Kind::kAtom) {
    Value value = b;
    if (__builtin_mul_overflow(b.number, n, &value.number))
      refuse("", line, "a product of more than 64 bits");
    return value;
  }
  if (!b.is_root(Root::Kind::kSum)) refuse("", line, "a multiple of what is no sum of elements");
  auto root = std::make_shared<Root>(*b.root);
  bool overflows = __builtin_mul_overflow(root->constant, n, &root->constant);
  for (auto& term : root->terms)
    overflows = __builtin_mul_overflow(term.second, n, &term.second) || overflows;
  if (overflows) refuse("", line, "a product of more than 64 bits");
  root->range = product;
  return {Kind::kFunction, 0, 0, 0, std::move(root)};
}

Value Machine::compare(Op op, const Value& a, const Value& b, int line) const {
  const Range x = range(a, line), y = range(b, line);
  if (a.is_number() && b.is_number()) {
    const bool holds = op == Op::kLess          ? x.lo < y.lo
                       : op == Op::kLessOrEqual ? x.lo <= y.lo
                       : op == Op::kEqual       ? x.lo == y.lo
                                                : x.lo != y.lo;
    return Value::of(holds ? 1 : 0);
  }
  if (op == Op::kLess && x.hi < y.lo) return Value::of(1);
  if (op == Op::kLess && x.lo >= y.hi) return Value::of(0);
  if (op == Op::kLessOrEqual && x.hi <= y.lo) return Value::of(1);
  if (op == Op::kLessOrEqual && x.lo > y.hi) return Value::of(0);
  if (op != Op::kLess && op != Op::kLessOrEqual)
    refuse("", line, "the input decides about the way");
  auto root = std::make_shared<Root>();
  root->kind = op == Op::kLess ? Root::Kind::kLess : Root::Kind::kLessOrEqual;
  root->sides = {a, b};
  return {Kind::kCondition, 0, 0, 0, std::move(root)};
}

// The atoms that a value of this kind is made of; a single one is its own largest.
std::vector<std::pair<int, Int>> Machine::atoms_of(const Value& value, Root::Kind kind,
                                                   int line) const {
  if (value.kind == Kind::kAtom && value.number == 1) return {{value.index, 1}};
  if (!value.is_root(kind)) refuse("", line, "a comparison of what is no element");
  return value.root->terms;
}

Value Machine::largest(const Value& a, const Value& b, int line) const {
  auto root = std::make_shared<Root>();
  root->kind = Root::Kind::kLargest;
  root->terms = atoms_of(a, Root::Kind::kLargest, line);
  for (const auto& term : atoms_of(b, Root::Kind::kLargest, line)) root->terms.push_back(term);
  const Range x = range(a, line), y = range(b, line);
  root->range = {std::max(x.lo, y.lo), std::max(x.hi, y.hi)};
  return {Kind::kFunction, 0, 0, 0, std::move(root)};
}

// `condition` says that an element is larger than all before: its number, or the old place.
Value Machine::place(const Value& condition, const Value& old, Int number, int line) const {
  if (condition.root->kind != Root::Kind::kLess)
    refuse("", line, "the place of a largest value that is not the first");
  const std::vector<std::pair<int, Int>> before =
      atoms_of(condition.root->sides[0], Root::Kind::kLargest, line);
  const Value& more = condition.root->sides[1];
  if (more.kind != Kind::kAtom || more.number != 1)
    refuse("", line, "a comparison of what is no element");
  auto root = std::make_shared<Root>();
  root->kind = Root::Kind::kPlace;
  if (old.is_number() && before.size() == 1)
    root->terms = {{before[0].first, old.number}};
  else if (old.is_root(Root::Kind::kPlace))
    root->terms = old.root->terms;
  const auto is_same = [](const auto& a, const auto& b) { return a.first == b.first; };
  if (!std::ranges::equal(root->terms, before, is_same))
    refuse("", line, "a place among other elements");
  root->terms.emplace_back(more.index, number);
  const Range so_far = range(old, line);
  root->range = {std::min(so_far.lo, number), std::max(so_far.hi, number)};
  return {Kind::kFunction, 0, 0, 0, std::move(root)};
}

// A value as a function of a root.
Value Machine::as_function(const Value& value, int line) const {
  if (value.kind == Kind::kFunction) return value;
  if (value.kind != Kind::kAtom) refuse("", line, "a number is needed here");
  auto root = std::make_shared<Root>();
  root->terms = {{value.index, value.number}};
  root->range = range(value, line);
  return {Kind::kFunction, 0, 0, 0, std::move(root)};
}

Value Machine::stepped(const Value& value, const Step& step, int line) const {
  if (!value.is_number()) return extended(value, step, line);
  const Int x = value.number;
  return Value::of(chains_.apply(chains_.extend(0, step, {x, x}, line), x));
}

Value Machine::extended(const Value& value, const Step& step, int line) const {
  Value result = as_function(value, line);
  result.chain = chains_.extend(result.chain, step, range(result, line), line);
  return result;
}

}  // namespace lockstep::c_proof
