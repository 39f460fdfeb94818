// Lists of copies as the moving operators make them.
#include <algorithm>
#include <numeric>

#include "tests/compile/backends/random_ops.h"

namespace lockstep::test {
namespace {

using namespace ir;

Shape random_shape(Dice& dice) {
  return {dice.between(1, 9), dice.between(1, 6), dice.between(1, 6), 3};
}

// A piece over the rows, columns and channels of `counts`.
MovePiece piece(const Shape& counts, std::array<std::int64_t, 3> in_step,
                std::array<std::int64_t, 3> out_step, std::int64_t in_first,
                std::int64_t out_first) {
  MovePiece result;
  result.in_first = in_first;
  result.out_first = out_first;
  result.count = {1, counts.h, counts.w, counts.c};
  for (std::size_t k = 0; k < 3; ++k) {
    result.in_step[k + 1] = in_step[k];
    result.out_step[k + 1] = out_step[k];
  }
  return result;
}

std::array<std::int64_t, 3> steps(const Shape& shape) { return {shape.w * shape.c, shape.c, 1}; }

int random_bits(Dice& dice) { return dice.chance(60) ? 8 : 16; }

void concat(ProgramMaker& maker, Dice& dice) {
  const Shape in = random_shape(dice);
  const std::int64_t count = dice.chance(20) ? 40 : dice.between(2, 4);
  const int bits = random_bits(dice);
  Shape out = in;
  out.c = in.c * count;
  Move move;
  std::vector<ValueId> inputs;
  for (std::int64_t k = 0; k < count; ++k) {
    inputs.push_back(maker.input(in, bits));
    move.pieces.push_back(piece(in, steps(in), steps(out), 0, k * in.c));
    move.pieces.back().input = static_cast<std::size_t>(k);
  }
  maker.add(move, inputs, out, bits);
}

void slice(ProgramMaker& maker, Dice& dice) {
  const Shape in = random_shape(dice);
  const int bits = random_bits(dice);
  std::array<std::int64_t, 3> stride{}, first{};
  Shape out = in;
  std::int64_t from = 0;
  const std::array<std::int64_t, 3> in_step = steps(in);
  std::int64_t* const sizes[] = {&out.h, &out.w, &out.c};
  for (std::size_t k = 0; k < 3; ++k) {
    first[k] = dice.between(0, *sizes[k] - 1);
    stride[k] = dice.between(1, 3);
    *sizes[k] = (*sizes[k] - first[k] + stride[k] - 1) / stride[k];
    from += first[k] * in_step[k];
    stride[k] *= in_step[k];
  }
  maker.add(Move{{piece(out, stride, steps(out), from, 0)}}, {maker.input(in, bits)}, out, bits);
}

void transpose(ProgramMaker& maker, Dice& dice) {
  const Shape in = random_shape(dice);
  const int bits = random_bits(dice);
  const Shape out{in.w, in.c, in.h, 3};  // (H, W, C) becomes (C, H, W) in memory
  const auto out_step = steps(out);
  maker.add(Move{{piece(in, steps(in), {out_step[1], out_step[2], out_step[0]}, 0, 0)}},
            {maker.input(in, bits)}, out, bits);
}

void pad_zeros(ProgramMaker& maker, Dice& dice) {
  const Shape in = random_shape(dice);
  const int bits = random_bits(dice);
  const std::int64_t top = dice.between(0, 2), left = dice.between(0, 2);
  const Shape out{in.c, in.h + top + dice.between(0, 2), in.w + left + dice.between(0, 2), 3};
  const auto out_step = steps(out);
  maker.add(Move{{piece(in, steps(in), out_step, 0, top * out_step[0] + left * out_step[1])}},
            {maker.input(in, bits)}, out, bits);
}

void mirror(ProgramMaker& maker, Dice& dice) {
  const Shape in = random_shape(dice);
  const int bits = random_bits(dice);
  const auto step = steps(in);
  maker.add(Move{{piece(in, {-step[0], -step[1], step[2]}, step,
                        (in.h - 1) * step[0] + (in.w - 1) * step[1], 0)}},
            {maker.input(in, bits)}, in, bits);
}

void upsample(ProgramMaker& maker, Dice& dice) {
  const Shape in = random_shape(dice);
  const int bits = random_bits(dice);
  const std::int64_t up = dice.between(2, 3), along = dice.between(1, 3);
  const Shape out{in.c, in.h * up, in.w * along, 3};
  const auto out_step = steps(out);
  Move move;
  for (std::int64_t y = 0; y < up; ++y)
    for (std::int64_t x = 0; x < along; ++x)
      move.pieces.push_back(piece(in, steps(in), {up * out_step[0], along * out_step[1], 1}, 0,
                                  y * out_step[0] + x * out_step[1]));
  maker.add(move, {maker.input(in, bits)}, out, bits);
}

// Single elements, each to a place of its own, some places left out.
void scatter(ProgramMaker& maker, Dice& dice) {
  const Shape in = random_shape(dice), out = random_shape(dice);
  const int bits = random_bits(dice);
  std::vector<std::int64_t> places(static_cast<std::size_t>(out.count()));
  std::iota(places.begin(), places.end(), 0);
  for (std::size_t i = 1; i < places.size(); ++i)
    std::swap(places[i],
              places[static_cast<std::size_t>(dice.between(0, static_cast<std::int64_t>(i)))]);
  places.resize(std::min<std::size_t>(places.size(), 20));
  Move move;
  const ValueId inputs[] = {maker.input(in, bits), maker.input(in, bits)};
  for (const std::int64_t place : places) {
    MovePiece element;
    element.input = static_cast<std::size_t>(dice.between(0, 1));
    element.in_first = dice.between(0, in.count() - 1);
    element.out_first = place;
    move.pieces.push_back(element);
  }
  maker.add(move, {inputs[0], inputs[1]}, out, bits);
}

}  // namespace

void add_random_move(ProgramMaker& maker, Dice& dice) {
  using Adder = void (*)(ProgramMaker&, Dice&);
  constexpr Adder kAdders[] = {concat, slice, transpose, pad_zeros, mirror, upsample, scatter};
  kAdders[dice.between(0, std::ssize(kAdders) - 1)](maker, dice);
}

}  // namespace lockstep::test
