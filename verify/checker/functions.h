// Functions of one number: what a graph does to an element between the places where elements are
// combined, what a plan does, and whether the two are equal wherever the number can be.
#pragma once

#include <fmt/format.h>

#include <compare>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "verify/checker/plan.h"
#include "verify/checker/proof.h"

namespace lockstep::checker {

__extension__ typedef __int128 Wide;

constexpr Int kLimit = Int{1} << 62;  // what is to stay within 62 bits is below

// Throw Failure: the plan is wrong, or it cannot be judged.
template <typename... Arguments>
[[noreturn]] void wrong(const std::string& layer, const std::string& obligation,
                        fmt::format_string<Arguments...> reason, Arguments&&... arguments) {
  const std::string text = fmt::format(reason, std::forward<Arguments>(arguments)...);
  throw Failure{false, layer, obligation, fmt::format("layer '{}': {}", layer, text)};
}
template <typename... Arguments>
[[noreturn]] void unknown(const std::string& layer, const std::string& obligation,
                          fmt::format_string<Arguments...> reason, Arguments&&... arguments) {
  const std::string text = fmt::format(reason, std::forward<Arguments>(arguments)...);
  throw Failure{true, layer, obligation, fmt::format("layer '{}': {}", layer, text)};
}
// Does `work` on a layer, which is named in failures of the functions here: they do not know it.
template <typename Work>
void in_layer(const std::string& layer, const Work& work) {
  try {
    work();
  } catch (const Failure& failure) {
    if (!failure.layer.empty()) throw;
    unknown(layer, failure.obligation, "{}", failure.text);
  }
}

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

struct Step;

// docs/arithmetic.md, "Float functions".
struct FloatFunction {
  std::string_view name;  // the operator of a graph; others are not those of one operator
  float (*apply)(float x, const Step& step);
  bool (*rises)(const Step& step);  // as Step::rises()
  std::string_view a = "", b = "";  // which attributes are a and b
};
const FloatFunction* find_function(std::string_view name);  // null: none

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
  const FloatFunction* function = nullptr;  // of kFloat
  float a = 0, b = 0;
  double scale = 0;  // of bytes

  // Throws Failure (unknown, without a layer) where the result is not defined: no finite float32,
  // or a quantize whose x * 2^decimal leaves 32 bits.
  Value apply(const Value& x) const;
  bool rises() const;        // the result never falls; proved for the rounded functions
  bool is_monotone() const;  // it never falls, or never rises
  auto operator<=>(const Step&) const = default;
};
Step float_step(std::string_view name, float a = 0, float b = 0, double scale = 0);

// Sequences of steps; equal ones have equal numbers. 0 is the empty one.
class Chains {
 public:
  int extend(int chain, const Step& step);
  int parent(int chain) const { return links_[at(chain)].parent; }
  const Step& last(int chain) const { return *links_[at(chain)].step; }
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
  std::vector<Link> links_{1};
  std::map<std::pair<int, Step>, int> known_;  // its keys hold the steps
};

// What the plan makes of an accumulator, or of a code, of one channel.
struct PlanFunction {
  const Post* post = nullptr;  // null: a table, or the identity without one
  const std::vector<Int>* table = nullptr;
  Int first = 0;  // the code that the table's first entry is for
  std::size_t channel = 0;

  PostKind kind() const { return post == nullptr ? PostKind::kNone : post->kind; }
  Int apply(Int x) const;
  bool is_monotone() const;
  // [least, most] of apply() on [lo, hi].
  std::pair<Int, Int> image(Int lo, Int hi) const;
  // By how many bits it shifts to the right; 0 if it does not shift.
  int shift() const { return kind() == PostKind::kShift ? post->shifts[channel] : 0; }
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
  Int first() const { return -factors_in(-lo); }
  Int last() const { return factors_in(hi); }
  Int count() const { return last() - first() + 1; }
  // The graph's side; nothing where its value is not on the plan's grid.
  std::optional<Int> expected(Int x) const;
  bool differs(Int t) const { return expected(t * factor) != plan.apply(t * factor); }

 private:
  Int factors_in(Int x) const { return x / factor - (x % factor < 0 ? 1 : 0); }
};
struct Answer {
  std::optional<Int> difference;  // an x where both differ
  std::string method;             // "exhaustive", "thresholds"
};
// `look_at_each`: not only at thresholds. Throws Failure (unknown, without a layer) where neither
// can be done within 2^26 looks.
Answer decide(const Question& question, bool look_at_each);

}  // namespace lockstep::checker
