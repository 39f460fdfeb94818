// The part of a network that one node is computed from, run on one input at a time.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "verify/semantics/exact_network.h"
#include "verify/worst/fast_sums.h"
#include "verify/worst/worst_inputs.h"

namespace lockstep::verify {

// By the name of a graph input or a node: the values of one sample.
using SampleValues = std::map<std::string, std::vector<std::int64_t>, std::less<>>;

class Ancestors {
 public:
  // Keeps references. `fast`: of the network.
  Ancestors(const ExactNetwork& network, const FastSums& fast, const Node& node);

  // In the order of the graph, without the node itself.
  const std::vector<const Node*>& nodes() const { return nodes_; }
  // What one run costs, in multiplications of a linear layer.
  std::int64_t work() const { return work_; }
  // The values of all graph inputs and of nodes().
  SampleValues run(const FedCodes& fed) const;

 private:
  const ExactNetwork& network_;
  const FastSums& fast_;
  std::vector<const Node*> nodes_;
  std::int64_t work_ = 0;
};

}  // namespace lockstep::verify
