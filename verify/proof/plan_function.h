// What a plan makes of an accumulator or a code of one channel, and whether that is what the graph
// makes of it, for every argument that can occur.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "verify/proof/graph_function.h"
#include "verify/proof/plan_reader.h"
#include "verify/semantics/format.h"

namespace lockstep::verify {

class PlanFunction {
 public:
  // A post-op for one output channel, without its mask. Keeps a reference.
  static PlanFunction post(const PlanPost& post, std::int64_t channel);
  // Codes from `first` on look themselves up in `entries`, which is kept by reference.
  static PlanFunction table(const std::vector<std::int64_t>& entries, std::int64_t first);

  std::int64_t apply(std::int64_t x) const;
  Direction direction() const { return direction_; }
  // The smallest and the largest result on [lo, hi].
  CodeRange image(CodeRange arguments) const;
  // As shifts and clamps; nothing where it is none.
  std::optional<std::vector<PostStep>> shifts() const;
  // Whether two are the same function by construction.
  bool operator==(const PlanFunction&) const = default;

 private:
  enum class Kind : std::uint8_t { kNone, kShift, kMultiply, kSteps, kTable };
  std::size_t step_of(std::int64_t x) const;

  Kind kind_ = Kind::kNone;
  PostStep shift_;
  Rounding rounding_ = Rounding::kTowardZero;
  const PlanScale* scale_ = nullptr;
  const std::vector<std::int64_t>* entries_ = nullptr;
  std::int64_t first_ = 0;
  Direction direction_ = Direction::kRising;
};

// An argument in the range for which the plan's result is not the graph's on the grid `decimal`;
// nothing where there is none. Both rising or both falling: by looking at the ends of their steps;
// else at every argument. NotUnderstood, which names `layer`, where those are more than 2^24.
std::optional<std::int64_t> find_difference(const GraphFunction& graph, const PlanFunction& plan,
                                            int decimal, CodeRange arguments,
                                            const std::string& layer);

// The results of the graph's function on `arguments`, on the grid `decimal`; nothing where some are
// not on that grid. At the ends of the range, or for a function that may rise and fall by looking
// at every argument; NotUnderstood as above.
std::optional<CodeRange> image_of(const GraphFunction& graph, int decimal, CodeRange arguments,
                                  const std::string& layer);

}  // namespace lockstep::verify
