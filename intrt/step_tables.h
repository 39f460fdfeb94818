// Where the search for the step that an accumulator lies on begins. The accumulators from a
// channel's first threshold to its last lie in parts of equal length, a power of two; a table says
// for each part how many thresholds lie before it. Few thresholds of a part are left to search.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "intrt/plan_view.h"

namespace intrt {

// Of one channel; all 0 where it has no steps.
struct StepParts {
  int32_t first, last;  // accumulators before belong to the first part, those behind to the last
  uint32_t shift;       // a part has 2^shift
  uint32_t counts;      // which of all counts is that of the first part; it is 0
};

// Of an operator's output channels, in prepared memory.
struct StepTables {
  uint32_t channels;
  uint32_t most;  // the greatest power of two up to the most thresholds in any part

  const StepParts* parts() const {
    return static_cast<const StepParts*>(static_cast<const void*>(this + 1));
  }
  // Of thresholds that lie before a part.
  const uint16_t* counts() const {
    return static_cast<const uint16_t*>(static_cast<const void*>(parts() + channels));
  }
};

// 0: no channel has steps.
size_t step_tables_bytes(const intrt_plan& plan, const intrt_post_record& post, uint32_t channels);
// Fills so many bytes.
void fill_step_tables(const intrt_plan& plan, const intrt_post_record& post, uint32_t channels,
                      StepTables& tables);

}  // namespace intrt
