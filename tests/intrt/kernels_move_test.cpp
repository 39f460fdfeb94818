// The move kernel of every variant: what each operator that only moves is made of, and pieces at
// random against a loop over each single element.
#include "tests/intrt/kernel_cases.h"

using namespace lockstep::testing;

namespace {

// Elements in physical order of a tensor of one row: move sees nothing else of a shape.
Logical row(const std::vector<std::int64_t>& codes) {
  Logical tensor(static_cast<std::int64_t>(codes.size()), 1, 1);
  tensor.codes = codes;
  return tensor;
}

std::vector<std::int64_t> moved(const std::vector<Logical>& inputs, std::size_t count,
                                const std::vector<intrt_move_piece>& pieces) {
  std::vector<std::int64_t> out(count, 0);
  for (const intrt_move_piece& piece : pieces)
    for (std::int64_t i = 0; i < piece.count[0]; ++i)
      for (std::int64_t j = 0; j < piece.count[1]; ++j)
        for (std::int64_t k = 0; k < piece.count[2]; ++k)
          for (std::int64_t l = 0; l < piece.count[3]; ++l) {
            const auto place = [&](std::int64_t first, const auto* step) {
              return static_cast<std::size_t>(first + i * step[0] + j * step[1] + k * step[2] +
                                              l * step[3]);
            };
            out.at(place(piece.out_first, piece.out_step)) =
                inputs.at(piece.input).codes.at(place(piece.in_first, piece.in_step));
          }
  return out;
}

void check_move(const std::vector<Logical>& inputs, const Format& format, std::size_t count,
                const std::vector<intrt_move_piece>& pieces) {
  const Logical expected = row(moved(inputs, count, pieces));
  PlanBuilder builder;
  std::vector<std::uint32_t> from;
  for (const Logical& input : inputs) from.push_back(builder.input(spec_of(input, format)));
  const std::uint32_t to = builder.output(spec_of(expected, format));
  builder.op(k_move, from, to, builder.move(pieces));
  check_plan(builder.finish(), inputs, expected);
}

Logical counted(std::int64_t count, std::int64_t first) {
  std::vector<std::int64_t> codes;
  for (std::int64_t i = 0; i < count; ++i) codes.push_back(first + i);
  return row(codes);
}

constexpr Format kBytes = {INTRT_INT8, 8};

}  // namespace

TEST_CASE("move transposes, joins, pads and steps back as its pieces say") {
  const Logical a = counted(12, 1), b = counted(6, 50);
  // [3][4] to [4][3].
  check_move({a}, kBytes, 12, {{0, 0, 0, {1, 1, 3, 4}, {0, 0, 4, 1}, {0, 0, 1, 3}}});
  // Channels of 3 pixels joined: 4 and 2 of each.
  check_move({a, b}, kBytes, 18,
             {{0, 0, 0, {1, 1, 3, 4}, {0, 0, 4, 1}, {0, 0, 6, 1}},
              {1, 0, 4, {1, 1, 3, 2}, {0, 0, 2, 1}, {0, 0, 6, 1}}});
  // One behind the other.
  check_move({a, b}, kBytes, 18,
             {{0, 0, 0, {1, 1, 1, 12}, {0, 0, 0, 1}, {0, 0, 0, 1}},
              {1, 0, 12, {1, 1, 1, 6}, {0, 0, 0, 1}, {0, 0, 0, 1}}});
  // A frame of zeros around [3][4].
  check_move({a}, kBytes, 30, {{0, 0, 7, {1, 1, 3, 4}, {0, 0, 4, 1}, {0, 0, 6, 1}}});
  // Backwards, and one element for many.
  check_move({a}, kBytes, 24,
             {{0, 11, 0, {1, 1, 1, 12}, {0, 0, 0, -1}, {0, 0, 0, 1}},
              {0, 5, 12, {1, 1, 1, 12}, {0, 0, 0, 0}, {0, 0, 0, 1}}});
}

TEST_CASE("what pieces leave out is 0 even where their counts add up to all elements") {
  const Logical a = counted(4, 1);
  check_move({a}, kBytes, 4,
             {{0, 0, 0, {1, 1, 1, 2}, {0, 0, 0, 1}, {0, 0, 0, 1}},
              {0, 2, 1, {1, 1, 1, 2}, {0, 0, 0, 1}, {0, 0, 0, 1}}});
  check_move({a}, kBytes, 4, {{0, 0, 0, {1, 1, 1, 4}, {0, 0, 0, 1}, {0, 0, 0, 0}}});
  check_move({a}, kBytes, 4, {{0, 0, 0, {1, 1, 2, 2}, {0, 0, 1, 2}, {0, 0, 1, 1}}});
  check_move({a}, kBytes, 4, {{0, 0, 0, {1, 1, 2, 2}, {0, 0, 1, 2}, {0, 0, 2, 0}}});
}

TEST_CASE("move equals a loop over single elements for random pieces") {
  int pieces_seen = 0;
  for (std::uint64_t seed = 1; seed <= 6000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Format format = random_format(random, true);
    std::vector<Logical> inputs;
    for (std::int64_t n = random.between(1, 4); n > 0; --n)
      inputs.push_back(random_codes(random, random.between(1, 60), 1, 1, format.bits));
    const std::int64_t outputs = random.between(1, 90);
    std::int64_t left = outputs;
    std::vector<intrt_move_piece> pieces;
    for (int attempt = 0; attempt < 40 && left > 0; ++attempt) {
      intrt_move_piece piece{};
      piece.input = static_cast<std::uint32_t>(
          random.between(0, static_cast<std::int64_t>(inputs.size()) - 1));
      const auto size = static_cast<std::int64_t>(inputs[piece.input].codes.size());
      std::int64_t copied = 1, in = random.between(0, size - 1),
                   out = random.between(0, outputs - 1);
      piece.in_first = static_cast<std::uint32_t>(in);
      piece.out_first = static_cast<std::uint32_t>(out);
      std::int64_t lowest = in, highest = in;
      for (int k = 0; k < 4; ++k) {
        const std::int64_t count = random.one_in(2) ? 1 : random.between(1, 6);
        piece.count[k] = static_cast<std::uint32_t>(count);
        piece.in_step[k] = static_cast<std::int32_t>(random.one_in(3) ? 1 : random.between(-9, 12));
        piece.out_step[k] =
            static_cast<std::uint32_t>(random.one_in(3) ? 1 : random.between(0, 20));
        copied *= count;
        out += (count - 1) * piece.out_step[k];
        (piece.in_step[k] < 0 ? lowest : highest) += (count - 1) * piece.in_step[k];
      }
      if (copied > left || out >= outputs || lowest < 0 || highest >= size) continue;
      left -= copied;
      pieces.push_back(piece);
    }
    if (pieces.empty()) continue;
    pieces_seen += static_cast<int>(pieces.size());
    check_move(inputs, format, static_cast<std::size_t>(outputs), pieces);
  }
  CHECK(pieces_seen > 10000);
}
