// What one operator of a plan makes of codes, computed in 64 bits from the numbers in its record.
// Those were proved to be the graph's for every code in the proved ranges, so this is the exact
// meaning of the operator alone, fused, aligned and on whatever grid the plan keeps it.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "verify/proof/plan_function.h"
#include "verify/proof/plan_reader.h"
#include "verify/proof/reach.h"

namespace lockstep::verify {

class OpRunner {
 public:
  OpRunner(PlanOp op, const std::vector<VisibleTensor>& tensors);
  OpRunner(const OpRunner&) = delete;  // functions refer into the operator
  OpRunner& operator=(const OpRunner&) = delete;

  const PlanOp& op() const { return op_; }
  // `codes`: of every tensor of the plan, in (C,H,W) order; the result is in that order, too.
  std::vector<std::int64_t> run(std::span<const std::vector<std::int64_t>> codes) const;

 private:
  using Codes = std::vector<std::int64_t>;
  Codes sums(const Codes& input) const;
  Codes largest(const Codes& input) const;
  Codes means(const Codes& input) const;
  Codes combined(const Codes& a, const Codes& b) const;
  Codes moved(std::span<const std::vector<std::int64_t>> codes) const;
  Codes first_largest(const Codes& input) const;
  void finish(Codes& codes) const;

  PlanOp op_;
  std::vector<VisibleTensor> inputs_;
  VisibleTensor output_;
  std::vector<PlanFunction> functions_;  // per channel; empty: none
  Reach reach_;
  struct Product {
    std::int64_t position, place;  // in a plane of the output and of the input
  };
  std::vector<std::vector<Product>> products_;  // of a weighted operator, per tap
};

}  // namespace lockstep::verify
