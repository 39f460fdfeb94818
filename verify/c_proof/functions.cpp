#include "verify/c_proof/functions.h"

#include <algorithm>

#include "intrt/arith.h"

namespace lockstep::c_proof {
namespace {

constexpr Int kMostLooks = Int{1} << 24;

// Two monotone functions: where both are constant between two places, they are equal there.
class MonotoneComparison {
 public:
  // Whether f(x) == g(x) on [lo, hi]; nothing where that takes too many looks.
  template <typename F, typename G>
  std::optional<bool> agree(const F& f, const G& g, Int lo, Int hi) {
    const bool result = agree(f, g, lo, hi, f(lo), f(hi), g(lo), g(hi));
    return looks_left_ < 0 ? std::nullopt : std::optional(result);
  }

 private:
  template <typename F, typename G>
  bool agree(const F& f, const G& g, Int lo, Int hi, Int f_lo, Int f_hi, Int g_lo, Int g_hi) {
    if (f_lo != g_lo || f_hi != g_hi || --looks_left_ < 0) return false;
    if (f_lo == f_hi || hi - lo <= 1) return true;
    const Int middle = lo + (hi - lo) / 2, f_middle = f(middle), g_middle = g(middle);
    return agree(f, g, lo, middle, f_lo, f_middle, g_lo, g_middle) &&
           agree(f, g, middle, hi, f_middle, f_hi, g_middle, g_hi);
  }

  Int looks_left_ = kMostLooks;
};

int rounding_of(checker::Rounding rounding) {
  switch (rounding) {
    case checker::Rounding::kTowardZero:
      return INTRT_ROUND_TOWARD_ZERO;
    case checker::Rounding::kFloor:
      return INTRT_ROUND_FLOOR;
    case checker::Rounding::kHalfEven:
      break;
  }
  return INTRT_ROUND_HALF_EVEN;
}

// Whether both are written with the same numbers.
bool is_written_alike(const Made& made, const Chains& chains, int chain) {
  const checker::Post& post = made.op.post;
  if (made.op.code == checker::OpCode::kTable) return false;
  if (post.kind == checker::PostKind::kNone) return chain == 0;
  if (post.kind == checker::PostKind::kShift) {
    const std::optional<Chains::Shift> shift = chains.as_shift(chain);
    return shift && shift->shift == post.shifts[static_cast<std::size_t>(made.channel)] &&
           shift->lo == post.lo && shift->hi == post.hi &&
           (shift->shift <= 0 || shift->rounding == rounding_of(post.rounding));
  }
  const checker::ScaleStep& scale = post.scales[static_cast<std::size_t>(made.channel)];
  const Step* const step = chains.only_step(chain);
  if (step == nullptr) return false;
  if (!scale.thresholds.empty())
    return step->kind == Step::Kind::kStep &&
           std::ranges::equal(chains.thresholds(*step), scale.thresholds) &&
           std::ranges::equal(chains.codes(*step), scale.codes);
  return *step == Step{Step::Kind::kScale,
                       {scale.multiplier, scale.addend, scale.shift, rounding_of(post.rounding),
                        scale.lo, scale.hi}};
}

}  // namespace

std::optional<bool> gives(const Made& made, const plan_meaning::Interval& interval,
                          const Chains& chains, int chain, Int difference) {
  if (difference == 0 && is_written_alike(made, chains, chain)) return true;
  const auto f = [&](Int x) { return made.apply(x); };
  const auto g = [&](Int x) { return chains.apply(chain, x + difference); };
  const auto [lo, hi] = interval;
  if (made.is_monotone() && chains.is_monotone(chain))
    return MonotoneComparison().agree(f, g, lo, hi);
  if (hi - lo >= kMostLooks) return std::nullopt;
  for (Int x = lo; x <= hi; ++x)
    if (f(x) != g(x)) return false;
  return true;
}

}  // namespace lockstep::c_proof
