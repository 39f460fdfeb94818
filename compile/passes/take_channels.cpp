#include "compile/passes/take_channels.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

#include "compile/support/error.h"

namespace lockstep::passes {
namespace {

using namespace ir;
using List = std::vector<std::int64_t>;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

bool is_identity(const List& list, std::int64_t channels) {
  if (static_cast<std::int64_t>(list.size()) != channels) return false;
  return std::is_sorted(list.begin(), list.end());
}

// One entry per channel.
template <typename T>
std::vector<T> pick(const std::vector<T>& all, const List& list) {
  std::vector<T> result;
  for (const std::int64_t c : list) result.push_back(all.at(at(c)));
  return result;
}

// Empty: stays so.
template <typename T>
void pick_some(std::vector<T>& all, const List& list) {
  if (!all.empty()) all = pick(all, list);
}

// One entry for all channels, or one each.
void pick_collapsed(std::vector<int>& all, const List& list) {
  if (all.size() > 1) all = collapse(pick(all, list));
}

// One entry per element, (C,H,W).
void pick_planes(std::vector<std::uint8_t>& mask, const List& list, std::int64_t plane) {
  if (mask.empty()) return;
  std::vector<std::uint8_t> result;
  for (const std::int64_t c : list)
    result.insert(result.end(), mask.begin() + c * plane, mask.begin() + (c + 1) * plane);
  const bool keeps_all = std::all_of(result.begin(), result.end(), [](auto m) { return m != 0; });
  mask = keeps_all ? std::vector<std::uint8_t>{} : std::move(result);
}

void pick_post(Post& post, const List& list, std::int64_t plane) {
  if (Scale* scale = post.scale()) scale->channels = pick(scale->channels, list);
  if (Requantize* requantize = post.requantize()) pick_collapsed(requantize->shifts, list);
  pick_planes(post.mask, list, plane);
}

// [rows, columns, taps]: some rows and columns. What goes with a column must be 0.
xt::xarray<std::int32_t> pick_weights(const xt::xarray<std::int32_t>& weights, const List& rows,
                                      const List& columns) {
  auto shape = weights.shape();
  const auto old_columns = static_cast<std::int64_t>(shape[1]);
  const std::int64_t taps =
      static_cast<std::int64_t>(weights.size()) / static_cast<std::int64_t>(shape[0]) / old_columns;
  std::vector<bool> stays(shape[1], false);
  for (const std::int64_t i : columns) stays[at(i)] = true;
  shape[0] = rows.size();
  shape[1] = columns.size();
  xt::xarray<std::int32_t> result = xt::xarray<std::int32_t>::from_shape(shape);
  std::int32_t* next = result.data();
  for (const std::int64_t o : rows) {
    const std::int32_t* row = weights.data() + o * old_columns * taps;
    for (std::int64_t i = 0; i < old_columns; ++i)
      LOCKSTEP_ASSERT(stays[at(i)] || std::all_of(row + i * taps, row + (i + 1) * taps,
                                                  [](std::int32_t w) { return w == 0; }));
    for (const std::int64_t i : columns) next = std::copy_n(row + i * taps, taps, next);
  }
  return result;
}

// What the lists of a program mean for each of its ops.
class Taking {
 public:
  Taking(const Program& program, const ChannelLists& lists) : program_(program), lists_(lists) {}

  void rewrite(Op& op) const {
    std::visit([&](auto& kind) { take(op, kind); }, op.kind);
    if (Post* post = post_of(op.kind)) pick_post(*post, list(op.output), plane(op.output));
  }

 private:
  const List& list(ValueId id) const { return lists_[id]; }
  const Shape& shape(ValueId id) const { return program_.values[id].shape; }
  std::int64_t plane(ValueId id) const { return shape(id).h * shape(id).w; }
  bool stays(ValueId id) const { return is_identity(list(id), shape(id).c); }

  // Whole groups, in order, on both sides; of groups of one channel on either side, in any order.
  template <typename Conv>
  void expect_groups(const Op& op, const Conv& conv) const {
    const List &inputs = list(op.input()), &outputs = list(op.output);
    const std::int64_t ins = shape(op.input()).c / conv.groups,
                       outs = shape(op.output).c / conv.groups;
    LOCKSTEP_ASSERT(inputs.size() * at(outs) == outputs.size() * at(ins));
    for (std::size_t g = 0; g * at(ins) < inputs.size(); ++g) {
      const std::int64_t group = inputs[g * at(ins)] / ins;
      for (std::size_t i = 0; i < at(ins); ++i)
        LOCKSTEP_ASSERT(inputs[g * at(ins) + i] == group * ins + static_cast<std::int64_t>(i));
      for (std::size_t o = 0; o < at(outs); ++o)
        LOCKSTEP_ASSERT(outputs[g * at(outs) + o] == group * outs + static_cast<std::int64_t>(o));
    }
  }

  template <typename Conv>
  void take_convolution(const Op& op, Conv& conv) const {
    const List& inputs = list(op.input());
    if (stays(op.input()) && stays(op.output)) return;
    if (conv.groups > 1) expect_groups(op, conv);
    pick_some(conv.bias, list(op.output));
    if (conv.groups == 1) {
      conv.weights = pick_weights(conv.weights, list(op.output), inputs);
      return;
    }
    const auto per_group = static_cast<std::int64_t>(conv.weights.shape(1));
    List columns(at(per_group));
    std::iota(columns.begin(), columns.end(), 0);
    conv.weights = pick_weights(conv.weights, list(op.output), columns);
    conv.groups = static_cast<std::int64_t>(inputs.size()) / per_group;
  }
  void take(const Op& op, Conv2d& conv) const { take_convolution(op, conv); }
  void take(const Op& op, ConvTranspose2d& conv) const { take_convolution(op, conv); }
  void take(const Op& op, Linear& linear) const {
    if (stays(op.input()) && stays(op.output)) return;
    List columns;  // every channel of a flattened map has a column per position
    const std::int64_t positions = plane(op.input());
    for (const std::int64_t c : list(op.input()))
      for (std::int64_t p = 0; p < positions; ++p) columns.push_back(c * positions + p);
    linear.weights = pick_weights(linear.weights, list(op.output), columns);
    pick_some(linear.bias, list(op.output));
  }
  void take(const Op& op, Add& add) const {
    for (std::vector<std::int32_t>& multipliers : add.multipliers)
      multipliers = pick(multipliers, list(op.output));
  }
  void take(const Op& op, Table& table) const {
    table.table_of = pick(table.table_of, list(op.output));
    std::vector<std::vector<std::int16_t>> used;
    std::map<std::uint16_t, std::uint16_t> number;
    for (std::uint16_t& of : table.table_of) {
      const auto [entry, is_new] =
          number.try_emplace(of, static_cast<std::uint16_t>(number.size()));
      if (is_new) used.push_back(table.tables[of]);
      of = entry->second;
    }
    table.tables = std::move(used);
    pick_planes(table.mask, list(op.output), plane(op.output));
  }
  void take(Op& op, Move& move) const;
  template <typename Kind>
  void take(const Op&, Kind&) const {}  // all there is per channel is in its post-op

  const Program& program_;
  const ChannelLists& lists_;
};

// Where the elements of a value lie afterwards; -1: nowhere.
class NewPlaces {
 public:
  NewPlaces(const Shape& shape, const List& list)
      : old_channels_(shape.c), channels_(static_cast<std::int64_t>(list.size())) {
    channel_.assign(at(shape.c), -1);
    for (std::size_t i = 0; i < list.size(); ++i)
      channel_[at(list[i])] = static_cast<std::int64_t>(i);
  }
  std::int64_t of(std::int64_t physical) const {
    const std::int64_t channel = channel_[at(physical % old_channels_)];
    return channel < 0 ? -1 : physical / old_channels_ * channels_ + channel;
  }

  // Of a step from place to place within a channel: what it is afterwards.
  bool stays_in_channel(std::int64_t step) const { return step % old_channels_ == 0; }
  std::int64_t step(std::int64_t step) const { return step / old_channels_ * channels_; }

 private:
  std::int64_t old_channels_, channels_;
  List channel_;
};

// The copies of one piece that are left, as pieces: level by level from the inside, rows of equal
// pieces at equal distances become a loop.
class PieceBuilder {
 public:
  PieceBuilder(const MovePiece& piece, const NewPlaces& from, const NewPlaces& to)
      : piece_(piece), from_(from), to_(to) {}

  std::vector<MovePiece> build() const { return level(0, piece_.in_first, piece_.out_first); }

 private:
  using Pieces = std::vector<MovePiece>;

  Pieces level(std::size_t k, std::int64_t in, std::int64_t out) const {
    if (k == piece_.count.size()) return element(in, out);
    if (from_.stays_in_channel(piece_.in_step[k]) && to_.stays_in_channel(piece_.out_step[k])) {
      Pieces pieces = level(k + 1, in, out);  // the same in every round of this loop
      for (MovePiece& piece : pieces) {
        piece.count[k] = piece_.count[k];
        piece.in_step[k] = from_.step(piece_.in_step[k]);
        piece.out_step[k] = to_.step(piece_.out_step[k]);
      }
      return pieces;
    }
    Pieces result, row;
    std::int64_t length = 0;  // of the run that begins with `row`
    for (std::int64_t i = 0; i < piece_.count[k]; ++i) {
      Pieces next = level(k + 1, in + i * piece_.in_step[k], out + i * piece_.out_step[k]);
      if (next.empty()) continue;
      if (length > 0 && continues(row, next, k, length)) {
        ++length;
        continue;
      }
      result.insert(result.end(), row.begin(), row.end());
      row = std::move(next);
      length = 1;
    }
    result.insert(result.end(), row.begin(), row.end());
    return result;
  }

  Pieces element(std::int64_t in, std::int64_t out) const {
    const std::int64_t from = from_.of(in), to = to_.of(out);
    if (from < 0 || to < 0) return {};
    MovePiece piece;
    piece.input = piece_.input;
    piece.in_first = from;
    piece.out_first = to;
    return {piece};
  }

  // Whether `next` is `row` once more, at the distance of its loop k; then that loop goes on.
  static bool continues(Pieces& row, const Pieces& next, std::size_t k, std::int64_t length) {
    if (row.size() != next.size()) return false;
    for (std::size_t j = 0; j < row.size(); ++j) {
      MovePiece one = row[j];
      one.count[k] = 1;
      one.in_step[k] = one.out_step[k] = 0;
      MovePiece other = next[j];
      other.in_first = one.in_first;
      other.out_first = one.out_first;
      const std::int64_t in = next[j].in_first - row[j].in_first;
      const std::int64_t out = next[j].out_first - row[j].out_first;
      if (out <= 0 || one.count != other.count || one.in_step != other.in_step ||
          one.out_step != other.out_step)
        return false;
      if (length > 1 && (in != length * row[j].in_step[k] || out != length * row[j].out_step[k]))
        return false;
    }
    for (std::size_t j = 0; j < row.size(); ++j) {
      if (length == 1) {
        row[j].in_step[k] = next[j].in_first - row[j].in_first;
        row[j].out_step[k] = next[j].out_first - row[j].out_first;
      }
      row[j].count[k] = length + 1;
    }
    return true;
  }

  const MovePiece& piece_;
  const NewPlaces &from_, &to_;
};

void Taking::take(Op& op, Move& move) const {
  if (stays(op.output) &&
      std::all_of(op.inputs.begin(), op.inputs.end(), [&](ValueId id) { return stays(id); }))
    return;
  const NewPlaces to(shape(op.output), list(op.output));
  std::vector<MovePiece> pieces;
  std::vector<std::optional<std::size_t>> new_input(op.inputs.size());
  std::vector<ValueId> inputs;
  for (const MovePiece& piece : move.pieces) {
    const ValueId source = op.inputs[piece.input];
    const NewPlaces from(shape(source), list(source));
    for (MovePiece& left : PieceBuilder(piece, from, to).build()) {
      std::optional<std::size_t>& input = new_input[piece.input];
      if (!input) {
        input = inputs.size();
        inputs.push_back(source);
      }
      left.input = *input;
      pieces.push_back(left);
    }
  }
  LOCKSTEP_ASSERT(!inputs.empty());
  move.pieces = std::move(pieces);
  op.inputs = std::move(inputs);
}

void take_value(Value& value, const List& list) {
  if (is_identity(list, value.shape.c)) return;
  LOCKSTEP_ASSERT(!list.empty() && !value.keep);
  pick_collapsed(value.decimals, list);
  value.ranges = pick(value.ranges, list);
  pick_some(value.offsets, list);
  value.channels = value.channels.empty() ? list : pick(value.channels, list);
  value.shape.c = static_cast<std::int64_t>(list.size());
}

}  // namespace

Program take_channels(Program program, const ChannelLists& lists) {
  LOCKSTEP_ASSERT(program.layout == Layout::kLogical);
  const Taking taking(program, lists);
  for (Op& op : program.ops) taking.rewrite(op);
  for (ValueId id = 0; id < program.values.size(); ++id) take_value(program.values[id], lists[id]);
  derive_ranges(program);
  return program;
}

}  // namespace lockstep::passes
