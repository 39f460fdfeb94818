#include "verify/checker/functions.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lockstep::checker {
namespace {

constexpr Int kMostLooks = Int{1} << 26;

[[noreturn]] void undefined(const std::string& what) { throw Failure{true, "", "grid", what}; }

float fl(double (*function)(double), float x) {
  return static_cast<float>(function(static_cast<double>(x)));
}
float ramp(float x, float top) { return std::min(std::max(x, 0.0F), top); }
float one_plus_exp(float x) { return 1.0F + fl(std::exp, -x); }
float gelu(float x, const Step&) {
  const float erf = fl(std::erf, x * static_cast<float>(std::numbers::sqrt2 / 2));
  const float half = x * 0.5F;
  return half * (1.0F + erf);
}
float softplus(float x, const Step& s) {
  const float scaled = x * s.a;
  return scaled > s.b ? x : fl(std::log1p, fl(std::exp, scaled)) / s.a;
}

bool always(const Step&) { return true; }
bool never(const Step&) { return false; }
bool unless_negative(const Step& s) { return s.a >= 0; }

// Nothing is rounded but by each of these operations; none is contracted (-ffp-contract=off). Of
// exp and its kin it holds for all float32 arguments that they rise, and a test goes through all of
// them. softplus jumps down by less than half a unit at a threshold from 16 to 88.
constexpr FloatFunction kFunctions[] = {
    {"x + a", [](float x, const Step& s) { return x + s.a; }, always},
    {"x / a", [](float x, const Step& s) { return x / s.a; },
     [](const Step& s) { return s.a > 0; }},
    {"x * a + b", [](float x, const Step& s) { return x * s.a + s.b; }, unless_negative},
    {"x * scale", [](float x, const Step& s) { return static_cast<float>(x * s.scale); }, always},
    {"relu", [](float x, const Step&) { return std::max(x, 0.0F); }, always},
    {"relu6", [](float x, const Step&) { return ramp(x, 6); }, always},
    {"leaky_relu", [](float x, const Step& s) { return x > 0 ? x : x * s.a; }, unless_negative,
     "negative_slope"},
    {"hard_sigmoid", [](float x, const Step&) { return ramp(x + 3.0F, 6) / 6.0F; }, always},
    {"hard_swish", [](float x, const Step&) { return x * ramp(x + 3.0F, 6) / 6.0F; }, never},
    {"tanh", [](float x, const Step&) { return fl(std::tanh, x); }, always},
    {"sigmoid", [](float x, const Step&) { return 1.0F / one_plus_exp(x); }, always},
    {"silu", [](float x, const Step&) { return x / one_plus_exp(x); }, never},
    {"gelu", gelu, never},
    {"elu", [](float x, const Step& s) { return x > 0 ? x : (fl(std::exp, x) - 1.0F) * s.a; },
     unless_negative, "alpha"},
    {"softplus", softplus, [](const Step& s) { return s.a > 0 && s.b >= 16 && s.b <= 88; }, "beta",
     "threshold"}};

// A code becomes a float32 by one rounding; the power of two rounds nothing.
float enter_float(const Value& x) {
  return x.is_real ? x.real : std::ldexp(static_cast<float>(static_cast<Int>(x.code)), -x.decimal);
}

Value quantized(const Step& step, const Value& x) {
  constexpr Wide kEnd = Wide{1} << 31;
  Wide code = 0;
  if (x.is_real) {
    const double scaled = static_cast<double>(std::ldexp(x.real, step.decimal));
    if (!(std::fabs(scaled) < 0x1p31))
      undefined(fmt::format("{:.9g} * 2^{} leaves 32 bits", x.real, step.decimal));
    code = static_cast<Int>(rounded(scaled, step.rounding));
  } else if (x.code != 0) {
    const int shift = x.decimal - step.decimal;
    if (shift < -62) undefined("a value leaves 64 bits on the grid of its codes");
    code = shift_rounded(x.code, std::min(shift, 100), step.rounding);
    if (code < -kEnd || code >= kEnd) undefined("a value leaves 32 bits on the grid of its codes");
  }
  const Wide most = (Wide{1} << (step.bits - 1)) - 1;
  return {std::clamp(code, -most - 1, most), step.decimal};
}

}  // namespace

Wide shift_rounded(Wide x, int shift, Rounding rounding) {
  if (shift <= 0) return x * (Wide{1} << -shift);
  const Wide unit = Wide{1} << shift;
  const Wide floor = x >> shift, rest = x - floor * unit;
  if (rest == 0 || rounding == Rounding::kFloor) return floor;
  if (rounding == Rounding::kTowardZero) return x < 0 ? floor + 1 : floor;
  const bool is_tie = rest * 2 == unit;
  return rest * 2 > unit || (is_tie && floor % 2 != 0) ? floor + 1 : floor;
}

std::optional<Int> on_grid(const Value& value, int decimal) {
  if (value.code == 0) return 0;
  const int shift = value.decimal - decimal;
  if (shift < -62 || shift > 100) return std::nullopt;
  const Wide code = shift_rounded(value.code, shift, Rounding::kFloor);
  if (code > kLimit || code < -kLimit) return std::nullopt;
  if (shift > 0 && code * (Wide{1} << shift) != value.code) return std::nullopt;
  return static_cast<Int>(code);
}

bool equal(const Value& a, const Value& b) {
  const Value &fine = a.decimal >= b.decimal ? a : b, &coarse = a.decimal >= b.decimal ? b : a;
  const auto code = on_grid(coarse, fine.decimal);
  return code && *code == fine.code;
}

const FloatFunction* find_function(std::string_view name) {
  const auto* const found = std::ranges::find(kFunctions, name, &FloatFunction::name);
  return found == std::end(kFunctions) ? nullptr : found;
}

Step float_step(std::string_view name, float a, float b, double scale) {
  return {
      .kind = Step::Kind::kFloat, .function = find_function(name), .a = a, .b = b, .scale = scale};
}

Value Step::apply(const Value& x) const {
  if (kind == Kind::kQuantize) return quantized(*this, x);
  if (kind == Kind::kRelu) return {std::max<Wide>(x.code, 0), x.decimal};
  if (kind == Kind::kRelu6) {
    // 6 is on every grid that has halves.
    const int finer = std::max(-1 - x.decimal, 0), grid = x.decimal + finer;
    const Wide code = std::max<Wide>(x.code, 0) * (Wide{1} << finer);
    return {grid > 100 ? code : std::min(code, Wide{3} << (grid + 1)), grid};
  }
  const float result = function->apply(enter_float(x), *this);
  if (!std::isfinite(result)) undefined("a float function leaves float32");
  return {0, 0, result, true};
}

bool Step::rises() const { return kind != Kind::kFloat || function->rises(*this); }

bool Step::is_monotone() const {
  return rises() || function->name == "x / a" || function->name == "x * a + b";
}

int Chains::extend(int chain, const Step& step) {
  const auto [entry, is_new] = known_.try_emplace({chain, step}, static_cast<int>(links_.size()));
  if (is_new) links_.push_back({chain, &entry->first.second});
  return entry->second;
}

int Chains::exact_part(int chain) const {
  while (is_real(chain)) chain = parent(chain);
  return chain;
}

std::optional<std::vector<const Step*>> Chains::between(int from, int to) const {
  std::vector<const Step*> steps;
  for (; to != from; to = parent(to)) {
    if (to == 0) return std::nullopt;
    steps.push_back(&last(to));
  }
  std::ranges::reverse(steps);
  return steps;
}

Int PlanFunction::apply(Int x) const {
  if (table != nullptr) return table->at(at(x - first));
  if (kind() == PostKind::kNone) return x;
  if (kind() == PostKind::kShift)
    return static_cast<Int>(
        std::clamp<Wide>(shift_rounded(x, shift(), post->rounding), post->lo, post->hi));
  const ScaleStep& scale = post->scales[channel];
  if (!scale.codes.empty())
    return scale
        .codes[at(std::ranges::upper_bound(scale.thresholds, x) - scale.thresholds.begin())];
  const Wide product = Wide{x} * scale.multiplier + scale.addend;
  return static_cast<Int>(
      std::clamp<Wide>(shift_rounded(product, scale.shift, post->rounding), scale.lo, scale.hi));
}

bool PlanFunction::is_monotone() const {
  if (table != nullptr || kind() != PostKind::kScale) return table == nullptr;
  const std::vector<Int>& codes = post->scales[channel].codes;
  return std::ranges::is_sorted(codes) || std::ranges::is_sorted(codes, std::greater<>());
}

std::pair<Int, Int> PlanFunction::image(Int lo, Int hi) const {
  std::pair<Int, Int> result = std::minmax({apply(lo), apply(hi)});
  const auto include = [&](Int x) {
    if (x > lo && x < hi)
      result = {std::min(result.first, apply(x)), std::max(result.second, apply(x))};
  };
  if (table != nullptr)
    for (Int x = lo; x < hi; ++x) include(x);
  else if (!is_monotone())
    std::ranges::for_each(post->scales[channel].thresholds, include);
  return result;
}

std::string PlanFunction::text() const {
  if (table != nullptr) return "table";
  if (kind() == PostKind::kNone) return "none";
  static constexpr const char* kRoundings[] = {"toward_zero", "floor", "half_even"};
  const char* const mode = kRoundings[static_cast<int>(post->rounding)];
  if (kind() == PostKind::kShift)
    return fmt::format("shift {} {} [{}, {}]", shift(), mode, post->lo, post->hi);
  return post->scales[channel].codes.empty() ? fmt::format("scale {}", mode) : "steps";
}

std::optional<Int> Question::expected(Int x) const {
  Value value{Wide{x / factor} * (Wide{1} << rest.decimal) + rest.code, exponent + rest.decimal};
  for (const Step* step : steps) value = step->apply(value);
  return value.is_real ? std::nullopt : on_grid(value, decimal);
}

namespace {

// What is known of both functions of a question between two arguments.
struct Bends {
  bool is_monotone = false;  // both
  Wide slope = 0;            // neither rises by more from one argument to the next; 0: not known
};

Bends bends_of(const Question& q) {
  const auto all = [&](auto holds) { return std::ranges::all_of(q.steps, holds); };
  Bends bends{q.plan.is_monotone() && all([](const Step* s) { return s->is_monotone(); })};
  // Both clamp x * 2^k, for the same k.
  const int k = -q.plan.shift();
  if (q.plan.table == nullptr && q.plan.kind() != PostKind::kScale && k >= 0 &&
      k == q.decimal - q.exponent && q.factor == 1 &&
      all([](const Step* s) { return s->kind <= Step::Kind::kRelu6; }))
    bends.slope = Wide{1} << k;
  return bends;
}

// An argument between `first` and `last`, at which both agree, where they do not. Between two where
// neither changes, or both rise as much as they can, nothing is looked at.
std::optional<Int> difference_between(const Question& q, const Bends& bends, Int first, Int last) {
  const Wide rise = Wide{q.plan.apply(last * q.factor)} - q.plan.apply(first * q.factor);
  if (last - first < 2 || (bends.is_monotone && rise == 0) ||
      (bends.slope != 0 && rise == bends.slope * (last - first)))
    return std::nullopt;
  const Int middle = first + (last - first) / 2;
  if (q.differs(middle)) return middle;
  const auto left = difference_between(q, bends, first, middle);
  return left ? left : difference_between(q, bends, middle, last);
}

}  // namespace

Answer decide(const Question& q, bool look_at_each) {
  const Int first = q.first(), last = q.last();
  const Bends bends = bends_of(q);
  const bool is_short = bends.is_monotone && !look_at_each;
  std::optional<Int> found;
  if (is_short) {
    if (first <= last)
      found = q.differs(first)  ? std::optional(first)
              : q.differs(last) ? std::optional(last)
                                : difference_between(q, bends, first, last);
  } else if (q.count() > kMostLooks) {
    throw Failure{true, "", "post-op",
                  fmt::format("its function both rises and falls, and {} accumulators are too many "
                              "to look at each",
                              q.count())};
  } else {
    for (Int t = first; t <= last && !found; ++t)
      if (q.differs(t)) found = t;
  }
  if (found) *found *= q.factor;
  return {found, is_short ? "thresholds" : "exhaustive"};
}

}  // namespace lockstep::checker
