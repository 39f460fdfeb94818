#include "verify/checker/settle.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

namespace lockstep::checker {
namespace {

constexpr Int kFewLooks = Int{1} << 20;  // of all functions of an operator: each is looked at

std::size_t at(Int i) { return static_cast<std::size_t>(i); }

class Settling {
 public:
  Settling(State& state, const PlanOp& op, const std::vector<Source>& sources)
      : state_(state),
        values_(state.values),
        op_(op),
        sources_(sources),
        output_(state.plan.tensors[op.output]),
        fits_(state.fits(output_)) {
    if (fits_) value_ = *values_.find(output_.name);
  }

  void run(std::vector<ChannelFacts>& facts) {
    // A tensor that is not named may hold any step on the way to its node, the furthest is taken,
    // and what is no step further on a grid of its own.
    std::optional<Failure> first;
    for (int attempt = 0;; ++attempt) {
      try {
        try_with(attempt / 2, attempt % 2 != 0);
        break;
      } catch (const Failure& failure) {
        if (!first) first = failure;
        if (output_.is_named || (is_last_try_ && attempt % 2 != 0)) throw *first;
      }
    }
    for (std::size_t c = 0; c < facts.size(); ++c) facts[c].post = function(c).text();
    for (std::size_t p = 0; p < sources_.size(); ++p) {
      ChannelFacts& of = facts[p % facts.size()];
      if (group_of_[p] < 0) continue;
      const Group& group = groups_[at(group_of_[p])];
      of.method = group.method;
      of.arguments = group.question.count();
    }
    for (ChannelFacts& of : facts)
      if (of.method.empty()) of.method = "constant";
  }

 private:
  struct Group {
    Question question;
    std::string method;
    std::size_t first;  // an element that it is about
  };

  PlanFunction function(std::size_t channel) const {
    PlanFunction function;
    function.channel = channel;
    if (op_.code == OpCode::kTable) {
      const PlanTensor& input = state_.plan.tensors[op_.inputs[0]];
      function.table = &op_.tables[op_.table_of[channel]];
      function.first = input.is_raw ? 0 : -(Int{1} << (input.bits - 1));
    } else if (op_.code != OpCode::kMaxPool2d && op_.code != OpCode::kMove &&
               op_.code != OpCode::kArgMax) {
      function.post = &op_.post;
    }
    return function;
  }
  // Channels with the same number have the same function.
  Int function_number(std::size_t channel) const {
    if (op_.code == OpCode::kTable) return static_cast<Int>(op_.table_of[channel]);
    if (op_.post.kind == PostKind::kShift) return op_.post.shifts[channel];
    return op_.post.kind == PostKind::kScale ? static_cast<Int>(channel) : 0;
  }

  // How many bits the operator shifts out.
  int left_out(std::size_t channel) const {
    const PlanFunction made = function(channel);
    return made.post != nullptr && made.post->kind == PostKind::kShift ? made.post->shifts[channel]
                                                                       : 0;
  }

  std::string place(std::size_t p) const {
    const Int channel = static_cast<Int>(p) % output_.channels,
              pixel = static_cast<Int>(p) / output_.channels;
    return fmt::format("channel {}, position ({}, {})", output_.channel_of[at(channel)],
                       pixel / output_.width, pixel % output_.width);
  }

  // The exact value that the tensor must hold at p; of values with an offset that before it.
  int wanted_chain(std::size_t p, const Element& target) const {
    const Chains& chains = values_.chains();
    if (!output_.offsets.empty()) {
      const float offset = output_.offsets[p % at(output_.channels)];
      const bool is_it = chains.is_real(target.chain) && chains.last(target.chain).fn == Fn::kAdd &&
                         chains.last(target.chain).a == offset &&
                         !chains.is_real(chains.parent(target.chain));
      if (!is_it) wrong(output_.name, "weights", fmt::format("{}: its offset is wrong", place(p)));
      return chains.parent(target.chain);
    }
    if (output_.is_named && chains.is_real(target.chain))
      wrong(output_.name, "grid", fmt::format("{} is real, and codes cannot hold it", place(p)));
    return chains.exact_part(target.chain);
  }

  // One way to read the output; throws Failure where it does not hold.
  void try_with(int dropped, bool has_own_grid) {
    const Chains& chains = values_.chains();
    groups_.clear();
    numbers_.clear();
    group_of_.assign(sources_.size(), -1);
    is_last_try_ = true;
    Elements held(sources_.size());
    for (std::size_t p = 0; p < sources_.size(); ++p) {
      const Source& source = sources_[p];
      const std::size_t channel = p % at(output_.channels);
      const int decimal = output_.decimals[channel];
      const Element* const target =
          fits_ ? &values_.elements(value_)[at(graph_index(output_, static_cast<Int>(p)))]
                : nullptr;
      const bool is_kept = op_.post.keep.empty() || op_.post.keep[p] != 0;
      Element& now = held[p];
      int chain = target == nullptr ? 0 : wanted_chain(p, *target);
      if (target != nullptr && target->lo == target->hi) {
        // A constant: of a real value the exact number before its functions.
        const auto code = on_grid(GraphValues::constant(*target), decimal);
        const auto image =
            is_kept ? function(channel).image(source.lo, source.hi) : std::pair<Int, Int>(0, 0);
        if (code && image == std::pair(*code, *code)) {
          now = *target;
          now.chain = chain;
          now.decimal = decimal;
          now.lo = now.hi = *code;
          continue;
        }
      }
      if (!is_kept) {
        if (output_.is_named)
          wrong(op_.node, "masks",
                fmt::format("{}: the mask removes what the graph keeps", place(p)));
        now.decimal = decimal;
        continue;
      }
      const bool leads = target != nullptr && target->node == source.of.node &&
                         target->index == source.of.index &&
                         chains.between(source.of.chain, chain).has_value();
      if (!leads && output_.is_named && !source.constant)
        wrong(op_.node, "wiring",
              fmt::format("{} of '{}' is not what the graph says: it is computed from '{}'",
                          place(p), output_.name, name_of(source.of)));
      if (!leads) chain = source.of.chain;
      for (int i = 0; i < dropped && chain != source.of.chain; ++i) chain = chains.parent(chain);
      is_last_try_ = is_last_try_ && chain == source.of.chain;
      const bool is_final = leads && chain == chains.exact_part(target->chain);
      now = source.of;
      now.chain = chain;
      now.decimal = decimal;
      // A tensor that is not named may keep what is not divided yet, and on any grid.
      now.factor = 1;
      if (has_own_grid && chain == source.of.chain) {
        now.factor = source.factor;
        now.decimal = source.exponent - left_out(channel);
      }
      now.spare = is_final ? std::max(now.decimal - target->decimal, 0) : 0;
      if (source.constant && !leads && output_.is_named)
        wrong(op_.node, "post-op", fmt::format("{}: it is constant in the plan only", place(p)));
      take(p, channel, chain, now, is_final ? target : nullptr);
    }
    for (std::size_t p = 0; p < held.size(); ++p) expect_fits(p, held[p]);
    decide_all();
    state_.held[op_.output] = std::move(held);
  }

  void expect_fits(std::size_t p, const Element& element) const {
    const Int half = Int{1} << (output_.bits - 1);
    if (element.lo < -half || element.hi >= half)
      wrong(output_.name, "no overflow",
            fmt::format("{} can be {} to {}, which {} bits do not hold", place(p), element.lo,
                        element.hi, output_.bits));
  }

  std::string name_of(const Element& element) const {
    return element.node == Element::kConstant
               ? "a constant"
               : values_.model().value_name(static_cast<std::size_t>(element.node));
  }

  // The range of an element of the graph as codes of another grid, rounded outwards.
  std::pair<Int, Int> range_on_grid(const Element& element, int decimal) const {
    const int shift = std::min(element.decimal - decimal, 100);
    if (shift < -61) fail_unknown(op_.node, "grid", "its decimals lie too far apart");
    return {static_cast<Int>(shift_rounded(element.lo, shift, Rounding::kFloor)),
            static_cast<Int>(-shift_rounded(-Wide{element.hi}, shift, Rounding::kFloor))};
  }

  // Adds the element to the group of its question, and works out its range.
  void take(std::size_t p, std::size_t channel, int chain, Element& now, const Element* target) {
    const Source& source = sources_[p];
    const PlanFunction made = function(channel);
    const auto path = values_.chains().between(source.of.chain, chain);
    const std::vector<const Step*>& steps = *path;
    if (source.constant) {
      Value value = *source.constant;
      for (const Step* step : steps) value = step->apply(value);
      const Int code = made.apply(source.lo);
      if (on_grid(value, now.decimal) != code) {
        if (output_.is_named)
          wrong(op_.node, "post-op",
                fmt::format("{}: constant {} must become another code than {}", place(p), source.lo,
                            code));
        now = {};  // a step on the way: any number will do
        now.decimal = output_.decimals[channel];
        target = nullptr;
      }
      now.lo = now.hi = code;
      // x - x is 0, but the graph's ranges do not show it; both sides go by the same.
      if (target != nullptr) std::tie(now.lo, now.hi) = range_on_grid(*target, now.decimal);
      return;
    }
    const int spare = std::min(source.spare, 40);
    const Int factor = source.factor / now.factor * (Int{1} << spare);
    const int exponent = source.exponent - spare;
    const auto key =
        std::tuple(function_number(channel), source.of.chain, chain, factor, exponent,
                   static_cast<Int>(source.rest.code), source.rest.decimal, now.decimal);
    const auto [entry, is_new] = numbers_.try_emplace(key, static_cast<Int>(groups_.size()));
    if (is_new)
      groups_.push_back(
          {{made, steps, factor, exponent, source.rest, now.decimal, source.lo, source.hi}, "", p});
    Question& question = groups_[at(entry->second)].question;
    question.lo = std::min(question.lo, source.lo);
    question.hi = std::max(question.hi, source.hi);
    group_of_[p] = entry->second;
    std::tie(now.lo, now.hi) = made.image(source.lo, source.hi);
    if (target != nullptr && now.factor == 1) {  // no more than the graph's own range
      const auto [lo, hi] = range_on_grid(*target, now.decimal);
      now.lo = std::max(now.lo, lo);
      now.hi = std::min(now.hi, hi);
      // Both sides go by the graph's ranges about what is constant.
      if (now.lo >= now.hi && target->lo != target->hi) std::tie(now.lo, now.hi) = std::tie(lo, hi);
    }
  }

  void decide_all() {
    Wide looks = 0;
    for (const Group& group : groups_) looks += std::max<Int>(group.question.count(), 0);
    for (Group& group : groups_) {
      const Answer answer = decide(group.question, looks <= kFewLooks, op_.node);
      group.method = answer.method;
      if (!answer.difference) continue;
      const Int x = *answer.difference;
      const auto expected = group.question.expected(x);
      wrong(
          op_.node, "post-op",
          fmt::format("{}: accumulator {} must become {}, but becomes {} ({})", place(group.first),
                      x, expected ? fmt::format("{}", *expected) : "a number off the grid",
                      group.question.plan.apply(x), group.question.plan.text()));
    }
  }

  State& state_;
  GraphValues& values_;
  const PlanOp& op_;
  const std::vector<Source>& sources_;
  const PlanTensor& output_;
  bool fits_ = false;
  std::size_t value_ = 0;
  bool is_last_try_ = false;
  std::vector<Group> groups_;
  std::map<std::tuple<Int, int, int, Int, int, Int, int, int>, Int> numbers_;
  std::vector<Int> group_of_;  // per element; -1: a constant or masked
};

}  // namespace

void wrong(const std::string& layer, const std::string& obligation, const std::string& reason) {
  throw Failure{false, layer, obligation, fmt::format("layer '{}': {}", layer, reason)};
}

Int graph_index(const PlanTensor& tensor, Int physical) {
  const Int channel = tensor.channel_of[at(physical % tensor.channels)];
  return channel * tensor.height * tensor.width + physical / tensor.channels;
}

bool State::fits(const PlanTensor& tensor) const {
  const auto value = values.find(tensor.name);
  if (!value) return false;
  const Shape& shape = values.shape(*value);
  const Int plane = tensor.height * tensor.width;
  const bool is_flat = shape.rank == 1;
  if (tensor.logical_rank != static_cast<int>(shape.rank) || shape.count() % plane != 0 ||
      (!is_flat && (tensor.height != shape.h || tensor.width != shape.w)))
    return false;
  const Int channels = shape.count() / plane;
  const std::set<Int> listed(tensor.channel_of.begin(), tensor.channel_of.end());
  return static_cast<Int>(listed.size()) == tensor.channels && *listed.rbegin() < channels &&
         (tensor.has_map || tensor.channels == channels);
}

void settle(State& state, const PlanOp& op, const std::vector<Source>& sources,
            std::vector<ChannelFacts>& facts) {
  Settling(state, op, sources).run(facts);
}

}  // namespace lockstep::checker
