// What happens to an accumulator or a code on its way out: as the graph says it (a chain of
// quantize and relu nodes) and as the plan says it (one shift and one clamp). Both never decrease
// when their argument grows, so equality for all arguments of a range is decided by looking at the
// ends of their steps.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "compile/graph/graph.h"

namespace lockstep::verify {

// clamp(round(x / 2^drop), lo, hi); a relu is {0, any, 0, INT64_MAX}.
struct PostStep {
  int drop = 0;
  Rounding rounding = Rounding::kTowardZero;
  std::int64_t lo = 0, hi = 0;
  bool operator==(const PostStep&) const = default;
};

std::int64_t apply_steps(const std::vector<PostStep>& steps, std::int64_t x);

struct PostComparison {
  std::optional<std::int64_t> difference;  // an x for which the two differ; nothing when they agree
  std::int64_t arguments = 0;              // how many were looked at
};
// Of all x in [lo, hi]. Looks at few of them however many steps both functions have, unless they
// divide and round in different ways.
PostComparison compare_post(const std::vector<PostStep>& a, const std::vector<PostStep>& b,
                            std::int64_t lo, std::int64_t hi);

}  // namespace lockstep::verify
