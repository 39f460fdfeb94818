// A graph with its parameters, made ready for exact evaluation: formats, integer weights and bounds
// of every node are worked out once, then any number of batches can run. evaluate_exactly() is this
// for one batch.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "compile/checkpoint/parameters.h"
#include "compile/graph/graph.h"
#include "verify/semantics/operators.h"
#include "verify/semantics/raw_bytes.h"
#include "verify/semantics/semantics.h"

namespace lockstep::verify {

class ExactNetwork {
 public:
  // Keeps references to both. InputError where the network has no exact meaning.
  ExactNetwork(const Graph& graph, const Parameters& parameters);

  const Graph& graph() const { return graph_; }
  // Of a node or an input; asserts that it exists.
  const Format& format(std::string_view name) const;
  // What an input is fed with: its codes, or the bytes of a raw input.
  const Format& fed_format(std::string_view input) const;
  // Of a raw input; nullptr for every other input and node.
  const RawCodes* raw_codes(std::string_view name) const;
  // The integer weights of a linear operator; nullptr for every other node.
  const LinearConstants* constants(std::string_view node) const;

  // What a node computes before float functions of its own (ExactBase::sums); nullptr where there
  // is none.
  const Format* sums(std::string_view node) const;
  // The format of a base of a real value.
  const Format& base_format(const ExactBase& base) const;
  // Where each element of a moving node comes from; see ExactOperator::moves.
  std::span<const MovedElement> moves(std::string_view node) const;

  // One node on the values of one sample, wherever they come from, one entry per input. They must
  // lie in the range of its inputs' formats.
  void run_node(std::string_view node, std::span<const Values> inputs,
                std::span<std::int64_t> output) const;
  // The same for a node with one input.
  void run_node(std::string_view node, Values input, std::span<std::int64_t> output) const {
    run_node(node, std::span(&input, 1), output);
  }

  // Every node and input, for every sample. InputError for inputs of another shape, another number
  // of samples, or with codes outside the declared range. A raw input is fed bytes; its value is
  // the codes that they become. Two threads share the samples; the result
  // does not depend on that.
  NodeValues evaluate(const Batch& batch, std::int64_t samples) const;

 private:
  const ExactOperator* find(std::string_view node) const;  // nullptr when there is no such node

  const Graph& graph_;
  std::map<std::string, Format, std::less<>> inputs_;
  struct Raw {
    Format bytes;
    RawCodes codes;
  };
  std::map<std::string, Raw, std::less<>> raw_;  // of raw inputs only
  std::vector<OperatorPointer> operators_;       // one per node, in execution order
  std::map<std::string, std::size_t, std::less<>> index_;
};

// Linear layers whose float32 sums may round, and then depend on the order of summation; in the
// order of the graph.
std::vector<std::string> unstable_layers(const ExactNetwork& network);

// Calls body(first, last) for disjoint ranges that cover [0, count), on at most two threads. `body`
// must not throw and must write to places of its own range only.
void share_range(std::int64_t count, const std::function<void(std::int64_t, std::int64_t)>& body);

}  // namespace lockstep::verify
