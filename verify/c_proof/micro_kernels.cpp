#include "verify/c_proof/micro_kernels.h"

#include <algorithm>

#include "verify/c_proof/header_texts.h"

namespace lockstep::c_proof {
namespace {

using Arguments = std::vector<Int>;
using Lengths = std::vector<Int>;
using Moves = std::optional<std::vector<Move>>;

constexpr Type kInt8s{true, 8, true}, kInt16s{true, 16, true}, kInt32s{true, 32, true},
    kWords{true, 32, false}, kUint8s{true, 8, false};
constexpr Int kMostTaps = 1 << 20;

// ---- panels: the codes of two positions. Outputs are 2 * channel + position.

// (panel, first, count, codes0, begin0, end0, codes1, begin1, end1)
template <typename Place>
Moves panel_moves(const Arguments& arguments, const Place& place) {
  const Int first = arguments[1], count = arguments[2];
  if (first < 0 || first > kMostTaps || count < 0 || count > kMostTaps) return std::nullopt;
  if (arguments[4] < 0 || arguments[7] < 0) return std::nullopt;
  std::vector<Move> moves;
  for (Int i = 0; i < count; ++i)
    for (const int codes : {3, 6}) {
      const Int begin = arguments[at(codes + 1)], end = arguments[at(codes + 2)];
      const Int to = place(first + i, codes / 3 - 1);
      moves.push_back(i >= begin && i < end ? Move{to, codes, i - begin} : Move{to});
    }
  return moves;
}
std::vector<Type> panel_parameters(Type panel) {
  return {panel, kInt32, kInt32, kInt8s, kInt32, kInt32, kInt8s, kInt32, kInt32};
}

Int dsp_place(Int tap, Int position) { return 4 * (tap / 2) + 2 * position + tap % 2; }
// (sums, start, panel, weights, pairs)
std::optional<Dot::Shape> dsp_dot(const Arguments& arguments, const Lengths& /*lengths*/) {
  if (arguments[4] < 1 || arguments[4] > kMostTaps) return std::nullopt;
  return Dot::Shape{8, 2 * arguments[4], {}};
}
Dot::Product dsp_product(const Arguments& /*arguments*/, Int tap, Int output) {
  return {dsp_place(tap, output % 2), 8 * (tap / 2) + 2 * (output / 2) + tap % 2};
}
// (sums, start, panel, weights, groups)
std::optional<Dot::Shape> dsp_dot8(const Arguments& arguments, const Lengths& /*lengths*/) {
  if (arguments[4] < 1 || arguments[4] > kMostTaps / 4) return std::nullopt;
  return Dot::Shape{8, 4 * arguments[4], {}};
}
Dot::Product dsp_dot8_product(const Arguments& /*arguments*/, Int tap, Int output) {
  return {8 * (tap / 4) + 4 * (tap % 2) + 2 * (output % 2) + tap / 2 % 2,
          16 * (tap / 4) + 4 * (output / 2) + tap % 4};
}
Int half_of(Int output) { return output / 2; }
Int itself(Int output) { return output; }
Moves dsp_panel_in_order(const Arguments& arguments) { return panel_moves(arguments, dsp_place); }
// Of four taps: the even ones, then the odd ones.
Moves dsp_panel(const Arguments& arguments) {
  return panel_moves(arguments, [](Int tap, Int position) {
    return dsp_place(tap / 4 * 4 + tap % 2 * 2 + tap % 4 / 2, position);
  });
}
// (panel, codes, row_step, begin, end, left, right): a window of 3 x 3 taps on one channel.
Moves dsp_panel_3x3(const Arguments& arguments) {
  const Int begin = arguments[3], end = arguments[4], left = arguments[5], right = arguments[6];
  if (begin < 0 || begin > end || end > 3 || left < 0 || left > 1 || right < 0 || right > 1)
    return std::nullopt;
  std::vector<Move> moves;
  for (Int p = 0; p < 2; ++p) {
    // By pair and side of it: taps 0 and 2 of each row, then taps 1, and a 0.
    static constexpr Int kRows[10] = {0, 0, 1, 1, 2, 2, 0, 1, 2, -1};
    static constexpr Int kColumns[10] = {0, 2, 0, 2, 0, 2, 1, 1, 1, 0};
    for (Int tap = 0; tap < 10; ++tap) {
      const Int row = kRows[tap], column = kColumns[tap] + p, to = dsp_place(tap, p);
      moves.push_back(row >= begin && row < end && column >= left && column < 4 - right
                          ? Move{to, 1, (row - begin) * arguments[2] + column - left}
                          : Move{to});
    }
  }
  return moves;
}

// ---- packed panels: two words for each tap, of positions 0 and 1, 2 and 3. Outputs are 4 *
// channel
// + position.

// (panel, first, count, codes, step, begin, end)
Moves packed_panel(const Arguments& arguments) {
  const Int first = arguments[1], count = arguments[2], step = arguments[4], begin = arguments[5],
            end = arguments[6];
  if (first < 0 || first > kMostTaps || count < 0 || count > kMostTaps || step < 0 || begin < 0)
    return std::nullopt;
  std::vector<Move> moves;
  for (Int i = 0; i < count; ++i)
    for (Int p = 0; p < 4; ++p) {
      const Int place = p * step + i, to = 2 * (first + i) + p / 2;
      moves.push_back(place >= begin && place < end ? Move{to, 3, place - begin} : Move{to});
    }
  return moves;
}
// (panel, first, count, codes0, begin0, end0, codes1, begin1, end1)
Moves packed_pair(const Arguments& arguments) {
  const Int first = arguments[1], count = arguments[2];
  if (first < 0 || first > kMostTaps || count < 0 || count > kMostTaps || arguments[4] < 0 ||
      arguments[7] < 0)
    return std::nullopt;
  std::vector<Move> moves;
  for (Int i = 0; i < count; ++i)
    for (const int codes : {3, 6}) {
      const Int begin = arguments[at(codes + 1)], end = arguments[at(codes + 2)];
      const Int to = 2 * (first + i);
      moves.push_back(i >= begin && i < end ? Move{to, codes, i - begin} : Move{to});
    }
  return moves;
}
// (sums, start, panel, weights, lengths, chunks)
std::optional<Dot::Shape> packed_dot(const Arguments& /*arguments*/, const Lengths& lengths) {
  if (lengths.empty()) return std::nullopt;
  Dot::Shape shape{16, 0, {}};
  for (const Int length : lengths) {
    if (length < 1) return std::nullopt;
    shape.taps += 2 * length;
    shape.chunk_ends.push_back(shape.taps);
  }
  return shape;
}
Dot::Product packed_product(const Arguments& /*arguments*/, Int tap, Int output) {
  return {2 * tap + output % 4 / 2, 4 * tap + output / 4};
}
Int quarter_of(Int output) { return output / 4; }

// (panel, words, count, codes0, begin0, end0, codes1, begin1, end1)
Moves sparse_pair(const Arguments& arguments) {
  const Int words = arguments[1], count = arguments[2];
  if (words < 1 || words > kMostTaps || count < 0 || count > kMostTaps || arguments[4] < 0 ||
      arguments[7] < 0)
    return std::nullopt;
  std::vector<Move> moves;
  for (Int i = 0; i < count; ++i)
    for (const int codes : {3, 6}) {
      const Int begin = arguments[at(codes + 1)], end = arguments[at(codes + 2)];
      moves.push_back(i >= begin && i < end ? Move{words * i, codes, i - begin} : Move{words * i});
    }
  return moves;
}
// (panel, even, channels, codes, step, begin, end)
Moves sparse_columns(const Arguments& arguments) {
  const Int even = arguments[1], channels = arguments[2], step = arguments[4], begin = arguments[5],
            end = arguments[6];
  if (even < 1 || even > kMostTaps || channels < 0 || channels > kMostTaps || begin < 0)
    return std::nullopt;
  std::vector<Move> moves;
  for (Int i = 0; i < channels; ++i)
    for (Int word = 0; word < 2 * even - 1; ++word)
      for (Int p = 0; p < 2; ++p) {
        const Int column = (word < even ? 2 * word : 2 * (word - even) + 1) + p,
                  to = (2 * even - 1) * i + word;
        moves.push_back(column >= begin && column < end ? Move{to, 3, (column - begin) * step + i}
                                                        : Move{to});
      }
  return moves;
}

// (pairs, numbers, at): two words of two numbers each.
Moves dsp_take(const Arguments& arguments) {
  const Int first = arguments[2];
  if (first < 0 || first > 508 || first % 2 != 0) return std::nullopt;
  std::vector<Move> moves;
  for (Int i = 0; i < 4; ++i) moves.push_back({i / 2, 1, first + i});
  return moves;
}

// ---- strips: four rows of four channels. Outputs are 2 * channel + row; a tap is a column and one
// of three rows.

// (strip, columns, codes, row_step, column_step, begin, end)
Moves dsp_strip(const Arguments& arguments) {
  const Int columns = arguments[1], begin = arguments[5], end = arguments[6];
  if (columns < 0 || columns > kMostTaps || begin < 0 || begin > end || end > 4)
    return std::nullopt;
  std::vector<Move> moves;
  for (Int k = 0; k < columns; ++k)
    for (Int c = 0; c < 4; ++c)
      for (Int r = 0; r < 4; ++r) {
        const Int to = 16 * k + 4 * c + r;
        moves.push_back(r >= begin && r < end
                            ? Move{to, 2, (r - begin) * arguments[3] + k * arguments[4] + c}
                            : Move{to});
      }
  return moves;
}
// (sums, start, strip, weights, columns)
std::optional<Dot::Shape> strip_dot(const Arguments& arguments, const Lengths& /*lengths*/) {
  if (arguments[4] < 1 || arguments[4] > kMostTaps) return std::nullopt;
  return Dot::Shape{8, 3 * arguments[4], {}};
}
Dot::Product strip_product(const Arguments& /*arguments*/, Int tap, Int output) {
  static constexpr Int kRows[2][3] = {{0, 1, 3}, {0, 2, 3}};
  const Int channel = 16 * (tap / 3) + 4 * (output / 2);
  return {channel + output % 2 + tap % 3, channel + kRows[output % 2][tap % 3]};
}

// ---- sums of two tensors

// (out, a, b, count, shift, lo)
std::optional<Map::Form> dsp_add(const Arguments& arguments) {
  const Int shift = arguments[4], lo = arguments[5];
  if (shift < 0 || shift > 1 || (lo != -128 && lo != 0)) return std::nullopt;
  Map::Form form;
  form.steps = {{Step::Kind::kShiftRightFloor, {shift}}, {Step::Kind::kClamp, {lo, 127}}};
  return form;
}
// (out, a, b, count, multiplier0, multiplier1, shift, rounding, lo, hi)
std::optional<Map::Form> vector_add(const Arguments& arguments) {
  const Int shift = arguments[6], rounding = arguments[7], lo = arguments[8], hi = arguments[9];
  if (shift < 0 || shift > 15 || rounding < 0 || rounding > 1 || !is_code_range(lo, hi))
    return std::nullopt;
  const auto kind =
      rounding == 0 ? Step::Kind::kShiftRightTowardZero : Step::Kind::kShiftRightFloor;
  return Map::Form{arguments[4],
                   arguments[5],
                   {INT16_MIN, INT16_MAX - (Int{1} << shift)},
                   {{kind, {shift}}, {Step::Kind::kClamp, {lo, hi}}}};
}

// ---- vectors: positions one behind the other. Outputs are 4 * position + channel.

// (sums, start, codes, apart, row_step, weights, weight_step, rows, groups)
std::optional<Dot::Shape> mve_dot(const Arguments& arguments, const Lengths& /*lengths*/) {
  const Int rows = arguments[7], groups = arguments[8];
  if (rows < 1 || rows > kMostTaps || groups < 1 || groups > kMostTaps || arguments[6] < 0)
    return std::nullopt;
  return Dot::Shape{8, rows * 16 * groups, {}, 0};
}
Dot::Product mve_product(const Arguments& arguments, Int tap, Int output) {
  const Int row = tap / (16 * arguments[8]), column = tap % (16 * arguments[8]);
  return {arguments[3] * (output / 4) + arguments[4] * row + column,
          arguments[6] * row + 64 * (column / 16) + 16 * (output % 4) + column % 16};
}
Dot::Product mve_wide_product(const Arguments& arguments, Int tap, Int output) {
  const Int row = tap / (16 * arguments[8]), column = tap % (16 * arguments[8]);
  return {arguments[3] * (output / 4) + arguments[4] * row + column,
          arguments[6] * row + 32 * (column / 8) + 8 * (output % 4) + column % 8};
}
Int rest_of(Int output) { return output % 4; }
Moves mve_panel(const Arguments& arguments) {
  return panel_moves(
      arguments, [](Int tap, Int position) { return 32 * (tap / 16) + 16 * position + tap % 16; });
}
// (sums, start, codes, row_step, column_step, weights, weight_step, rows, columns, channels)
std::optional<Dot::Shape> channels_dot(const Arguments& arguments, const Lengths& /*lengths*/) {
  const Int rows = arguments[7], columns = arguments[8], channels = arguments[9];
  if (rows < 0 || rows > kMostTaps || columns < 0 || columns > kMostTaps || channels < 1 ||
      channels > 16 || arguments[6] < 0)
    return std::nullopt;
  return Dot::Shape{channels, rows * columns, {rows * columns}, 16};
}
Dot::Product channels_product(const Arguments& arguments, Int tap, Int channel) {
  const Int row = tap / arguments[8], column = tap % arguments[8];
  return {arguments[3] * row + arguments[4] * column + channel,
          arguments[6] * row + 16 * column + channel};
}
Int channel_number(Int channel) { return 4 * (channel % 4) + channel / 4; }

// intrt_scale_top, and the same rounded toward zero, of numbers `each` apart.
Step scale_top(const std::vector<Int>& constants, Int at_number, Int each, Int lo, Int hi) {
  return {
      Step::Kind::kScale,
      {constants[at(at_number)], constants[at(at_number + each)] * (Int{1} << 32), 32, 1, lo, hi}};
}
Step scale_toward_zero(const std::vector<Int>& constants, Int at_number, Int each, Int lo, Int hi) {
  const auto number = [&](Int k) { return constants[at(at_number + k * each)]; };
  return {Step::Kind::kScaleTowardZero, {number(0), number(1), number(2), number(3), lo, hi}};
}
using Codes = std::optional<std::vector<Finish::Code>>;
// (out, apart, sums, constants, lo, hi)
template <Step (*step)(const std::vector<Int>&, Int, Int, Int, Int)>
Codes mve_store(const Arguments& arguments, const std::vector<Int>& constants) {
  if (!is_code_range(arguments[4], arguments[5])) return std::nullopt;
  std::vector<Finish::Code> codes;
  for (Int p = 0; p < 2; ++p)
    for (Int c = 0; c < 4; ++c)
      codes.push_back(
          {arguments[1] * p + c, 4 * p + c, step(constants, c, 4, arguments[4], arguments[5])});
  return codes;
}
// (out, sums, constants, lo, hi, channels)
template <Step (*step)(const std::vector<Int>&, Int, Int, Int, Int), Int (*number)(Int)>
Codes channels_store(const Arguments& arguments, const std::vector<Int>& constants) {
  if (!is_code_range(arguments[3], arguments[4]) || arguments[5] < 1 || arguments[5] > 16)
    return std::nullopt;
  std::vector<Finish::Code> codes;
  for (Int c = 0; c < arguments[5]; ++c)
    codes.push_back({c, number(c), step(constants, number(c), 16, arguments[3], arguments[4])});
  return codes;
}

// ---- rows of units of 4 taps. Outputs are 4 * position + channel.

// (sums, start, codes, apart, row_step, weights, rows, units, positions)
std::optional<Dot::Shape> neon_dot(const Arguments& arguments, const Lengths& /*lengths*/) {
  const Int rows = arguments[6], units = arguments[7], positions = arguments[8];
  if (rows < 0 || rows > kMostTaps || units < 1 || units > kMostTaps || positions < 1 ||
      positions > 8)
    return std::nullopt;
  return Dot::Shape{4 * positions, rows * 4 * units, {}, 0};
}
Dot::Product neon_product(const Arguments& arguments, Int tap, Int output) {
  const Int row = tap / (4 * arguments[7]), column = tap % (4 * arguments[7]);
  return {arguments[3] * (output / 4) + arguments[4] * row + column,
          16 * (tap / 4) + 4 * (output % 4) + tap % 4};
}
Dot::Product neon_wide_product(const Arguments& arguments, Int tap, Int output) {
  const auto [code, weight] = neon_product(arguments, tap, output);
  return {code, 32 * (tap / 4) + weight % 16};
}
// (sums, start, codes, apart, row_step, weights, rows, taps); outputs are 2 * channel + position.
std::optional<Dot::Shape> wide_dot(const Arguments& arguments, const Lengths& /*lengths*/) {
  const Int rows = arguments[6], taps = arguments[7];
  if (rows < 0 || rows > kMostTaps || taps < 1 || taps > kMostTaps) return std::nullopt;
  return Dot::Shape{8, rows * taps, {}, 0};
}
Dot::Product wide_product(const Arguments& arguments, Int tap, Int output) {
  const Int row = tap / arguments[7], column = tap % arguments[7];
  return {arguments[3] * (output % 2) + arguments[4] * row + column, 4 * tap + output / 2};
}
// ---- four outputs at one position

// (sums, start, codes, weights, groups)
std::optional<Dot::Shape> linear_dot(const Arguments& arguments, const Lengths& /*lengths*/) {
  const Int taps = 4 * arguments[4];
  if (arguments[4] < 1 || taps > kMostTaps) return std::nullopt;
  return Dot::Shape{4, taps, {taps}};
}
Dot::Product linear_product16(const Arguments& /*arguments*/, Int tap, Int output) {
  return {tap, 16 * (tap / 4) + 8 * (tap % 2) + 2 * output + tap / 2 % 2};
}
Dot::Product linear_product8(const Arguments& /*arguments*/, Int tap, Int output) {
  return {tap, 8 * (tap / 4) + 4 * (tap % 2) + 2 * (output / 2) + tap / 2 % 2};
}
// (sums, start, codes, words, lengths, chunks)
std::optional<Dot::Shape> linear_packed(const Arguments& arguments, const Lengths& lengths) {
  std::optional<Dot::Shape> shape = packed_dot(arguments, lengths);
  if (shape) shape->outputs = 4;
  return shape;
}
Dot::Product linear_packed_product(const Arguments& /*arguments*/, Int tap, Int output) {
  return {tap, 2 * tap + output / 2};
}

// (to, count, codes, begin, end)
Moves copied_row(const Arguments& arguments) {
  const Int count = arguments[1], begin = arguments[3], end = arguments[4];
  if (count < 0 || count > kMostTaps || begin < 0) return std::nullopt;
  std::vector<Move> moves;
  for (Int i = 0; i < count; ++i)
    moves.push_back(i >= begin && i < end ? Move{i, 2, i - begin} : Move{i});
  return moves;
}
bool are_multipliers(const std::vector<Int>& constants, Int count) {
  return std::all_of(constants.begin(), constants.begin() + count,
                     [](Int multiplier) { return multiplier > INT32_MIN; });
}
// (out, apart, sums, constants, lo, hi, positions)
template <Step (*step)(const std::vector<Int>&, Int, Int, Int, Int)>
Codes neon_store(const Arguments& arguments, const std::vector<Int>& constants) {
  if (!is_code_range(arguments[4], arguments[5]) || arguments[6] < 1 || arguments[6] > 8 ||
      !are_multipliers(constants, 4))
    return std::nullopt;
  std::vector<Finish::Code> codes;
  for (Int p = 0; p < arguments[6]; ++p)
    for (Int c = 0; c < 4; ++c)
      codes.push_back(
          {arguments[1] * p + c, 4 * p + c, step(constants, c, 4, arguments[4], arguments[5])});
  return codes;
}
template <Step (*step)(const std::vector<Int>&, Int, Int, Int, Int)>
Codes neon_channels_store(const Arguments& arguments, const std::vector<Int>& constants) {
  if (!are_multipliers(constants, 16)) return std::nullopt;
  return channels_store<step, itself>(arguments, constants);
}

}  // namespace

const std::vector<MicroHeader>& micro_headers() {
  static const std::vector<MicroHeader> headers = {
      {kDspText,
       {{"intrt_dsp_panel", panel_parameters(kInt16s),
         Placing{.moves = dsp_panel, .lanes = 1, .alignment = 4}},
        {"intrt_dsp_panel_in_order", panel_parameters(kInt16s),
         Placing{.moves = dsp_panel_in_order, .lanes = 1, .alignment = 4}},
        {"intrt_dsp_panel_3x3",
         {kInt16s, kInt8s, kInt32, kInt32, kInt32, kInt32, kInt32},
         Placing{.moves = dsp_panel_3x3, .lanes = 1, .alignment = 4}},
        {"intrt_dsp_dot_4x2",
         {kInt32s, kInt32s, kInt16s, kInt16s, kInt32},
         Dot{.shape = dsp_dot,
             .product = dsp_product,
             .start = half_of,
             .sum = itself,
             .alignment = 4}},
        {"intrt_dsp_dot8_4x2",
         {kInt32s, kInt32s, kInt16s, kInt8s, kInt32},
         Dot{.shape = dsp_dot8,
             .product = dsp_dot8_product,
             .start = half_of,
             .sum = itself,
             .alignment = 4}},
        {"intrt_dsp_take",
         {kWords, kInt16s, kInt32},
         Placing{.moves = dsp_take, .lanes = 2, .alignment = 1, .from_alignment = 4}},
        {"intrt_dsp_multiply",
         {kInt32s, kWords, {false, 32, false}},
         LaneProducts{.count = 2, .lanes = 2}},
        {"intrt_dsp_strip",
         {kInt16s, kInt32, kInt8s, kInt32, kInt32, kInt32, kInt32},
         Placing{.moves = dsp_strip, .lanes = 1, .alignment = 4}},
        {"intrt_dsp_strip_dot",
         {kInt32s, kInt32s, kInt16s, kInt16s, kInt32},
         Dot{.shape = strip_dot,
             .product = strip_product,
             .start = half_of,
             .sum = itself,
             .alignment = 4}},
        {"intrt_dsp_add", {kInt8s, kInt8s, kInt8s, kInt32, kInt32, kInt32}, Map{.form = dsp_add}}},
       {"INTRT_DSP_UNROLL"}},
      {kPackedText,
       {{"intrt_packed_panel",
         {kInt32s, kInt32, kInt32, kInt8s, kInt32, kInt32, kInt32},
         Placing{.moves = packed_panel, .lanes = 2}},
        {"intrt_packed_pair", panel_parameters(kInt32s), Placing{.moves = packed_pair, .lanes = 2}},
        {"intrt_packed_dot_4x4",
         {kInt32s, kInt32s, kInt32s, kInt8s, kUint8s, kInt32},
         Dot{.shape = packed_dot,
             .product = packed_product,
             .start = quarter_of,
             .sum = itself,
             .lengths = 4,
             .lanes = 2}}},
       {}},
      {kSparseText,
       {{"intrt_sparse_pair",
         {kInt32s, kInt32, kInt32, kInt8s, kInt32, kInt32, kInt8s, kInt32, kInt32},
         Placing{.moves = sparse_pair, .lanes = 2}},
        {"intrt_sparse_columns",
         {kInt32s, kInt32, kInt32, kInt8s, kInt32, kInt32, kInt32},
         Placing{.moves = sparse_columns, .lanes = 2}},
        {"intrt_sparse_dot_8",
         {kInt32s, kInt32s, kInt32, kInt32s, kInt32s},
         ListedProducts{.positions = 8}},
        {"intrt_sparse_dot_16",
         {kInt32s, kInt32s, kInt32, kInt32s, kInt32s},
         ListedProducts{.positions = 16}},
        {"intrt_sparse_codes_16",
         {kInt8s, kInt32s, kInt32, kInt32s, kInt32s, kInt32, kInt32, kInt32},
         ListedProducts{.positions = 16, .codes = true}}},
       {}},
      {kMveText,
       {{"intrt_mve_dot_4x2",
         {kInt32s, kInt32s, kInt8s, kInt32, kInt32, kInt8s, kInt32, kInt32, kInt32},
         Dot{.shape = mve_dot,
             .product = mve_product,
             .start = rest_of,
             .sum = itself,
             .codes = 2,
             .weights = 5,
             .reads_around = true}},
        {"intrt_mve_wide_dot_4x2",
         {kInt32s, kInt32s, kInt8s, kInt32, kInt32, kInt16s, kInt32, kInt32, kInt32},
         Dot{.shape = mve_dot,
             .product = mve_wide_product,
             .start = rest_of,
             .sum = itself,
             .codes = 2,
             .weights = 5,
             .reads_around = true}},
        {"intrt_mve_panel", panel_parameters(kInt8s), Placing{.moves = mve_panel}},
        {"intrt_mve_store_4x2",
         {kInt8s, kInt32, kInt32s, kInt32s, kInt32, kInt32},
         Finish{.codes = mve_store<scale_top>,
                .sums = 2,
                .constants = 3,
                .sum_count = 8,
                .constant_count = 8}},
        {"intrt_mve_store_toward_zero_4x2",
         {kInt8s, kInt32, kInt32s, kInt32s, kInt32, kInt32},
         Finish{.codes = mve_store<scale_toward_zero>,
                .sums = 2,
                .constants = 3,
                .sum_count = 8,
                .constant_count = 16}},
        {"intrt_mve_channels_dot",
         {kInt32s, kInt32s, kInt8s, kInt32, kInt32, kInt8s, kInt32, kInt32, kInt32, kInt32},
         Dot{.shape = channels_dot,
             .product = channels_product,
             .start = channel_number,
             .sum = channel_number,
             .codes = 2,
             .weights = 5,
             .is_in_place = true}},
        {"intrt_mve_channels_store",
         {kInt8s, kInt32s, kInt32s, kInt32, kInt32, kInt32},
         Finish{.codes = channels_store<scale_top, channel_number>,
                .sum_count = 16,
                .constant_count = 32}},
        {"intrt_mve_channels_store_toward_zero",
         {kInt8s, kInt32s, kInt32s, kInt32, kInt32, kInt32},
         Finish{.codes = channels_store<scale_toward_zero, channel_number>,
                .sum_count = 16,
                .constant_count = 64}},
        {"intrt_mve_keep", {kInt8s, kUint8s, kInt32}, Keep{}},
        {"intrt_mve_add",
         {kInt8s, kInt8s, kInt8s, kInt32, kInt32, kInt32, kInt32, kInt32, kInt32, kInt32},
         Map{.form = vector_add}}},
       {}},
      {kNeonText,
       {{"intrt_neon_dot",
         {kInt32s, kInt32s, kInt8s, kInt32, kInt32, kInt8s, kInt32, kInt32, kInt32},
         Dot{.shape = neon_dot,
             .product = neon_product,
             .start = rest_of,
             .sum = itself,
             .codes = 2,
             .weights = 5}},
        {"intrt_neon_wide_dot",
         {kInt32s, kInt32s, kInt8s, kInt32, kInt32, kInt8s, kInt32, kInt32, kInt32},
         Dot{.shape = neon_dot,
             .product = neon_wide_product,
             .start = rest_of,
             .sum = itself,
             .codes = 2,
             .weights = 5,
             .high_byte = 16}},
        {"intrt_neon_row", {kInt8s, kInt32, kInt8s, kInt32, kInt32}, Placing{.moves = copied_row}},
        {"intrt_neon_store",
         {kInt8s, kInt32, kInt32s, kInt32s, kInt32, kInt32, kInt32},
         Finish{.codes = neon_store<scale_top>, .sums = 2, .constants = 3, .constant_count = 8}},
        {"intrt_neon_store_toward_zero",
         {kInt8s, kInt32, kInt32s, kInt32s, kInt32, kInt32, kInt32},
         Finish{.codes = neon_store<scale_toward_zero>,
                .sums = 2,
                .constants = 3,
                .constant_count = 16}},
        {"intrt_neon_channels_dot",
         {kInt32s, kInt32s, kInt8s, kInt32, kInt32, kInt8s, kInt32, kInt32, kInt32, kInt32},
         Dot{.shape = channels_dot,
             .product = channels_product,
             .start = itself,
             .sum = itself,
             .codes = 2,
             .weights = 5,
             .is_in_place = true}},
        {"intrt_neon_channels_store",
         {kInt8s, kInt32s, kInt32s, kInt32, kInt32, kInt32},
         Finish{.codes = neon_channels_store<scale_top>, .sum_count = 16, .constant_count = 32}},
        {"intrt_neon_channels_store_toward_zero",
         {kInt8s, kInt32s, kInt32s, kInt32, kInt32, kInt32},
         Finish{.codes = neon_channels_store<scale_toward_zero>,
                .sum_count = 16,
                .constant_count = 64}},
        {"intrt_neon_keep", {kInt8s, kUint8s, kInt32}, Keep{}},
        {"intrt_neon_add",
         {kInt8s, kInt8s, kInt8s, kInt32, kInt32, kInt32, kInt32, kInt32, kInt32, kInt32},
         Map{.form = vector_add}}},
       {}},
      {kWideText,
       {{"intrt_wide_dot_4x2",
         {kInt32s, kInt32s, kInt8s, kInt32, kInt32, kInt16s, kInt32, kInt32},
         Dot{.shape = wide_dot,
             .product = wide_product,
             .start = half_of,
             .sum = itself,
             .codes = 2,
             .weights = 5}},
        {"intrt_wide_row", {kInt8s, kInt32, kInt8s, kInt32, kInt32}, Placing{.moves = copied_row}}},
       {}},
      {kLinearText,
       {{"intrt_linear_dot16",
         {kInt32s, kInt32s, kInt8s, kInt16s, kInt32},
         Dot{.shape = linear_dot,
             .product = linear_product16,
             .start = itself,
             .sum = itself,
             .reads_around = true,
             .alignment = 4,
             .chunk_bits = 32}},
        {"intrt_linear_dot8",
         {kInt32s, kInt32s, kInt8s, kInt16s, kInt32},
         Dot{.shape = linear_dot,
             .product = linear_product8,
             .start = itself,
             .sum = itself,
             .reads_around = true,
             .alignment = 4,
             .chunk_bits = 24,
             .weight_bits = 8}},
        {"intrt_linear_packed",
         {kInt32s, kInt32s, kInt8s, kInt32s, kUint8s, kInt32},
         Dot{.shape = linear_packed,
             .product = linear_packed_product,
             .start = itself,
             .sum = itself,
             .reads_around = true,
             .lengths = 4,
             .weight_bits = 16}}},
       {}}};
  return headers;
}

}  // namespace lockstep::c_proof
