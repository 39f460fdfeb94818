// In which direction each code that a network is fed with has to move so that an accumulator grows
// or shrinks: the chain rule, backwards through the layers, where a rounding counts as the
// identity and a function of one value as the straight line between its ends. So a code that is
// stuck at a clamp still hears what is wished of it. This is a guess, and the exact semantics judge
// what comes of it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "verify/semantics/exact_network.h"
#include "verify/worst/ancestors.h"
#include "verify/worst/sum_layer.h"

namespace lockstep::verify {

class Gradient {
 public:
  // Keeps references. `fast`: of the network.
  Gradient(const ExactNetwork& network, const FastSums& fast) : network_(network), fast_(fast) {}

  // What is wished of the accumulators of one channel.
  struct Wish {
    std::int64_t channel = 0;
    std::vector<std::int64_t> positions;
    bool largest = false;
    // Values that are where they are wished to be pass nothing on, so that the others are heard.
    bool only_open = false;
  };
  // One number per fed code of each graph input: positive where it should grow, 0 where nothing is
  // known. `values`: of the ancestors of the layer. Adds what it cost to `work`.
  std::vector<std::vector<double>> of_fed(const SumLayer& layer, const Ancestors& ancestors,
                                          const SampleValues& values, const Wish& wish,
                                          std::int64_t& work);

 private:
  using Wishes = std::vector<double>;  // one per element of a value; empty: all 0
  struct Step;                         // one node, what is wished of it and of what it reads

  void pass_on(const Step& step, std::int64_t& work);
  void pass_products(const Step& step, std::int64_t& work);
  void pass_in_place(const Step& step);
  void pass_moves(const Step& step);
  void pass_pairs(const Step& step);
  void pass_max_pool(const Step& step);
  void pass_mean(const Step& step);
  void pass_bilinear(const Step& step);
  void drop_satisfied(const std::string& name, const std::vector<std::int64_t>& values,
                      Wishes& wishes) const;
  // Of a function of one value, per element: the slope of the line between its ends.
  const std::vector<float>& slopes(const Node& node);

  const ExactNetwork& network_;
  const FastSums& fast_;
  std::map<std::string, std::vector<float>, std::less<>> slopes_;
  std::map<std::string, std::unique_ptr<SumLayer>, std::less<>> layers_;  // that are not fast
};

}  // namespace lockstep::verify
