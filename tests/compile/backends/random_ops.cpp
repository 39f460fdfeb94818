#include "tests/compile/backends/random_ops.h"

#include <algorithm>
#include <set>

#include "compile/support/error.h"
#include "intrt/arith.h"
#include "tests/compile/backends/random_storage.h"

namespace lockstep::test {
namespace {

using namespace ir;

Shape random_shape(Dice& dice) {
  return {dice.between(1, 9), dice.between(1, 6), dice.between(1, 6), 3};
}

// 8, some other width of codes, or accumulators.
int random_output_bits(Dice& dice) {
  const std::int64_t kind = dice.between(0, 3);
  return kind == 0 ? 32 : kind == 1 ? 16 : kind == 2 ? static_cast<int>(dice.between(2, 16)) : 8;
}

int random_code_bits(Dice& dice) {
  return dice.chance(70) ? 8 : static_cast<int>(dice.between(2, 16));
}

Requantize random_shifts(std::int64_t channels, int bits, std::int64_t magnitude, Dice& dice) {
  Requantize r;
  const int surplus = bits_to_hold(-magnitude, magnitude) - bits;
  const auto shift = [&] {
    return static_cast<int>(
        std::clamp<std::int64_t>(surplus + dice.between(-3, 3), INTRT_SHIFT_MIN, INTRT_SHIFT_MAX));
  };
  r.shifts = {shift()};
  if (dice.chance(50))
    while (static_cast<std::int64_t>(r.shifts.size()) < channels) r.shifts.push_back(shift());
  r.rounding = static_cast<Rounding>(dice.between(0, 2));
  const Range limits = code_limits(bits);
  r.lo = dice.chance(30) ? 0 : static_cast<std::int32_t>(limits.lo);
  r.hi = static_cast<std::int32_t>(dice.chance(30) ? dice.between(0, limits.hi) : limits.hi);
  return r;
}

ChannelScale random_scale(int bits, std::int64_t magnitude, Dice& dice) {
  ChannelScale c;
  const Range limits = code_limits(bits);
  const int multiplier_bits = static_cast<int>(dice.between(1, 31));
  const std::int64_t most = (std::int64_t{1} << multiplier_bits) - 1;
  c.multiplier = static_cast<std::int32_t>(dice.between(-most - 1, most));
  c.shift = std::clamp(bits_to_hold(-magnitude, magnitude) + multiplier_bits - bits, 0,
                       INTRT_WIDE_SHIFT_MAX);
  const std::int64_t room = std::int64_t{1} << std::min(c.shift + bits, 61);
  c.addend = dice.chance(20) ? 0 : dice.between(-room, room);
  c.lo = static_cast<std::int32_t>(dice.chance(30) ? dice.between(limits.lo, 0) : limits.lo);
  c.hi = static_cast<std::int32_t>(dice.chance(30) ? dice.between(0, limits.hi) : limits.hi);
  return c;
}

ChannelScale random_steps(int bits, std::int64_t magnitude, Dice& dice) {
  std::set<std::int32_t> thresholds;
  for (std::int64_t n = dice.between(1, 20); n > 0; --n)
    thresholds.insert(static_cast<std::int32_t>(dice.between(-magnitude, magnitude)));
  ChannelScale c;
  c.thresholds.assign(thresholds.begin(), thresholds.end());
  const Range limits = code_limits(bits);
  for (std::size_t i = 0; i <= c.thresholds.size(); ++i)
    c.codes.push_back(static_cast<std::int16_t>(dice.between(limits.lo, limits.hi)));
  return c;
}

Scale random_scales(std::int64_t channels, int bits, std::int64_t magnitude, Dice& dice) {
  Scale scale;
  scale.rounding = dice.chance(50) ? Rounding::kFloor : Rounding::kTowardZero;
  const std::int64_t kind = dice.between(0, 2);  // scales, steps, both
  const auto one = [&] {
    return kind == 1 || (kind == 2 && dice.chance(50)) ? random_steps(bits, magnitude, dice)
                                                       : random_scale(bits, magnitude, dice);
  };
  const bool alike = dice.chance(30);
  for (std::int64_t c = 0; c < channels; ++c)
    scale.channels.push_back(c > 0 && alike ? scale.channels.front() : one());
  return scale;
}

xt::xarray<std::int32_t> random_weights(const std::vector<std::size_t>& shape, std::int64_t most,
                                        Dice& dice) {
  auto weights = xt::xarray<std::int32_t>::from_shape(shape);
  for (std::int32_t& weight : weights)
    weight = dice.chance(20) ? 0 : static_cast<std::int32_t>(dice.between(-most, most));
  return weights;
}

std::vector<std::int64_t> random_bias(std::int64_t channels, Dice& dice) {
  std::vector<std::int64_t> bias;
  if (dice.chance(60))
    for (std::int64_t c = 0; c < channels; ++c) bias.push_back(dice.between(-1000000, 1000000));
  return bias;
}

// Weights, bias and post-op of a linear operator whose sums have `terms` products.
template <typename Kind>
void fill_sum(Kind& kind, const std::vector<std::size_t>& shape, const Shape& out, int in_bits,
              int out_bits, std::int64_t terms, Dice& dice) {
  kind.wide = dice.chance(25);
  kind.bias = random_bias(out.c, dice);
  if (kind.wide && out_bits <= 16) {
    kind.weights = random_weights(shape, 2147483647, dice);
    const int sum_bits = bits_to_hold(0, terms << (in_bits - 1)) + 31;
    const auto shift = [&] {
      return static_cast<int>(std::clamp<std::int64_t>(sum_bits - out_bits + dice.between(-3, 3), 0,
                                                       INTRT_WIDE_SHIFT_MAX));
    };
    Requantize r = random_shifts(out.c, out_bits, 1, dice);
    for (int& each : r.shifts) each = shift();
    kind.post.function = r;
    kind.post.mask = random_mask(out, dice);
    return;
  }
  const std::int64_t room =
      ((std::int64_t{1} << 30) >> (in_bits - 1)) / std::max<std::int64_t>(terms, 1);
  const std::int64_t most = std::min<std::int64_t>(room, dice.chance(50) ? 127 : 32767);
  kind.weights = random_weights(shape, most, dice);
  kind.post = random_post(out, out_bits, terms * most << (in_bits - 1), dice);
  if (kind.post.scale() != nullptr) kind.wide = false;
  if (const Requantize* r = kind.post.requantize())
    for (const int each : r->shifts) kind.wide = kind.wide && each >= 0;
}

std::int64_t random_groups(std::int64_t channels, Dice& dice) {
  return dice.chance(40) ? channels : dice.chance(50) && channels % 2 == 0 ? 2 : 1;
}

void conv2d(ProgramMaker& maker, Dice& dice) {
  const Shape in = random_shape(dice);
  const int bits = random_code_bits(dice);
  Conv2d conv;
  Shape out;
  do {
    for (const std::size_t a : {0, 1}) {
      conv.window.kernel[a] = dice.between(1, 4);
      conv.window.stride[a] = dice.between(1, 3);
      conv.window.dilation[a] = dice.between(1, 3);
      conv.window.pad[a] = dice.between(0, 3);
      conv.window.pad[a + 2] = dice.between(0, 3);
    }
    out = {0, conv.window.output_size(0, in.h), conv.window.output_size(1, in.w), 3};
  } while (out.h < 1 || out.w < 1);
  conv.groups = random_groups(in.c, dice);
  out.c = conv.groups * dice.between(1, conv.groups > 1 ? 3 : 9);
  const std::int64_t inputs = in.c / conv.groups;
  const auto [kh, kw] = conv.window.kernel;
  const int out_bits = random_output_bits(dice);
  fill_sum(conv,
           {static_cast<std::size_t>(out.c), static_cast<std::size_t>(kh),
            static_cast<std::size_t>(kw), static_cast<std::size_t>(inputs)},
           out, bits, out_bits, kh * kw * inputs, dice);
  store_anyhow(conv, inputs);
  maker.add(conv, {maker.input(in, bits)}, out, out_bits);
}

void conv_transpose2d(ProgramMaker& maker, Dice& dice) {
  const Shape in = random_shape(dice);
  const int bits = random_code_bits(dice);
  ConvTranspose2d conv;
  Shape out;
  do {
    for (const std::size_t a : {0, 1}) {
      conv.kernel[a] = dice.between(1, 4);
      conv.stride[a] = dice.between(1, 4);
      conv.dilation[a] = dice.between(1, 3);
      conv.pad[a] = dice.between(0, 2);
    }
    const auto size = [&](std::size_t a, std::int64_t from) {
      return (from - 1) * conv.stride[a] - 2 * conv.pad[a] +
             conv.dilation[a] * (conv.kernel[a] - 1) + 1 + dice.between(0, 2);
    };
    out = {0, size(0, in.h), size(1, in.w), 3};
  } while (out.h < 1 || out.w < 1);
  conv.groups = random_groups(in.c, dice);
  out.c = conv.groups * dice.between(1, conv.groups > 1 ? 3 : 9);
  const std::int64_t inputs = in.c / conv.groups;
  const auto [kh, kw] = conv.kernel;
  const int out_bits = random_output_bits(dice);
  fill_sum(conv,
           {static_cast<std::size_t>(out.c), static_cast<std::size_t>(kh),
            static_cast<std::size_t>(kw), static_cast<std::size_t>(inputs)},
           out, bits, out_bits, kh * kw * inputs, dice);
  maker.add(conv, {maker.input(in, bits)}, out, out_bits);
}

void linear(ProgramMaker& maker, Dice& dice) {
  Shape in = random_shape(dice);
  in.logical_rank = 1;
  const int bits = random_code_bits(dice), out_bits = random_output_bits(dice);
  const Shape out{dice.between(1, 11), 1, 1, 1};
  Linear kind;
  fill_sum(kind, {static_cast<std::size_t>(out.c), static_cast<std::size_t>(in.count())}, out, bits,
           out_bits, in.count(), dice);
  store_anyhow(kind, in.c);
  maker.add(kind, {maker.input(in, bits)}, out, out_bits);
}

// Accumulators of a convolution with one weight, or codes, of the given bits.
ValueId random_value(const Shape& shape, int bits, ProgramMaker& maker, Dice& dice) {
  if (bits <= 16) return maker.input(shape, bits);
  Conv2d conv;
  conv.groups = shape.c;
  conv.weights = random_weights({static_cast<std::size_t>(shape.c), 1, 1, 1}, 32767, dice);
  return maker.add(conv, {maker.input(shape, 8)}, shape, bits);
}

void max_pool2d(ProgramMaker& maker, Dice& dice) {
  MaxPool2d pool;
  Shape in, out;
  const auto sound = [&](std::size_t a) {
    const std::int64_t size = a == 0 ? in.h : in.w, count = a == 0 ? out.h : out.w;
    const std::int64_t pad = pool.window.pad[a];
    return count >= 1 && pad * 2 <= pool.window.kernel[a] &&
           (pad == 0 || pool.window.dilation[a] <= size) &&
           (count - 1) * pool.window.stride[a] < pad + size;
  };
  do {
    in = random_shape(dice);
    for (const std::size_t a : {0, 1}) {
      pool.window.kernel[a] = dice.between(1, 4);
      pool.window.stride[a] = dice.between(1, 3);
      pool.window.dilation[a] = dice.between(1, 2);
      pool.window.pad[a] = pool.window.pad[a + 2] = dice.between(0, pool.window.kernel[a] / 2);
    }
    out = {in.c, pool.window.output_size(0, in.h), pool.window.output_size(1, in.w), 3};
  } while (!sound(0) || !sound(1));
  const int bits = random_output_bits(dice);
  maker.add(pool, {random_value(in, bits, maker, dice)}, out, bits);
}

// Evenly spaced and alike, or any.
std::vector<PoolSpan> random_spans(std::int64_t size, Dice& dice) {
  std::vector<PoolSpan> spans;
  if (dice.chance(50)) {
    const std::int64_t length = dice.between(1, size), stride = dice.between(1, 3);
    const std::int64_t multiplier = dice.chance(70) ? 1 : dice.between(2, 5);
    for (std::int64_t begin = 0; begin + length <= size; begin += stride)
      spans.push_back({begin, begin + length, multiplier});
    return spans;
  }
  for (std::int64_t n = dice.between(1, 5); n > 0; --n) {
    const std::int64_t begin = dice.between(0, size - 1);
    spans.push_back({begin, dice.between(begin + 1, size), dice.between(1, 12)});
  }
  return spans;
}

void avg_pool2d(ProgramMaker& maker, Dice& dice) {
  const Shape in = random_shape(dice);
  AvgPool2d pool;
  pool.rows = random_spans(in.h, dice);
  pool.columns = random_spans(in.w, dice);
  const Shape out{in.c, static_cast<std::int64_t>(pool.rows.size()),
                  static_cast<std::int64_t>(pool.columns.size()), 3};
  const int bits = static_cast<int>(dice.between(2, 12)), out_bits = random_output_bits(dice);
  pool.post = random_post(out, out_bits, in.h * in.w << (bits - 1), dice);
  maker.add(pool, {maker.input(in, bits)}, out, out_bits);
}

// A network input, or codes that a requantize made and whose memory is free.
ValueId input_or_code(const Shape& shape, int bits, ProgramMaker& maker, Dice& dice) {
  const ValueId input = maker.input(shape, bits);
  if (dice.chance(40)) return input;
  RequantizeOp op;
  op.post.function = random_shifts(shape.c, bits, code_limits(bits).hi, dice);
  return maker.add(op, {input}, shape, bits);
}

// `shape` with some dimensions 1.
Shape shrunk(Shape shape, Dice& dice) {
  if (dice.chance(30)) shape.c = 1;
  if (dice.chance(30)) shape.h = 1;
  if (dice.chance(30)) shape.w = 1;
  return shape;
}

struct Pair {
  std::vector<ValueId> inputs;
  int bits;
};
Pair random_pair(const Shape& shape, ProgramMaker& maker, Dice& dice) {
  const int bits = dice.chance(60) ? 8 : static_cast<int>(dice.between(2, 14));
  const bool alike = dice.chance(40), swap = dice.chance(50);
  std::vector<ValueId> inputs = {
      input_or_code(alike || swap ? shape : shrunk(shape, dice), bits, maker, dice),
      input_or_code(alike || !swap ? shape : shrunk(shape, dice), bits, maker, dice)};
  if (alike && dice.chance(30)) inputs[1] = inputs[0];
  return {inputs, bits};
}

void add(ProgramMaker& maker, Dice& dice) {
  const Shape shape = random_shape(dice);
  const auto [inputs, bits] = random_pair(shape, maker, dice);
  Add kind;
  for (auto& multipliers : kind.multipliers) {
    const bool alike = dice.chance(50);
    for (std::int64_t c = 0; c < shape.c; ++c)
      multipliers.push_back(c > 0 && alike ? multipliers[0]
                            : dice.chance(30)
                                ? 1
                                : static_cast<std::int32_t>(dice.between(-32768, 32767)));
  }
  const int out_bits = dice.chance(50) ? bits : random_output_bits(dice);
  kind.post = random_post(shape, out_bits, std::int64_t{1} << (bits + 15), dice);
  maker.add(kind, inputs, shape, out_bits);
}

void mul(ProgramMaker& maker, Dice& dice) {
  const Shape shape = random_shape(dice);
  const auto [inputs, bits] = random_pair(shape, maker, dice);
  Mul kind;
  const int out_bits = dice.chance(50) ? bits : random_output_bits(dice);
  kind.post = random_post(shape, out_bits, std::int64_t{1} << (2 * bits - 2), dice);
  maker.add(kind, inputs, shape, out_bits);
}

void requantize(ProgramMaker& maker, Dice& dice) {
  const Shape shape = random_shape(dice);
  const int bits = random_output_bits(dice),
            out_bits = dice.chance(50) ? bits : random_output_bits(dice);
  RequantizeOp op;
  op.post = random_post(shape, out_bits, bits <= 16 ? code_limits(bits).hi : 32767 * 128, dice);
  const ValueId in =
      bits <= 16 ? input_or_code(shape, bits, maker, dice) : random_value(shape, bits, maker, dice);
  maker.add(op, {in}, shape, out_bits);
}

void table(ProgramMaker& maker, Dice& dice) {
  const Shape shape = random_shape(dice);
  const bool bytes = dice.chance(30);
  const int bits = bytes || dice.chance(50) ? 8 : static_cast<int>(dice.between(2, 12));
  const int out_bits = random_code_bits(dice);
  Table kind;
  kind.tables.resize(static_cast<std::size_t>(dice.chance(50) ? 1 : dice.between(2, shape.c + 1)));
  for (auto& entries : kind.tables)
    for (std::int64_t i = 0; i < std::int64_t{1} << bits; ++i)
      entries.push_back(static_cast<std::int16_t>(
          dice.between(code_limits(out_bits).lo, code_limits(out_bits).hi)));
  for (std::int64_t c = 0; c < shape.c; ++c)
    kind.table_of.push_back(static_cast<std::uint16_t>(
        dice.between(0, static_cast<std::int64_t>(kind.tables.size()) - 1)));
  kind.mask = random_mask(shape, dice);
  const ValueId in = bytes ? maker.input(shape, 8, true) : input_or_code(shape, bits, maker, dice);
  maker.add(kind, {in}, shape, out_bits);
}

void argmax(ProgramMaker& maker, Dice& dice) {
  const Shape in = random_shape(dice);
  const int bits = dice.chance(30) ? 2 : random_output_bits(dice);  // with 2 bits many are equal
  maker.add(ArgMax{}, {random_value(in, bits, maker, dice)}, {1, in.h, in.w, 3}, 32);
}

}  // namespace

std::vector<std::uint8_t> random_mask(const Shape& shape, Dice& dice) {
  std::vector<std::uint8_t> mask;
  if (dice.chance(60)) return mask;
  const bool whole_channels = dice.chance(50);
  for (std::int64_t i = 0; i < shape.count(); ++i)
    mask.push_back(whole_channels && i >= shape.c ? mask[static_cast<std::size_t>(i % shape.c)]
                                                  : static_cast<std::uint8_t>(dice.between(0, 1)));
  return mask;
}

Post random_post(const Shape& shape, int bits, std::int64_t magnitude, Dice& dice) {
  Post post;
  post.mask = random_mask(shape, dice);
  if (bits > 16) return post;
  magnitude = std::clamp<std::int64_t>(magnitude, 1, 2147483647);
  if (dice.chance(50))
    post.function = random_shifts(shape.c, bits, magnitude, dice);
  else
    post.function = random_scales(shape.c, bits, magnitude, dice);
  return post;
}

void add_random_op(std::string_view op, ProgramMaker& maker, Dice& dice) {
  using Adder = void (*)(ProgramMaker&, Dice&);
  constexpr std::pair<std::string_view, Adder> kAdders[] = {{"conv2d", conv2d},
                                                            {"conv_transpose2d", conv_transpose2d},
                                                            {"linear", linear},
                                                            {"max_pool2d", max_pool2d},
                                                            {"avg_pool2d", avg_pool2d},
                                                            {"add", add},
                                                            {"mul", mul},
                                                            {"requantize", requantize},
                                                            {"table", table},
                                                            {"move", add_random_move},
                                                            {"argmax", argmax}};
  for (const auto& [name, adder] : kAdders)
    if (name == op) return adder(maker, dice);
  LOCKSTEP_ASSERT(false);
}

}  // namespace lockstep::test
