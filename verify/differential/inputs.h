// The inputs that the verifier makes up: corner codes, those that drive the accumulators of the
// linear layers toward their ends (verify/worst), and random codes over the whole declared range.
// Sample i is a function of the network, the worst inputs and the seed alone, so any stretch of
// them can be made at any time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "verify/semantics/exact_network.h"
#include "verify/verify.h"
#include "verify/worst/worst_inputs.h"

namespace lockstep::verify {

class GeneratedInputs {
 public:
  // No samples at all when random_samples is 0. `worst`: of this network, to which a
  // reference is kept.
  GeneratedInputs(const ExactNetwork& network, std::int64_t random_samples, std::uint64_t seed,
                  WorstInputs worst = {});

  std::int64_t count() const { return static_cast<std::int64_t>(kinds_.size()); }
  // Corners come first, then WorstInputs::inputs and tries, in their order, then random ones.
  std::int64_t first_worst() const { return first_worst_; }
  std::int64_t first_try() const { return first_worst_ + std::ssize(worst_.inputs); }
  std::int64_t first_random() const { return first_random_; }
  const WorstInputs& worst() const { return worst_; }
  std::string name(std::int64_t sample) const;
  Batch make(std::int64_t first, std::int64_t count) const;

 private:
  enum class Kind : std::uint8_t { kConstant, kAlternating, kImpulse, kWorst, kTry, kRandom };
  struct Sample {
    Kind kind;
    std::int64_t value;  // constant: which; alternating: phase; impulse: place; worst, try: which
    std::string name;
  };
  void add_corners();
  void add_worst();
  void fill(const Sample& sample, std::size_t input, std::int64_t number,
            std::int64_t* codes) const;

  const ExactNetwork& network_;
  std::uint64_t seed_;
  std::vector<Sample> kinds_;
  WorstInputs worst_;
  std::int64_t first_worst_ = 0, first_random_ = 0;
};

}  // namespace lockstep::verify
