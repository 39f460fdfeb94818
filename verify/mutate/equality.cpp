#include "verify/mutate/equality.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "verify/plan_meaning/plan_meaning.h"

namespace lockstep::mutate {
namespace {

using namespace plan_meaning;
using checker::OpCode;
using checker::PlanTensor;

constexpr Int kMostLooks = Int{1} << 24;

// An element in both plans.
struct Pair {
  Interval range;       // in the original
  Interval changed;     // in the changed plan; of an element that is the same the same
  Int id = 0;           // equal ids: the same code in the original for every input
  bool is_same = true;  // the same code in both, for every input
};

bool is_point(const Interval& interval) { return interval.lo == interval.hi; }

class Comparison {
 public:
  Comparison(const Plan& original, const Plan& changed) : a_(original), b_(changed) {}

  Equality run() {
    if (!has_same_frame()) return {false, reason_};
    if (const std::string fault = memory_fault(b_); !fault.empty()) return {false, fault};
    tensors_.resize(a_.tensors.size());
    for (const std::size_t input : a_.inputs) {
      const PlanTensor& tensor = a_.tensors[input];
      tensors_[input].assign(at(tensor.count()), {codes_of(tensor), codes_of(tensor), 0, true});
      for (Pair& element : tensors_[input]) element.id = next_id_++;
    }
    for (const PlanOp& op : b_.ops) {
      const auto of = std::ranges::find(a_.ops, op.output, &PlanOp::output);
      if (of == a_.ops.end() || !all_made(of->inputs) || !all_made(op.inputs))
        return {false, fmt::format("'{}' is computed from other tensors", op.node)};
      if (!compare(*of, op)) return {false, reason_};
    }
    for (std::size_t t = 0; t < b_.tensors.size(); ++t)
      if (is_read(b_.tensors[t]) && !is_same_tensor(t)) return {false, reason_};
    if (has_looked_) return {true, "the same code for every accumulator that can occur"};
    return {true, is_elsewhere() ? "each operator finds its inputs in the arena"
                                 : "no operator reads it, or each combines the same elements"};
  }

 private:
  static std::size_t at(Int i) { return static_cast<std::size_t>(i); }

  bool all_made(const std::vector<std::size_t>& tensors) const {
    return std::ranges::none_of(tensors, [&](std::size_t t) { return tensors_[t].empty(); });
  }
  // Whether tensors lie elsewhere, or operators run in another order.
  bool is_elsewhere() const {
    return !std::ranges::equal(a_.tensors, b_.tensors, {}, &PlanTensor::arena_offset,
                               &PlanTensor::arena_offset) ||
           !std::ranges::equal(a_.ops, b_.ops, {}, &PlanOp::output, &PlanOp::output);
  }

  bool fails(std::string reason) {
    if (reason_.empty()) reason_ = std::move(reason);
    return false;
  }

  // That both have the same tensors, as far as their shapes go, and say the same of the named ones.
  bool has_same_frame() {
    if (a_.inputs != b_.inputs || a_.outputs != b_.outputs || a_.name != b_.name ||
        a_.tensors.size() != b_.tensors.size() || a_.ops.size() != b_.ops.size())
      return fails("other inputs, outputs or numbers of tensors");
    for (std::size_t t = 0; t < a_.tensors.size(); ++t) {
      const PlanTensor &a = a_.tensors[t], &b = b_.tensors[t];
      if (a.channels != b.channels || a.height != b.height || a.width != b.width ||
          a.is_raw != b.is_raw || a.is_input != b.is_input || a.is_output != b.is_output ||
          (a.is_input && a.bits != b.bits))
        return fails(fmt::format("tensor {} '{}' is another", t, a.name));
      if (is_read(b) && (a.is_named < b.is_named || a.name != b.name || a.offsets != b.offsets ||
                         a.channel_of != b.channel_of || a.has_map != b.has_map ||
                         a.logical_rank != b.logical_rank))
        return fails(fmt::format("tensor {} '{}' has another meaning", t, a.name));
    }
    return true;
  }

  // Whether its meaning is known outside the plan.
  static bool is_read(const PlanTensor& tensor) {
    return tensor.is_named || tensor.is_input || tensor.is_output;
  }

  bool is_same_tensor(std::size_t t) {
    const PlanTensor &a = a_.tensors[t], &b = b_.tensors[t];
    for (std::size_t p = 0; p < tensors_[t].size(); ++p) {
      const Pair& pair = tensors_[t][p];
      const std::size_t channel = p % at(a.channels);
      const bool is_zero = is_point(pair.range) && pair.range.lo == 0;  // so on any grid
      if (a.decimals[channel] != b.decimals[channel] && !is_zero)
        return fails(fmt::format("tensor {} '{}' is on another grid", t, a.name));
      if (!pair.is_same) return false;
    }
    return true;
  }

  // Works out the output of an operator. False if the changed one cannot be stored.
  bool compare(const PlanOp& a, const PlanOp& b) {
    const Meaning before(a_, a), after(b_, b);
    const PlanTensor &output = a_.tensors[a.output], &other = b_.tensors[b.output];
    Elements made(at(output.count()));
    known_.clear();
    for (Int p = 0; p < output.count(); ++p) {
      Pair& now = made[at(p)];
      const Int channel = p % output.channels;
      const Argument x = argument(before, after, p);
      const bool is_kept = before.keeps(p), is_kept_now = after.keeps(p);
      if (is_kept_now && !after.is_defined(x.changed))
        return fails(fmt::format("'{}': its table has no entry for some code", b.node));
      now.range = is_kept ? before.image(channel, x.range) : Interval{0, 0};
      now.changed = is_kept_now ? after.image(channel, x.changed) : Interval{0, 0};
      now.id = next_id_++;
      // A copy has the code of what it copies.
      if (x.copied && is_kept && before.is_identity(channel, x.range)) now.id = *x.copied;
      now.is_same = (!is_kept && !is_kept_now) ||
                    (x.difference && is_same(before, after, channel, x, is_kept, is_kept_now));
      if (!now.is_same && is_point(now.range) && now.range == now.changed)
        now.is_same = has_looked_ = true;
      if (now.is_same) now.changed = now.range;
      const Interval codes = codes_of(other);
      if (now.changed.lo < codes.lo || now.changed.hi > codes.hi)
        return fails(fmt::format("'{}': its codes need more bits", b.node));
      if (!now.is_same)
        fails(fmt::format("'{}', channel {}, element {}: {}", b.node, channel, p,
                          x.difference ? "another code for some accumulator" : "other products"));
    }
    tensors_[a.output] = std::move(made);
    return true;
  }

  // What the functions of an element are given.
  struct Argument {
    Interval range, changed;        // in the original, in the changed plan
    std::optional<Int> difference;  // changed minus original, where that is always the same
    std::optional<Int> copied;      // the id of the element that it is in the original
  };

  Argument argument(const Meaning& before, const Meaning& after, Int p) {
    Argument x;
    x.range = before.combine(
        p, [this](std::size_t t, Int i) -> const Interval& { return tensors_[t][at(i)].range; });
    x.changed = after.combine(
        p, [this](std::size_t t, Int i) -> const Interval& { return tensors_[t][at(i)].changed; });
    if (!before.is_same_kind(after)) return x;
    before.terms(p, a_terms_);
    after.terms(p, b_terms_);
    if (before.is_sum()) {
      compare_sums(before.constant(p), after.constant(p), x);
      if (a_terms_.size() == 1 && a_terms_[0].coefficient == 1 && before.constant(p) == 0)
        x.copied = pair_of(a_terms_[0]).id;
      return x;
    }
    // Products, the largest, argmax: of the same elements, of which argmax knows the order.
    ids_.clear();
    other_ids_.clear();
    for (const Term& term : a_terms_) ids_.push_back(pair_of(term).id);
    for (const Term& term : b_terms_) {
      if (!pair_of(term).is_same) return x;
      other_ids_.push_back(pair_of(term).id);
    }
    if (!before.is_ordered()) {
      std::ranges::sort(ids_);
      std::ranges::sort(other_ids_);
    }
    if (ids_ == other_ids_) x.difference = 0;
    return x;
  }

  const Pair& pair_of(const Term& term) const { return tensors_[term.tensor][at(term.element)]; }

  // What a sum takes of an element: its coefficients in both plans.
  struct Both {
    Wide before = 0, after = 0;
    const Pair* pair = nullptr;
    Int stamp = -1;  // of the sum at hand
  };

  // Of elements with the same code in the original: whether they have so in the changed plan.
  // Copies of one element may have been changed in different ways.
  static bool is_alike(const Pair& a, const Pair& b) {
    return &a == &b || (a.is_same && b.is_same) ||
           (!a.is_same && !b.is_same && is_point(a.changed) && a.changed == b.changed);
  }

  // Of two sums: the difference, if that is always the same, and the intervals as far as they are
  // narrower because an element occurs more than once.
  void compare_sums(Int constant, Int changed_constant, Argument& x) {
    slots_.resize(std::max(slots_.size(), at(next_id_)));
    ++stamp_;
    ids_.clear();
    const auto add = [this](const std::vector<Term>& terms, Wide Both::*coefficient) {
      for (const Term& term : terms) {
        const Pair& pair = pair_of(term);
        Both& both = slots_[at(pair.id)];
        if (both.stamp != stamp_) {
          both = {0, 0, &pair, stamp_};
          ids_.push_back(pair.id);
        }
        if (!is_alike(*both.pair, pair)) return false;
        both.*coefficient += term.coefficient;
      }
      return true;
    };
    if (!add(a_terms_, &Both::before) || !add(b_terms_, &Both::after)) return;
    Wide difference = Wide{changed_constant} - constant;
    bool is_fixed = true;
    Sum range(constant), changed(changed_constant);
    for (const Int id : ids_) {
      const auto& [before, after, pair, stamp] = slots_[at(id)];
      range.add(before, pair->range);
      changed.add(after, pair->changed);
      if (before == after && (pair->is_same || before == 0)) continue;
      is_fixed = is_fixed && is_point(pair->range) && is_point(pair->changed);
      difference += after * pair->changed.lo - before * pair->range.lo;
    }
    x.range = range.interval();
    x.changed = changed.interval();
    constexpr Wide kLimit = Wide{1} << 61;
    if (is_fixed && difference < kLimit && difference > -kLimit)
      x.difference = static_cast<Int>(difference);
  }

  // Whether both functions give the same code for every argument in the interval.
  bool is_same(const Meaning& before, const Meaning& after, Int channel, const Argument& x,
               bool is_kept, bool is_kept_now) {
    const Int d = *x.difference;
    if (d == 0 && is_kept == is_kept_now && before.has_function_of(after, channel)) return true;
    has_looked_ = true;
    const auto [entry, is_new] =
        known_.try_emplace({channel, x.range.lo, x.range.hi, d, is_kept, is_kept_now}, false);
    if (!is_new) return entry->second;
    const auto f = [&](Int v) { return is_kept ? before.apply(channel, v) : 0; };
    const auto g = [&](Int v) { return is_kept_now ? after.apply(channel, v + d) : 0; };
    const auto [lo, hi] = x.range;
    if (is_kept_now && !after.is_defined({lo + d, hi + d})) return false;
    if (before.is_monotone(channel) && after.is_monotone(channel)) {
      entry->second = agree(f, g, lo, hi, f(lo), f(hi), g(lo), g(hi));
    } else if (hi - lo < kMostLooks) {
      entry->second = true;
      for (Int v = lo; v <= hi && entry->second; ++v) entry->second = f(v) == g(v);
    }
    return entry->second;
  }

  // Two monotone functions: where both are constant between two places, they are equal there.
  template <typename F, typename G>
  static bool agree(const F& f, const G& g, Int lo, Int hi, Int f_lo, Int f_hi, Int g_lo,
                    Int g_hi) {
    if (f_lo != g_lo || f_hi != g_hi) return false;
    if (f_lo == f_hi || hi - lo <= 1) return true;
    const Int middle = lo + (hi - lo) / 2, f_middle = f(middle), g_middle = g(middle);
    return agree(f, g, lo, middle, f_lo, f_middle, g_lo, g_middle) &&
           agree(f, g, middle, hi, f_middle, f_hi, g_middle, g_hi);
  }

  using Elements = std::vector<Pair>;
  const Plan &a_, &b_;
  std::vector<Elements> tensors_;
  std::vector<Term> a_terms_, b_terms_;
  std::vector<Int> ids_, other_ids_;
  std::vector<Both> slots_;                                           // by id
  std::map<std::tuple<Int, Int, Int, Int, bool, bool>, bool> known_;  // of the operator at hand
  Int next_id_ = 0, stamp_ = 0;
  bool has_looked_ = false;
  std::string reason_;
};

}  // namespace

Equality compare_plans(const Plan& original, const Plan& changed) {
  return Comparison(original, changed).run();
}

}  // namespace lockstep::mutate
