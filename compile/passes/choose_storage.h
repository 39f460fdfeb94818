// Which form the weights of each convolution and linear layer take in a plan, and why.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compile/ir/ir.h"
#include "compile/passes/storage_cost.h"

namespace lockstep::passes {

// One convolution or linear layer with weights of value 0, or whose input channels have different
// decimals.
struct StorageChoice {
  std::string node;
  std::int64_t weights = 0, zeros = 0;
  bool several_decimals = false;  // of the input's channels
  // On one grid: where there are several decimals, the finest.
  std::int64_t dense_bytes = 0, sparse_bytes = 0;
  // Estimates for one sample in microseconds, by the cost model of docs/compiler.md: for comparing
  // the forms, not a promise.
  double dense_us = 0, sparse_us = 0;
  bool equally_fast = false;  // these two, on the machine that the plan is for
  // The same in segments, so many; none where that form would gain nothing or does not exist.
  std::size_t segments = 0;
  std::int64_t segment_bytes = 0;
  double segment_us = 0;
  // What was taken; dense where both are false.
  bool sparse = false, in_segments = false;
  std::string reason;  // "sparse: 2.1 times as fast as dense", ...
};

// Of a program in physical order, in the order of its ops. A function of the weights alone: the
// same before and after choose_storage.
std::vector<StorageChoice> storage_choices(const ir::Program& program, const Goal& goal);

// Needs: physical order. Leaves the same values; `sparse` is set where storage_choices says so.
ir::Program choose_storage(ir::Program program, const Goal& goal);

}  // namespace lockstep::passes
