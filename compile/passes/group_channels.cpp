// Input channels with different decimals need weights that were brought to the finest of them,
// often more than 8 bits wide. In segments of channels with like decimals, the coarsest first, the
// sum is shifted instead, once per segment, and the weights are as narrow as they were. For that
// the channels of a value are brought into the order of their decimals, which costs nothing:
// whoever makes them makes them in that order.
//
// 1. Values whose channels are in one order form a class: what works channel by channel ties its
//    inputs to its output. Classes with an input, an output or a kept value keep their order, and
//    so do those that are copied or compared, or that a layer reads in segments already.
// 2. Each other class takes the order of the decimals that its largest reader sees.
// 3. A convolution or linear layer gets segments where that order allows narrower weights and the
//    cost model agrees.
#include "compile/passes/group_channels.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <numeric>
#include <optional>
#include <vector>

#include "compile/passes/pass.h"
#include "compile/passes/storage_cost.h"
#include "compile/passes/take_channels.h"
#include "compile/support/error.h"

namespace lockstep::passes {
namespace {

using namespace ir;
using Order = std::vector<std::int64_t>;

constexpr int kNarrowBits = 8, kWideBits = 16;
constexpr int kMostNarrowShift = 30;  // behind sums of 32 bits

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

Order identity_order(std::int64_t channels) {
  Order order(at(channels));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

// ---- classes of values whose channels are in one order ----

class Classes {
 public:
  explicit Classes(const Program& program) : parent_(program.values.size()) {
    std::iota(parent_.begin(), parent_.end(), 0U);
    for (const Op& op : program.ops) {
      if (ties(program, op))
        for (const ValueId input : op.inputs)
          if (program.values[input].shape.c == program.values[op.output].shape.c)
            parent_[root(input)] = root(op.output);
    }
    for (ValueId id = 0; id < parent_.size(); ++id) parent_[id] = root(id);
    fixed_.resize(parent_.size(), false);
    for (ValueId id = 0; id < parent_.size(); ++id)
      if (program.values[id].keep) fix(id);
    for (const ValueId id : program.inputs) fix(id);
    for (const Op& op : program.ops) {
      if (has_segments(op)) fix(op.input());
      if (!goes_by_place(program, op)) continue;
      fix(op.output);
      for (const ValueId input : op.inputs) fix(input);
    }
  }

  ValueId find(ValueId id) const { return parent_[id]; }
  bool is_fixed(ValueId id) const { return fixed_[find(id)]; }

 private:
  static bool is_depthwise(const Program& program, const Op& op, std::int64_t groups) {
    return groups > 1 && groups == program.values[op.input()].shape.c &&
           groups == program.values[op.output].shape.c;
  }
  static std::int64_t groups_of(const Op& op) {
    if (const auto* conv = std::get_if<Conv2d>(&op.kind)) return conv->groups;
    if (const auto* conv = std::get_if<ConvTranspose2d>(&op.kind)) return conv->groups;
    return 1;
  }
  static bool has_segments(const Op& op) {
    if (const auto* conv = std::get_if<Conv2d>(&op.kind)) return !conv->segments.empty();
    if (const auto* linear = std::get_if<Linear>(&op.kind)) return !linear->segments.empty();
    return false;
  }
  static bool is_weighted(const Op& op) {
    return std::holds_alternative<Conv2d>(op.kind) || std::holds_alternative<Linear>(op.kind) ||
           std::holds_alternative<ConvTranspose2d>(op.kind);
  }
  static bool ties(const Program& program, const Op& op) {
    if (is_weighted(op)) return is_depthwise(program, op, groups_of(op));
    return !std::holds_alternative<Move>(op.kind) && !std::holds_alternative<ArgMax>(op.kind);
  }
  static bool goes_by_place(const Program& program, const Op& op) {
    return std::holds_alternative<Move>(op.kind) || std::holds_alternative<ArgMax>(op.kind) ||
           std::holds_alternative<Flatten>(op.kind) ||
           (groups_of(op) > 1 && !is_depthwise(program, op, groups_of(op)));
  }
  ValueId root(ValueId id) {
    while (parent_[id] != id) id = parent_[id] = parent_[parent_[id]];
    return id;
  }
  void fix(ValueId id) { fixed_[find(id)] = true; }

  std::vector<ValueId> parent_;  // after the constructor: of each value, the class
  std::vector<bool> fixed_;
};

// ---- segments of one layer ----

// What all weights of an input channel have in common.
struct Column {
  int trailing_zeros = 31;  // of all: they may be shifted down by that
  int bits = 2;             // that hold each of them
};

std::vector<Column> columns_of(const xt::xarray<std::int32_t>& weights, std::int64_t channels,
                               Layout layout) {
  std::vector<Column> columns(at(channels));
  const auto rows = static_cast<std::int64_t>(weights.shape(0));
  const std::int64_t row = static_cast<std::int64_t>(weights.size()) / rows, taps = row / channels;
  for (std::int64_t o = 0; o < rows; ++o)
    for (std::int64_t k = 0; k < row; ++k) {
      const std::int32_t w = weights.data()[o * row + k];
      if (w == 0) continue;
      Column& column = columns[at(layout == Layout::kLogical ? k / taps : k % channels)];
      column.trailing_zeros =
          std::min(column.trailing_zeros, std::countr_zero(static_cast<std::uint32_t>(w)));
      column.bits = std::max(column.bits, bits_to_hold(w, w));
    }
  return columns;
}

// The fewest segments of channels in this order with weights of at most `bits` bits; nothing where
// there are none. From the last channel to the first: each weight may be shifted down by at most
// its trailing zeros and must be until it fits, by as much as all later ones or more.
std::optional<std::vector<Segment>> segments_for(const std::vector<Column>& columns,
                                                 const Order& order, int bits) {
  constexpr int kMostShift = 30;
  std::vector<Segment> reversed;  // with the total shift of each
  int least = 0, most = 0;        // of the segment that grows; that of the last is 0
  std::int64_t end = static_cast<std::int64_t>(order.size());
  for (std::int64_t i = end - 1; i >= 0; --i) {
    const Column& column = columns[at(order[at(i)])];
    const int needed = std::max(0, column.bits - bits);
    const int possible = std::min(column.trailing_zeros, kMostShift);
    if (std::max(least, needed) <= std::min(most, possible)) {
      least = std::max(least, needed);
      most = std::min(most, possible);
      continue;
    }
    const int lowest = std::max(least, needed);
    if (lowest > possible || i + 1 == end) return std::nullopt;
    reversed.push_back({.end = end, .shift = least});
    end = i + 1;
    least = lowest;
    most = possible;
  }
  reversed.push_back({.end = end, .shift = least});
  std::vector<Segment> segments(reversed.rbegin(), reversed.rend());
  for (std::size_t k = segments.size(); k-- > 1;)
    segments[k].shift = segments[k - 1].shift - segments[k].shift;
  segments[0].shift = 0;
  return segments;
}

// An order of channels in which segments_for() finds the fewest segments; nothing where no order
// helps. Every channel has an interval of shifts; as few shifts as possible, 0 among them, have one
// in each interval.
std::optional<Order> order_for(const std::vector<Column>& columns, int bits) {
  const auto needed = [&](std::int64_t i) { return std::max(0, columns[at(i)].bits - bits); };
  const auto possible = [&](std::int64_t i) { return columns[at(i)].trailing_zeros; };
  Order order = identity_order(static_cast<std::int64_t>(columns.size())), shifted;
  for (const std::int64_t i : order) {
    if (needed(i) > possible(i)) return std::nullopt;
    if (needed(i) > 0) shifted.push_back(i);
  }
  if (shifted.size() == order.size()) return std::nullopt;  // none may come last
  std::vector<int> shift(columns.size(), 0);
  std::stable_sort(shifted.begin(), shifted.end(),
                   [&](std::int64_t a, std::int64_t b) { return possible(a) < possible(b); });
  int last = 0;
  for (const std::int64_t i : shifted) {
    if (last < needed(i)) last = possible(i);
    shift[at(i)] = last;
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int64_t a, std::int64_t b) { return shift[at(a)] > shift[at(b)]; });
  return order;
}

// ---- layers that may get segments ----

struct Candidate {
  std::size_t op = 0;
  bool wide = false;
  WeightShape shape;
  const xt::xarray<std::int32_t>* weights = nullptr;
  std::vector<Column> columns;

  int bits() const {  // of its widest weight
    int bits = 2;
    for (const Column& column : columns) bits = std::max(bits, column.bits);
    return bits;
  }
};

// Sums of 32 bits suffice, and so do the shifts behind them.
template <typename Kind>
bool fits_narrow_sums(const Kind& kind) {
  const auto limit = std::int64_t{INT32_MAX};
  for (const Accumulator& acc : kind.accumulators)
    if (acc.magnitude > limit) return false;
  const Requantize* post = kind.post.requantize();
  return post == nullptr || std::all_of(post->shifts.begin(), post->shifts.end(),
                                        [](int shift) { return shift <= kMostNarrowShift; });
}

// Nothing, and `obstacle` set, where segments are out of the question.
std::optional<Candidate> candidate_of(const Program& program, std::size_t index,
                                      std::string_view& obstacle) {
  const Op& op = program.ops[index];
  const std::int64_t channels = program.values[op.input()].shape.c;
  const auto make = [&](const auto& kind) -> std::optional<Candidate> {
    Candidate candidate{.op = index,
                        .wide = kind.wide,
                        .shape = weight_shape(program, op),
                        .weights = &kind.weights,
                        .columns = columns_of(kind.weights, channels, program.layout)};
    if (kind.wide && !fits_narrow_sums(kind))
      obstacle = "its sums need 64 bits";
    else if (candidate.bits() <= kNarrowBits)
      obstacle = "not needed, 8 bits suffice";
    else
      return candidate;
    return std::nullopt;
  };
  if (const auto* linear = std::get_if<Linear>(&op.kind)) return make(*linear);
  if (const auto* conv = std::get_if<Conv2d>(&op.kind); conv != nullptr && conv->groups == 1)
    return make(*conv);
  obstacle = "not where there are groups";
  return std::nullopt;
}

// The order that all of them could take, or else the largest.
Order order_of(const std::vector<Candidate>& readers, std::int64_t channels) {
  std::vector<Column> all(at(channels));
  for (const Candidate& reader : readers)
    for (std::size_t c = 0; c < all.size(); ++c) {
      all[c].trailing_zeros = std::min(all[c].trailing_zeros, reader.columns[c].trailing_zeros);
      all[c].bits = std::max(all[c].bits, reader.columns[c].bits);
    }
  const auto largest = std::max_element(
      readers.begin(), readers.end(),
      [](const Candidate& a, const Candidate& b) { return a.weights->size() < b.weights->size(); });
  for (const int bits : {kNarrowBits, kWideBits}) {
    if (std::optional<Order> order = order_for(all, bits)) return *order;
    if (std::optional<Order> order = order_for(largest->columns, bits)) return *order;
  }
  return identity_order(channels);
}

// The order of the channels of a class, which these layers read, that segments are to be found in.
Order order_of(const Classes& classes, ValueId id, const std::vector<Candidate>& readers,
               std::int64_t channels) {
  return classes.is_fixed(id) ? identity_order(channels) : order_of(readers, channels);
}

struct Form {
  std::vector<Segment> segments;
  StorageCost cost;
};

// The forms that segments allow a layer whose input has its channels in this order.
std::vector<Form> forms_of(const Candidate& layer, const Order& order) {
  std::vector<Form> forms;
  for (const int bits : {kNarrowBits, kWideBits}) {
    if (layer.bits() <= bits) break;
    if (std::optional<std::vector<Segment>> segments = segments_for(layer.columns, order, bits)) {
      const StorageCost cost = segments_cost(layer.shape, bits / 8, segments->size());
      forms.push_back({std::move(*segments), cost});
    }
  }
  return forms;
}

// The cheapest segments; empty where weights as they are, dense or sparse, cost less.
std::vector<Segment> cheapest(const Candidate& layer, const std::vector<Form>& forms,
                              Objective objective) {
  const std::int64_t as_is_bytes = layer.wide ? 4 : layer.bits() <= kNarrowBits ? 1 : 2;
  StorageCost best = dense_cost(layer.shape, as_is_bytes);
  if (const StorageCost sparse = sparse_cost(layer.shape, as_is_bytes);
      sparse.is_better_than(best, objective))
    best = sparse;
  std::vector<Segment> result;
  for (const Form& form : forms) {
    if (!form.cost.is_better_than(best, objective)) continue;
    best = form.cost;
    result = form.segments;
  }
  return result;
}

template <typename Kind>
void give_segments(Kind& kind, std::int64_t channels, const std::vector<Segment>& segments) {
  const std::vector<int> shifts = weight_shifts(segments, channels);
  const auto rows = static_cast<std::int64_t>(kind.weights.shape(0));
  const std::int64_t row = static_cast<std::int64_t>(kind.weights.size()) / rows;
  const std::int64_t taps = row / channels;
  for (std::int64_t o = 0; o < rows; ++o)
    for (std::int64_t k = 0; k < row; ++k)
      kind.weights.data()[o * row + k] >>= shifts[at(k / taps)];
  kind.segments = segments;
  kind.wide = false;
}

bool has_weights(const Op& op) {
  return std::holds_alternative<Conv2d>(op.kind) || std::holds_alternative<Linear>(op.kind);
}

// Per class, the layers that read one of its values.
std::vector<std::vector<Candidate>> readers_of(const Program& program, const Classes& classes) {
  std::vector<std::vector<Candidate>> readers(program.values.size());
  std::string_view obstacle;
  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    if (!has_weights(program.ops[i])) continue;
    if (std::optional<Candidate> candidate = candidate_of(program, i, obstacle))
      readers[classes.find(program.ops[i].input())].push_back(std::move(*candidate));
  }
  return readers;
}

}  // namespace

std::vector<SegmentOffer> segment_offers(const Program& program, Objective objective) {
  const Classes classes(program);
  const std::vector<std::vector<Candidate>> readers = readers_of(program, classes);
  std::vector<SegmentOffer> offers(program.ops.size());
  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    const Op& op = program.ops[i];
    if (!has_weights(op)) continue;
    const std::optional<Candidate> layer = candidate_of(program, i, offers[i].obstacle);
    if (!layer) continue;
    const ValueId id = classes.find(op.input());
    const std::vector<Form> forms =
        forms_of(*layer, order_of(classes, id, readers[id], program.values[op.input()].shape.c));
    if (forms.empty()) {
      const bool in_another =
          std::ranges::any_of(std::array{kNarrowBits, kWideBits}, [&](int bits) {
            return layer->bits() > bits && order_for(layer->columns, bits).has_value();
          });
      offers[i].obstacle = in_another ? "none in the order of its input's channels"
                                      : "none would make its weights narrower";
      continue;
    }
    const Form& form = *std::ranges::min_element(forms, {}, [&](const Form& candidate) {
      return objective == Objective::kSize ? candidate.cost.bytes : candidate.cost.picoseconds;
    });
    offers[i].segments = form.segments.size();
    offers[i].cost = form.cost;
  }
  return offers;
}

Program group_channels(Program program, const Goal& goal) {
  const Classes classes(program);
  const std::vector<std::vector<Candidate>> readers = readers_of(program, classes);

  std::vector<Order> orders(program.values.size());  // per class; empty: as they are
  std::vector<std::vector<Segment>> segments(program.ops.size());
  for (ValueId id = 0; id < program.values.size(); ++id) {
    if (readers[id].empty()) continue;
    Order order = order_of(classes, id, readers[id], program.values[id].shape.c);
    bool any = false;
    for (const Candidate& reader : readers[id]) {
      segments[reader.op] = cheapest(reader, forms_of(reader, order), goal.objective);
      any |= !segments[reader.op].empty();
    }
    if (any) orders[id] = std::move(order);
  }
  ChannelLists lists;
  for (ValueId id = 0; id < program.values.size(); ++id) {
    const Order& order = orders[classes.find(id)];
    lists.push_back(order.empty() ? identity_order(program.values[id].shape.c) : order);
  }
  if (std::all_of(segments.begin(), segments.end(), [](const auto& s) { return s.empty(); }))
    return program;
  program = take_channels(std::move(program), lists);
  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    if (segments[i].empty()) continue;
    Op& op = program.ops[i];
    const std::int64_t channels = program.values[op.input()].shape.c;
    if (auto* linear = std::get_if<Linear>(&op.kind)) give_segments(*linear, channels, segments[i]);
    if (auto* conv = std::get_if<Conv2d>(&op.kind)) give_segments(*conv, channels, segments[i]);
  }
  derive_ranges(program);
  return program;
}

}  // namespace lockstep::passes
