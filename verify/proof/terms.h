// What each element of a graph is: an element of some node that combines several (a sum, a pooling,
// an input of the network), and the chain of what happened to it since. Moving an element changes
// nothing of this, so a plan is followed by asking of each element which one it holds.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "verify/proof/chain.h"
#include "verify/semantics/exact_network.h"

namespace lockstep::verify {

// The value of an element. kZero: a constant 0, as masks and padding put there, through the chain.
struct Term {
  static constexpr std::int32_t kZero = -1;
  std::int32_t node = kZero;  // as numbered by Terms
  std::int32_t element = 0;   // row-major
  std::int32_t chain = Chains::kEmpty;
  bool operator==(const Term&) const = default;
};

class Terms {
 public:
  // Keeps references to both.
  Terms(const ExactNetwork& network, const Parameters& parameters);

  // Of a node or input; asserts that it exists.
  std::int32_t number_of(std::string_view name) const;
  const std::string& name_of(std::int32_t number) const { return *nodes_[index(number)].name; }
  // The value of an element of a node or input.
  Term term(std::int32_t node, std::int64_t element);
  // The exact integers behind it: the same without float functions at the end.
  Term base(Term term) const;
  // A sum, a pooling or what an input is fed with, before float functions of its own.
  static Term combined(std::int32_t node, std::int64_t element) {
    return {node, static_cast<std::int32_t>(element), Chains::kEmpty};
  }
  const Chains& chains() const { return chains_; }
  std::string text(Term term) const;  // for messages
  // Max pooling of exact values: the relus that every value of the channel went through last may
  // as well follow the pooling, because they never fall. `combined` of the pooling is the largest
  // value before them, its term has them behind that. As a chain:
  std::int32_t pooled_steps(std::int32_t node, std::int64_t channel);
  // The value of an element of the pooling's input before them.
  Term before_pooled_steps(std::int32_t node, std::int64_t element);

 private:
  struct NodeInfo {
    const std::string* name = nullptr;
    const Node* node = nullptr;  // nullptr: an input
    const Format* format = nullptr;
    std::vector<std::int32_t> inputs;
    std::vector<std::uint8_t> keep;  // prune
    // Per chain of a real format; of a raw input per channel; empty for all others.
    std::vector<std::int32_t> real_steps;
    std::vector<std::int32_t> bases;  // per base of a real format: its node
    std::vector<std::pair<int, std::int32_t>> quantize_steps;  // by decimal
    std::int32_t step = -1;                                    // relu, relu6 of an exact value
    bool is_combining = true;
    bool is_max_pool = false;                // of exact values
    std::vector<std::int32_t> pooled_steps;  // per channel, once asked for
  };
  static std::size_t index(std::int32_t number) { return static_cast<std::size_t>(number); }
  void add_node(const Node& node, const Parameters& parameters);
  Term input_term(NodeInfo& info, std::int32_t node, std::int64_t element);
  Term real_term(const NodeInfo& info, std::int64_t element);
  std::int32_t quantize_step(NodeInfo& info, int decimal);
  Term settled(Term term) const;

  const ExactNetwork& network_;
  std::vector<NodeInfo> nodes_;
  std::map<std::string, std::int32_t, std::less<>> numbers_;
  Chains chains_;
};

}  // namespace lockstep::verify
