#include "verify/checker/products.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <unordered_map>

namespace lockstep::checker {
namespace {

constexpr Wide kWideLimit = Wide{1} << 62;

std::size_t at(Int i) { return static_cast<std::size_t>(i); }
// Numbers the terms of elements: equal terms have equal numbers, constants have none.
class Numbering {
 public:
  static constexpr std::int32_t kConstant = -1;
  std::vector<std::int32_t> number(const Elements& elements) {
    std::vector<std::int32_t> numbers;
    numbers.reserve(elements.size());
    for (const Element& element : elements) {
      if (element.is_constant()) {
        numbers.push_back(kConstant);
        continue;
      }
      const auto [entry, is_new] =
          known_.try_emplace({element.node, element.index, element.chain, element.factor},
                             static_cast<std::int32_t>(known_.size()));
      numbers.push_back(entry->second);
    }
    return numbers;
  }
  std::size_t count() const { return known_.size(); }

 private:
  struct Key {
    std::int32_t node, index, chain;
    Int factor;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const {
      auto hash = static_cast<std::uint64_t>(key.index) * 0x9E3779B97F4A7C15U;
      hash ^= static_cast<std::uint64_t>(key.chain) * 0xC2B2AE3D27D4EB4FU + (hash >> 29);
      hash ^= static_cast<std::uint64_t>(key.node) * 0x165667B19E3779F9U + (hash >> 32);
      return hash ^ (hash >> 31);
    }
  };
  std::unordered_map<Key, std::int32_t, Hash> known_;
};

// Adds exact numbers of different grids.
void add(Value& sum, Wide code, int decimal, const std::string& layer) {
  if (code == 0) return;
  if (sum.code == 0) {
    sum = {code, decimal, 0, false};
    return;
  }
  const int finer = decimal - sum.decimal;
  if (finer > 60 || finer < -60)
    fail_unknown(layer, "grid", "its constants lie on grids too far apart");
  if (finer > 0) {
    sum.code *= Wide{1} << finer;
    sum.decimal = decimal;
  } else {
    code *= Wide{1} << -finer;
  }
  sum.code += code;
  if (sum.code > kWideLimit || sum.code < -kWideLimit)
    fail_unknown(layer, "grid", "its constants leave 62 bits");
}

// The coefficients of one term on both sides, as multiples of powers of two that are the same for
// all terms of an element.
struct Slot {
  Wide graph = 0, plan = 0;
  std::int64_t stamp = -1;
};

}  // namespace

OpChecker::OpChecker(State& state, const PlanOp& op)
    : state_(state),
      op_(op),
      output_(state.plan.tensors[op.output]),
      value_(*state.values.find(op.node)) {}

void OpChecker::need_shape(bool holds, const char* what) const {
  if (!holds) wrong(op_.node, "wiring", what);
}

const Node& OpChecker::graph_node() const {
  const Model& model = state_.values.model();
  if (value_ < model.inputs.size())
    wrong(op_.node, "wiring", "the plan computes it, but it is an input of the graph");
  return model.nodes[value_ - model.inputs.size()];
}

Int OpChecker::node_element(Int channel, Int y, Int x) const {
  const Shape& shape = state_.values.shape(value_);
  const Int of = output_.channel_of[at(channel)];
  need_shape(of < shape.c && output_.height == shape.h && output_.width == shape.w,
             "its output has another shape");
  return shape.index(of, y, x);
}

std::string OpChecker::place(Int channel, Int y, Int x) const {
  return fmt::format("channel {}, position ({}, {})", output_.channel_of[at(channel)], y, x);
}

Int OpChecker::spread(std::size_t input, Int channel, Int y, Int x) const {
  const PlanTensor& in = tensor(input);
  return ((in.height == 1 ? 0 : y) * in.width + (in.width == 1 ? 0 : x)) * in.channels +
         (in.channels == 1 ? 0 : channel);
}

// graph_constant * 2^exponent - plan_constant / factor, if that is at least 0 and less than 1.
Value OpChecker::rest_of(const Value& graph_constant, int exponent, Wide plan_constant, Int factor,
                         const std::string& where) const {
  Value rest{graph_constant.code, graph_constant.decimal - exponent, 0, false};
  if (rest.code == 0 || rest.decimal < 0) {  // a whole number
    const auto whole = on_grid(rest, 0);
    rest = {whole ? Wide{*whole} : -kWideLimit, 0, 0, false};
  }
  if (rest.decimal <= 30 && plan_constant % factor == 0) {
    rest.code -= plan_constant / factor * (Wide{1} << rest.decimal);
    if (rest.code == 0) return {};
    if (rest.code > 0 && rest.code < Wide{1} << rest.decimal) return rest;
  }
  wrong(op_.node, "weights",
        fmt::format("{}: bias: expected {} * 2^{}, found {}", where,
                    static_cast<Int>(graph_constant.code) * factor,
                    exponent - graph_constant.decimal, static_cast<Int>(plan_constant)));
}

// No more than the graph's own range of the sum.
void OpChecker::narrow(Source& source, Int e) const {
  const Element& element = state_.values.elements(value_)[at(e)];
  const int shift = element.decimal - source.exponent;
  if (state_.values.chains().exact_part(element.chain) != 0 || shift < -60 || source.rest.code != 0)
    return;
  const auto scaled = [&](Int x) {
    return shift_rounded(Wide{x} * source.factor, std::min(shift, 60), Rounding::kFloor);
  };
  source.spare = std::max(-shift, 0);
  if (element.magnitude() > kWideLimit / source.factor) return;
  source.lo = static_cast<Int>(std::max<Wide>(source.lo, scaled(element.lo)));
  source.hi = static_cast<Int>(std::min<Wide>(
      source.hi,
      -shift_rounded(-Wide{element.hi} * source.factor, std::min(shift, 60), Rounding::kFloor)));
}

template <typename Visit>
void OpChecker::each_product(Int channel, Int y, Int x, const Visit& visit) const {
  const PlanTensor& in = tensor(0);
  if (op_.code == OpCode::kAdd) {
    for (std::size_t i = 0; i < 2; ++i)
      visit(i, spread(i, channel, y, x), op_.multipliers[i][at(channel)]);
  } else if (op_.code == OpCode::kAvgPool2d) {
    const Span &down = op_.rows[at(y)], &across = op_.columns[at(x)];
    for (Int row = down.begin; row < down.end; ++row)
      for (Int column = across.begin; column < across.end; ++column)
        visit(std::size_t{0}, (row * in.width + column) * in.channels + channel,
              down.multiplier * across.multiplier);
  } else if (op_.code == OpCode::kLinear) {
    const Int count = in.count();
    for (Int k = 0; k < count; ++k)
      if (const Int weight = op_.weights[at(channel * count + k)]; weight != 0)
        visit(std::size_t{0}, k, weight);
  } else {
    const Int inputs = in.channels / op_.groups, outputs = output_.channels / op_.groups;
    const Int first = channel / outputs * inputs, taps = op_.kernel[0] * op_.kernel[1];
    each_of_window(y, x, [&](Int tap, Int pixel) {
      const Int* const weights = op_.weights.data() + (channel * taps + tap) * inputs;
      for (Int i = 0; i < inputs; ++i)
        if (weights[i] != 0) visit(std::size_t{0}, pixel * in.channels + first + i, weights[i]);
    });
  }
}

std::vector<Source> OpChecker::sums(std::vector<ChannelFacts>& facts, Int& weights_checked) const {
  const Node& node = graph_node();
  need_shape(Sums::is_sum(node), "the plan adds products up, the graph does not");
  const GraphValues& values = state_.values;
  std::vector<Shape> shapes;
  for (const std::size_t input : node.inputs) shapes.push_back(values.shape(input));
  const Sums sums(node, shapes);
  Numbering numbering;
  std::vector<std::vector<std::int32_t>> graph_numbers, plan_numbers;
  for (const std::size_t input : node.inputs)
    graph_numbers.push_back(numbering.number(values.elements(input)));
  int coarsest = INT32_MAX;  // of the plan's inputs
  for (std::size_t i = 0; i < op_.inputs.size(); ++i) {
    plan_numbers.push_back(numbering.number(held(i)));
    for (const Element& element : held(i)) coarsest = std::min(coarsest, element.decimal);
  }
  const int finest = sums.finest();
  const Wide limit = op_.is_wide ? kWideLimit : Wide{INT32_MAX};
  std::vector<Slot> slots(numbering.count());
  std::vector<std::int32_t> touched;
  std::vector<Source> sources;
  sources.reserve(at(output_.count()));
  std::int64_t stamp = 0;
  const auto slot_of = [&](std::int32_t number) -> Slot& {
    Slot& slot = slots[static_cast<std::size_t>(number)];
    if (slot.stamp != stamp) {
      slot = {0, 0, stamp};
      touched.push_back(number);
    }
    return slot;
  };
  const auto unit = [&](int shift) {
    if (shift > 60) fail_unknown(op_.node, "grid", "its decimals lie too far apart");
    return Wide{1} << shift;
  };
  weights_checked += static_cast<Int>(op_.weights.size() + op_.bias.size());
  for (Int y = 0; y < output_.height; ++y)
    for (Int x = 0; x < output_.width; ++x)
      for (Int c = 0; c < output_.channels; ++c, ++stamp) {
        const Int e = node_element(c, y, x), o = output_.channel_of[at(c)];
        touched.clear();
        const Value bias = sums.bias(o);
        Value graph_constant = bias;
        sums.each(o, y, x, [&](std::size_t i, Int from, Int coefficient, int decimal) {
          const std::int32_t number = graph_numbers[i][at(from)];
          if (number >= 0) {
            slot_of(number).graph += coefficient * unit(finest - decimal);
            return;
          }
          const Element& element = values.elements(node.inputs[i])[at(from)];
          add(graph_constant, Wide{coefficient} * element.lo, decimal + element.decimal, op_.node);
        });
        const Int plan_bias = op_.bias.empty() ? 0 : op_.bias[at(c)];
        Wide plan_constant = plan_bias, lo = plan_bias, hi = plan_bias,
             bound = plan_bias < 0 ? -plan_bias : plan_bias;
        each_product(c, y, x, [&](std::size_t i, Int from, Int coefficient) {
          const Element& element = held(i)[at(from)];
          const Wide a = Wide{coefficient} * element.lo, b = Wide{coefficient} * element.hi;
          lo += std::min(a, b);
          hi += std::max(a, b);
          bound += std::max({a, b, -a, -b});
          const std::int32_t number = plan_numbers[i][at(from)];
          if (number < 0)
            plan_constant += a;
          else
            slot_of(number).plan += coefficient * unit(element.decimal - coarsest);
        });
        if (bound > limit)
          wrong(
              op_.node, "no overflow",
              fmt::format("{}: its sums can leave {} bits", place(c, y, x), op_.is_wide ? 64 : 32));
        // One ratio for all: plan = numerator / denominator * graph.
        Wide numerator = 0, denominator = 0;
        for (const std::int32_t number : touched) {
          const Slot& slot = slots[static_cast<std::size_t>(number)];
          if (slot.graph > kWideLimit || slot.graph < -kWideLimit || slot.plan > kWideLimit ||
              slot.plan < -kWideLimit)
            fail_unknown(op_.node, "grid", "its weights leave 62 bits on one grid");
          if (denominator == 0 && slot.graph != 0) {
            numerator = slot.plan;
            denominator = slot.graph;
          }
          if (slot.plan * denominator == slot.graph * numerator &&
              (slot.graph == 0) == (slot.plan == 0))
            continue;
          wrong(op_.node, "weights",
                fmt::format("{}: a weight is wrong: of one input the plan takes {} where the first "
                            "nonzero weight and the graph say {} * {} / {}",
                            place(c, y, x), static_cast<double>(slot.plan),
                            static_cast<double>(slot.graph), static_cast<double>(numerator),
                            static_cast<double>(denominator)));
        }
        Source source;
        source.of = {static_cast<std::int32_t>(value_), static_cast<std::int32_t>(e), 0, 0, 0, 0};
        source.lo = static_cast<Int>(lo);
        source.hi = static_cast<Int>(hi);
        if (denominator == 0) {  // nothing but constants
          source.constant = graph_constant;
          source.lo = source.hi = static_cast<Int>(plan_constant);
        } else {
          if ((numerator < 0) != (denominator < 0))
            wrong(op_.node, "weights",
                  fmt::format("{}: all weights have the wrong sign", place(c, y, x)));
          Int n = static_cast<Int>(numerator < 0 ? -numerator : numerator),
              d = static_cast<Int>(denominator < 0 ? -denominator : denominator);
          const Int common = std::gcd(n, d);
          n /= common;
          d /= common;
          int exponent = coarsest + finest;
          for (; d % 2 == 0; d /= 2) --exponent;
          for (; n % 2 == 0; n /= 2) ++exponent;
          if (d != 1)
            wrong(op_.node, "weights",
                  fmt::format("{}: its weights are on no grid", place(c, y, x)));
          source.factor = n;
          source.exponent = exponent;
          source.rest = rest_of(graph_constant, exponent, plan_constant, n, place(c, y, x));
          narrow(source, e);
        }
        ChannelFacts& of = facts[at(c)];
        const bool is_first = y == 0 && x == 0;
        of.lo = is_first ? source.lo : std::min(of.lo, source.lo);
        of.hi = is_first ? source.hi : std::max(of.hi, source.hi);
        of.bound = std::max(of.bound, static_cast<Int>(bound));
        of.accumulator_bits = op_.is_wide ? 64 : 32;
        of.float_bound = values.float_bounds(value_)[at(o)];
        of.is_float32_exact = of.float_bound < kFloat32Steps;
        if (of.float_bound >= kFloat64Steps)
          fail_unknown(op_.node, "float exact", "its float sums are not even exact in double");
        sources.push_back(source);
      }
  return sources;
}

std::vector<Source> OpChecker::products(std::vector<ChannelFacts>& facts) const {
  const Node& node = graph_node();
  need_shape(node.op == "mul", "the plan multiplies, the graph does not");
  const GraphValues& values = state_.values;
  const Sums pairs(node, {values.shape(node.inputs[0]), values.shape(node.inputs[1])});
  std::vector<Source> sources;
  for (Int y = 0; y < output_.height; ++y)
    for (Int x = 0; x < output_.width; ++x)
      for (Int c = 0; c < output_.channels; ++c) {
        const Int e = node_element(c, y, x), o = output_.channel_of[at(c)];
        std::array<const Element*, 2> expected{};
        pairs.each(o, y, x, [&](std::size_t i, Int from, Int, int) {
          expected[i] = &values.elements(node.inputs[i])[at(from)];
        });
        const Element &a = held(0)[at(spread(0, c, y, x))], &b = held(1)[at(spread(1, c, y, x))];
        if (!(is_same_value(a, *expected[0]) && is_same_value(b, *expected[1])) &&
            !(is_same_value(a, *expected[1]) && is_same_value(b, *expected[0])))
          wrong(op_.node, "wiring", fmt::format("{}: it multiplies other values", place(c, y, x)));
        const std::initializer_list<Wide> ends = {Wide{a.lo} * b.lo, Wide{a.lo} * b.hi,
                                                  Wide{a.hi} * b.lo, Wide{a.hi} * b.hi};
        const auto [lo, hi] = std::minmax(ends);
        const Wide bound = std::max(hi, -lo);
        if (bound > INT32_MAX)
          wrong(op_.node, "no overflow",
                fmt::format("{}: its products can leave 32 bits", place(c, y, x)));
        Source source;
        source.of = {static_cast<std::int32_t>(value_), static_cast<std::int32_t>(e), 0, 0, 0, 0};
        source.exponent = a.decimal + b.decimal;
        source.lo = static_cast<Int>(lo);
        source.hi = static_cast<Int>(hi);
        if (lo == hi) source.constant = Value{lo, source.exponent, 0, false};
        narrow(source, e);
        sources.push_back(source);
        ChannelFacts& of = facts[at(c)];
        of.lo = std::min(of.lo, source.lo);
        of.hi = std::max(of.hi, source.hi);
        of.bound = std::max(of.bound, static_cast<Int>(bound));
        of.accumulator_bits = 32;
        of.float_bound = values.float_bounds(value_)[at(o)];
        of.is_float32_exact = of.float_bound < kFloat32Steps;
      }
  return sources;
}

}  // namespace lockstep::checker
