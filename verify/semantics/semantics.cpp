#include "verify/semantics/semantics.h"

#include "verify/semantics/exact_network.h"

namespace lockstep::verify {

std::int64_t TensorCodes::element_count() const {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count *= extent;
  return count;
}

NodeValues evaluate_exactly(const Graph& graph, const Parameters& parameters, const Batch& batch,
                            std::int64_t samples) {
  return ExactNetwork(graph, parameters).evaluate(batch, samples);
}

}  // namespace lockstep::verify
