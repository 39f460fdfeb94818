#include "compile/ops/moving.h"

#include <fmt/format.h>

#include <algorithm>

#include "compile/support/error.h"

namespace lockstep::ops {
namespace {

std::int64_t physical(const ir::Shape& shape, const Coordinates& at) {
  return (at[1] * shape.w + at[2]) * shape.c + at[0];
}

ir::Move to_pieces(const Lowering& lowering, const ir::Shape& out,
                   const std::vector<Copy>& copies) {
  ir::Move move;
  for (const Copy& copy : copies) {
    const ir::Shape& in = lowering.value(copy.input).shape;
    ir::MovePiece piece;
    piece.input = copy.input;
    piece.in_first = physical(in, copy.in_first);
    piece.out_first = physical(out, copy.out_first);
    LOCKSTEP_ASSERT(copy.loops.size() <= piece.count.size());
    const std::size_t skipped = piece.count.size() - copy.loops.size();
    for (std::size_t k = 0; k < copy.loops.size(); ++k) {
      piece.count[skipped + k] = copy.loops[k].count;
      piece.in_step[skipped + k] = physical(in, copy.loops[k].in_step);
      piece.out_step[skipped + k] = physical(out, copy.loops[k].out_step);
    }
    move.pieces.push_back(piece);
  }
  return move;
}

// One integer value per input of the move, all of one width and on grids that fit together.
struct Sources {
  std::vector<ir::ValueId> ids;
  std::vector<int> decimals;  // of the output, per channel
};

// Brings all channels to the finest grid of all where two grids meet in one channel of the output.
Sources align(Lowering& lowering, const ir::Move& move, const ir::Shape& shape) {
  Sources sources;
  int bits = 0, finest = -128;
  for (std::size_t k = 0; k < lowering.input_count(); ++k) {
    sources.ids.push_back(lowering.input(k).id);
    for (const int decimal : lowering.value(k).decimals) finest = std::max(finest, decimal);
  }
  std::vector<std::optional<int>> met(static_cast<std::size_t>(shape.c));
  bool clash = false;
  ir::for_each_copy(move, [&](std::size_t k, std::int64_t from, std::int64_t to) {
    const ir::Value& input = lowering.value(k);
    const int decimal = input.decimal(from % input.shape.c);
    std::optional<int>& of_channel = met[static_cast<std::size_t>(to % shape.c)];
    clash |= of_channel && *of_channel != decimal;
    of_channel = decimal;
  });
  for (const std::optional<int>& decimal : met)
    sources.decimals.push_back(clash ? finest : decimal.value_or(finest));
  for (ir::ValueId& id : sources.ids) {
    const auto channels = static_cast<std::size_t>(lowering.value_of(id).shape.c);
    if (clash) id = lowering.refine(id, std::vector<int>(channels, finest));
    bits = std::max(bits, lowering.value_of(id).bits);
  }
  for (ir::ValueId& id : sources.ids)
    if (lowering.value_of(id).element_bytes() < (bits <= 8 ? 1 : bits <= 16 ? 2 : 4))
      id = lowering.widen(id, bits);
  return sources;
}

std::optional<Pending> move_pending(const Lowering& lowering, const ir::Move& move,
                                    const ir::Shape& shape) {
  Pending result;
  bool any = false, any_mask = false;
  for (std::size_t k = 0; k < lowering.input_count(); ++k)
    if (const auto& pending = lowering.input(k).pending) {
      if (!any) result.origin = pending->origin;
      any = true;
      any_mask |= !pending->mask.empty();
      result.filled |= pending->filled;
    }
  if (!any) return std::nullopt;
  // Among floats a sum becomes a float, which must hold it.
  for (std::size_t k = 0; k < lowering.input_count(); ++k)
    if (!lowering.input(k).pending && lowering.value(k).bits > ir::kExactFloatBits)
      lowering.refuse(fmt::format(
          "its input '{}' has sums of {} bits, more than float32 holds, among values to which '{}' "
          "still applies a float function; put a quantize node before this layer",
          lowering.node().inputs.at(k), lowering.value(k).bits, result.origin));
  const FloatChain nothing;
  std::vector<std::optional<FloatChain>> chains(static_cast<std::size_t>(shape.c));
  std::vector<std::int64_t> copied(chains.size(), 0);
  if (any_mask) result.mask.assign(static_cast<std::size_t>(shape.count()), 1);
  ir::for_each_copy(move, [&](std::size_t k, std::int64_t from, std::int64_t to) {
    const ir::Shape& in = lowering.value(k).shape;
    const std::optional<Pending>& pending = lowering.input(k).pending;
    const FloatChain& chain =
        pending ? pending->chains[static_cast<std::size_t>(from % in.c)] : nothing;
    const auto c = static_cast<std::size_t>(to % shape.c);
    if (copied[c]++ > 0 && *chains[c] != chain)
      lowering.refuse(fmt::format(
          "values of different float functions (from '{}') meet in channel {}; put quantize nodes "
          "before this layer",
          result.origin, c));
    chains[c] = chain;
    if (pending && !pending->mask.empty())
      result.mask[static_cast<std::size_t>(ir::logical_index(shape, to))] =
          pending->mask[static_cast<std::size_t>(ir::logical_index(in, from))];
  });
  for (std::size_t c = 0; c < chains.size(); ++c) {
    if (copied[c] != shape.h * shape.w && ops::apply(chains[c].value_or(nothing), 0.0F) != 0.0F)
      lowering.refuse(fmt::format(
          "it fills with zeros among values to which '{}' still applies a float function; put a "
          "quantize node before this layer",
          result.origin));
    result.filled |= copied[c] != shape.h * shape.w;
    result.chains.push_back(chains[c].value_or(nothing));
  }
  return result;
}

}  // namespace

NodeValue move(Lowering& lowering, const ir::Shape& shape, const std::vector<Copy>& copies) {
  require_plan_size(lowering, shape);
  for (std::size_t k = 0; k < lowering.input_count(); ++k)
    if (lowering.value(k).bits > ir::kMostStoredBits)
      lowering.refuse(fmt::format(
          "its input '{}' holds sums of {} bits, but memory holds 32; put a quantize node before "
          "this layer",
          lowering.node().inputs.at(k), lowering.value(k).bits));
  require_copies(lowering, copies.size());
  ir::Move pieces = to_pieces(lowering, shape, copies);
  std::optional<Pending> pending = move_pending(lowering, pieces, shape);
  Sources sources = align(lowering, pieces, shape);
  int bits = 0;
  for (const ir::ValueId id : sources.ids) bits = std::max(bits, lowering.value_of(id).bits);
  const ir::ValueId id = lowering.emit(
      std::move(pieces), sources.ids,
      {.shape = shape, .bits = bits, .decimals = std::move(sources.decimals), .exact = !pending});
  return {.id = id, .pending = std::move(pending), .order_of = {}};
}

void require_copies(const Lowering& lowering, std::size_t copies) {
  if (copies > kMostCopies)
    lowering.refuse(fmt::format("it takes {} separate copies, but at most {} are supported", copies,
                                kMostCopies));
}

Copy copy_box(const Coordinates& in_first, const Coordinates& out_first,
              const Coordinates& extent) {
  return {.input = 0,
          .in_first = in_first,
          .out_first = out_first,
          .loops = {{extent[1], {0, 1, 0}, {0, 1, 0}},
                    {extent[2], {0, 0, 1}, {0, 0, 1}},
                    {extent[0], {1, 0, 0}, {1, 0, 0}}}};
}

std::size_t coordinate_of(const Lowering& lowering, std::int64_t dim) {
  const int rank = lowering.value().shape.logical_rank;
  if (dim < 1 || dim > rank)
    lowering.refuse(fmt::format("dim is {}, but its input has shape {} and dimensions 1 to {}", dim,
                                lowering.shape_text(), rank));
  return rank == 2 && dim == 2 ? 2 : static_cast<std::size_t>(dim - 1);
}

std::int64_t extent(const ir::Shape& shape, std::size_t coordinate) {
  return coordinate == 0 ? shape.c : coordinate == 1 ? shape.h : shape.w;
}

}  // namespace lockstep::ops
