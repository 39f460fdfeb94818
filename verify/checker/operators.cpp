// What an operator of a plan computes for each element of its output, and that it is what the graph
// says: every product of a sum, whatever operator makes it; every element of a window, every copy.
#include <numeric>
#include <string_view>
#include <unordered_map>

#include "verify/checker/settle.h"

namespace lockstep::checker {
namespace {

// Numbers the terms of elements: equal terms have equal numbers, constants have none.
class Numbering {
 public:
  static constexpr std::int32_t kConstant = -1;
  std::vector<std::int32_t> number(const Elements& elements) {
    std::vector<std::int32_t> numbers;
    numbers.reserve(elements.size());
    for (const Element& e : elements) {
      const Key key = {e.node, e.index, e.chain, e.factor};
      const auto next = static_cast<std::int32_t>(known_.size());
      numbers.push_back(e.is_constant() ? kConstant : known_.try_emplace(key, next).first->second);
    }
    return numbers;
  }
  std::size_t count() const { return known_.size(); }

 private:
  using Key = std::array<Int, 4>;  // node, index, chain, factor
  struct Hash {
    std::size_t operator()(const Key& key) const {
      return std::hash<std::string_view>()(
          {reinterpret_cast<const char*>(key.data()), sizeof(key)});
    }
  };
  std::unordered_map<Key, std::int32_t, Hash> known_;
};

// Adds exact numbers of different grids: constants of a sum in 62 bits that the graph has.
void add(Value& sum, Wide code, int decimal) {
  if (code == 0) return;
  if (sum.code == 0) sum.decimal = decimal;
  const int finer = decimal - sum.decimal;
  sum = {sum.code * (Wide{1} << std::max(finer, 0)) + code * (Wide{1} << std::max(-finer, 0)),
         std::max(decimal, sum.decimal)};
}

// Of operators that combine elements: what they take of each input.
std::vector<Operand> operands_of(const Plan& plan, const PlanOp& op) {
  const PlanTensor& out = plan.tensors[op.output];
  std::vector<Operand> operands;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    const PlanTensor& in = plan.tensors[op.inputs[i]];
    Operand operand{.input = i, .steps = {1, in.width * in.channels, in.channels}};
    std::array<Int, 2> kernel = op.kernel;
    if (op.code == OpCode::kLinear) kernel = {in.height, in.width};
    for (std::size_t axis = 0; axis < 2; ++axis) {
      const Int outputs = axis == 0 ? out.height : out.width,
                inputs = axis == 0 ? in.height : in.width;
      if (op.inputs.size() == 2) {
        operand.runs[axis] = spread_runs(outputs, inputs);
      } else if (op.code == OpCode::kAvgPool2d) {
        for (const Span& span : axis == 0 ? op.rows : op.columns)
          operand.runs[axis].push_back(
              {span.begin, 0, span.end - span.begin, 1, 0, span.multiplier});
      } else {
        operand.runs[axis] = slide_runs(outputs, inputs,
                                        {kernel[axis], op.stride[axis], op.pad_before[axis],
                                         op.dilation[axis], op.code == OpCode::kConvTranspose2d});
      }
    }
    if (op.inputs.size() == 2 && in.channels == 1) operand.group_outputs = out.channels;
    if (op.code == OpCode::kAdd) {
      operand.weights = &op.multipliers[i];
      operand.per_group = operand.per_output = 1;
    }
    if (!op.weights.empty()) {  // [O][kernel_h][kernel_w][I]
      operand.weights = &op.weights;
      operand.group_inputs = in.channels / op.groups;
      operand.group_outputs = out.channels / op.groups;
      operand.per_input = 1;
      operand.per_column = operand.group_inputs;
      operand.per_row = operand.per_column * kernel[1];
      operand.per_output = operand.per_row * kernel[0];
      operand.per_group = operand.per_output * operand.group_outputs;
    }
    operands.push_back(std::move(operand));
  }
  return operands;
}

struct Place {
  Int channel, y, x;  // of the output
  Int element;        // of the value that the operator is named after
};

// The coefficients of one term on both sides, as multiples of powers of two that are the same for
// all terms of an element.
struct Slot {
  Wide graph = 0, plan = 0;
  std::int64_t stamp = -1;
};

class OpChecker {
 public:
  OpChecker(State& state, const PlanOp& op, std::vector<ChannelFacts>& facts)
      : state_(state),
        values_(state.values),
        op_(op),
        output_(state.plan.tensors[op.output]),
        value_(*state.values.find(op.node)),
        facts_(facts) {}

  std::vector<Source> run() {
    if (op_.code == OpCode::kMove) return copies(moved());
    if (op_.code == OpCode::kRequantize || op_.code == OpCode::kTable) {
      need_shape(tensor(0).has_shape_of(output_), "its input has another shape than its output");
      return copies(held(0));
    }
    need_shape(value_ >= values_.model().inputs.size(),
               "the plan computes it, but it is an input of the graph");
    const std::string& op = node().op;
    Source (OpChecker::*source_at)(const Place&) = &OpChecker::sum;
    if (op_.code == OpCode::kMul) {
      need_shape(op == "mul", "the plan multiplies, the graph does not");
      source_at = &OpChecker::product;
    } else if (op_.code == OpCode::kMaxPool2d) {
      need_shape(op.starts_with("max_pool"), "the plan takes the largest, the graph does not");
      source_at = &OpChecker::largest;
    } else if (op_.code == OpCode::kArgMax) {
      const Shape& shape = values_.shape(node().inputs[0]);
      need_shape(op == "argmax" && output_.channels == 1, "the graph has no argmax here");
      need_shape(tensor(0).channels == shape.c && tensor(0).height == shape.h &&
                     tensor(0).width == shape.w,
                 "its argmax goes over other channels");
      source_at = &OpChecker::argmax;
    } else {
      need_shape(Terms::has_sum(node()), "the plan adds products up, the graph does not");
      number_terms();
    }
    if (op_.code != OpCode::kArgMax) operands_ = operands_of(state_.plan, op_);
    const Shape& shape = values_.shape(value_);
    need_shape(output_.height == shape.h && output_.width == shape.w &&
                   std::ranges::max(output_.channel_of) < shape.c,
               "its output has another shape");
    std::vector<Source> sources;
    sources.reserve(at(output_.count()));
    for (Int y = 0; y < output_.height; ++y)
      for (Int x = 0; x < output_.width; ++x)
        for (Int c = 0; c < output_.channels; ++c)
          sources.push_back(
              (this->*source_at)({c, y, x, shape.index(output_.channel_of[at(c)], y, x)}));
    return sources;
  }

 private:
  const PlanTensor& tensor(std::size_t input) const {
    return state_.plan.tensors[op_.inputs[input]];
  }
  const Elements& held(std::size_t input) const { return state_.held[op_.inputs[input]]; }
  const Node& node() const { return values_.model().node(value_); }
  void need_shape(bool holds, const char* what) const {
    if (!holds) wrong(op_.node, "wiring", "{}", what);
  }
  std::string text(const Place& p) const {
    return fmt::format("channel {}, position ({}, {})", output_.channel_of[at(p.channel)], p.y,
                       p.x);
  }
  // Calls visit(input, element in physical order, coefficient) for all that is combined.
  template <typename Visit>
  void each(const Place& p, const Visit& visit) const {
    each_term(operands_, p.channel, p.y, p.x,
              [&](std::size_t i, Int from, Int coefficient, Int) { visit(i, from, coefficient); });
  }

  std::vector<Source> copies(const Elements& elements) const {
    std::vector<Source> sources;
    for (const Element& element : elements)
      sources.push_back(
          {element, element.is_constant() ? element.constant() : Value(), element.is_constant()});
    return sources;
  }

  void number_terms() {
    for (const std::size_t input : node().inputs)
      graph_numbers_.push_back(numbering_.number(values_.elements(input)));
    for (std::size_t i = 0; i < op_.inputs.size(); ++i) {
      plan_numbers_.push_back(numbering_.number(held(i)));
      for (const Element& element : held(i)) coarsest_ = std::min(coarsest_, element.decimal);
    }
    slots_.resize(numbering_.count());
  }
  Slot& slot_of(std::int32_t number) {
    Slot& slot = slots_[static_cast<std::size_t>(number)];
    if (slot.stamp != stamp_) {
      slot = {0, 0, stamp_};
      touched_.push_back(&slot);
    }
    return slot;
  }
  Wide unit(int shift) const {
    if (shift > 60) unknown(op_.node, "grid", "its decimals lie too far apart");
    return Wide{1} << shift;
  }

  Source sum(const Place& p) {
    const Terms& terms = values_.terms(value_);
    const Shape& shape = values_.shape(value_);
    touched_.clear();
    ++stamp_;
    const Int o = shape.place(p.element)[0];
    Value graph_constant = terms.bias(o);
    terms.each(o, p.y, p.x, [&](std::size_t i, Int from, Int coefficient, int decimal) {
      const std::int32_t number = graph_numbers_[i][at(from)];
      if (number >= 0) {
        slot_of(number).graph += coefficient * unit(terms.finest() - decimal);
        return;
      }
      const Element& element = values_.elements(node().inputs[i])[at(from)];
      add(graph_constant, Wide{coefficient} * element.lo, decimal + element.decimal);
    });
    const Wide bias = op_.bias.empty() ? 0 : op_.bias[at(p.channel)];
    Wide constant = bias, lo = bias, hi = bias, bound = bias < 0 ? -bias : bias;
    each(p, [&](std::size_t i, Int from, Int coefficient) {
      const Element& element = held(i)[at(from)];
      const Wide a = Wide{coefficient} * element.lo, b = Wide{coefficient} * element.hi;
      lo += std::min(a, b);
      hi += std::max(a, b);
      bound += std::max({a, b, -a, -b});
      const std::int32_t number = plan_numbers_[i][at(from)];
      if (number < 0)
        constant += a;
      else
        slot_of(number).plan += coefficient * unit(element.decimal - coarsest_);
    });
    if (bound > (op_.is_wide ? Wide{kLimit - 1} : Wide{INT32_MAX}))
      wrong(op_.node, "no overflow", "{}: its sums can leave {} bits", text(p),
            op_.is_wide ? 64 : 32);
    Source source{fresh_element(value_, p.element, 0, lo, hi)};
    set_ratio(p, source.of);
    if (source.of.factor == 0) {  // nothing but constants
      source.of.factor = 1;
      source.of.lo = source.of.hi = static_cast<Int>(constant);
      source.rest = graph_constant;
      source.is_constant = true;
    } else {
      source.rest = rest_of(graph_constant, source.of, constant, p);
      set_spare(source.of);
    }
    note(p, source, bound);
    return source;
  }

  // plan = numerator / denominator * graph, with one ratio for all terms, which must be
  // factor * 2^k. Factor 0: there are no terms.
  void set_ratio(const Place& p, Element& of) const {
    Wide numerator = 0, denominator = 0;
    for (const Slot* slot : touched_) {
      const Wide graph = slot->graph, plan = slot->plan;
      if (std::max({graph, -graph, plan, -plan}) > kLimit)
        unknown(op_.node, "grid", "its weights leave 62 bits on one grid");
      if (denominator == 0 && graph != 0) {
        numerator = plan;
        denominator = graph;
      }
      if (plan * denominator != graph * numerator || (graph == 0) != (plan == 0))
        wrong(op_.node, "weights",
              "{}: a weight is wrong: of one input the plan takes {} where the first nonzero "
              "weight and the graph say {} * {} / {}",
              text(p), static_cast<double>(plan), static_cast<double>(graph),
              static_cast<double>(numerator), static_cast<double>(denominator));
    }
    of.factor = 0;
    if (denominator == 0) return;
    if ((numerator < 0) != (denominator < 0))
      wrong(op_.node, "weights", "{}: all weights have the wrong sign", text(p));
    auto n = static_cast<Int>(numerator < 0 ? -numerator : numerator),
         d = static_cast<Int>(denominator < 0 ? -denominator : denominator);
    const Int common = std::gcd(n, d);
    n /= common;
    d /= common;
    of.decimal = coarsest_ + values_.terms(value_).finest();
    for (; d % 2 == 0; d /= 2) --of.decimal;
    for (; n % 2 == 0; n /= 2) ++of.decimal;
    if (d != 1) wrong(op_.node, "weights", "{}: its weights are on no grid", text(p));
    of.factor = n;
  }

  // graph_constant * 2^decimal - plan_constant / factor, if that is at least 0 and less than 1.
  Value rest_of(const Value& graph_constant, const Element& of, Wide plan_constant,
                const Place& p) const {
    Value rest{graph_constant.code, graph_constant.decimal - of.decimal};
    if (rest.code == 0 || rest.decimal < 0) {  // a whole number
      const auto whole = on_grid(rest, 0);
      rest = {whole ? Wide{*whole} : -kLimit, 0};
    }
    if (rest.decimal <= 30 && plan_constant % of.factor == 0) {
      rest.code -= plan_constant / of.factor * (Wide{1} << rest.decimal);
      if (rest.code == 0) return {};
      if (rest.code > 0 && rest.code < Wide{1} << rest.decimal) return rest;
    }
    wrong(op_.node, "weights", "{}: bias: expected {} * 2^{}, found {}", text(p),
          static_cast<double>(graph_constant.code) * static_cast<double>(of.factor),
          of.decimal - graph_constant.decimal, static_cast<Int>(plan_constant));
  }

  // Where the graph's grid is coarser, all that can occur are multiples of a power of two.
  void set_spare(Element& of) const {
    of.spare = std::max(of.decimal - values_.elements(value_)[at(of.index)].decimal, 0);
  }

  void note(const Place& p, const Source& source, Wide bound) const {
    ChannelFacts& of = facts_[at(p.channel)];
    const bool is_first = p.y == 0 && p.x == 0;
    of.lo = is_first ? source.of.lo : std::min(of.lo, source.of.lo);
    of.hi = is_first ? source.of.hi : std::max(of.hi, source.of.hi);
    of.bound = std::max(of.bound, static_cast<Int>(bound));
    of.accumulator_bits = op_.is_wide ? 64 : 32;
    of.float_bound = values_.float_bounds(value_)[at(output_.channel_of[at(p.channel)])];
    of.is_float32_exact = of.float_bound < kFloat32Steps;
    if (of.float_bound >= kFloat64Steps)
      unknown(op_.node, "float exact", "its float sums are not even exact in double");
  }

  Source product(const Place& p) {
    Elements expected, found;
    values_.each_term_of(value_, p.element,
                         [&](const Element& e, Int, int) { expected.push_back(e); });
    each(p, [&](std::size_t i, Int from, Int) { found.push_back(held(i)[at(from)]); });
    const auto is = [&](std::size_t i, std::size_t j) {
      return found[i].is_same_value(expected[j]);
    };
    if (!(is(0, 0) && is(1, 1)) && !(is(0, 1) && is(1, 0)))
      wrong(op_.node, "wiring", "{}: it multiplies other values", text(p));
    const auto [lo, hi] = product_range(found[0], found[1]);
    const Wide bound = std::max(hi, -lo);
    if (bound > INT32_MAX)
      wrong(op_.node, "no overflow", "{}: its products can leave 32 bits", text(p));
    const int decimal = found[0].decimal + found[1].decimal;
    Source source{fresh_element(value_, p.element, decimal, lo, hi), {}, lo == hi};
    set_spare(source.of);
    if (lo == hi) source.rest = {lo, decimal};
    note(p, source, bound);
    return source;
  }

  Source largest(const Place& p) {
    const Window window = values_.window(value_, p.element);
    const auto need = [&](bool holds) {
      if (!holds) wrong(op_.node, "wiring", "{}: it takes the largest of other values", text(p));
    };
    Elements found;
    each(p, [&](std::size_t, Int from, Int) { found.push_back(held(0)[at(from)]); });
    need(found.size() == window.elements.size());
    Source source{fresh_element(value_, p.element, found[0].decimal, -kLimit, -kLimit)};
    Element& of = source.of;
    of.factor = found[0].factor;
    // Steps that follow the pooling in the graph, and that the plan's values have behind them.
    using Steps = std::vector<const Step*>;
    Steps done, exact;  // exact: those that constants have behind them
    for (const Step* step : window.behind) {
      if (step->kind == Step::Kind::kFloat) break;
      exact.push_back(step);
    }
    std::vector<Steps> of_each;
    for (std::size_t i = 0; i < found.size(); ++i) {
      const Element &one = found[i], &wanted = window.elements[i];
      of.lo = std::max(of.lo, one.lo);
      of.hi = std::max(of.hi, one.hi);
      const bool is_number =
          one.is_constant() && wanted.is_constant() && equal(one.constant(), wanted.constant());
      const auto steps =
          is_number ? std::optional(exact) : values_.chains().between(wanted.chain, one.chain);
      need(steps && one.factor == of.factor && one.decimal == of.decimal &&
           (is_number || (one.node == wanted.node && one.index == wanted.index)));
      if (steps->size() > done.size()) done = *steps;
      of_each.push_back(*steps);
    }
    // The largest of f's values is f of the largest only where f never falls.
    need(std::ranges::all_of(done, [](const Step* step) { return step->rises(); }));
    // A value that they do not change may lack them.
    for (std::size_t i = 0; i < found.size(); ++i)
      need(of_each[i] == done || (of_each[i].empty() && of.factor == 1 &&
                                  std::ranges::all_of(done, [&](const Step* step) {
                                    return values_.changes_nothing(found[i], *step);
                                  })));
    for (const Step* step : done) of.chain = values_.chains().extend(of.chain, *step);
    source.is_constant = of.is_constant();
    if (source.is_constant) source.rest = of.constant();
    return source;
  }

  Source argmax(const Place& p) {
    const std::size_t input = node().inputs[0];
    const Shape& shape = values_.shape(input);
    const Int pixel = (p.y * shape.w + p.x) * shape.c;
    for (Int c = 0; c < shape.c; ++c) {
      const Element& found = held(0)[at(pixel + c)];
      if (!found.is_same_value(values_.elements(input)[at(shape.index(c, p.y, p.x))]) ||
          found.decimal != held(0)[at(pixel)].decimal)
        wrong(op_.node, "wiring", "channel {} of what its argmax compares is wrong", c);
    }
    return {fresh_element(value_, p.element, 0, 0, shape.c - 1), {}, shape.c == 1};
  }

  Elements moved() const {
    Elements elements(at(output_.count()));
    std::vector<bool> is_written(elements.size());
    for (const Piece& piece : op_.pieces) {
      const auto& [n0, n1, n2, n3] = piece.count;
      for (Int n = 0; n < n0 * n1 * n2 * n3; ++n) {
        const Int i[] = {n / (n1 * n2 * n3), n / (n2 * n3) % n1, n / n3 % n2, n % n3};
        Int from = piece.in_first, to = piece.out_first;
        for (std::size_t k = 0; k < 4; ++k) {
          from += i[k] * piece.in_step[k];
          to += i[k] * piece.out_step[k];
        }
        if (from < 0 || from >= tensor(piece.input).count() || to < 0 || to >= output_.count() ||
            is_written[at(to)])
          wrong(op_.node, "memory", "a copy leaves its tensors, or writes an element twice");
        is_written[at(to)] = true;
        elements[at(to)] = held(piece.input)[at(from)];
      }
    }
    return elements;
  }

  State& state_;
  GraphValues& values_;
  const PlanOp& op_;
  const PlanTensor& output_;
  const std::size_t value_;  // of the node that the operator is named after
  std::vector<ChannelFacts>& facts_;
  std::vector<Operand> operands_;
  // Of sums: the number of each element's term, by input.
  Numbering numbering_;
  std::vector<std::vector<std::int32_t>> graph_numbers_, plan_numbers_;
  int coarsest_ = INT32_MAX;  // of the plan's inputs
  std::vector<Slot> slots_;   // by number
  std::vector<const Slot*> touched_;
  std::int64_t stamp_ = 0;
};

}  // namespace

std::vector<Source> sources_of(State& state, const PlanOp& op, std::vector<ChannelFacts>& facts) {
  return OpChecker(state, op, facts).run();
}

}  // namespace lockstep::checker
