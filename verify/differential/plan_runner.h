// Runs a plan through the runtime's public interface on one kernel variant and collects every
// visible tensor.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "intrt/intrt.h"
#include "intrt/plan_format.h"
#include "verify/differential/observation.h"
#include "verify/verify.h"

namespace lockstep::verify {

// A copy of a plan's bytes at the alignment that the runtime asks for, opened.
class OpenPlan {
 public:
  explicit OpenPlan(std::span<const std::byte> bytes);  // InputError when the plan does not open

  const intrt_plan* get() const { return &plan_; }
  const std::uint8_t* bytes() const {
    return reinterpret_cast<const std::uint8_t*>(storage_.data());
  }
  std::span<const std::byte> content() const {
    return {reinterpret_cast<const std::byte*>(storage_.data()), size_};
  }
  VisibleTensor tensor(std::uint32_t index) const;
  intrt_tensor_record tensor_record(std::uint32_t index) const;

 private:
  struct alignas(INTRT_PLAN_ALIGNMENT) Block {
    std::byte bytes[INTRT_PLAN_ALIGNMENT];
  };
  std::vector<Block> storage_;
  std::size_t size_;
  intrt_plan plan_{};
};

// The kernel variants that this CPU can run, best first.
std::vector<std::string> kernel_variants_here();

// Runs every sample of `batch` (inputs in the graph's order). On failure there are no observations
// and `failure` says why. Two threads share the samples; the result does not depend on that.
struct PlanRun {
  std::optional<Observations> seen;
  std::string failure;
};
PlanRun run_plan(const OpenPlan& plan, const std::string& kernels, const Graph& graph,
                 const Batch& batch, std::int64_t samples);
// The same without a graph: `batch` fits the plan's inputs, in their order.
PlanRun run_plan(const OpenPlan& plan, const std::string& kernels, const Batch& batch,
                 std::int64_t samples);

}  // namespace lockstep::verify
