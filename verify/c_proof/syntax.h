// Generated C as trees: the part of C99 that the generator uses, with every type worked out.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "verify/c_proof/known_texts.h"
#include "verify/c_proof/tokens.h"

namespace lockstep::c_proof {

// void, an integer of at most 64 bits, or a pointer to either.
struct Type {
  bool is_pointer = false;
  int bits = 0;  // of the integer, or of what is pointed to; 0: void
  bool is_signed = true;

  bool is_void() const { return !is_pointer && bits == 0; }
  bool is_integer() const { return !is_pointer && bits != 0; }
  Type pointee() const { return {false, bits, is_signed}; }
  int size() const { return bits / 8; }  // of the integer, or of what is pointed to
  Int lowest() const { return is_signed ? -(Int{1} << (bits - 2)) * 2 : 0; }
  Int highest() const {
    return is_signed ? ((Int{1} << (bits - 2)) - 1) * 2 + 1 : (Int{1} << bits) - 1;
  }
  bool holds(const Type& other) const {  // every value of the other integer type
    return lowest() <= other.lowest() && highest() >= other.highest();
  }
  bool operator==(const Type&) const = default;
};
constexpr Type kInt32{false, 32, true};

enum class Op : std::uint8_t {
  kNumber,    // number
  kVariable,  // slot
  kGlobal,    // the address of table number `index`
  kArray,     // the address of the array that slot `index` holds
  kCast,      // a to the type
  kLoad,      // what the pointer a points to
  kAdvance,   // the pointer a, b elements further
  kNegate,
  kComplement,
  kNot,
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kRemainder,
  kShiftLeft,
  kShiftRight,
  kAnd,
  kOr,
  kXor,
  kLess,
  kLessOrEqual,
  kEqual,
  kUnequal,
  kBoth,       // a && b
  kEither,     // a || b
  kChoose,     // a ? b : c
  kSet,        // variable `slot` = a
  kAddTo,      // variable `slot` = slot + a; the type is the variable's and the sum's
  kStore,      // *a = b
  kStepFirst,  // ++slot or --slot: number is 1 or -1
  kStepAfter,  // slot++ or slot--
  kForget,     // variable `slot` has no value
  kNewArray,   // slot `index` holds a new array of `number` integers, none of them set
  kCall        // function number `index` of the arguments
};

struct Expression {
  Op op = Op::kNumber;
  Type type;
  int line = 0;
  Int number = 0;
  int index = 0;  // slot, table or function
  std::unique_ptr<Expression> a, b, c;
  std::vector<std::unique_ptr<Expression>> arguments;
};
using ExpressionPtr = std::unique_ptr<Expression>;

struct Statement {
  enum class Kind : std::uint8_t {
    kExpression,
    kBlock,
    kIf,    // of the condition: body[0], else body[1] where there is one
    kLoop,  // first; while the condition holds (none: always): body[0], then step
    kReturn,
    kBreak,
    kContinue
  };
  Kind kind = Kind::kBlock;
  int line = 0;
  ExpressionPtr expression;  // value, condition
  ExpressionPtr step;
  std::vector<Statement> first, body;
};

struct MicroKernel;

struct Function {
  std::string_view name;
  int line = 0;
  bool is_known = false;                // of the arithmetic header, or of C: no body is needed
  const MicroKernel* kernel = nullptr;  // it is this one, and known
  Type result;
  std::vector<Type> parameters;  // their slots are the first ones
  int slots = 0;
  std::shared_ptr<const Statement> body;  // null: a prototype, or known
};

// A constant array.
struct Table {
  std::string_view name;
  Type element;
  std::vector<Int> numbers;
  int alignment = 1;  // in bytes
};

// One member of one tensor of the interface.
struct Entry {
  enum class Kind : std::uint8_t { kNumber, kString, kTable };
  Kind kind = Kind::kNumber;
  Int number = 0;  // or the table's
  std::string text;
};

struct Source {
  std::vector<Table> tables;
  std::vector<Function> functions;
  std::vector<std::vector<Entry>> tensors;   // PREFIX_tensors, in the members' order
  std::map<std::string_view, int> table_of;  // by name
};

// Throws Failure for anything outside of that part. Functions whose names begin with intrt_ must
// be those of the known texts; their bodies are passed over. The tokens point into the same source
// as `known`. The interface's type must be the one of docs/generated-c.md.
Source parse(const std::vector<Token>& tokens, const KnownTexts& known, const std::string& prefix);

}  // namespace lockstep::c_proof
