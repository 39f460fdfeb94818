// More positions: each repeated (nearest), or weighted means of neighbours (bilinear).
//
// Bilinear upsampling by s = 2^k is exact. Output position o lies at (o + 1/2) / s - 1/2 between
// the inputs, so that weights are odd multiples of 1 / (2s); beyond the border the border counts.
// That is a transposed depthwise convolution, of stride s and 2s taps 1, 3, .., 2s-1, 2s-1, .., 3,
// 1, over the input with one replicated position at each border.
#include <fmt/format.h>

#include <bit>

#include "compile/ops/moving.h"

namespace lockstep::ops {
namespace {

using Pair = std::array<std::int64_t, 2>;

NodeValue nearest(Lowering& lowering, const Pair& scale) {
  const ir::Shape& in = lowering.value().shape;
  const ir::Shape shape{in.c, in.h * scale[0], in.w * scale[1], in.logical_rank};
  std::vector<Copy> copies;
  for (std::int64_t i = 0; i < scale[0]; ++i)
    copies.push_back({.input = 0,
                      .in_first = {},
                      .out_first = {0, i, 0},
                      .loops = {{in.h, {0, 1, 0}, {0, scale[0], 0}},
                                {in.w, {0, 0, 1}, {0, 0, scale[1]}},
                                {scale[1], {}, {0, 0, 1}},
                                {in.c, {1, 0, 0}, {1, 0, 0}}}});
  return move(lowering, shape, copies);
}

// 1, 3, .., 2s-1, 2s-1, .., 3, 1; just 1 for s = 1.
std::vector<std::int32_t> taps(std::int64_t s) {
  if (s == 1) return {1};
  std::vector<std::int32_t> result;
  for (std::int64_t i = 0; i < s; ++i) result.push_back(static_cast<std::int32_t>(2 * i + 1));
  for (std::int64_t i = s; i-- > 0;) result.push_back(static_cast<std::int32_t>(2 * i + 1));
  return result;
}

// One more position at each border of the axes that grow.
ir::ValueId replicate_border(Lowering& lowering, const Pair& border) {
  const ir::Value input = lowering.value();
  const ir::Shape& in = input.shape;
  const ir::Shape shape{in.c, in.h + 2 * border[0], in.w + 2 * border[1], in.logical_rank};
  ir::Move pieces;
  const auto part = [](std::int64_t k, std::int64_t size) {  // out, count, in
    return std::array<std::int64_t, 3>{k == 0   ? 1
                                       : k == 1 ? 0
                                                : size + 1,
                                       k == 0 ? size : 1, k == 2 ? size - 1 : 0};
  };
  for (std::int64_t a = 0; a < (border[0] > 0 ? 3 : 1); ++a)
    for (std::int64_t b = 0; b < (border[1] > 0 ? 3 : 1); ++b) {
      std::array<std::int64_t, 3> rows = part(a, in.h), columns = part(b, in.w);
      if (border[0] == 0) rows[0] = 0;
      if (border[1] == 0) columns[0] = 0;
      pieces.pieces.push_back({.input = 0,
                               .in_first = (rows[2] * in.w + columns[2]) * in.c,
                               .out_first = (rows[0] * shape.w + columns[0]) * in.c,
                               .count = {1, rows[1], columns[1], in.c},
                               .in_step = {0, in.w * in.c, in.c, 1},
                               .out_step = {0, shape.w * in.c, in.c, 1}});
    }
  return lowering.emit(
      std::move(pieces), {lowering.input().id},
      {.shape = shape, .bits = input.bits, .decimals = input.decimals, .exact = false});
}

NodeValue bilinear(Lowering& lowering, const Pair& scale) {
  lowering.require_codes();
  for (const std::int64_t s : scale)
    if (!std::has_single_bit(static_cast<std::uint64_t>(s)))
      lowering.refuse(fmt::format(
          "bilinear upsampling by {} weighs with fractions that no power-of-two grid holds; use 2, "
          "4, 8, .. or mode \"nearest\"",
          s));
  const ir::Value input = lowering.value();
  if (input.shape.logical_rank != 3)
    lowering.refuse(fmt::format("its input has shape {}, but bilinear upsampling needs [C, H, W]",
                                lowering.shape_text()));
  const ir::Shape shape{input.shape.c, input.shape.h * scale[0], input.shape.w * scale[1],
                        input.shape.logical_rank};
  require_plan_size(lowering, shape);
  // All taps of one channel sum up to the square of 2s along an axis, which the runtime bounds.
  constexpr std::int64_t kMostWeights = std::int64_t{1} << 24;
  if (input.shape.c * 4 * scale[0] * scale[1] > kMostWeights)
    lowering.refuse(
        fmt::format("its {} channels need {} weights, but at most {} are supported; "
                    "upsample in smaller steps",
                    input.shape.c, input.shape.c * 4 * scale[0] * scale[1], kMostWeights));
  const Pair border = {scale[0] > 1 ? 1 : 0, scale[1] > 1 ? 1 : 0};
  const ir::ValueId padded = replicate_border(lowering, border);
  const std::vector<std::int32_t> down = taps(scale[0]), across = taps(scale[1]);
  const auto channels = static_cast<std::size_t>(input.shape.c);
  ir::ConvTranspose2d conv{
      .kernel = {static_cast<std::int64_t>(down.size()), static_cast<std::int64_t>(across.size())},
      .stride = scale,
      .dilation = {1, 1},
      .pad = {border[0] * scale[0] * 3 / 2, border[1] * scale[1] * 3 / 2},
      .groups = input.shape.c,
      .weights = xt::xarray<std::int32_t>::from_shape({channels, 1, down.size(), across.size()}),
      .bias = {},
      .accumulators = {},
      .post = {}};
  for (std::size_t c = 0; c < channels; ++c)
    for (std::size_t y = 0; y < down.size(); ++y)
      for (std::size_t x = 0; x < across.size(); ++x)
        conv.weights(c, 0, y, x) = down[y] * across[x];
  int finer = 0;
  for (const std::int64_t s : scale)
    if (s > 1) finer += std::countr_zero(static_cast<std::uint64_t>(2 * s));
  std::vector<int> decimals = input.decimals;
  for (int& decimal : decimals) decimal += finer;
  // Weights of one position sum to 2^finer, so a mean keeps its bits and gains `finer`; the bound
  // of the runtime counts every tap.
  std::int64_t magnitude = 0;
  for (const ir::Accumulator& acc : lowering.bounds(conv, {padded}))
    magnitude = std::max(magnitude, acc.magnitude);
  if (ir::bits_to_hold(-magnitude, magnitude) > 32)
    lowering.refuse(
        fmt::format("its sums need {} bits, but accumulators have 32; {}",
                    ir::bits_to_hold(-magnitude, magnitude),
                    lowering.fitting_bits(ir::bits_to_hold(-magnitude, magnitude) - 32)));
  const int bits = std::max(2, input.bits + finer);
  if (bits <= ir::kMostCodeBits) conv.post.function = ir::identity_requantize(bits);
  return {.id = lowering.emit(std::move(conv), {padded},
                              {.shape = shape,
                               .bits = bits <= 16 ? bits : ir::bits_to_hold(-magnitude, magnitude),
                               .decimals = std::move(decimals)}),
          .pending = {},
          .order_of = {}};
}

}  // namespace

NodeValue lower_upsample(Lowering& lowering) {
  const std::vector<std::int64_t>& factors = lowering.node().integers("scale_factor");
  const int rank = lowering.value().shape.logical_rank;
  if (rank < 2)
    lowering.refuse(fmt::format("its input has shape {}, but upsample needs [C, L] or [C, H, W]",
                                lowering.shape_text()));
  if (factors.size() != 1 && static_cast<int>(factors.size()) != rank - 1)
    lowering.refuse(fmt::format("scale_factor has {} numbers, but its input has shape {}",
                                factors.size(), lowering.shape_text()));
  const Pair scale = {rank == 2 ? 1 : factors.front(), factors.back()};
  return lowering.node().choice("mode") == "nearest" ? nearest(lowering, scale)
                                                     : bilinear(lowering, scale);
}

}  // namespace lockstep::ops
