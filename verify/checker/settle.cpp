#include "verify/checker/settle.h"

#include <set>

namespace lockstep::checker {
namespace {

constexpr Int kFewLooks = Int{1} << 20;  // of all functions of an operator: each is looked at

class Settling {
 public:
  Settling(State& state, const PlanOp& op, const std::vector<Source>& sources)
      : state_(state),
        values_(state.values),
        op_(op),
        sources_(sources),
        output_(state.plan.tensors[op.output]) {
    if (state.fits(output_)) graph_ = &values_.elements(*values_.find(output_.name));
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
    for (std::size_t p = 0; p < sources_.size(); ++p) {
      ChannelFacts& of = facts[p % facts.size()];
      if (of.post.empty()) {
        of.post = function(p % facts.size()).text();
        of.method = "constant";
      }
      if (group_of_[p] == nullptr) continue;
      of.method = group_of_[p]->method;
      of.arguments = group_of_[p]->question.count();
    }
  }

 private:
  struct Group {
    Question question;
    std::string method;
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
    const bool is_scale = op_.post.kind == PostKind::kScale;
    return is_scale ? static_cast<Int>(channel) : function(channel).shift();
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
      const Step added = float_step("x + a", output_.offsets[p % at(output_.channels)]);
      if (!chains.is_real(target.chain) || chains.last(target.chain) != added ||
          chains.is_real(chains.parent(target.chain)))
        wrong(output_.name, "weights", "{}: its offset is wrong", place(p));
      return chains.parent(target.chain);
    }
    if (output_.is_named && chains.is_real(target.chain))
      wrong(output_.name, "grid", "{} is real, and codes cannot hold it", place(p));
    return chains.exact_part(target.chain);
  }

  // One way to read the output; throws Failure where it does not hold.
  void try_with(int dropped, bool has_own_grid) {
    groups_.clear();
    group_of_.assign(sources_.size(), nullptr);
    is_last_try_ = true;
    Elements held(sources_.size());
    const Int half = Int{1} << (output_.bits - 1);
    for (std::size_t p = 0; p < sources_.size(); ++p) held[p] = hold(p, dropped, has_own_grid);
    for (std::size_t p = 0; p < held.size(); ++p)
      if (held[p].lo < -half || held[p].hi >= half)
        wrong(output_.name, "no overflow", "{} can be {} to {}, which {} bits do not hold",
              place(p), held[p].lo, held[p].hi, output_.bits);
    decide_all();
    state_.held[op_.output] = std::move(held);
  }

  // What the tensor holds at p. Where that depends on the post-op, it joins a group.
  Element hold(std::size_t p, int dropped, bool has_own_grid) {
    const Chains& chains = values_.chains();
    const Source& source = sources_[p];
    const Element& of = source.of;
    const std::size_t channel = p % at(output_.channels);
    const PlanFunction made = function(channel);
    const bool is_kept = op_.post.keep.empty() || op_.post.keep[p] != 0;
    const Element* target =
        graph_ == nullptr ? nullptr : &(*graph_)[at(graph_index(output_, static_cast<Int>(p)))];
    const int wanted = target == nullptr ? 0 : wanted_chain(p, *target);
    Element now;
    now.decimal = output_.decimals[channel];
    if (target != nullptr && target->lo == target->hi) {
      // A constant: of a real value the exact number before its functions.
      const auto code = on_grid({target->lo, target->decimal}, now.decimal);
      const auto image = is_kept ? made.image(of.lo, of.hi) : std::pair<Int, Int>(0, 0);
      if (code && image == std::pair(*code, *code))
        return {target->node, target->index, wanted,         now.decimal,
                *code,        *code,         target->factor, target->spare};
    }
    if (!is_kept) {
      if (output_.is_named)
        wrong(op_.node, "masks", "{}: the mask removes what the graph keeps", place(p));
      return now;
    }
    const bool leads = target != nullptr && target->node == of.node && target->index == of.index &&
                       chains.between(of.chain, wanted).has_value();
    if (!leads && output_.is_named)
      wrong(op_.node, "wiring", "{} of '{}' is not what the graph says: it is computed from '{}'",
            place(p), output_.name,
            of.node == Element::kConstant ? "a constant" : values_.model().value_name(at(of.node)));
    int chain = leads ? wanted : of.chain;
    for (int i = 0; i < dropped && chain != of.chain; ++i) chain = chains.parent(chain);
    is_last_try_ = is_last_try_ && chain == of.chain;
    if (!leads || chain != chains.exact_part(target->chain)) target = nullptr;
    now.node = of.node;
    now.index = of.index;
    now.chain = chain;
    // A tensor that is not named may keep what is not divided yet, and on any grid.
    if (has_own_grid && chain == of.chain) {
      now.factor = of.factor;
      now.decimal = of.decimal - made.shift();
    }
    if (target != nullptr) now.spare = std::max(now.decimal - target->decimal, 0);
    const std::vector<const Step*> steps = *chains.between(of.chain, chain);
    if (source.is_constant) return constant(p, source, made.apply(of.lo), steps, now, target);

    const int spare = std::min(of.spare, 40), exponent = of.decimal - spare;
    const Int factor = of.factor / now.factor * (Int{1} << spare);
    const auto [entry, is_new] =
        groups_.try_emplace({function_number(channel), of.chain, chain, factor, exponent,
                             static_cast<Int>(source.rest.code), source.rest.decimal, now.decimal});
    group_of_[p] = &entry->second;
    Question& whole = entry->second.question;
    if (is_new) whole = {made, steps, factor, exponent, source.rest, now.decimal, of.lo, of.hi};
    whole.lo = std::min(whole.lo, of.lo);
    whole.hi = std::max(whole.hi, of.hi);
    std::tie(now.lo, now.hi) = made.image(of.lo, of.hi);
    if (target != nullptr && now.factor == 1) {  // no more than the graph's own range
      const auto [lo, hi] = range_on_grid(*target, now.decimal);
      now.lo = std::max(now.lo, lo);
      now.hi = std::min(now.hi, hi);
      // Both sides go by the graph's ranges about what is constant.
      if (now.lo >= now.hi && target->lo != target->hi) std::tie(now.lo, now.hi) = std::tie(lo, hi);
    }
    return now;
  }

  // Where the graph has a constant, which the operator makes `code` of.
  Element constant(std::size_t p, const Source& source, Int code,
                   const std::vector<const Step*>& steps, Element now,
                   const Element* target) const {
    Value value = source.rest;
    for (const Step* step : steps) value = step->apply(value);
    if (on_grid(value, now.decimal) != code) {
      if (output_.is_named)
        wrong(op_.node, "post-op", "{}: constant {} must become another code than {}", place(p),
              source.of.lo, code);
      // A step on the way: any number will do.
      return {.decimal = output_.decimals[p % at(output_.channels)], .lo = code, .hi = code};
    }
    now.lo = now.hi = code;
    // x - x is 0, but the graph's ranges do not show it; both sides go by the same.
    if (target != nullptr) std::tie(now.lo, now.hi) = range_on_grid(*target, now.decimal);
    return now;
  }

  // The range of an element of the graph as codes of another grid, on which all its values lie.
  std::pair<Int, Int> range_on_grid(const Element& element, int decimal) const {
    const int shift = std::clamp(element.decimal - decimal, -62, 100);
    const auto code = [&](Int x) {
      return static_cast<Int>(
          std::clamp<Wide>(shift_rounded(x, shift, Rounding::kFloor), -kLimit, kLimit));
    };
    return {code(element.lo), code(element.hi)};
  }

  void decide_all() {
    Wide looks = 0;
    for (const auto& [key, group] : groups_) looks += std::max<Int>(group.question.count(), 0);
    for (auto& [key, group] : groups_) {
      const Answer answer = decide(group.question, looks <= kFewLooks);
      group.method = answer.method;
      if (!answer.difference) continue;
      const Int x = *answer.difference;
      const auto expected = group.question.expected(x);
      const auto of = std::ranges::find(group_of_, &group) - group_of_.begin();
      wrong(op_.node, "post-op", "{}: accumulator {} must become {}, but becomes {} ({})",
            place(static_cast<std::size_t>(of)), x,
            expected ? fmt::to_string(*expected) : "a number off the grid",
            group.question.plan.apply(x), group.question.plan.text());
    }
  }

  State& state_;
  GraphValues& values_;
  const PlanOp& op_;
  const std::vector<Source>& sources_;
  const PlanTensor& output_;
  const Elements* graph_ = nullptr;  // of the value by its name, whose shape it has
  bool is_last_try_ = false;
  std::map<std::tuple<Int, int, int, Int, int, Int, int, int>, Group> groups_;
  std::vector<const Group*> group_of_;  // per element; null: a constant or masked
};

}  // namespace

Int graph_index(const PlanTensor& tensor, Int physical) {
  const Int channel = tensor.channel_of[at(physical % tensor.channels)];
  return channel * tensor.height * tensor.width + physical / tensor.channels;
}

bool State::fits(const PlanTensor& tensor) const {
  const auto value = values.find(tensor.name);
  if (!value) return false;
  const Shape& shape = values.shape(*value);
  const Int plane = tensor.height * tensor.width;
  if (tensor.logical_rank != static_cast<int>(shape.rank) || shape.count() % plane != 0 ||
      (shape.rank != 1 && (tensor.height != shape.h || tensor.width != shape.w)))
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
