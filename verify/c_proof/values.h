// Values of generated C that depend on the network's input. An *atom* is an element of a tensor of
// the plan; its interval is known. A value is a function (a chain of steps) of one *root*: a sum of
// multiples of atoms, a product of two, the largest of some, or the place of the first that is the
// largest.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "verify/c_proof/syntax.h"

namespace lockstep::c_proof {

struct Range {
  Int lo = 0, hi = 0;
  auto operator<=>(const Range&) const = default;
};

struct Value;

struct Root {
  enum class Kind : std::uint8_t { kSum, kProduct, kLargest, kPlace, kLess, kLessOrEqual, kPacked };
  Kind kind = Kind::kSum;
  // Of a sum: coefficients, an atom may occur several times. Of a place: the number of each atom,
  // in the order in which they were looked at. Else 1.
  std::vector<std::pair<int, Int>> terms;
  Int constant = 0;          // of a sum
  Range range;               // holds every value it can have
  std::vector<Value> sides;  // of a comparison: the left and the right one; packed: the codes
};

struct Value {
  enum class Kind : std::uint8_t {
    kNothing,    // of a variable that was not set
    kNumber,     // number
    kPointer,    // byte `number` of table `index`, of the arena, or of an array below that
    kAtom,       // atom `index` times `number`, which is not 0
    kFunction,   // chain(root)
    kElement,    // a pointer: byte `number` + chain(root) * size of table `index`
    kCondition,  // root: a comparison
    kPacked      // root: a number of a packed panel; only micro-kernels read it
  };
  static constexpr int kArena = -1;  // as an index
  Kind kind = Kind::kNothing;
  int index = 0, chain = 0;
  Int number = 0;
  std::shared_ptr<Root> root;

  static Value of(Int number) { return {Kind::kNumber, 0, 0, number, nullptr}; }
  bool is_number() const { return kind == Kind::kNumber; }
  bool is_root(Root::Kind wanted) const {
    return kind == Kind::kFunction && chain == 0 && root->kind == wanted;
  }
  bool operator==(const Value&) const = default;  // the same root, not an equal one
};

// One function of the arithmetic (intrt/arith.h), or looking a number up in a table.
struct Step {
  enum class Kind : std::uint8_t {
    kClamp,                 // lo, hi
    kShiftRightTowardZero,  // shift
    kShiftRightFloor,       // shift
    kShiftRightHalfEven,    // shift
    kShiftRight,            // shift, rounding
    kShiftLeftClamp,        // shift, lo, hi
    kRequantize,            // shift, rounding, lo, hi
    kRequantizeWide,        // shift, rounding, lo, hi
    kScale,                 // multiplier, addend, shift, rounding, lo, hi
    kScaleTowardZero,       // multiplier, down, offset, up, lo, hi: intrt/micro/mve.h
    kStep,                  // thresholds: table, first, count; codes: table, first
    kLookUp                 // table, first: its element first + x
  };
  Kind kind = Kind::kClamp;
  std::array<Int, 6> numbers{};
  auto operator<=>(const Step&) const = default;
};

// Sequences of steps; equal ones have equal numbers, 0 is the empty one.
class Chains {
 public:
  explicit Chains(const std::vector<Table>& tables) : tables_(tables) {}

  // Throws Failure where the step is not defined for all of `range`, what the chain gives so far.
  int extend(int chain, const Step& step, const Range& range, int line);
  Int apply(int chain, Int x) const;
  // Whether it rises throughout or falls throughout.
  bool is_monotone(int chain) const { return link(chain).rises || link(chain).falls; }
  // The least and the most of it on `range`.
  Range image(int chain, const Range& range, int line);

  // clamp(round(x / 2^shift), lo, hi), where the chain has that form.
  struct Shift {
    int shift = 0, rounding = 0;
    Int lo = 0, hi = 0;
  };
  std::optional<Shift> as_shift(int chain) const;
  // Its only step, where it has one.
  const Step* only_step(int chain) const;
  std::span<const Int> thresholds(const Step& step) const;  // of kStep
  std::span<const Int> codes(const Step& step) const;

 private:
  struct Link {
    int parent = 0;
    Step step;
    bool rises = true, falls = false;
  };
  const Link& link(int chain) const { return links_[static_cast<std::size_t>(chain)]; }
  const std::vector<Int>& numbers(Int table) const {
    return tables_[static_cast<std::size_t>(table)].numbers;
  }
  Int apply(const Step& step, Int x) const;
  void require_defined(const Step& step, const Range& range, int line) const;
  std::pair<bool, bool> directions(const Step& step) const;  // rises, falls

  const std::vector<Table>& tables_;
  std::vector<Link> links_{1};
  std::map<std::pair<int, Step>, int> known_;
  std::map<std::tuple<int, Int, Int>, Range> images_;
};

}  // namespace lockstep::c_proof
