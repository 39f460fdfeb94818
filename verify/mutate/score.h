// How many wrong plans a checker lets through: it is given mutants of a plan that it proves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "verify/checker/model.h"
#include "verify/checker/plan.h"

namespace lockstep::mutate {

// Mutants of one kind. Each is in exactly one of the numbers behind `made`.
struct KindScore {
  std::int64_t made = 0;
  std::int64_t refused = 0;   // by the reader of plans
  std::int64_t refuted = 0;   // by the proof
  std::int64_t unjudged = 0;  // the proof does not understand it, so nobody would rely on it
  std::int64_t equal = 0;     // accepted, and computes the same for every input
  std::int64_t survived = 0;  // accepted, and nothing shows that it computes the same
  KindScore& operator+=(const KindScore& other);
};

struct Score {
  std::map<std::string, KindScore> kinds;
  std::map<std::string, std::int64_t> reasons;  // why accepted mutants compute the same
  std::vector<std::string> survivors;           // kind, change, seed, and what is not shown
  KindScore total() const;
  Score& operator+=(const Score& other);
};

struct ScoreOptions {
  std::int64_t count = 200;
  std::uint64_t seed = 1;
  // Throws checker::Failure for a plan that is wrong; empty: checker::prove() with the model.
  std::function<void(const checker::Plan&)> prove;
};

// Makes mutants of `plan` (PlanMutants) and gives each to the checker. One that is accepted must
// compute the same as the plan (compare_plans), and the runtime must give the same outputs on a few
// inputs where it opens it; else it survives. Throws BadFile or Failure if the plan itself is not
// accepted.
Score score(const checker::Model& model, std::span<const std::byte> plan,
            const ScoreOptions& options);

// A table of all kinds, with the reasons and the survivors below.
std::string to_text(const Score& score);

}  // namespace lockstep::mutate
