#include "verify/worst/worst_inputs.h"

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <utility>

#include "verify/semantics/index.h"
#include "verify/worst/ancestors.h"
#include "verify/worst/gradient.h"
#include "verify/worst/sum_layer.h"
#include "verify/worst/witness.h"

namespace lockstep::verify {
namespace {

using Candidate = std::shared_ptr<const FedCodes>;

constexpr int kRounds = 64;                 // of jumps, for one case
constexpr int kRoundsInVain = 12;           // after which a case is given up
constexpr int kFirstRandom = 5;             // random inputs that every layer begins with
constexpr std::int64_t kRunsOfALayer = 16;  // a layer that has room for fewer is left out

struct Target {
  WorstCase found;
  std::int64_t position = 0;
  Candidate input;  // null before the first one was tried
  int in_vain = 0;  // rounds without success, up to now
};

// Of one layer, to be interrupted and gone on with.
struct LayerSearch {
  LayerSearch(const Node& of, Ancestors before) : node(of), ancestors(std::move(before)) {}

  const Node& node;
  Ancestors ancestors;
  std::unique_ptr<SumLayer> layer;  // null before it began
  std::vector<Target> targets;      // two per channel
  int round = 0;
  std::size_t next = 0, searched = 0;  // targets: of this round, of all
};

class Search {
 public:
  Search(const ExactNetwork& network, std::uint64_t seed, std::int64_t work)
      : network_(network), fast_(network), gradient_(network, fast_), random_(seed), work_(work) {}

  WorstInputs run() {
    std::vector<std::unique_ptr<LayerSearch>> layers;
    for (const Node& node : network_.graph().nodes)
      if (const LinearConstants* const constants = network_.constants(node.name)) {
        layers.push_back(std::make_unique<LayerSearch>(node, Ancestors(network_, fast_, node)));
        result_.channels += constants->outputs;
      }
    std::ranges::stable_sort(layers, {}, [&](const auto& search) {
      return network_.constants(search->node.name)->outputs;
    });
    for (const auto& search : layers) {
      left_ += work_ / std::ssize(layers);
      go_on(*search);
    }
    // What nobody needed, for those that need the least for a run.
    std::ranges::stable_sort(layers, {},
                             [](const auto& search) { return search->ancestors.work(); });
    for (const auto& search : layers) go_on(*search);
    for (const auto& search : layers)
      for (std::size_t t = 0; t < search->searched; ++t) {
        result_.cases.push_back(search->targets[t].found);
        result_.cases.back().input = number_of(search->targets[t].input);
      }
    return std::move(result_);
  }

 private:
  // Until the layer is done or the work is used up.
  void go_on(LayerSearch& search) {
    if (search.layer == nullptr) {
      if (left_ <= kRunsOfALayer * search.ancestors.work()) return;
      begin(search);
    }
    // In rounds, so that what there is of the work goes to all channels.
    for (; search.round < kRounds; ++search.round, search.next = 0)
      for (; search.next < search.targets.size(); ++search.next) {
        Target& target = search.targets[search.next];
        const bool done = target.found.is_attained() || target.in_vain >= kRoundsInVain;
        if (!done && left_ <= 0) return;
        if (!done) improve(search, target);
        search.searched = std::max(search.searched, search.next + 1);
      }
  }

  void begin(LayerSearch& search) {
    search.layer = std::make_unique<SumLayer>(network_, search.node);
    for (std::int64_t channel = 0; channel < search.layer->channels(); ++channel) {
      const SumLayer::Ends ends = search.layer->ends(channel, spent_);
      for (const bool largest : {true, false}) {
        const SumLayer::End& end = largest ? ends.largest : ends.smallest;
        search.targets.push_back(
            {{search.node.name, channel, largest, end.bound, 0, 0}, end.position, nullptr, 0});
      }
    }
    charge();
    try_inputs(search, first_inputs());
  }

  void charge() {
    left_ -= spent_;
    spent_ = 0;
  }

  std::vector<Candidate> first_inputs() {
    std::vector<Candidate> result;
    const auto add = [&](const auto& code) {
      FedCodes fed;
      for (const GraphInput& input : network_.graph().inputs) {
        const Format& format = network_.fed_format(input.name);
        std::vector<std::int16_t>& codes = fed.emplace_back(at(format.element_count()));
        for (std::int16_t& one : codes) one = static_cast<std::int16_t>(code(format.lo, format.hi));
      }
      result.push_back(std::make_shared<const FedCodes>(std::move(fed)));
    };
    add([](std::int64_t, std::int64_t) { return 0; });
    add([](std::int64_t lo, std::int64_t) { return lo; });
    add([](std::int64_t, std::int64_t hi) { return hi; });
    for (int i = 0; i < kFirstRandom; ++i)
      add([this](std::int64_t lo, std::int64_t hi) { return random_code(lo, hi); });
    return result;
  }

  // Runs each, and keeps it for the cases that it is the best for so far.
  void try_inputs(LayerSearch& search, const std::vector<Candidate>& candidates) {
    const SumLayer& layer = *search.layer;
    const Ancestors& ancestors = search.ancestors;
    std::vector<Target>& targets = search.targets;
    std::vector<std::vector<std::int64_t>> sums(candidates.size());
    share_range(std::ssize(candidates), [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t c = first; c < last; ++c) {
        const SampleValues values = ancestors.run(*candidates[at(c)]);
        const std::vector<std::int64_t>& input = values.find(layer.node().inputs[0])->second;
        std::map<std::int64_t, std::vector<std::int64_t>> at_position;  // mostly one
        for (const Target& target : targets) {
          if (!fast_.has(layer.node())) {
            sums[at(c)].push_back(layer.accumulator(input, target.found.channel, target.position));
            continue;
          }
          std::vector<std::int64_t>& all = at_position[target.position];
          if (all.empty()) all = fast_.sums_at(layer.node(), input, target.position);
          sums[at(c)].push_back(all[at(target.found.channel)]);
        }
      }
    });
    spent_ += std::ssize(candidates) * (ancestors.work() + std::ssize(targets) * layer.fan_in());
    charge();
    for (std::size_t c = 0; c < candidates.size(); ++c)
      for (std::size_t t = 0; t < targets.size(); ++t) {
        Target& target = targets[t];
        const std::int64_t sum = sums[c][t];
        if (target.input != nullptr &&
            (target.found.largest ? sum <= target.found.attained : sum >= target.found.attained))
          continue;
        target.found.attained = sum;
        target.input = candidates[c];
      }
  }

  // One round of jumps from the best input so far.
  void improve(LayerSearch& search, Target& target) {
    const SumLayer& layer = *search.layer;
    const Ancestors& ancestors = search.ancestors;
    const std::int64_t before = target.found.attained;
    const Candidate from = target.input;
    const SampleValues values = ancestors.run(*from);
    spent_ += ancestors.work();
    Gradient::Wish wish = {target.found.channel, {target.position}, target.found.largest, false};
    const auto wishes = [&] { return gradient_.of_fed(layer, ancestors, values, wish, spent_); };
    std::vector<Candidate> jumps;
    if (search.round == 0) {  // at as many positions as do not disturb each other in this layer
      wish.positions = layer.apart(target.position);
      if (wish.positions.size() > 1) jumps.push_back(jumped(*from, wishes(), 1));
      wish.positions = {target.position};
    }
    const std::vector<std::vector<double>> asked = wishes();
    jumps.push_back(jumped(*from, asked, 1));
    try_inputs(search, jumps);
    if (target.found.is_attained()) return;

    wish.only_open = true;
    const std::vector<std::vector<double>> heard = wishes();
    jumps.clear();
    for (const std::uint64_t one_in : {1, 2, 8}) jumps.push_back(jumped(*from, heard, one_in));
    jumps.push_back(shaken(*from, asked));
    try_inputs(search, jumps);
    target.in_vain = target.found.attained == before ? target.in_vain + 1 : 0;
  }

  // Codes of which something is wished, or a random one in `one_in` of them, go to their ends.
  Candidate jumped(const FedCodes& from, const std::vector<std::vector<double>>& wishes,
                   std::uint64_t one_in) {
    FedCodes fed = from;
    for (std::size_t i = 0; i < fed.size(); ++i) {
      const Format& format = network_.fed_format(network_.graph().inputs[i].name);
      for (std::size_t e = 0; e < fed[i].size(); ++e)
        if (wishes[i][e] != 0 && (one_in == 1 || random_() % one_in == 0))
          fed[i][e] = static_cast<std::int16_t>(wishes[i][e] > 0 ? format.hi : format.lo);
    }
    return std::make_shared<const FedCodes>(std::move(fed));
  }

  // About two of the codes that matter take any value: all may be where they are wished to be, and
  // yet not at the best place.
  Candidate shaken(const FedCodes& from, const std::vector<std::vector<double>>& wishes) {
    std::uint64_t count = 0;
    for (const std::vector<double>& input : wishes)
      count += static_cast<std::uint64_t>(
          std::ranges::count_if(input, [](double wish) { return wish != 0; }));
    const std::uint64_t one_in = std::max<std::uint64_t>(count / 2, 1);
    FedCodes fed = from;
    for (std::size_t i = 0; i < fed.size(); ++i) {
      const Format& format = network_.fed_format(network_.graph().inputs[i].name);
      for (std::size_t e = 0; e < fed[i].size(); ++e)
        if (wishes[i][e] != 0 && random_() % one_in == 0)
          fed[i][e] = random_code(format.lo, format.hi);
    }
    return std::make_shared<const FedCodes>(std::move(fed));
  }

  std::int16_t random_code(std::int64_t lo, std::int64_t hi) {
    const auto codes = static_cast<std::uint64_t>(hi - lo + 1);  // a power of two, so no bias
    return static_cast<std::int16_t>(lo + static_cast<std::int64_t>(random_() % codes));
  }

  std::size_t number_of(const Candidate& input) {
    const auto [entry, is_new] = numbers_.try_emplace(input, result_.inputs.size());
    if (is_new) result_.inputs.push_back(*input);
    return entry->second;
  }

  const ExactNetwork& network_;
  const FastSums fast_;
  Gradient gradient_;
  std::mt19937_64 random_;
  std::int64_t work_;       // for all layers
  std::int64_t left_ = 0;   // for this layer: its share, and what others did not need
  std::int64_t spent_ = 0;  // of it, not charged yet
  std::map<Candidate, std::size_t> numbers_;
  WorstInputs result_;
};

}  // namespace

WorstInputs find_worst_inputs(const ExactNetwork& network, std::uint64_t seed, std::int64_t work) {
  return Search(network, seed, work).run();
}

WorstInputs worst_inputs_for(const ExactNetwork& network, const Options& options) {
  if (options.random_samples <= 0) return {};
  WorstInputs worst = find_worst_inputs(network, options.seed, options.worst_case_work);
  worst.tries = find_witness_tries(network, worst, options.seed, options.witness_tries,
                                   options.worst_case_work);
  return worst;
}

}  // namespace lockstep::verify
