// Copies elements from place to place: concat, slice, pad, transpose, pixel shuffle and nearest
// upsampling are lists of pieces, each of them four nested loops.
#include "intrt/kernels/kernel.h"

namespace {

using namespace intrt;

// Elements that a piece copies.
uint32_t size_of(const intrt_move_piece& piece) {
  return piece.count[0] * piece.count[1] * piece.count[2] * piece.count[3];
}

// True when the piece writes each element from out_first on, as many as it copies, exactly once:
// ordered by their steps, the loops count like the digits of a number.
bool writes_without_gap(const intrt_move_piece& piece) {
  uint32_t written = 1;  // by the loops found so far
  for (uint32_t found = 0; found < 4; ++found) {
    uint32_t next = 1;
    for (uint32_t k = 0; k < 4; ++k)
      if (piece.count[k] > 1 && piece.out_step[k] == written) next = piece.count[k];
    written *= next;
    if (next == 1) break;
  }
  return written == size_of(piece);
}

// True when the pieces follow each other without a gap from the first element to the last. It also
// refuses some lists that leave nothing out; a fill too many does no harm. That the counts add up
// to all elements would not do: pieces may write on each other.
bool writes_everything(const OpToRun& op) {
  const intrt_move_params& p = params_of<intrt_move_params>(op.record);
  const intrt_move_piece* pieces = object_at<intrt_move_piece>(op.plan, p.pieces_offset);
  uint64_t end = 0;
  for (uint32_t i = 0; i < p.piece_count; ++i) {
    if (pieces[i].out_first != end || !writes_without_gap(pieces[i])) return false;
    end += size_of(pieces[i]);
  }
  return end == element_count(op.output);
}

// Places count modulo 2^32: steps back wrap, and the place itself is in bounds.
template <typename X>
void copy_piece(const intrt_move_piece& piece, const X* input, X* output) {
  const uint32_t in_step[4] = {
      static_cast<uint32_t>(piece.in_step[0]), static_cast<uint32_t>(piece.in_step[1]),
      static_cast<uint32_t>(piece.in_step[2]), static_cast<uint32_t>(piece.in_step[3])};
  const uint32_t length = piece.count[3];
  const bool contiguous = piece.in_step[3] == 1 && piece.out_step[3] == 1;
  for (uint32_t i = 0; i < piece.count[0]; ++i)
    for (uint32_t j = 0; j < piece.count[1]; ++j)
      for (uint32_t k = 0; k < piece.count[2]; ++k) {
        uint32_t from = piece.in_first + i * in_step[0] + j * in_step[1] + k * in_step[2];
        uint32_t to =
            piece.out_first + i * piece.out_step[0] + j * piece.out_step[1] + k * piece.out_step[2];
        if (contiguous) {
          const X* in = input + from;
          X* out = output + to;
          for (uint32_t n = 0; n < length; ++n) out[n] = in[n];
        } else {
          for (uint32_t n = 0; n < length; ++n, from += in_step[3], to += piece.out_step[3])
            output[to] = input[from];
        }
      }
}

template <typename X>
void move(const OpToRun& op) {
  const intrt_move_params& p = params_of<intrt_move_params>(op.record);
  const intrt_move_piece* pieces = object_at<intrt_move_piece>(op.plan, p.pieces_offset);
  X* output = static_cast<X*>(op.output_data);
  if (!writes_everything(op)) {
    const size_t count = static_cast<size_t>(element_count(op.output));
    for (size_t i = 0; i < count; ++i) output[i] = 0;
  }
  for (uint32_t i = 0; i < p.piece_count; ++i)
    copy_piece(pieces[i], static_cast<const X*>(op.input_data_at(pieces[i].input)), output);
}

// The piece stays inside both tensors; *copied is how many elements it copies. Both tensors lie in
// the arena, so their counts are below 2^32, and no sum here leaves 64 bits.
intrt_status check_piece(const OpToCheck& op, const intrt_move_piece& piece, uint64_t* copied) {
  if (piece.input >= op.record.input_count) return INTRT_ERROR_BOUNDS;
  const uint64_t outputs = element_count(op.output);
  const int64_t inputs = static_cast<int64_t>(element_count(op.input_at(piece.input)));
  uint64_t last_out = piece.out_first;
  int64_t lowest_in = piece.in_first, highest_in = piece.in_first;
  *copied = 1;
  for (uint32_t k = 0; k < 4; ++k) {
    if (piece.count[k] == 0) return INTRT_ERROR_VALUE;
    *copied *= piece.count[k];
    if (*copied > outputs) return INTRT_ERROR_WORK;
    last_out += static_cast<uint64_t>(piece.count[k] - 1) * piece.out_step[k];
    const int64_t way = static_cast<int64_t>(piece.count[k] - 1) * piece.in_step[k];
    (way < 0 ? lowest_in : highest_in) += way;
    if (last_out >= outputs || lowest_in < 0 || highest_in >= inputs) return INTRT_ERROR_BOUNDS;
  }
  return INTRT_OK;
}

}  // namespace

intrt_status intrt_check_move(Checker& checker, const OpToCheck& op) {
  const intrt_move_params& p = params_of<intrt_move_params>(op.record);
  if (p.piece_count == 0) return INTRT_ERROR_VALUE;
  for (uint32_t i = 0; i < op.record.input_count; ++i) {
    if (op.input_at(i).type != op.output.type) return INTRT_ERROR_SHAPE;
    if (op.input_at(i).bits > op.output.bits) return INTRT_ERROR_OVERFLOW;
  }
  if (!checker.holds(p.pieces_offset, p.piece_count, sizeof(intrt_move_piece), 4))
    return INTRT_ERROR_BOUNDS;
  if (!checker.spend(static_cast<uint64_t>(p.piece_count) * sizeof(intrt_move_piece)))
    return INTRT_ERROR_WORK;
  const intrt_move_piece* pieces = object_at<intrt_move_piece>(checker.plan(), p.pieces_offset);
  uint64_t total = 0;  // below 2^64: each piece takes 60 of the plan's bytes and copies below 2^32
  for (uint32_t i = 0; i < p.piece_count; ++i) {
    uint64_t copied;
    if (intrt_status status = check_piece(op, pieces[i], &copied); status != INTRT_OK)
      return status;
    total += copied;
  }
  return total > element_count(op.output) ? INTRT_ERROR_WORK : INTRT_OK;
}

namespace {

void run(const OpToRun& op) {
  switch (op.output.type) {
    case INTRT_INT8:
      return move<int8_t>(op);
    case INTRT_INT16:
      return move<int16_t>(op);
    default:
      return move<int32_t>(op);
  }
}

}  // namespace

INTRT_DEFINE_KERNEL(move, move, run)
