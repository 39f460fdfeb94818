#include "verify/worst/witness.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <random>
#include <string_view>

#include "verify/semantics/index.h"
#include "verify/worst/ancestors.h"
#include "verify/worst/gradient.h"
#include "verify/worst/sum_layer.h"

namespace lockstep::verify {
namespace {

constexpr std::int64_t kFewestTries = 8;
constexpr std::uint64_t kMovedOneIn = 8;  // codes that leave their end, by one to kFurthest
constexpr std::uint64_t kFurthest = 4;
constexpr std::int64_t kExactBits = 22;  // a sum of n steps is aimed within n / 2^kExactBits

// What quantizes the sums of `node`, behind operators that keep every element in its place.
const Node* quantize_behind(const Graph& graph, const Node& node) {
  constexpr std::array<std::string_view, 5> kInPlace = {"relu", "relu6", "prune", "dropout",
                                                        "identity"};
  const Node* last = &node;
  while (true) {
    const auto reader = std::ranges::find_if(graph.nodes, [&](const Node& one) {
      return std::ranges::find(one.inputs, last->name) != one.inputs.end();
    });
    if (reader == graph.nodes.end()) return nullptr;
    if (reader->op == "quantize") return &*reader;
    if (std::ranges::find(kInPlace, reader->op) == kInPlace.end()) return nullptr;
    last = &*reader;
  }
}

class LayerTries {
 public:
  LayerTries(const ExactNetwork& network, const FastSums& fast, const Node& node,
             std::mt19937_64& random)
      : network_(network),
        layer_(network, node),
        ancestors_(network, fast, node),
        gradient_(network, fast),
        quantize_(quantize_behind(network.graph(), node)),
        random_(random) {}

  FedCodes near(const WorstCase& worst, const FedCodes& input) {
    FedCodes fed = input;
    std::int64_t work = 0;
    const SumLayer::Ends ends = layer_.ends(worst.channel, work);
    const std::int64_t position = (worst.largest ? ends.largest : ends.smallest).position;
    const std::vector<std::vector<double>> wishes =
        gradient_.of_fed(layer_, ancestors_, ancestors_.run(fed),
                         {worst.channel, {position}, worst.largest, false}, work);
    leave_ends(wishes, fed);
    const SampleValues values = ancestors_.run(fed);
    const std::int64_t sum =
        layer_.accumulator(values.find(layer_.node().inputs[0])->second, worst.channel, position);
    if (const std::optional<std::int64_t> wanted = next_change(worst, position, sum))
      aim(worst, wishes, *wanted - sum, fed);
    return fed;
  }

 private:
  const Format& fed_format(std::size_t input) const {
    return network_.fed_format(network_.graph().inputs[input].name);
  }

  void leave_ends(const std::vector<std::vector<double>>& wishes, FedCodes& fed) {
    for (std::size_t i = 0; i < fed.size(); ++i)
      for (std::size_t e = 0; e < fed[i].size(); ++e)
        if (wishes[i][e] != 0 && random_() % kMovedOneIn == 0) {
          const auto by = 1 + static_cast<std::int64_t>(random_() % kFurthest);
          move(i, e, wishes[i][e] > 0 ? -by : by, fed);
        }
  }

  // By how much the code moved: no further than its range goes.
  std::int64_t move(std::size_t input, std::size_t element, std::int64_t by, FedCodes& fed) const {
    const Format& format = fed_format(input);
    std::int16_t& code = fed[input][element];
    const std::int64_t moved = std::clamp(code + by, format.lo, format.hi) - code;
    code = static_cast<std::int16_t>(code + moved);
    return moved;
  }

  // A sum nearer to 0 than `sum`, next to one where the quantize node changes its code.
  std::optional<std::int64_t> next_change(const WorstCase& worst, std::int64_t position,
                                          std::int64_t sum) {
    if (quantize_ == nullptr || network_.format(worst.layer).real) return std::nullopt;
    const Format& codes = network_.format(quantize_->name);
    const std::int64_t element = worst.channel * layer_.positions() + position;
    const int shift = network_.format(worst.layer).decimal(element) - codes.decimal(element);
    if (shift < 1 || shift > 40) return std::nullopt;
    const std::int64_t step = std::int64_t{1} << shift;
    const std::int64_t half = quantize_->quantize->rounding == Rounding::kHalfEven ? step / 2 : 0;
    // Of one of the outermost codes that the sum reaches.
    std::int64_t code = (std::abs(sum) - half) / step - static_cast<std::int64_t>(random_() % 2);
    code = std::clamp<std::int64_t>(code, 0, sum < 0 ? -codes.lo : codes.hi);
    const std::int64_t reach = std::max<std::int64_t>(2, std::abs(sum) >> kExactBits);
    const std::int64_t beside =
        static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(2 * reach + 1)) - reach;
    return (sum < 0 ? -1 : 1) * (code * step + half + beside);
  }

  // Brings the sum by `distance` nearer to 0, as far as the gradient tells.
  void aim(const WorstCase& worst, const std::vector<std::vector<double>>& wishes,
           std::int64_t distance, FedCodes& fed) {
    const int decimal = network_.constants(worst.layer)->accumulator_decimals[at(worst.channel)];
    struct Place {
      std::size_t input, element;
      std::int64_t per_code;  // of the sum
    };
    std::vector<Place> places;
    for (std::size_t i = 0; i < fed.size(); ++i) {
      const Format& input = network_.format(network_.graph().inputs[i].name);
      for (std::size_t e = 0; e < fed[i].size(); ++e) {
        const double wish = worst.largest ? wishes[i][e] : -wishes[i][e];
        const double per_code =
            std::ldexp(wish, decimal - input.decimal(static_cast<std::int64_t>(e)));
        if (std::abs(per_code) >= 1 && std::abs(per_code) < 1e15)
          places.push_back({i, e, std::llround(per_code)});
      }
    }
    for (std::size_t i = places.size(); i > 1; --i) std::swap(places[i - 1], places[random_() % i]);
    // Coarse steps first; what is left is then for the small ones.
    std::ranges::stable_sort(places, [](const Place& a, const Place& b) {
      return std::abs(a.per_code) > std::abs(b.per_code);
    });
    for (const Place& place : places) {
      if (distance == 0) return;
      distance -= place.per_code * move(place.input, place.element, distance / place.per_code, fed);
    }
  }

  const ExactNetwork& network_;
  SumLayer layer_;
  Ancestors ancestors_;
  Gradient gradient_;
  const Node* quantize_;  // null: none that the sums reach unchanged
  std::mt19937_64& random_;
};

}  // namespace

std::vector<WitnessTry> find_witness_tries(const ExactNetwork& network, const WorstInputs& worst,
                                           std::uint64_t seed, std::int64_t tries,
                                           std::int64_t work) {
  std::vector<WitnessTry> result;
  std::vector<std::vector<const WorstCase*>> layers;  // of each the cases, the largest sums first
  for (const std::string& layer : unstable_layers(network)) {
    std::vector<const WorstCase*> cases;
    for (const WorstCase& one : worst.cases)
      if (one.layer == layer && one.attained != 0) cases.push_back(&one);
    std::ranges::stable_sort(cases, [](const WorstCase* a, const WorstCase* b) {
      return std::abs(a->attained) > std::abs(b->attained);
    });
    if (!cases.empty()) layers.push_back(std::move(cases));
  }
  if (layers.empty() || tries <= 0) return result;
  const FastSums fast(network);
  std::int64_t one_run = 0;
  for (const Node& node : network.graph().nodes)
    one_run = std::max(one_run, Ancestors(network, fast, node).work());
  tries =
      std::clamp(work / std::max<std::int64_t>(one_run, 1), std::min(kFewestTries, tries), tries);
  const std::int64_t each = (tries + std::ssize(layers) - 1) / std::ssize(layers);
  std::mt19937_64 random(seed);
  for (const std::vector<const WorstCase*>& cases : layers) {
    LayerTries layer(network, fast, *network.graph().find_node(cases[0]->layer), random);
    for (std::int64_t i = 0; i < each; ++i) {
      const WorstCase& one = *cases[at(i % std::ssize(cases))];
      result.push_back(
          {one.layer, one.channel, one.largest, layer.near(one, worst.inputs[one.input])});
    }
  }
  return result;
}

}  // namespace lockstep::verify
