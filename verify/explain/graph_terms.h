// The graph's side of an explanation: one element of one node, back to where elements were combined
// or fed, with every term.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "compile/checkpoint/parameters.h"
#include "verify/semantics/exact_network.h"

namespace lockstep::verify {

// One element of the value of one node or input.
struct GraphElement {
  std::string node;
  std::int64_t element = 0;  // row-major
  bool operator==(const GraphElement&) const = default;
};

// What another path has for an element; empty: nothing.
using Beside = std::function<std::string(const GraphElement& element)>;

// Whether each element of a node's value comes from the element of its one input at the same place.
bool keeps_places(const ExactNetwork& network, const Node& node);

class GraphTerms {
 public:
  // Keeps references. `fed` and `values`: of one sample.
  GraphTerms(const ExactNetwork& network, const Parameters& parameters, const Batch& fed,
             const NodeValues& values)
      : network_(network), parameters_(parameters), fed_(fed), values_(values) {}

  // Where the value comes from, the earliest first and `last` at the end: from an element of an
  // input, from a 0 that pads, or from a node that combines several elements, through nodes that
  // take one each.
  std::vector<GraphElement> way_to(const GraphElement& last) const;

  // The terms of each element on the way. What is added up here is the exact semantics' value
  // again, which is asserted.
  std::string text(const std::vector<GraphElement>& way, const Beside& beside) const;

 private:
  const Format& format(const std::string& node) const { return network_.format(node); }
  std::int64_t code(const std::string& node, std::int64_t element) const;
  std::string value(const std::string& node, std::int64_t element) const;
  std::string step_text(const GraphElement& element) const;
  std::string input_text(const GraphInput& input, std::int64_t element) const;
  std::string linear_text(const Node& node, std::int64_t element) const;
  std::string mean_text(const Node& node, std::int64_t element) const;
  std::string maximum_text(const Node& node, std::int64_t element) const;
  std::string pair_text(const Node& node, std::int64_t element) const;
  std::string argmax_text(const Node& node, std::int64_t element) const;
  std::string bilinear_text(const Node& node, std::int64_t element) const;
  std::string single_text(const Node& node, std::int64_t element) const;
  std::string quantize_text(const Node& node, std::int64_t element) const;

  const ExactNetwork& network_;
  const Parameters& parameters_;
  const Batch& fed_;
  const NodeValues& values_;
};

}  // namespace lockstep::verify
