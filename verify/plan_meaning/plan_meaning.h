// What the operators of a plan do, as docs/plan-format.md says: which elements they combine, and
// which function of the result they store. Written down apart from the checker: the proof of
// generated C goes by it, and the mutation score, which is to show the checker's faults.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "verify/checker/plan.h"

namespace lockstep::plan_meaning {

using checker::Int;
using checker::Plan;
using checker::PlanOp;
__extension__ typedef __int128 Wide;

struct Interval {
  Int lo = 0, hi = 0;
  bool operator==(const Interval&) const = default;
};

// The interval of a sum of products. It must stay within 64 bits, as sums of a plan do.
class Sum {
 public:
  explicit Sum(Int constant) : lo_(constant), hi_(constant) {}
  void add(Wide coefficient, const Interval& range) {
    lo_ += coefficient * (coefficient < 0 ? range.hi : range.lo);
    hi_ += coefficient * (coefficient < 0 ? range.lo : range.hi);
  }
  Interval interval() const { return {static_cast<Int>(lo_), static_cast<Int>(hi_)}; }

 private:
  Wide lo_, hi_;
};

struct Term {
  std::size_t tensor = 0;
  Int element = 0, coefficient = 1;  // element in physical order
};

// All codes of the tensor's bits.
Interval codes_of(const checker::PlanTensor& tensor);

class Meaning {
 public:
  Meaning(const Plan& plan, const PlanOp& op);

  // Whether the argument of the function is a sum of products; else it is a product of two
  // elements, the largest of some, or the place of the first that is the largest.
  bool is_sum() const;
  bool is_same_kind(const Meaning& other) const {
    return op_.code == other.op_.code || (is_sum() && other.is_sum());
  }
  bool is_ordered() const { return op_.code == checker::OpCode::kArgMax; }
  // What is combined for element p of the output, but products with 0. Nothing for a 0 of a move.
  void terms(Int p, std::vector<Term>& terms) const;
  Int constant(Int p) const;  // of a sum: what is added

  // The interval of the argument, where range(tensor, element) gives that of its elements.
  template <typename Range>
  Interval combine(Int p, const Range& range) const {
    terms(p, terms_);
    ranges_.clear();
    for (const Term& term : terms_) ranges_.push_back(range(term.tensor, term.element));
    return combined(constant(p));
  }

  bool keeps(Int p) const {
    return op_.post.keep.empty() || op_.post.keep[static_cast<std::size_t>(p)] != 0;
  }
  // The function of the argument, for a channel, without the mask.
  Int apply(Int channel, Int x) const;
  bool is_defined(Interval range) const;  // tables: whether all of it are codes of the input
  bool is_monotone(Int channel) const;    // rises throughout, or falls throughout
  Interval image(Int channel, Interval range) const;
  bool is_identity(Int channel, Interval range) const;
  bool has_function_of(const Meaning& other, Int channel) const;  // number by number

 private:
  void window_terms(Int p, std::vector<Term>& terms) const;
  Interval combined(Int constant) const;
  bool is_scale() const { return op_.post.kind == checker::PostKind::kScale; }
  const std::vector<Int>* table(Int channel) const;
  const checker::ScaleStep& scale(Int channel) const {
    return op_.post.scales[static_cast<std::size_t>(channel)];
  }

  const Plan& plan_;
  const PlanOp& op_;
  const checker::PlanTensor& output_;
  std::vector<Term> moved_;  // of a move: per element; coefficient 0 where nothing is copied
  mutable std::vector<Term> terms_;
  mutable std::vector<Interval> ranges_;
};

// What is wrong with the memory plan, or "": an operator reads bytes of the arena that the tensor
// did not write last, or an output is lost.
std::string memory_fault(const Plan& plan);

}  // namespace lockstep::plan_meaning
