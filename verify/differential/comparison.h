// Holds what one path shows against the exact semantics, element by element, with zero tolerance,
// and remembers the first difference: the earliest node in graph order, then the earliest sample.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "verify/differential/observation.h"
#include "verify/semantics/exact_network.h"
#include "verify/verify.h"

namespace lockstep::verify {

struct Divergence {
  std::int64_t order = 0;  // position of the node in the graph; inputs come before all nodes
  std::string layer;
  std::string text;  // one line: path, layer, channel, position, sample, both values, accumulator
};

// What a sample of the run is: "data 17", "random 3", ... for the report of a divergence.
using SampleName = std::function<std::string(std::int64_t sample)>;

// Whether a * 2^-decimal_a equals b * 2^-decimal_b.
bool same_value(std::int64_t a, int decimal_a, std::int64_t b, int decimal_b);

class Comparison {
 public:
  Comparison(const ExactNetwork& network, std::string path, SampleName sample_name);

  // `first_sample` numbers the batch's first sample within the run.
  void compare_codes(const Observations& seen, const NodeValues& exact, std::int64_t first_sample);
  // Number: float or double.
  template <typename Number>
  void compare_floats(const std::string& node, std::span<const Number> values,
                      const NodeValues& exact, std::int64_t samples, std::int64_t first_sample);
  // A difference that is no value: a tensor is missing, or has another shape.
  void refute(const std::string& layer, const std::string& reason);
  void add_samples(std::int64_t samples) { report_.samples += samples; }

  const PathReport& report() const { return report_; }
  PathReport& report() { return report_; }
  const std::optional<Divergence>& first_divergence() const { return first_; }

 private:
  struct Place {
    const std::string& node;
    std::int64_t element, index;  // within one sample; within the whole batch
    std::int64_t sample;
  };
  void note(const Place& place, const std::string& found, const NodeValues& exact);
  std::int64_t order_of(const std::string& node) const;
  std::string accumulator_text(const Place& place, const NodeValues& exact) const;

  const ExactNetwork& network_;
  SampleName sample_name_;
  PathReport report_;
  std::optional<Divergence> first_;
  std::set<std::string, std::less<>> seen_;
};

}  // namespace lockstep::verify
