// Learning-rate schedules, with the formulas of torch.optim.lr_scheduler, stepped after each batch.
//
// A warm-up comes first, where one is asked for: over the first W steps the rate rises linearly,
// lr * (step + 1) / W. The schedule itself then runs over the remaining steps, as the second part
// of torch's SequentialLR does.
#pragma once

#include <cstdint>
#include <string_view>

namespace lockstep::train {

enum class ScheduleKind : std::uint8_t { kConstant, kCosine, kOneCycle, kStep };
inline constexpr ScheduleKind kScheduleKinds[] = {ScheduleKind::kConstant, ScheduleKind::kCosine,
                                                  ScheduleKind::kOneCycle, ScheduleKind::kStep};
std::string_view schedule_name(ScheduleKind kind);  // "constant", "cosine", "one_cycle", "step"

// A kind reads only its own members. Defaults are torch's.
struct ScheduleSpec {
  ScheduleKind kind = ScheduleKind::kConstant;
  double warm_up = 0;          // share of all steps, in [0, 1]; not of one_cycle, which has its own
  double end_factor = 0;       // cosine: the rate falls to this share of lr, in [0, 1]
  std::int64_t step_size = 1;  // step: epochs between two reductions, at least 1
  double gamma = 0.1;          // step: the factor of a reduction, in (0, 1]
  double pct_start = 0.3;      // one_cycle: share of the steps in which the rate rises, in [0, 1]
  double div_factor = 25;      // one_cycle: starts at lr / div_factor, at least 1
  double final_div_factor = 1e4;  // one_cycle: ends at lr / (div_factor * final_div_factor)
  bool operator==(const ScheduleSpec&) const = default;
};

// The rate of step `step` (from 0) of `steps`, where an epoch has `steps_per_epoch`.
double scheduled_learning_rate(const ScheduleSpec& spec, double learning_rate, std::int64_t step,
                               std::int64_t steps, std::int64_t steps_per_epoch);

}  // namespace lockstep::train
