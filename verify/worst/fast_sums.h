// The sums of linear layers, as the exact semantics have them and several times as fast: in float32
// or double, where these hold every partial sum exactly, with the weights of neighbouring output
// channels side by side. For a search, which runs a network many times, and backwards, too.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "verify/proof/reach.h"
#include "verify/semantics/aligned.h"
#include "verify/semantics/exact_network.h"

namespace lockstep::verify {

class FastSums {
 public:
  // Keeps references into it. Copies the weights of all layers that it is good for.
  explicit FastSums(const ExactNetwork& network);

  // Whether it is good for a layer; nothing else may be asked about another one.
  bool has(const Node& node) const { return layers_.contains(node.name); }
  // What ExactNetwork::run_node gives for the layer.
  void run(const Node& node, Values input, std::span<std::int64_t> output) const;
  // The accumulators of all channels at one position of the output's plane.
  std::vector<std::int64_t> sums_at(const Node& node, Values input, std::int64_t position) const;
  // Adds to each input element, in real numbers and without much care for roundings, the sum over
  // all outputs of what is wished of them times the weight in between.
  void pass_back(const Node& node, std::span<const double> outputs, std::span<double> inputs) const;

 private:
  struct Layer {
    Layer(const ExactNetwork& network, const Node& node);
    Values aligned_codes(Values input, std::vector<std::int64_t>& storage) const {
      return aligned ? aligned->codes(input, storage) : input;
    }
    // body(weights), of the type that they are kept in.
    template <typename Body>
    void with_weights(const Body& body) const {
      if (doubles.empty())
        body(floats);
      else
        body(doubles);
    }
    // The sums of products of the group that begins with channel `first`, one for each of `sums`.
    template <typename Number>
    void add_up(const std::vector<Number>& weights, Values codes, std::int64_t first,
                std::int64_t position, std::vector<Number>& sums) const;
    std::int64_t with_bias(double sum, std::int64_t channel) const;

    const LinearConstants& constants;
    const Format& format;              // of the input
    std::unique_ptr<Aligned> aligned;  // null: codes are taken as they are
    Reach reach;
    std::int64_t positions = 1;
    // [group][k][output channel of the group]; one of the two.
    std::vector<float> floats;
    std::vector<double> doubles;
  };

  const Layer& find(const Node& node) const { return layers_.find(node.name)->second; }

  std::map<std::string, Layer, std::less<>> layers_;
};

}  // namespace lockstep::verify
