// The plan's side of an explanation: the operator that makes an element, with every number of its
// record that the element depends on, computed from what a run of the plan holds.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "verify/differential/plan_runner.h"
#include "verify/explain/graph_terms.h"
#include "verify/proof/plan_reader.h"

namespace lockstep::verify {

class PlanTerms {
 public:
  // Runs the plan on `sample`, a batch of one, on the fastest kernels. Keeps references.
  PlanTerms(const OpenPlan& plan, const ExactNetwork& network, const Batch& sample);

  // `way`: of the element to be explained (GraphTerms::way_to). Where the plan does not keep it, of
  // the next element that it does keep, or else of the one before.
  std::string text(const std::vector<GraphElement>& way) const;

 private:
  struct Found {
    std::size_t tensor;
    std::int64_t element;  // in its (C,H,W) order
  };
  std::optional<Found> find(const GraphElement& wanted) const;
  std::vector<GraphElement> kept_instead(const std::vector<GraphElement>& way) const;
  std::string tensor_text(const Found& found) const;
  struct Sum {
    std::string text;
    std::int64_t value = 0;
  };
  Sum terms(const PlanOp& op, const Found& found) const;
  Sum products(const PlanOp& op, const Found& found) const;
  Sum maximum(const PlanOp& op, const Found& found) const;
  Sum mean(const PlanOp& op, const Found& found) const;
  Sum pair(const PlanOp& op, const Found& found) const;
  Sum move(const PlanOp& op, const Found& found) const;
  Sum argmax(const PlanOp& op, const Found& found) const;
  std::string name(std::size_t tensor, std::int64_t element) const;
  std::int64_t code(std::size_t tensor, std::int64_t element) const;
  // The row of an element in a table of terms: its name, code and decimal.
  std::vector<std::string> row(std::size_t tensor, std::int64_t element) const;

  const OpenPlan& plan_;
  const ExactNetwork& network_;
  std::string kernels_;
  PlanRun run_;
  std::vector<VisibleTensor> tensors_;
};

}  // namespace lockstep::verify
