#include "verify/c_proof/micro_kernels.h"

#include "verify/c_proof/header_texts.h"

namespace lockstep::c_proof {
namespace {

using Arguments = std::vector<Int>;
using Moves = std::optional<std::vector<Move>>;

constexpr Type kInt8s{true, 8, true}, kInt16s{true, 16, true}, kInt32s{true, 32, true};
constexpr Int kMostTaps = 1 << 20;

// ---- panels: the codes of two positions. Outputs are 2 * channel + position.

// (panel, first, count, codes0, begin0, end0, codes1, begin1, end1)
template <typename Place>
Moves panel_moves(const Arguments& arguments, const Place& place) {
  const Int first = arguments[1], count = arguments[2];
  if (first < 0 || first > kMostTaps || count < 0 || count > kMostTaps) return std::nullopt;
  for (const std::size_t codes : {3, 6})
    if (arguments[codes + 1] < 0 || arguments[codes + 1] > arguments[codes + 2] ||
        arguments[codes + 2] > count)
      return std::nullopt;
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
Int dsp_code(Int tap, Int output) { return dsp_place(tap, output % 2); }
Int dsp_weight(Int tap, Int output) { return 8 * (tap / 2) + 2 * (output / 2) + tap % 2; }
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

Moves packed_panel(const Arguments& arguments) {
  return panel_moves(arguments, [](Int tap, Int /*position*/) { return tap; });
}
Int packed_code(Int tap, Int /*output*/) { return tap; }
Int packed_weight(Int tap, Int output) { return 4 * tap + output / 2; }

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
Int strip_code(Int tap, Int output) {
  return 16 * (tap / 3) + 4 * (output / 2) + output % 2 + tap % 3;
}
Int strip_weight(Int tap, Int output) {
  static constexpr Int kRows[2][3] = {{0, 1, 3}, {0, 2, 3}};
  return 16 * (tap / 3) + 4 * (output / 2) + kRows[output % 2][tap % 3];
}

// ---- sums of two tensors

// (out, a, b, count, shift, lo)
std::optional<std::vector<Step>> dsp_add(const Arguments& arguments) {
  const Int shift = arguments[4], lo = arguments[5];
  if (shift < 0 || shift > 1 || (lo != -128 && lo != 0)) return std::nullopt;
  return std::vector<Step>{{Step::Kind::kShiftRightFloor, {shift}},
                           {Step::Kind::kClamp, {lo, 127}}};
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
         Dot{.outputs = 8,
             .positions = 2,
             .taps_per_count = 2,
             .least_count = 1,
             .code_place = dsp_code,
             .weight_place = dsp_weight,
             .alignment = 4}},
        {"intrt_dsp_strip",
         {kInt16s, kInt32, kInt8s, kInt32, kInt32, kInt32, kInt32},
         Placing{.moves = dsp_strip, .lanes = 1, .alignment = 4}},
        {"intrt_dsp_strip_dot",
         {kInt32s, kInt32s, kInt16s, kInt16s, kInt32},
         Dot{.outputs = 8,
             .positions = 2,
             .taps_per_count = 3,
             .least_count = 1,
             .code_place = strip_code,
             .weight_place = strip_weight,
             .alignment = 4}},
        {"intrt_dsp_add", {kInt8s, kInt8s, kInt8s, kInt32, kInt32, kInt32}, Map{.steps = dsp_add}}},
       {"INTRT_DSP_UNROLL"}},
      {kPackedText,
       {{"intrt_packed_panel", panel_parameters(kInt32s),
         Placing{.moves = packed_panel, .lanes = 2, .alignment = 1}},
        {"intrt_packed_dot_4x2",
         {kInt32s, kInt32s, kInt32s, kInt8s, kInt32, kInt32},
         Dot{.outputs = 8,
             .positions = 2,
             .code_place = packed_code,
             .weight_place = packed_weight,
             .lanes = 2}}},
       {}}};
  return headers;
}

}  // namespace lockstep::c_proof
