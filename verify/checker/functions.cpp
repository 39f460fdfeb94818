#include "verify/checker/functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lockstep::checker {
namespace {

constexpr Int kMostLooks = Int{1} << 26;
constexpr double kQuantizeLimit = 0x1p31;

[[noreturn]] void undefined(const std::string& what) { throw Failure{true, "", "grid", what}; }

float rounded(double (*function)(double), float x) {
  return static_cast<float>(function(static_cast<double>(x)));
}
float ramp(float x, float top) { return std::min(std::max(x, 0.0F), top); }
float one_plus_exp(float x) { return 1.0F + rounded(std::exp, -x); }

float apply_float(const Step& step, float x) {
  const float a = step.a, b = step.b;
  switch (step.fn) {
    case Fn::kAdd:
      return x + a;
    case Fn::kDivide:
      return x / a;
    case Fn::kAffine: {
      const float product = x * a;
      return product + b;
    }
    case Fn::kRelu:
      return std::max(x, 0.0F);
    case Fn::kRelu6:
      return ramp(x, 6);
    case Fn::kLeakyRelu:
      return x > 0 ? x : x * a;
    case Fn::kHardSigmoid:
      return ramp(x + 3.0F, 6) / 6.0F;
    case Fn::kHardSwish: {
      const float product = x * ramp(x + 3.0F, 6);
      return product / 6.0F;
    }
    case Fn::kTanh:
      return rounded(std::tanh, x);
    case Fn::kSigmoid:
      return 1.0F / one_plus_exp(x);
    case Fn::kSilu:
      return x / one_plus_exp(x);
    case Fn::kGelu: {
      const float erf = rounded(std::erf, x * static_cast<float>(std::numbers::sqrt2 / 2));
      const float half = x * 0.5F;
      return half * (1.0F + erf);
    }
    case Fn::kElu: {
      if (x > 0) return x;
      const float below = rounded(std::exp, x) - 1.0F;
      return below * a;
    }
    case Fn::kSoftplus: {
      const float scaled = x * a;
      return scaled > b ? x : rounded(std::log1p, rounded(std::exp, scaled)) / a;
    }
    case Fn::kByteScale:
      return static_cast<float>(static_cast<double>(x) * step.scale);
  }
  undefined("no such float function");
}

// A code becomes a float32 by one rounding; the power of two rounds nothing.
float enter_float(const Value& x) {
  return x.is_real ? x.real : std::ldexp(static_cast<float>(static_cast<Int>(x.code)), -x.decimal);
}

Value quantized(const Step& step, const Value& x) {
  Wide code = 0;
  if (x.is_real) {
    const float scaled = std::ldexp(x.real, step.decimal);
    if (!(std::fabs(static_cast<double>(scaled)) < kQuantizeLimit))
      undefined(fmt::format("{:.9g} * 2^{} leaves 32 bits", x.real, step.decimal));
    code = static_cast<Int>(step.rounding == Rounding::kTowardZero ? std::trunc(scaled)
                            : step.rounding == Rounding::kFloor    ? std::floor(scaled)
                                                                   : std::nearbyint(scaled));
  } else if (x.code != 0) {
    const int shift = x.decimal - step.decimal;
    if (shift < -62) undefined("a value leaves 64 bits on the grid of its codes");
    code = shift_rounded(x.code, std::min(shift, 100), step.rounding);
    const Wide limit = Wide{1} << 31;
    if (code < -limit || code >= limit)
      undefined("a value leaves 32 bits on the grid of its codes");
  }
  const Wide most = (Wide{1} << (step.bits - 1)) - 1;
  return {std::clamp(code, -most - 1, most), step.decimal, 0, false};
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
  const Wide limit = Wide{1} << 62;
  if (code > limit || code < -limit) return std::nullopt;
  if (shift > 0 && code * (Wide{1} << shift) != value.code) return std::nullopt;
  return static_cast<Int>(code);
}

bool equal(const Value& a, const Value& b) {
  const Value &fine = a.decimal >= b.decimal ? a : b, &coarse = a.decimal >= b.decimal ? b : a;
  const auto code = on_grid(coarse, fine.decimal);
  return code && *code == fine.code;
}

Value Step::apply(Value x) const {
  switch (kind) {
    case Kind::kRelu:
      return {std::max<Wide>(x.code, 0), x.decimal, 0, false};
    case Kind::kRelu6: {
      // 6 is on every grid that has halves.
      const int finer = std::max(-1 - x.decimal, 0);
      const Wide code = std::max<Wide>(x.code, 0) * (Wide{1} << finer);
      const int grid = x.decimal + finer;
      const Wide six = grid > 100 ? code : Wide{3} << (grid + 1);
      return {std::min(code, six), grid, 0, false};
    }
    case Kind::kQuantize:
      return quantized(*this, x);
    case Kind::kFloat: {
      const float result = apply_float(*this, enter_float(x));
      if (!std::isfinite(result)) undefined("a float function leaves float32");
      return {0, 0, result, true};
    }
  }
  undefined("no such step");
}

// Of exp and its kin this holds of the rounded functions for all float32 arguments, and a test goes
// through all of them. softplus jumps down by less than half a unit at a threshold from 16 to 88.
bool Step::rises() const {
  if (kind != Kind::kFloat) return true;
  switch (fn) {
    case Fn::kAdd:
    case Fn::kRelu:
    case Fn::kRelu6:
    case Fn::kHardSigmoid:
    case Fn::kByteScale:
      return true;
    case Fn::kDivide:
      return a > 0;
    case Fn::kAffine:
    case Fn::kLeakyRelu:
      return a >= 0;
    case Fn::kTanh:
    case Fn::kSigmoid:
      return true;
    case Fn::kElu:
      return a >= 0;
    case Fn::kSoftplus:
      return a > 0 && b >= 16 && b <= 88;
    default:
      return false;
  }
}

bool Step::falls() const {
  return kind == Kind::kFloat && ((fn == Fn::kDivide && a < 0) || (fn == Fn::kAffine && a <= 0));
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
  if (table != nullptr) return table->at(static_cast<std::size_t>(x - first));
  if (post == nullptr || post->kind == PostKind::kNone) return x;
  if (post->kind == PostKind::kShift)
    return static_cast<Int>(std::clamp<Wide>(
        shift_rounded(x, post->shifts[channel], post->rounding), post->lo, post->hi));
  const ScaleStep& scale = post->scales[channel];
  if (!scale.codes.empty())
    return scale.codes[static_cast<std::size_t>(std::ranges::upper_bound(scale.thresholds, x) -
                                                scale.thresholds.begin())];
  const Wide product = Wide{x} * scale.multiplier + scale.addend;
  return static_cast<Int>(
      std::clamp<Wide>(shift_rounded(product, scale.shift, post->rounding), scale.lo, scale.hi));
}

bool PlanFunction::rises() const {
  if (table != nullptr) return false;
  if (post == nullptr || post->kind != PostKind::kScale) return true;
  const ScaleStep& scale = post->scales[channel];
  return scale.codes.empty() ? scale.multiplier >= 0 : std::ranges::is_sorted(scale.codes);
}

bool PlanFunction::falls() const {
  if (table != nullptr || post == nullptr || post->kind != PostKind::kScale) return false;
  const ScaleStep& scale = post->scales[channel];
  return scale.codes.empty() ? scale.multiplier <= 0
                             : std::ranges::is_sorted(scale.codes, std::greater<>());
}

std::pair<Int, Int> PlanFunction::image(Int lo, Int hi) const {
  if (lo == hi || rises() || falls()) return std::minmax({apply(lo), apply(hi)});
  std::pair<Int, Int> result = std::minmax({apply(lo), apply(hi)});
  const auto include = [&](Int y) {
    result = {std::min(result.first, y), std::max(result.second, y)};
  };
  if (table != nullptr)
    for (Int x = lo; x < hi; ++x) include(apply(x));
  else
    for (const Int x : post->scales[channel].thresholds)
      if (x > lo && x <= hi) include(apply(x));
  return result;
}

std::optional<PlanFunction::Linear> PlanFunction::linear() const {
  constexpr Int kAll = Int{1} << 62;
  if (table != nullptr) return std::nullopt;
  if (post == nullptr || post->kind == PostKind::kNone) return Linear{0, -kAll, kAll};
  if (post->kind != PostKind::kShift || post->shifts[channel] > 0) return std::nullopt;
  return Linear{-post->shifts[channel], post->lo, post->hi};
}

std::string PlanFunction::text() const {
  if (table != nullptr) return "table";
  if (post == nullptr || post->kind == PostKind::kNone) return "none";
  static constexpr const char* kRoundings[] = {"toward_zero", "floor", "half_even"};
  const char* const mode = kRoundings[static_cast<int>(post->rounding)];
  if (post->kind == PostKind::kShift)
    return fmt::format("shift {} {} [{}, {}]", post->shifts[channel], mode, post->lo, post->hi);
  const ScaleStep& scale = post->scales[channel];
  if (!scale.codes.empty()) return "steps";
  return fmt::format("scale {}", mode);
}

Int Question::first() const { return lo / factor + (lo > 0 && lo % factor != 0 ? 1 : 0); }
Int Question::last() const { return hi / factor - (hi < 0 && hi % factor != 0 ? 1 : 0); }

bool Question::is_monotone() const {
  bool turned = false;  // after an odd number of falling steps
  for (const Step* step : steps) {
    if (step->rises()) continue;
    if (!step->falls()) return false;
    turned = !turned;
  }
  return turned ? plan.falls() : plan.rises();
}

std::optional<Int> Question::expected(Int x) const {
  Value value{Wide{x / factor} * (Wide{1} << rest.decimal) + rest.code, exponent + rest.decimal, 0,
              false};
  for (const Step* step : steps) value = step->apply(value);
  return value.is_real ? std::nullopt : on_grid(value, decimal);
}

namespace {

std::optional<Int> look_everywhere(const Question& q) {
  for (Int t = q.first(); t <= q.last(); ++t)
    if (q.expected(t * q.factor) != q.plan.apply(t * q.factor)) return t * q.factor;
  return std::nullopt;
}

// The last argument from x on, counted in factors, at which a monotone function still is `value`.
template <typename F>
Int last_with(const F& function, Int x, Int last) {
  const auto value = function(x);
  Int good = x, step = 1;
  while (good < last) {  // gallop, then halve
    const Int next = step > last - good ? last : good + step;
    if (function(next) != value) break;
    good = next;
    step *= 2;
  }
  Int bad = step > last - good ? last + 1 : good + step;
  while (bad - good > 1) {
    const Int middle = good + (bad - good) / 2;
    (function(middle) == value ? good : bad) = middle;
  }
  return good;
}

std::optional<Int> look_at_thresholds(const Question& q) {
  const Int last = q.last();
  const auto expected = [&](Int t) { return q.expected(t * q.factor); };
  const auto found = [&](Int t) { return std::optional(q.plan.apply(t * q.factor)); };
  for (Int t = q.first(); t <= last;) {
    if (expected(t) != found(t)) return t * q.factor;
    const Int graph_end = last_with(expected, t, last), plan_end = last_with(found, t, last);
    if (graph_end != plan_end) return (std::min(graph_end, plan_end) + 1) * q.factor;
    t = graph_end + 1;
  }
  return std::nullopt;
}

// Both are clamp(x * 2^k, lo, hi) of the same k: equal if they are at the ends of all pieces.
std::optional<Answer> look_at_pieces(const Question& q) {
  const auto linear = q.plan.linear();
  if (!linear || q.factor != 1 || q.rest.code != 0 || linear->left != q.decimal - q.exponent)
    return std::nullopt;
  for (const Step* step : q.steps)
    if (step->kind != Step::Kind::kRelu && step->kind != Step::Kind::kRelu6) return std::nullopt;
  const Wide six = q.exponent < -1 || q.exponent > 60 ? 0 : Wide{3} << (q.exponent + 1);
  std::vector<Int> points = {q.lo, q.hi};
  for (const Wide end :
       {Wide{0}, six, Wide{linear->lo >> linear->left}, Wide{linear->hi >> linear->left}})
    for (Wide x = end - 1; x <= end + 1; ++x)
      if (x >= q.lo && x <= q.hi) points.push_back(static_cast<Int>(x));
  std::ranges::sort(points);
  for (const Int x : points)
    if (q.expected(x) != q.plan.apply(x)) return Answer{x, "linear"};
  return Answer{std::nullopt, "linear"};
}

}  // namespace

Answer decide(const Question& question, bool look_at_each, const std::string& layer) {
  try {
    if (question.lo > question.hi) return {std::nullopt, "exhaustive"};
    if (const auto answer = look_at_pieces(question)) return *answer;
    const bool is_monotone = question.is_monotone();
    if (is_monotone && !look_at_each) return {look_at_thresholds(question), "thresholds"};
    if (question.count() > kMostLooks)
      throw Failure{
          true, layer, "post-op",
          fmt::format("layer '{}': its function both rises and falls, and {} accumulators "
                      "are too many to look at each",
                      layer, question.count())};
    return {look_everywhere(question), "exhaustive"};
  } catch (Failure& failure) {
    if (failure.layer.empty()) {
      failure.layer = layer;
      failure.text = fmt::format("layer '{}': {}", layer, failure.text);
    }
    throw;
  }
}

}  // namespace lockstep::checker
