// Functions of one number: what a graph does to an element between the places where elements are
// combined, what a plan does, and whether the two are equal wherever the number can be.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "verify/checker/plan.h"
#include "verify/checker/proof.h"

namespace lockstep::checker {

__extension__ typedef __int128 Wide;

// x / 2^shift, rounded; a negative shift multiplies. |x| < 2^63, -62 <= shift.
Wide shift_rounded(Wide x, int shift, Rounding rounding);

// A value on its way through a graph: code * 2^-decimal, or, inside float functions, a float32.
struct Value {
  Wide code = 0;
  int decimal = 0;
  float real = 0;
  bool is_real = false;
};
// Whether both are the same number. Exact values only.
bool equal(const Value& a, const Value& b);
// code * 2^-decimal == value, as a code; nothing where value is not on that grid or exceeds 62
// bits.
std::optional<Int> on_grid(const Value& value, int decimal);

enum class Fn : std::uint8_t {  // docs/arithmetic.md, "Float functions"
  kAdd,
  kDivide,
  kAffine,
  kRelu,
  kRelu6,
  kLeakyRelu,
  kHardSigmoid,
  kHardSwish,
  kTanh,
  kSigmoid,
  kSilu,
  kGelu,
  kElu,
  kSoftplus,
  kByteScale
};

struct Step {
  enum class Kind : std::uint8_t {
    kRelu,      // of an exact value
    kRelu6,     // of an exact value
    kQuantize,  // any value to a code
    kFloat      // any value to a float32
  };
  Kind kind = Kind::kRelu;
  int decimal = 0, bits = 0;  // of a code
  Rounding rounding = Rounding::kTowardZero;
  Fn fn = Fn::kRelu;
  float a = 0, b = 0;
  double scale = 0;  // of kByteScale

  // Throws Failure (unknown) where the result is not defined: no finite float32, or a quantize
  // whose x * 2^decimal leaves 32 bits.
  Value apply(Value x) const;
  // Whether the result never falls, never rises; proved for the rounded functions.
  bool rises() const, falls() const;
  auto key() const { return std::tuple(kind, decimal, bits, rounding, fn, a, b, scale); }
  bool operator<(const Step& other) const { return key() < other.key(); }
};

// Sequences of steps; equal ones have equal numbers. 0 is the empty one.
class Chains {
 public:
  int extend(int chain, const Step& step);
  int parent(int chain) const { return links_[index(chain)].parent; }
  const Step& last(int chain) const { return *links_[index(chain)].step; }
  // Whether it ends in float functions, so that its result is no integer on a grid.
  bool is_real(int chain) const { return chain != 0 && last(chain).kind == Step::Kind::kFloat; }
  int exact_part(int chain) const;
  // The steps that lead from `from` to `to`; nothing where `to` does not begin with `from`.
  std::optional<std::vector<const Step*>> between(int from, int to) const;

 private:
  struct Link {
    int parent = 0;
    const Step* step = nullptr;
  };
  static std::size_t index(int chain) { return static_cast<std::size_t>(chain); }
  std::vector<Link> links_{1};
  std::map<std::pair<int, Step>, int> known_;  // its keys hold the steps
};

// What the plan makes of an accumulator, or of a code, of one channel.
struct PlanFunction {
  const Post* post = nullptr;  // null: a table, or the identity without one
  const std::vector<Int>* table = nullptr;
  Int first = 0;  // the code that the table's first entry is for
  std::size_t channel = 0;

  Int apply(Int x) const;
  bool rises() const, falls() const;  // as of Step
  // [least, most] of apply() on [lo, hi].
  std::pair<Int, Int> image(Int lo, Int hi) const;
  // x -> clamp(x * 2^left, lo, hi): the three numbers, where it has that form.
  struct Linear {
    int left;
    Int lo, hi;
  };
  std::optional<Linear> linear() const;
  std::string text() const;  // for facts
};

// The question whether plan(x) * 2^-decimal == steps((x / factor + rest) * 2^-exponent) for every x
// in [lo, hi] that is a multiple of `factor`.
struct Question {
  PlanFunction plan;
  std::vector<const Step*> steps;
  Int factor = 1;
  int exponent = 0;
  Value rest;  // at least 0 and less than 1
  int decimal = 0;
  Int lo = 0, hi = 0;

  // The multiples of `factor`, counted in factors: first() .. last().
  Int first() const;
  Int last() const;
  Int count() const { return last() - first() + 1; }
  bool is_monotone() const;  // both rise throughout, or both fall
  // The graph's side; nothing where its value is not on the plan's grid.
  std::optional<Int> expected(Int x) const;
};
struct Answer {
  std::optional<Int> difference;  // the first x where both differ
  std::string method;             // "exhaustive", "thresholds", "linear"
};
// `look_at_each`: not only at thresholds. Throws Failure (unknown) where neither can be done within
// 2^26 looks.
Answer decide(const Question& question, bool look_at_each, const std::string& layer);

}  // namespace lockstep::checker
