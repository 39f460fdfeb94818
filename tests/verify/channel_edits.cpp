#include "tests/verify/channel_edits.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <type_traits>

namespace lockstep::test {
namespace {

using Channels = std::vector<std::int64_t>;

// What an edit of one operator needs to know; the values are still whole.
struct Edit {
  const ir::Program& program;
  const ir::Op& op;
  const std::vector<Channels>& kept;  // by value
  Fold fold;

  const ir::Value& value(ir::ValueId id) const { return program.values.at(id); }
  const ir::Shape& in() const { return value(op.input()).shape; }
  const ir::Shape& out() const { return value(op.output).shape; }
  const Channels& inputs() const { return kept.at(op.input()); }
  const Channels& outputs() const { return kept.at(op.output); }
};

template <typename T>
std::vector<T> picked(const std::vector<T>& from, const Channels& channels) {
  std::vector<T> result;
  for (const std::int64_t c : channels) result.push_back(from.at(static_cast<std::size_t>(c)));
  return result;
}

void keep_mask(std::vector<std::uint8_t>& mask, const Edit& edit) {
  if (mask.empty()) return;
  std::vector<std::uint8_t> left;
  for (std::int64_t place = 0; place < edit.out().h * edit.out().w; ++place)
    for (const std::int64_t c : edit.outputs())
      left.push_back(mask.at(static_cast<std::size_t>(place * edit.out().c + c)));
  mask = std::move(left);
}

void keep_post(ir::Post& post, const Edit& edit) {
  if (ir::Requantize* shift = post.requantize(); shift != nullptr && shift->shifts.size() > 1)
    shift->shifts = picked(shift->shifts, edit.outputs());
  if (ir::Scale* scale = post.scale()) scale->channels = picked(scale->channels, edit.outputs());
  keep_mask(post.mask, edit);
}

// What is left out of row `o` because its channel has one code: column by column.
template <typename Kind>
void keep_bias(Kind& kind, const Edit& edit, std::int64_t columns, std::int64_t groups) {
  const ir::Value& input = edit.value(edit.op.input());
  std::vector<std::int64_t> bias = kind.bias;
  if (bias.empty()) bias.assign(kind.weights.shape(0), 0);
  const std::int64_t row = static_cast<std::int64_t>(kind.weights.size() / kind.weights.shape(0));
  const std::int64_t group_outputs = edit.out().c / groups;
  for (std::int64_t o = 0; o < edit.out().c && edit.fold == Fold::kConstants; ++o)
    for (std::int64_t k = 0; k < row; ++k) {
      const std::int64_t c = o / group_outputs * columns + k % columns;
      const ir::Range range = input.ranges.at(static_cast<std::size_t>(c));
      if (std::ranges::find(edit.inputs(), c) != edit.inputs().end() || range.lo != range.hi)
        continue;
      bias.at(static_cast<std::size_t>(o)) += kind.weights.data()[o * row + k] * range.lo;
    }
  kind.bias = picked(bias, edit.outputs());
}

// Whole groups are left out, or channels of the only group.
template <typename Conv>
void keep_weights(Conv& conv, const Edit& edit) {
  const std::int64_t per_group = edit.in().c / conv.groups;
  const std::int64_t group_outputs = edit.out().c / conv.groups;
  keep_bias(conv, edit, per_group, conv.groups);
  const auto groups =
      conv.groups == 1 ? 1 : static_cast<std::int64_t>(edit.outputs().size()) / group_outputs;
  const auto inputs = static_cast<std::int64_t>(edit.inputs().size());
  REQUIRE(inputs % groups == 0);
  const auto shape = conv.weights.shape();
  xt::xarray<std::int32_t> left = xt::xarray<std::int32_t>::from_shape(
      {edit.outputs().size(), shape[1], shape[2], static_cast<std::size_t>(inputs / groups)});
  std::size_t next = 0;
  for (std::size_t o = 0; o < edit.outputs().size(); ++o)
    for (std::size_t tap = 0; tap < shape[1] * shape[2]; ++tap)
      for (std::int64_t i = 0; i < inputs / groups; ++i) {
        const auto group = static_cast<std::int64_t>(o) /
                           (static_cast<std::int64_t>(edit.outputs().size()) / groups);
        const std::int64_t c =
            edit.inputs().at(static_cast<std::size_t>(group * (inputs / groups) + i));
        const std::int64_t row = edit.outputs()[o];
        left.data()[next++] =
            conv.weights.data()[(row * static_cast<std::int64_t>(shape[1] * shape[2]) +
                                 static_cast<std::int64_t>(tap)) *
                                    per_group +
                                c % per_group];
      }
  conv.weights = std::move(left);
  conv.groups = groups;
}

void keep(ir::Conv2d& conv, const Edit& edit) { keep_weights(conv, edit); }
void keep(ir::ConvTranspose2d& conv, const Edit& edit) { keep_weights(conv, edit); }
void keep(ir::Linear& linear, const Edit& edit) {
  keep_bias(linear, edit, edit.in().c, 1);
  const std::int64_t places = edit.in().h * edit.in().w, features = places * edit.in().c;
  std::vector<std::int32_t> left;
  for (const std::int64_t o : edit.outputs())
    for (std::int64_t place = 0; place < places; ++place)
      for (const std::int64_t c : edit.inputs())
        left.push_back(linear.weights.data()[o * features + place * edit.in().c + c]);
  linear.weights = xt::xarray<std::int32_t>::from_shape(
      {edit.outputs().size(), left.size() / edit.outputs().size()});
  std::ranges::copy(left, linear.weights.data());
}
void keep(ir::Add& add, const Edit& edit) {
  for (auto& multipliers : add.multipliers) multipliers = picked(multipliers, edit.outputs());
}
void keep(ir::Table& table, const Edit& edit) {
  table.table_of = picked(table.table_of, edit.outputs());
  keep_mask(table.mask, edit);
}
void keep(ir::Move& move, const Edit& edit) {
  const auto place_in = [](const ir::Shape& shape, const Channels& left, std::int64_t element) {
    const auto found = std::ranges::find(left, element % shape.c);
    if (found == left.end()) return std::int64_t{-1};
    return element / shape.c * static_cast<std::int64_t>(left.size()) + (found - left.begin());
  };
  std::vector<ir::MovePiece> pieces;
  ir::for_each_copy(move, [&](std::size_t k, std::int64_t from, std::int64_t to) {
    const ir::ValueId source = edit.op.inputs.at(k);
    const std::int64_t first = place_in(edit.value(source).shape, edit.kept.at(source), from);
    const std::int64_t second = place_in(edit.out(), edit.outputs(), to);
    if (first >= 0 && second >= 0)
      pieces.push_back({.input = k, .in_first = first, .out_first = second});
  });
  move.pieces = std::move(pieces);
}
template <typename Kind>
void keep(Kind&, const Edit&) {}

void keep_value(ir::Value& value, const Channels& channels) {
  value.channels = channels;
  value.keep = false;
  value.shape.c = static_cast<std::int64_t>(channels.size());
  if (value.decimals.size() > 1) value.decimals = picked(value.decimals, channels);
  value.ranges = picked(value.ranges, channels);
}

}  // namespace

void keep_channels(ir::Program& program, const std::map<std::string, Channels>& kept, Fold fold) {
  std::vector<Channels> left;
  std::size_t found = 0;
  for (const ir::Value& value : program.values) {
    const auto listed = kept.find(value.node);
    found += listed != kept.end() ? 1 : 0;
    left.emplace_back(static_cast<std::size_t>(value.shape.c));
    std::iota(left.back().begin(), left.back().end(), 0);
    if (listed != kept.end()) left.back() = listed->second;
  }
  REQUIRE(found >= kept.size());
  for (ir::Op& op : program.ops) {
    const Edit edit = {program, op, left, fold};
    std::visit([&](auto& kind) { keep(kind, edit); }, op.kind);
    if (ir::Post* const post = ir::post_of(op.kind)) keep_post(*post, edit);
  }
  for (std::size_t v = 0; v < left.size(); ++v)
    if (kept.contains(program.values[v].node)) keep_value(program.values[v], left[v]);
  ir::derive_ranges(program);
}

}  // namespace lockstep::test
