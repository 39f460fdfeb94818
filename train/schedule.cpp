#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "compile/support/error.h"

namespace lockstep::train {
namespace {

// In the order of ScheduleKind.
constexpr std::string_view kNames[] = {"constant", "cosine", "one_cycle", "step"};

// From `from` to `to` along half a cosine; 0 <= done <= 1.
double half_cosine(double from, double to, double done) {
  return to + (from - to) * 0.5 * (1 + std::cos(std::numbers::pi * done));
}

// torch's OneCycleLR with cosine annealing: up to the peak, which lies one step before pct_start of
// the steps, then down until the last step.
double one_cycle(const ScheduleSpec& spec, double peak, double step, double steps) {
  const double first = peak / spec.div_factor, last = first / spec.final_div_factor;
  const double top = std::max(0.0, spec.pct_start * steps - 1), end = steps - 1;
  if (step < top) return half_cosine(first, peak, step / top);
  return end > top ? half_cosine(peak, last, (step - top) / (end - top)) : peak;
}

}  // namespace

std::string_view schedule_name(ScheduleKind kind) { return kNames[static_cast<std::size_t>(kind)]; }

double scheduled_learning_rate(const ScheduleSpec& spec, double learning_rate, std::int64_t step,
                               std::int64_t steps, std::int64_t steps_per_epoch) {
  LOCKSTEP_ASSERT(0 <= step && step < steps && steps_per_epoch >= 1);
  const auto warm_up = static_cast<std::int64_t>(spec.warm_up * static_cast<double>(steps));
  if (step < warm_up)
    return learning_rate * static_cast<double>(step + 1) / static_cast<double>(warm_up);
  const std::int64_t passed = step - warm_up;
  const auto whole = static_cast<double>(steps - warm_up);
  switch (spec.kind) {
    case ScheduleKind::kConstant:
      break;
    case ScheduleKind::kCosine:
      return half_cosine(learning_rate, learning_rate * spec.end_factor,
                         static_cast<double>(passed) / whole);
    case ScheduleKind::kOneCycle:
      return one_cycle(spec, learning_rate, static_cast<double>(passed), whole);
    case ScheduleKind::kStep:
      return learning_rate *
             std::pow(spec.gamma, static_cast<double>(passed / steps_per_epoch / spec.step_size));
  }
  return learning_rate;
}

}  // namespace lockstep::train
