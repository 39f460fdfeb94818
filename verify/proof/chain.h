// What a graph does to one element between the places where elements are combined: relu, quantize,
// float functions, one after another. Equal chains have equal numbers, so that two ways through a
// graph and a plan are compared by comparing numbers.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "compile/graph/graph.h"
#include "verify/semantics/float_function.h"

namespace lockstep::verify {

struct GraphStep {
  enum class Kind : std::uint8_t {
    kRelu,      // max(x, 0) of an exact value
    kCap,       // min(max(x, 0), cap) of an exact value
    kQuantize,  // to a code, from an exact or a real value
    kReal       // an exact value through float functions
  };
  Kind kind = Kind::kRelu;
  std::int64_t cap = 0;
  int decimal = 0, bits = 0;  // of the code
  Rounding rounding = Rounding::kTowardZero;
  FloatChain functions;

  bool operator==(const GraphStep&) const = default;
};

using Steps = std::vector<const GraphStep*>;

// Chains of steps, each with a number of its own. A kReal stands at the end or before a kQuantize.
class Chains {
 public:
  static constexpr std::int32_t kEmpty = 0;

  Chains() : links_{{kEmpty, -1, 0}} {}
  std::int32_t intern(const GraphStep& step);  // the number of a step
  std::int32_t extend(std::int32_t chain, std::int32_t step);
  bool begins_with(std::int32_t chain, std::int32_t prefix) const;
  // What comes behind the prefix that `chain` begins with.
  Steps behind(std::int32_t chain, std::int32_t prefix) const;
  bool is_exact(std::int32_t chain) const;  // does not end in float functions
  // The chain without float functions at its end.
  std::int32_t exact_part(std::int32_t chain) const;
  std::int32_t without_last(std::int32_t chain) const { return link(chain).parent; }
  std::int32_t last_step(std::int32_t chain) const { return link(chain).step; }
  const GraphStep& last(std::int32_t chain) const;  // requires a chain that is not empty

 private:
  struct Link {
    std::int32_t parent, step, length;
  };
  const Link& link(std::int32_t chain) const { return links_[static_cast<std::size_t>(chain)]; }
  std::vector<Link> links_;
  std::deque<GraphStep> steps_;  // Steps point into it
  std::unordered_map<std::uint64_t, std::int32_t> extended_;
};

}  // namespace lockstep::verify
