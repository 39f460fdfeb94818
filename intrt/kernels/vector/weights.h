// Prepared weights of convolutions and linear layers. Include the variant's kLanes, kDepth, Weight
// and PostLanes before; it defines blocks_at_once, register_codes_bytes and put_register_codes.
#pragma once

#include "intrt/kernels/vector/shared_sums.h"

namespace intrt {
namespace {

constexpr size_t kVectorCodes = kLanes * kDepth;
constexpr size_t kBlockAlignment = 64;
// Groups with fewer outputs than half a register leave most of it unused.
constexpr size_t kFewOutputs = kLanes / 2;

// Where a window's codes lie, in pieces of codes side by side: for each row of taps one, or, with a
// dilation or groups, one for each tap. A piece is taken in whole steps of kDepth codes; weights
// behind its end are 0.
struct Pieces {
  size_t rows, row_step, taps, tap_step, length, steps;
  bool are_listed = false;  // steps, in any case

  Pieces(const Sizes& s, size_t row_codes) : rows(s.kernel_h), row_step(s.dilation_h * row_codes) {
    const bool side_by_side = s.groups == 1 && s.dilation_w == 1;
    taps = side_by_side ? 1 : s.kernel_w;
    tap_step = s.dilation_w * s.channels;
    length = side_by_side ? s.kernel_w * s.channels : s.group_inputs;
    steps = (length + kDepth - 1) / kDepth;
  }

  size_t all_steps() const { return rows * taps * steps; }
  // Whether steps are listed of which so many are not 0: worth it as soon as one in eight is 0.
  bool lists_steps(size_t nonzero) const {
    return are_listed || (all_steps() - nonzero) * 8 >= all_steps();
  }
  size_t steps_taken(size_t nonzero) const { return lists_steps(nonzero) ? nonzero : all_steps(); }
};

// Blocks of kLanes outputs that tiles multiply at the same time: 1, 2, 4 or 8.
inline size_t blocks_at_once(const Sizes& s, size_t outputs_left);
// Bytes of what tells how the sums of v blocks become codes in registers; 0: that is not prepared.
inline size_t register_codes_bytes(const Sizes& s, size_t v);
inline void put_register_codes(const PostLanes* posts, size_t v, void* to);

// Calls f(the first output, how many, blocks) for each set of blocks, which are multiplied at the
// same time, for as long as it says yes.
template <typename F>
inline bool for_each_set(const Sizes& s, const F& f) {
  for (size_t g = 0; g < s.groups; ++g)
    for (size_t first = 0; first < s.group_outputs;) {
      const size_t left = s.group_outputs - first, v = blocks_at_once(s, left);
      const size_t outputs = left < v * kLanes ? left : v * kLanes;
      if (!f(g * s.group_outputs + first, outputs, v)) return false;
      first += outputs;
    }
  return true;
}

inline size_t sets_of_blocks(const Sizes& s) {
  size_t sets = 0;
  for_each_set(s, [&](size_t, size_t, size_t) {
    ++sets;
    return true;
  });
  return sets;
}

inline uint32_t dense_slices(const Sizes& s) {
  return static_cast<uint32_t>(sliced_by_outputs(s)  ? sets_of_blocks(s)
                               : s.output_height > 1 ? s.output_height
                                                     : s.output_width);
}

// Prepared weights, for each group of channels, for each set of blocks of its outputs: this
// header; what becomes of the sums of each block, or, of rows of one window, what is read of that
// for codes in registers; kLanes biases for each block; room for a list; for each step of the
// window, and each rest (pair_sums.h), kVectorCodes weights for each block. Where steps are listed,
// those whose weights are 0 for all of these outputs are left out. The list says, for each row of
// taps, the number of the step behind its last, as long as steps come row by row (avx512vnni); and,
// for each step, where its codes lie: from the begin of their row, or from that of the window, by
// the row_step of Pieces. Behind all sets lie, set by set, the posts of such rows and the extras of
// posts.
struct alignas(kBlockAlignment) BlockHeader {
  uint32_t bytes;  // of header and all
  uint32_t list_bytes;
  uint32_t has_list;
  uint32_t steps;     // that are multiplied
  uint64_t posts_at;  // counted from here
  uint32_t biases_at;
  uint32_t has_register_codes;  // behind the header
  // Of steps that share sums of 16 bits: in order, so many at a time, if more than one; or listed.
  uint32_t in_order;
  ListedGroupCounts groups;
  uint32_t places_at, weights_at;  // of steps, counted from here

  bool shares() const { return in_order > 1 || groups.any(); }
  const PostLanes* posts() const { return static_cast<const PostLanes*>(at(posts_at)); }
  const int32_t* biases() const { return static_cast<const int32_t*>(at(biases_at)); }
  const uint32_t* places() const { return static_cast<const uint32_t*>(at(places_at)); }
  const Weight* weights() const { return static_cast<const Weight*>(at(weights_at)); }

 private:
  const void* at(uint64_t place) const {
    return static_cast<const uint8_t*>(static_cast<const void*>(this)) + place;
  }
};
static_assert(kBlockAlignment % alignof(PostLanes) == 0, "posts are aligned");
constexpr size_t aligned(size_t bytes) {
  return (bytes + kBlockAlignment - 1) / kBlockAlignment * kBlockAlignment;
}
inline size_t bytes_before_biases(const Sizes& s, size_t v) {
  const size_t codes = register_codes_bytes(s, v);
  return codes != 0 ? aligned(codes) : v * sizeof(PostLanes);
}
// Of what of a set with v blocks lies behind all sets.
inline size_t bytes_aside(const Sizes& s, const intrt_post_record& post, size_t v) {
  const size_t of_post = register_codes_bytes(s, v) != 0 ? sizeof(PostLanes) : 0;
  return v * (of_post + PostLanes::extras_bytes(post));
}
inline size_t list_bytes(const Pieces& pieces, size_t steps) {
  return aligned(4 * (pieces.rows + steps));
}
inline size_t bytes_of_blocks(const Sizes& s, const Pieces& pieces, size_t v, size_t rests) {
  const size_t steps = pieces.all_steps() + rests;
  return sizeof(BlockHeader) + list_bytes(pieces, steps) +
         aligned(bytes_before_biases(s, v) +
                 v * (4 * kLanes + sizeof(Weight) * kVectorCodes * steps));
}

// Takes out steps that are 0 and lists the others, where steps are listed. Behind them all is 0.
inline void list_steps(const Pieces& pieces, size_t v, BlockHeader& header, uint32_t* list,
                       Weight* weights) {
  const size_t of_step = v * kVectorCodes, all_steps = pieces.all_steps();
  header.steps = static_cast<uint32_t>(all_steps);
  size_t nonzero = 0;
  for (size_t i = 0; i < all_steps; ++i)
    nonzero += all_zero(weights + i * of_step, of_step) ? 0 : 1;
  if (!pieces.lists_steps(nonzero)) return;
  const Weight* from = weights;
  uint32_t kept = 0;
  for (size_t row = 0; row < pieces.rows; ++row) {
    for (size_t tap = 0; tap < pieces.taps; ++tap)
      for (size_t step = 0; step < pieces.steps; ++step, from += of_step) {
        if (all_zero(from, of_step)) continue;
        for (size_t i = 0; i < of_step; ++i) weights[kept * of_step + i] = from[i];
        list[pieces.rows + kept++] =
            static_cast<uint32_t>(row * pieces.row_step + tap * pieces.tap_step + kDepth * step);
      }
    list[row] = kept;
  }
  for (size_t i = kept * of_step; i < all_steps * of_step; ++i) weights[i] = 0;
  header.has_list = 1;
  header.steps = kept;
}

// The steps of a set of blocks: a bit for each. All fit a band.
class StepBits {
 public:
  // None of so many steps is set.
  void clear(size_t steps) {
    bytes_ = (steps + 7) / 8;
    for (size_t i = 0; i < bytes_; ++i) bits_[i] = 0;
  }
  void set(size_t step) {
    bits_[step / 8] = static_cast<uint8_t>(bits_[step / 8] | 1u << step % 8);
  }
  size_t count() const {
    size_t count = 0;
    for (size_t i = 0; i < bytes_; ++i) count += static_cast<size_t>(__builtin_popcount(bits_[i]));
    return count;
  }

 private:
  size_t bytes_ = 0;  // in use
  uint8_t bits_[48 * 1024 / 8];
};

// How many steps of a window has(weights of one output) says yes of, for one of these outputs at
// least: found without the prepared weights. Here and below, Stored is StoredWeights or has a Row
// like it.
template <typename Stored, typename Has>
inline size_t count_steps(const Pieces& pieces, const Stored& stored, size_t first_output,
                          size_t outputs, const Has& has) {
  StepBits bits;
  bits.clear(pieces.all_steps());
  for (size_t o = first_output; o < first_output + outputs; ++o) {
    typename Stored::Row row(stored, o);
    size_t number = 0;
    for (size_t piece = 0; piece < pieces.rows * pieces.taps; ++piece)
      for (size_t step = 0; step < pieces.steps; ++step, ++number) {
        Weight weights[kDepth] = {};
        for (size_t k = 0; k < kDepth && kDepth * step + k < pieces.length; ++k)
          weights[k] = static_cast<Weight>(row.next());
        if (has(weights)) bits.set(number);
      }
  }
  return bits.count();
}
template <typename Stored>
inline size_t count_nonzero_steps(const Pieces& pieces, const Stored& stored, size_t first_output,
                                  size_t outputs) {
  return count_steps(pieces, stored, first_output, outputs,
                     [](const Weight* weights) { return !all_zero(weights, kDepth); });
}
template <typename Stored>
inline size_t count_rests(const Pieces& pieces, const Stored& stored, size_t first_output,
                          size_t outputs, uint32_t code_offset) {
  if (!may_have_rests(code_offset)) return 0;
  return count_steps(pieces, stored, first_output, outputs, [&](const Weight* weights) {
    PairSums sums;
    sums.add(weights);
    return !sums.fit(most_pair_weights(code_offset));
  });
}

// Sets of blocks, and posts and extras that lie behind them.
struct BlocksBytes {
  size_t sets = 0, aside = 0;

  template <typename Stored>
  BlocksBytes(const Sizes& s, const intrt_post_record& post, const Stored& stored,
              uint32_t code_offset) {
    const Pieces pieces(s, 0);
    for_each_set(s, [&](size_t first, size_t outputs, size_t v) {
      sets +=
          bytes_of_blocks(s, pieces, v, count_rests(pieces, stored, first, outputs, code_offset));
      aside += bytes_aside(s, post, v);
      return true;
    });
    aside = aligned(aside);
  }
  size_t all() const { return sets + aside; }
};

// What is too much of steps' weights becomes steps behind them. Returns how many of the steps have
// no rest; these come first.
inline size_t split_steps(const ListedSteps& steps, size_t lanes, int most, BlockHeader& header) {
  size_t whole = header.steps;
  for (size_t step = 0; step < whole;) {
    Weight* const weights = steps.weights_of(step);
    Weight* const rest = steps.weights_of(header.steps);
    bool is_split = false;
    for (size_t lane = 0; lane < lanes; ++lane)
      is_split |= split_weights(weights + lane * kDepth, rest + lane * kDepth, most);
    if (!is_split) {
      ++step;
      continue;
    }
    steps.places[header.steps++] = steps.places[step];
    steps.swap(step, --whole);
  }
  return whole;
}

// Decides which steps share their sums of 16 bits, and lists them where they do not stay in order.
inline void share_sums(const Pieces& pieces, size_t v, uint32_t code_offset, BlockHeader& header,
                       uint32_t* list, Weight* weights) {
  const ListedSteps steps = {weights, list + pieces.rows, v * kVectorCodes};
  const int most = most_pair_weights(code_offset);
  const size_t count = header.steps;
  if (header.has_list == 0)
    for (size_t i = 0; i < count; ++i) steps.places[i] = static_cast<uint32_t>(kDepth * i);
  const size_t whole =
      may_have_rests(code_offset) ? split_steps(steps, v * kLanes, most, header) : count;
  if (header.has_list != 0 || whole < count) {
    header.has_list = 1;
    const ListedGroupCounts groups = bring_together(steps, whole, most);
    if (groups.time(header.steps) < ListedGroupCounts().time(header.steps)) header.groups = groups;
    return;
  }
  const uint64_t list_time = kListTime + kListedStepTime * count;
  const GroupsOfOneSize fullest = best_in_order(count, [](size_t) { return true; }),
                        in_order = best_in_order(count, [&](size_t size) {
                          return fit_in_order(steps, count, size, most);
                        });
  // In rows of one window each place is read for that window alone, which takes what groups save.
  const bool may_list = header.has_register_codes == 0;
  if (may_list && in_order.time > fullest.time + list_time) {
    const ListedGroupCounts groups = bring_together(steps, count, most);
    if (groups.time(count) + list_time < in_order.time) {
      header.has_list = 1;
      header.groups = groups;
      return;
    }
    for (size_t i = 0; i < count; ++i)
      while (steps.places[i] != kDepth * i) steps.swap(i, steps.places[i] / kDepth);
  }
  header.in_order = in_order.size;
}

// What a sum begins with: the bias, less what the offset of codes adds to the sum.
inline int32_t start_of(int32_t bias, uint32_t weight_sum, uint32_t code_offset) {
  return static_cast<int32_t>(static_cast<uint32_t>(bias) - code_offset * weight_sum);
}

// pieces: how windows lie in a band. code_offset: what kernels add to codes. bias may be null; `to`
// is aligned to kBlockAlignment.
template <typename Stored>
inline void prepare_blocks(const OpToPrepare& op, const intrt_post_record& post, const Sizes& s,
                           const Pieces& pieces, const Stored& stored, const int32_t* bias,
                           uint32_t code_offset, void* to) {
  uint8_t* out = static_cast<uint8_t*>(to);
  uint8_t* aside = out + BlocksBytes(s, post, stored, code_offset).sets;
  for (size_t g = 0; g < s.groups; ++g)
    for (size_t first = 0; first < s.group_outputs;) {
      const size_t left = s.group_outputs - first, v = blocks_at_once(s, left), lanes = v * kLanes,
                   rests = count_rests(pieces, stored, g * s.group_outputs + first,
                                       left < lanes ? left : lanes, code_offset);
      BlockHeader& header = *static_cast<BlockHeader*>(static_cast<void*>(out));
      header.bytes = static_cast<uint32_t>(bytes_of_blocks(s, pieces, v, rests));
      header.list_bytes = static_cast<uint32_t>(list_bytes(pieces, pieces.all_steps() + rests));
      header.has_list = 0;
      uint8_t* const behind_header = static_cast<uint8_t*>(static_cast<void*>(&header + 1));
      header.has_register_codes = register_codes_bytes(s, v) != 0;
      uint8_t* const posts_begin = header.has_register_codes != 0 ? aside : behind_header;
      header.posts_at = static_cast<uint64_t>(posts_begin - out);
      PostLanes* posts = static_cast<PostLanes*>(static_cast<void*>(posts_begin));
      uint8_t* extras = aside + (header.has_register_codes != 0 ? v * sizeof(PostLanes) : 0);
      for (size_t i = 0; i < v; ++i, extras += PostLanes::extras_bytes(post)) {
        const size_t block = first + i * kLanes;
        new (posts + i) PostLanes(op, post, static_cast<uint32_t>(g * s.group_outputs + block),
                                  lanes_from(block, s.group_outputs), extras);
      }
      aside = extras;
      if (header.has_register_codes != 0) put_register_codes(posts, v, behind_header);
      header.biases_at = static_cast<uint32_t>(sizeof header + bytes_before_biases(s, v));
      int32_t* biases = static_cast<int32_t*>(static_cast<void*>(out + header.biases_at));
      uint32_t* list = static_cast<uint32_t*>(static_cast<void*>(biases + lanes));
      const uint32_t list_at = header.biases_at + static_cast<uint32_t>(4 * lanes);
      header.places_at = list_at + static_cast<uint32_t>(4 * pieces.rows);
      header.weights_at = list_at + header.list_bytes;
      Weight* weights = static_cast<Weight*>(static_cast<void*>(out + header.weights_at));
      for (size_t lane = 0; lane < lanes; ++lane) {
        const bool is_there = first + lane < s.group_outputs;
        const size_t o = g * s.group_outputs + (is_there ? first + lane : 0);
        typename Stored::Row row(stored, o);
        uint32_t sum = 0;
        Weight* step = weights + kDepth * lane;
        for (size_t piece = 0; piece < pieces.rows * pieces.taps; ++piece)
          for (size_t i = 0; i < kDepth * pieces.steps; i += kDepth, step += v * kVectorCodes)
            for (size_t k = 0; k < kDepth; ++k) {
              const int32_t weight = is_there && i + k < pieces.length ? row.next() : 0;
              step[k] = static_cast<Weight>(weight);
              sum += static_cast<uint32_t>(weight);
            }
        biases[lane] = start_of(is_there && bias != nullptr ? bias[o] : 0, sum, code_offset);
      }
      list_steps(pieces, v, header, list, weights);
      if constexpr (kSumsPairs) share_sums(pieces, v, code_offset, header, list, weights);
      out += header.bytes;
      first += lanes;
    }
}

}  // namespace
}  // namespace intrt
