// What the checks of one plan share: both sides, what is known so far, and how a difference ends
// it. The checks are functions, one topic per file; constants.cpp calls them in order.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

#include "verify/differential/plan_runner.h"
#include "verify/proof/finding.h"
#include "verify/proof/terms.h"
#include "verify/semantics/exact_network.h"

namespace lockstep::verify {

// What is known about codes or accumulators, per element in (C,H,W) order: which element of the
// graph each is, on which grid, and in which range.
struct ElementFacts {
  std::vector<Term> terms;
  std::vector<int> decimals;
  // Every value that can occur lies in between: {0, 0} where a mask removes the element, narrower
  // than its type behind a relu or a clamp.
  std::vector<std::int64_t> lo, hi;

  void push_back(Term term, int decimal, CodeRange range) {
    terms.push_back(term);
    decimals.push_back(decimal);
    lo.push_back(range.lo);
    hi.push_back(range.hi);
  }
  CodeRange range(std::size_t element) const { return {lo[element], hi[element]}; }
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
  Terms terms;
  std::vector<VisibleTensor> tensors;
  std::vector<std::int32_t> tensor_nodes;  // per tensor: its node, as numbered by `terms`
  std::vector<ElementFacts> held;          // per tensor; empty until it is made
  std::vector<bool> made;                  // per tensor: an input, or already computed
  std::int64_t checked = 0;                // numbers compared
};

// An element of a tensor that is stored HWC, by its place `logical` in (C,H,W) order.
struct Place {
  std::int64_t channel, y, x;
};
Place place_of(const VisibleTensor& tensor, std::int64_t logical);
std::int64_t physical_index(const VisibleTensor& tensor, std::int64_t logical);
std::int64_t logical_index(const VisibleTensor& tensor, std::int64_t physical);
// For messages; counts channels as the graph does.
std::string place_text(const VisibleTensor& tensor, std::int64_t logical);

}  // namespace lockstep::verify
