// The inputs that the verifier makes up: corner codes, for each output channel of the first linear
// layer the inputs that drive its accumulator to its extremes, and random codes over the whole
// declared range. Sample i is a function of the network and the seed alone, so any stretch of them
// can be made at any time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "verify/semantics/exact_network.h"
#include "verify/verify.h"

namespace lockstep::verify {

class GeneratedInputs {
 public:
  // No samples at all when random_samples is 0.
  GeneratedInputs(const ExactNetwork& network, std::int64_t random_samples, std::uint64_t seed);

  std::int64_t count() const { return static_cast<std::int64_t>(kinds_.size()); }
  std::int64_t first_random() const {
    return first_random_;
  }  // the samples before it are not random
  std::string name(std::int64_t sample) const;
  Batch make(std::int64_t first, std::int64_t count) const;

 private:
  enum class Kind : std::uint8_t {
    kConstant,
    kAlternating,
    kImpulse,
    kLargest,
    kSmallest,
    kRandom
  };
  struct Sample {
    Kind kind;
    std::int64_t
        value;  // constant: which; alternating: phase; impulse: place; extremes: output channel
    std::string name;
  };
  void add_corners();
  void add_extremes();
  void fill(const Sample& sample, std::size_t input, std::int64_t number,
            std::int64_t* codes) const;
  void fill_extreme(std::int64_t channel, bool largest, std::int64_t lo, std::int64_t hi,
                    std::int64_t* codes) const;

  const ExactNetwork& network_;
  std::uint64_t seed_;
  std::vector<Sample> kinds_;
  std::int64_t first_random_ = 0;
  const Node* layer_ = nullptr;  // the linear layer that the extremes are for
  std::size_t layer_input_ = 0;  // the graph input that feeds it
};

}  // namespace lockstep::verify
