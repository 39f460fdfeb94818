// Which channels must be there follows from these rules; everything else is neither computed nor
// stored.
// - Network inputs and kept values are complete, and so is what argmax compares.
// - A convolution or linear layer needs an input channel when some channel that it makes multiplies
//   it by other than 0. Not so where the channel is the same code k at every place, no padding
//   comes between and a bias can hold k times the weights: then that goes into the bias.
// - What works channel by channel (pooling, tables, sums, ...) has the same channels on both sides,
//   and a convolution in groups has whole groups.
// - A copy needs what it copies to channels that are there.
// - Whatever is computed at all has at least one channel.
#include <algorithm>
#include <cstdint>
#include <tuple>
#include <vector>

#include "compile/passes/pass.h"
#include "compile/passes/rewrite.h"
#include "compile/passes/take_channels.h"
#include "compile/support/error.h"

namespace lockstep::passes {
namespace {

using namespace ir;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

// Whether padding may stand in the place of a channel.
bool may_miss_taps(const Conv2d& conv) { return conv.window.has_padding(); }
bool may_miss_taps(const ConvTranspose2d&) { return true; }
bool may_miss_taps(const Linear&) { return false; }

bool is_constant(const Value& value, std::int64_t channel) {
  const Range& range = value.ranges[at(channel)];
  return range.lo == range.hi;
}

// Whether the channel contributes the same to every sum of `kind`, and a bias can hold that: it has
// 32 bits, as sums have that are not wide.
template <typename Kind>
bool contributes_constantly(const Kind& kind, const Value& value, std::int64_t channel) {
  if (!is_constant(value, channel)) return false;
  return value.ranges[at(channel)].lo == 0 || (!kind.wide && !may_miss_taps(kind));
}
// The weights of row `o` that meet input channel `i`.
struct Taps {
  std::int32_t *begin, *end;
  bool all_zero() const {
    return std::all_of(begin, end, [](std::int32_t w) { return w == 0; });
  }
};
Taps taps_of(xt::xarray<std::int32_t>& weights, std::int64_t channels, std::int64_t o,
             std::int64_t i) {
  const auto row = static_cast<std::int64_t>(weights.size() / weights.shape(0));
  const std::int64_t taps = row / channels;
  std::int32_t* begin = weights.data() + o * row + i * taps;
  return {begin, begin + taps};
}

// Weights that meet only zeros become 0: of channels that are always 0, and of what the mask of a
// flattened map removes.
void zero_idle_weights(Program& program) {
  std::vector<const std::vector<std::uint8_t>*> masks(program.values.size(), nullptr);
  const auto clear = [](const Taps& taps) { std::fill(taps.begin, taps.end, 0); };
  for (Op& op : program.ops) {
    const Value& input = program.values[op.input()];
    const auto is_zero = [&](std::int64_t c) { return input.ranges[at(c)] == Range{0, 0}; };
    const auto clear_channels = [&](auto& conv) {
      const auto per_group = static_cast<std::int64_t>(conv.weights.shape(1));
      const auto rows = static_cast<std::int64_t>(conv.weights.shape(0));
      for (std::int64_t o = 0; o < rows; ++o)
        for (std::int64_t i = 0; i < per_group; ++i)
          if (is_zero(o / (rows / conv.groups) * per_group + i))
            clear(taps_of(conv.weights, per_group, o, i));
    };
    if (auto* conv = std::get_if<Conv2d>(&op.kind)) clear_channels(*conv);
    if (auto* conv = std::get_if<ConvTranspose2d>(&op.kind)) clear_channels(*conv);
    if (auto* linear = std::get_if<Linear>(&op.kind)) {
      const std::vector<std::uint8_t>* mask = masks[op.input()];
      const std::int64_t plane = input.shape.h * input.shape.w;
      for (std::size_t o = 0; o < linear->weights.shape(0); ++o)
        for (std::size_t k = 0; k < linear->weights.shape(1); ++k)
          if (is_zero(static_cast<std::int64_t>(k) / plane) || (mask != nullptr && (*mask)[k] == 0))
            linear->weights(o, k) = 0;
    }
    const Post* post = post_of(op.kind);
    const auto* table = std::get_if<Table>(&op.kind);
    const std::vector<std::uint8_t>* mask = post != nullptr    ? &post->mask
                                            : table != nullptr ? &table->mask
                                                               : nullptr;
    if (mask != nullptr && !mask->empty()) masks[op.output] = mask;
  }
}

class Presence {
 public:
  explicit Presence(Program& program) : program_(program) {
    for (const Value& value : program.values)
      present_.emplace_back(at(value.shape.c), value.keep ? 1 : 0);
    for (const ValueId id : program.inputs) require_all(id);
    copies_.resize(program.ops.size());
    for (std::size_t i = 0; i < program.ops.size(); ++i)
      if (const auto* move = std::get_if<Move>(&program.ops[i].kind))
        copies_[i] = channel_copies(program.ops[i], *move);
  }

  ChannelLists settle() {
    const std::size_t count = program_.ops.size();
    do {  // in both directions, because ties go either way
      changed_ = false;
      for (std::size_t i = count; i-- > 0;) apply(i);
      for (std::size_t i = 0; i < count; ++i) apply(i);
    } while (changed_);
    ChannelLists lists;
    for (const std::vector<std::uint8_t>& channels : present_) {
      lists.emplace_back();
      for (std::size_t c = 0; c < channels.size(); ++c)
        if (channels[c] != 0) lists.back().push_back(static_cast<std::int64_t>(c));
    }
    return lists;
  }

 private:
  using ChannelCopy = std::tuple<std::size_t, std::int64_t, std::int64_t>;  // input, from, to

  bool is_present(ValueId id, std::int64_t c) const { return present_[id][at(c)] != 0; }
  bool is_empty(ValueId id) const {
    return std::all_of(present_[id].begin(), present_[id].end(), [](auto p) { return p == 0; });
  }
  void require(ValueId id, std::int64_t c) {
    if (is_present(id, c)) return;
    present_[id][at(c)] = 1;
    changed_ = true;
  }
  void require_all(ValueId id) {
    for (std::int64_t c = 0; c < program_.values[id].shape.c; ++c) require(id, c);
  }
  void tie(ValueId a, std::int64_t channel_a, ValueId b, std::int64_t channel_b) {
    if (is_present(a, channel_a)) require(b, channel_b);
    if (is_present(b, channel_b)) require(a, channel_a);
  }

  void apply(std::size_t i) {
    Op& op = program_.ops[i];
    std::visit([&](auto& kind) { apply(op, i, kind); }, op.kind);
    if (is_empty(op.output)) return;
    for (const ValueId input : op.inputs)
      if (is_empty(input) && !std::holds_alternative<Move>(op.kind)) require(input, 0);
  }

  // What some channel that is there multiplies by other than 0.
  template <typename Kind>
  void require_columns(const Op& op, Kind& kind) {
    const Value& input = program_.values[op.input()];
    const auto outputs = static_cast<std::int64_t>(kind.weights.shape(0));
    for (std::int64_t i = 0; i < input.shape.c; ++i) {
      if (is_present(op.input(), i) || contributes_constantly(kind, input, i)) continue;
      for (std::int64_t o = 0; o < outputs && !is_present(op.input(), i); ++o)
        if (is_present(op.output, o) && !taps_of(kind.weights, input.shape.c, o, i).all_zero())
          require(op.input(), i);
    }
  }
  template <typename Conv>
  void apply_convolution(const Op& op, Conv& conv) {
    const Value& input = program_.values[op.input()];
    const auto outputs = static_cast<std::int64_t>(conv.weights.shape(0));
    if (conv.groups > 1) {
      const std::int64_t ins = input.shape.c / conv.groups, outs = outputs / conv.groups;
      for (std::int64_t g = 0; g < conv.groups; ++g) {
        for (std::int64_t i = 0; i < ins; ++i) tie(op.input(), g * ins + i, op.output, g * outs);
        for (std::int64_t o = 0; o < outs; ++o) tie(op.output, g * outs + o, op.input(), g * ins);
      }
      return;
    }
    require_columns(op, conv);
  }
  void apply(const Op& op, std::size_t, Conv2d& conv) { apply_convolution(op, conv); }
  void apply(const Op& op, std::size_t, ConvTranspose2d& conv) { apply_convolution(op, conv); }
  void apply(const Op& op, std::size_t, Linear& linear) { require_columns(op, linear); }
  void apply(const Op& op, std::size_t i, Move&) {
    if (is_empty(op.output)) return;
    bool copies_something = false;
    for (const auto& [input, from, to] : copies_[i])
      if (is_present(op.output, to)) {
        require(op.inputs[input], from);
        copies_something = true;
      }
    if (!copies_something) require_all(op.output);  // nothing but padding
  }
  void apply(const Op& op, std::size_t, ArgMax&) {
    if (!is_empty(op.output)) require_all(op.input());
  }
  void apply(const Op&, std::size_t, Flatten&) { LOCKSTEP_ASSERT(false); }
  template <typename Kind>
  void apply(const Op& op, std::size_t, Kind&) {  // channel by channel
    for (const ValueId input : op.inputs) {
      if (program_.values[input].shape.c != program_.values[op.output].shape.c) continue;
      for (std::int64_t c = 0; c < program_.values[input].shape.c; ++c) tie(input, c, op.output, c);
    }
  }

  // Loops that stay in a channel on both sides need not be gone through.
  std::vector<ChannelCopy> channel_copies(const Op& op, const Move& move) const {
    std::vector<ChannelCopy> copies;
    const std::int64_t outs = program_.values[op.output].shape.c;
    for (const MovePiece& piece : move.pieces) {
      const std::int64_t ins = program_.values[op.inputs[piece.input]].shape.c;
      Move across{{piece}};
      MovePiece& loops = across.pieces.front();
      for (std::size_t k = 0; k < loops.count.size(); ++k)
        if (loops.in_step[k] % ins == 0 && loops.out_step[k] % outs == 0) loops.count[k] = 1;
      for_each_copy(across, [&](std::size_t input, std::int64_t from, std::int64_t to) {
        copies.emplace_back(input, from % ins, to % outs);
      });
    }
    std::sort(copies.begin(), copies.end());
    copies.erase(std::unique(copies.begin(), copies.end()), copies.end());
    copies.shrink_to_fit();
    return copies;
  }

  Program& program_;
  std::vector<std::vector<std::uint8_t>> present_;  // per value and channel
  std::vector<std::vector<ChannelCopy>> copies_;    // per op
  bool changed_ = false;
};

// A move forgets the inputs that `is_gone` names.
template <typename IsGone>
void forget_inputs(Op& op, Move& move, const IsGone& is_gone) {
  std::vector<std::size_t> number(op.inputs.size());
  std::vector<ValueId> inputs;
  for (std::size_t k = 0; k < op.inputs.size(); ++k) {
    number[k] = inputs.size();
    if (!is_gone(op.inputs[k])) inputs.push_back(op.inputs[k]);
  }
  std::erase_if(move.pieces,
                [&](const MovePiece& piece) { return is_gone(op.inputs[piece.input]); });
  for (MovePiece& piece : move.pieces) piece.input = number[piece.input];
  op.inputs = std::move(inputs);
}

// Drops ops and values of which no channel is there.
void drop_empty(Program& program, ChannelLists& lists) {
  std::erase_if(program.ops, [&](const Op& op) { return lists[op.output].empty(); });
  for (Op& op : program.ops)
    if (auto* move = std::get_if<Move>(&op.kind))
      forget_inputs(op, *move, [&](ValueId id) { return lists[id].empty(); });
  ChannelLists left;
  for (const ValueId id : drop_unmade_values(program)) left.push_back(std::move(lists[id]));
  lists = std::move(left);
}

// Adds what constant channels that go contribute to the bias of `op`, and clears their weights.
void fold_constants(const Program& program, Op& op, const std::vector<std::int64_t>& stay) {
  const Value& input = program.values[op.input()];
  const auto fold = [&](auto& kind) {
    std::vector<bool> goes(input.ranges.size(), true);
    for (const std::int64_t c : stay) goes[at(c)] = false;
    const auto outputs = static_cast<std::int64_t>(kind.weights.shape(0));
    for (std::int64_t i = 0; i < input.shape.c; ++i) {
      if (!goes[at(i)] || !is_constant(input, i)) continue;
      for (std::int64_t o = 0; o < outputs; ++o) {
        const Taps taps = taps_of(kind.weights, input.shape.c, o, i);
        std::int64_t sum = 0;
        for (const std::int32_t* w = taps.begin; w != taps.end; ++w) sum += *w;
        std::fill(taps.begin, taps.end, 0);
        if (sum == 0 || input.ranges[at(i)].lo == 0) continue;
        if (kind.bias.empty()) kind.bias.assign(at(outputs), 0);
        kind.bias[at(o)] += sum * input.ranges[at(i)].lo;
      }
    }
  };
  if (auto* linear = std::get_if<Linear>(&op.kind)) fold(*linear);
  if (auto* conv = std::get_if<Conv2d>(&op.kind); conv != nullptr && conv->groups == 1) fold(*conv);
  if (auto* conv = std::get_if<ConvTranspose2d>(&op.kind); conv != nullptr && conv->groups == 1)
    fold(*conv);
}

}  // namespace

Program remove_channels(Program program) {
  zero_idle_weights(program);
  ChannelLists lists = Presence(program).settle();
  for (Op& op : program.ops) fold_constants(program, op, lists[op.input()]);
  drop_empty(program, lists);
  return take_channels(std::move(program), lists);
}

}  // namespace lockstep::passes
