// Two values meet element by element. Where a dimension of one has size 1, its element serves all.
// Sums are taken on the finer grid of each channel, products on the grid of both decimals together.
#include "compile/ops/elementwise.h"

#include <fmt/format.h>

#include <algorithm>

namespace lockstep::ops {
namespace {

ir::Shape broadcast_shape(const Lowering& lowering) {
  const ir::Shape &a = lowering.value(0).shape, &b = lowering.value(1).shape;
  const auto fits = [](std::int64_t x, std::int64_t y) { return x == y || x == 1 || y == 1; };
  if (a.logical_rank != b.logical_rank || !fits(a.c, b.c) || !fits(a.h, b.h) || !fits(a.w, b.w))
    lowering.refuse(
        fmt::format("its inputs have shapes {} and {}; they must be equal, or 1 where they differ",
                    lowering.shape_text(0), lowering.shape_text(1)));
  return {std::max(a.c, b.c), std::max(a.h, b.h), std::max(a.w, b.w), a.logical_rank};
}

int decimal_at(const ir::Value& value, std::int64_t c) {
  return value.decimal(value.shape.c == 1 ? 0 : c);
}

// Emits an add or mul with as many bits as its sums or products need.
template <typename Kind>
NodeValue emit_exact(Lowering& lowering, Kind kind, const ir::Shape& shape,
                     std::vector<int> decimals, std::string_view what) {
  const std::vector<ir::ValueId> inputs = {lowering.input(0).id, lowering.input(1).id};
  int bits = 2;
  for (const ir::Accumulator& acc : lowering.bounds(kind, inputs))
    bits = std::max(bits, ir::bits_to_hold(-acc.magnitude, acc.magnitude));
  if (bits > 32)
    lowering.refuse(fmt::format(
        "its {} need {} bits, but accumulators have 32; put quantize nodes before it: {}, and so "
        "would fewer of '{}'",
        what, bits, lowering.fitting_bits(bits - 32), lowering.node().inputs.at(1)));
  if (bits <= ir::kMostCodeBits) kind.post.function = ir::identity_requantize(bits);
  return {.id = lowering.emit(std::move(kind), inputs,
                              {.shape = shape, .bits = bits, .decimals = std::move(decimals)}),
          .pending = {},
          .order_of = {}};
}

}  // namespace

NodeValue lower_sum(Lowering& lowering, int sign) {
  lowering.require_exact(0);
  lowering.require_exact(1);
  const ir::Shape shape = broadcast_shape(lowering);
  ir::Add add;
  std::vector<int> decimals;
  for (std::int64_t c = 0; c < shape.c; ++c) {
    const int a = decimal_at(lowering.value(0), c), b = decimal_at(lowering.value(1), c);
    decimals.push_back(std::max(a, b));
    constexpr int kMostShift = 30;
    if (std::abs(a - b) > kMostShift)
      lowering.refuse(fmt::format(
          "channel {}: its inputs have decimals {} and {}, which are more than {} apart; let the "
          "quantize nodes before it choose decimals that lie closer together",
          c, a, b, kMostShift));
    add.multipliers[0].push_back(std::int32_t{1} << (decimals.back() - a));
    add.multipliers[1].push_back(sign * (std::int32_t{1} << (decimals.back() - b)));
  }
  return emit_exact(lowering, std::move(add), shape, std::move(decimals), "sums");
}

NodeValue lower_product(Lowering& lowering) {
  lowering.require_exact(0);
  lowering.require_exact(1);
  const ir::Shape shape = broadcast_shape(lowering);
  std::vector<int> decimals;
  for (std::int64_t c = 0; c < shape.c; ++c)
    decimals.push_back(decimal_at(lowering.value(0), c) + decimal_at(lowering.value(1), c));
  return emit_exact(lowering, ir::Mul{}, shape, std::move(decimals), "products");
}

}  // namespace lockstep::ops
