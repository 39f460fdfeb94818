// What the checks of one plan share: both sides, what is known so far, and how a difference ends
// it. The checks are functions, one topic per file; constants.cpp calls them in order.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

#include "verify/differential/plan_runner.h"
#include "verify/proof/finding.h"
#include "verify/semantics/exact_network.h"

namespace lockstep::verify {

// What is known about codes or accumulators, per element in (C,H,W) order: the graph's value, and
// the plan's as well, once they are shown to be equal.
struct ElementFacts {
  std::vector<int> decimals;
  // Every value that can occur lies in between: {0, 0} where a mask removes the element, narrower
  // than its type behind a relu or a clamp.
  std::vector<std::int64_t> lo, hi;

  void push_back(int decimal, std::int64_t lowest, std::int64_t highest) {
    decimals.push_back(decimal);
    lo.push_back(lowest);
    hi.push_back(highest);
  }
};

struct PlanCheck {
  PlanCheck(const ExactNetwork& network_, const Parameters& parameters_, const OpenPlan& plan_);

  // Counts one number of the plan; throws Difference, naming `layer`, when it is not the expected.
  template <typename T>
  void expect(const std::string& layer, const std::string& what, const T& expected,
              const T& found) {
    checked += 1;
    if (expected != found)
      throw Difference{layer, fmt::format("layer '{}': {}: expected {}, found {}", layer, what,
                                          expected, found)};
  }

  const ExactNetwork& network;
  const Graph& graph;
  const Parameters& parameters;
  const OpenPlan& plan;
  std::vector<VisibleTensor> tensors;
  std::vector<ElementFacts> held;  // per tensor; empty until it is made
  std::vector<bool> made;          // per tensor: an input, or already computed
  std::int64_t checked = 0;        // numbers compared
};

// An element of a tensor that is stored HWC, by its place `logical` in (C,H,W) order.
struct Place {
  std::int64_t channel, y, x;
};
Place place_of(const VisibleTensor& tensor, std::int64_t logical);
std::int64_t physical_index(const VisibleTensor& tensor, std::int64_t logical);
std::string place_text(const VisibleTensor& tensor, std::int64_t logical);

}  // namespace lockstep::verify
