// The proof: for all inputs, every named tensor and every output of a plan is what the graph says.
// docs/verification.md has the argument; the obligations are numbered as there.
#pragma once

#include <string>
#include <vector>

#include "verify/checker/model.h"
#include "verify/checker/plan.h"

namespace lockstep::checker {

// An obligation that does not hold: the plan is wrong (or, is_unknown, cannot be judged).
struct Failure {
  bool is_unknown = false;
  std::string layer, obligation, text;  // text names the layer, too
};

// What is known of consecutive output channels of one operator that are alike.
struct ChannelFacts {
  Int first = 0, last = 0;   // channels of the plan's tensor, inclusive
  Int lo = 0, hi = 0;        // every accumulator lies in between
  Int bound = 0;             // no partial sum is larger, in any order
  int accumulator_bits = 0;  // 32 or 64; the bound is below 2^(bits - 1)
  // In steps of the finest grid that the float sum uses: sum |products| + |bias|. -1: no float sum.
  Int float_bound = -1;
  bool is_float32_exact = true;  // float_bound < 2^24; else the reference is double
  std::string post;              // "shift 9 toward_zero [-128, 127]", "scale", "steps", "table"
  std::string method;            // "exhaustive", "thresholds", "constant", "copied"
  Int arguments = 0;             // how many accumulators (or codes) can occur
  bool operator==(const ChannelFacts&) const = default;
};

struct LayerFacts {
  std::string layer, op, output;  // the node, the plan's operator, the tensor it writes
  std::vector<ChannelFacts> channels;
  bool operator==(const LayerFacts&) const = default;
};

struct Proof {
  std::vector<LayerFacts> layers;  // one per operator of the plan, in its order
  // Linear layers whose float32 sum depends on the order: proved against double.
  std::vector<std::string> unstable_layers;
  Int weights_checked = 0, elements_checked = 0, arena_pairs_checked = 0;
  bool operator==(const Proof&) const = default;
};

// Throws Failure.
Proof prove(const Model& model, const Plan& plan);

}  // namespace lockstep::checker
