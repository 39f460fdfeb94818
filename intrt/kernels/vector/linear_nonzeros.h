// Linear layers most of whose weights are 0, wherever these lie: the others alone are read and
// multiplied. Include the variant's vector.h before.
//
// A window is kWindowCodes codes of the input side by side. A quad of an output is up to four of
// its weights for a window, and where in the window their codes lie. Quads of kLanes outputs, for
// the same window, are multiplied at once. The window begins at the first code for which one of
// them has a weight that is in no quad yet; the others fill up their quads with weights for codes
// behind it, so that quads hold few zeros. Quads for two windows are a pair: a place takes half a
// byte, a weight with its place a byte and a half.
#pragma once

#include "intrt/kernels/vector/convolution.h"

namespace intrt {
namespace {

static_assert(kDepth == 4 && kWindowCodes == 16 && sizeof(Weight) == 1, "what a quad has");

// Of kLanes outputs, for two windows.
struct QuadPair {
  Weight places[kVectorCodes];  // for the first window the lower halves, for the second the upper
  Weight weights[2][kVectorCodes];
};

// Prepared memory: this header; then, for each set of blocks: a SetHeader, how its sums become
// codes in registers, kLanes biases for each block; for each block the begins of its windows,
// uint16_t, and its pairs; the posts of its blocks, and their extras.
struct alignas(kBlockAlignment) NonzerosHeader {
  uint32_t code_offset;
};
struct alignas(kBlockAlignment) SetHeader {
  size_t bytes;     // of header and all
  size_t pairs[4];  // of each block
  size_t posts_at;  // counted from here
};
static_assert(kBandCodes <= UINT16_MAX, "a window's begin has 16 bits");

constexpr size_t kRegisterCodesBytes = aligned(sizeof(PostLanes::RegisterCodes));
inline size_t bytes_before_blocks(size_t v) {
  return sizeof(SetHeader) + kRegisterCodesBytes + aligned(v * 4 * kLanes);
}
inline size_t posts_bytes(size_t v) { return aligned(v * sizeof(PostLanes)); }
inline size_t extras_bytes(const intrt_post_record& post, size_t v) {
  return aligned(v * PostLanes::extras_bytes(post));
}
inline size_t begins_bytes(size_t pairs) { return aligned(2 * sizeof(uint16_t) * pairs); }
inline size_t bytes_of_pairs(size_t pairs) {
  return begins_bytes(pairs) + aligned(sizeof(QuadPair) * pairs);
}

// How large weights may be that the two sums of 16 bits of a lane still get (pair_sums.h).
class Room {
 public:
  Room() = default;
  explicit Room(uint32_t code_offset) {
    for (int(&of_sum)[2] : left_)
      for (int& left : of_sum)
        left = kSumsPairs ? most_pair_weights(code_offset) : 4 * -INT8_MIN;  // no limit
  }
  // False: the weight is too large.
  bool take(size_t sum, int weight) {
    int& left = left_[sum][weight < 0 ? 1 : 0];
    const int size = weight < 0 ? -weight : weight;
    if (size > left) return false;
    left -= size;
    return true;
  }

 private:
  int left_[2][2] = {};  // of each sum, for positive and for negative weights
};

// Weights of one output that are in no quad yet: those for the window's codes.
class OutputWindow {
 public:
  // is_there: else all weights are 0.
  OutputWindow(const StoredWeights& stored, size_t output, bool is_there)
      : row_(stored, is_there ? output : 0), left_(is_there ? stored.inputs : 0) {
    for (size_t i = 0; i < kWindowCodes; ++i) go_on();
  }
  static void* operator new(size_t, void* place) noexcept { return place; }

  // The window begins one code later.
  void go_on() {
    const int32_t weight = left_ > 0 ? row_.next() : 0;
    if (left_ > 0) --left_;
    sum_ += static_cast<uint32_t>(weight);
    at(0) = static_cast<Weight>(weight);
    ++read_;
  }
  bool begins_with_weight() { return at(0) != 0; }
  // Puts up to four that the lane has room for into a quad, whose other weights are 0.
  void take_quad(Room& room, Weight* places, Weight* weights) {
    size_t taken[2] = {};  // of each sum
    for (size_t i = 0; i < kWindowCodes; ++i) {
      if (at(i) == 0) continue;
      for (size_t sum = 0; sum < 2; ++sum) {
        if (taken[sum] == 2 || !room.take(sum, at(i))) continue;
        const size_t slot = 2 * sum + taken[sum]++;
        places[slot] = static_cast<Weight>(i);
        weights[slot] = at(i);
        at(i) = 0;
        break;
      }
    }
  }
  // Of all weights read until now.
  uint32_t sum() const { return sum_; }

 private:
  Weight& at(size_t i) { return window_[(read_ + i) % kWindowCodes]; }

  StoredWeights::Row row_;
  size_t left_, read_ = 0;
  uint32_t sum_ = 0;
  Weight window_[kWindowCodes] = {};
};

// The windows of kLanes outputs, all at the same place.
class BlockWindow {
 public:
  BlockWindow(const Sizes& s, const StoredWeights& stored, size_t first) : inputs_(stored.inputs) {
    for (size_t lane = 0; lane < kLanes; ++lane)
      new (lanes() + lane) OutputWindow(stored, first + lane, first + lane < s.group_outputs);
  }

  // Goes on to the next code for which there is a weight; false: there is none.
  bool find_weight() {
    for (; begin_ < inputs_; ++begin_) {
      for (size_t lane = 0; lane < kLanes; ++lane)
        if (lanes()[lane].begins_with_weight()) return true;
      for (size_t lane = 0; lane < kLanes; ++lane) lanes()[lane].go_on();
    }
    return false;
  }
  // The quads for the next two windows, of which the second may be empty.
  QuadPair take_pair(uint32_t code_offset, uint16_t* begins) {
    QuadPair pair = {};
    Room room[kLanes];
    for (size_t i = 0; i < 2; ++i) {
      // Where codes are not negative, both have sums together.
      if (i == 0 || code_offset != 0)
        for (Room& of_lane : room) of_lane = Room(code_offset);
      find_weight();
      begins[i] = static_cast<uint16_t>(begin_);
      Weight places[kVectorCodes] = {};
      for (size_t lane = 0; lane < kLanes; ++lane)
        lanes()[lane].take_quad(room[lane], places + 4 * lane, pair.weights[i] + 4 * lane);
      for (size_t k = 0; k < kVectorCodes; ++k)
        pair.places[k] = static_cast<Weight>(pair.places[k] | places[k] << 4 * i);
    }
    return pair;
  }

  OutputWindow* lanes() { return static_cast<OutputWindow*>(static_cast<void*>(bytes_)); }

 private:
  size_t inputs_, begin_ = 0;
  alignas(OutputWindow) uint8_t bytes_[kLanes * sizeof(OutputWindow)];
};

// Of a block, but no more than one more than `most`.
inline size_t count_pairs(const Sizes& s, const StoredWeights& stored, size_t first,
                          uint32_t code_offset, size_t most) {
  BlockWindow window(s, stored, first);
  uint16_t begins[2];
  size_t count = 0;
  for (; count <= most && window.find_weight(); ++count) window.take_pair(code_offset, begins);
  return count;
}

// What the dense form of a layer multiplies and takes: steps, and bytes.
struct DenseCost {
  size_t steps, bytes;

  DenseCost(const Sizes& s, const intrt_post_record& post, const StoredWeights& stored,
            uint32_t code_offset)
      : steps(0), bytes(sizeof(DenseHeader) + BlocksBytes(s, post, stored, code_offset).all()) {
    const Pieces pieces(s, 0);
    for_each_set(s, [&](size_t first, size_t outputs, size_t v) {
      steps += v * (pieces.steps_taken(count_nonzero_steps(pieces, stored, first, outputs)) +
                    count_rests(pieces, stored, first, outputs, code_offset));
      return true;
    });
  }
};

inline size_t count_nonzeros(const StoredWeights& stored, size_t outputs) {
  if (stored.nonzero != nullptr) return stored.starts[outputs];
  size_t count = 0;
  for (size_t i = 0; i < outputs * stored.inputs; ++i) count += stored.weight(i) != 0 ? 1 : 0;
  return count;
}

// Fills a set whose numbers of pairs are known, from output `first` on.
inline void prepare_set(const OpToPrepare& op, const intrt_post_record& post, const Sizes& s,
                        const StoredWeights& stored, const int32_t* bias, uint32_t code_offset,
                        size_t first, size_t v, SetHeader& set) {
  uint8_t* const begin = static_cast<uint8_t*>(static_cast<void*>(&set));
  PostLanes* posts = static_cast<PostLanes*>(static_cast<void*>(begin + set.posts_at));
  uint8_t* extras = begin + set.posts_at + posts_bytes(v);
  int32_t* biases =
      static_cast<int32_t*>(static_cast<void*>(begin + sizeof set + kRegisterCodesBytes));
  uint8_t* at = begin + bytes_before_blocks(v);
  for (size_t block = 0; block < v; ++block, first += kLanes, biases += kLanes) {
    new (posts + block) PostLanes(op, post, static_cast<uint32_t>(first),
                                  lanes_from(first, s.group_outputs), extras);
    extras += PostLanes::extras_bytes(post);
    const size_t count = set.pairs[block];
    uint16_t* begins = static_cast<uint16_t*>(static_cast<void*>(at));
    QuadPair* pairs = static_cast<QuadPair*>(static_cast<void*>(at + begins_bytes(count)));
    BlockWindow window(s, stored, first);
    for (size_t i = 0; i < count; ++i) pairs[i] = window.take_pair(code_offset, begins + 2 * i);
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const bool is_there = first + lane < s.group_outputs;
      biases[lane] = start_of(is_there && bias != nullptr ? bias[first + lane] : 0,
                              window.lanes()[lane].sum(), code_offset);
    }
    at += bytes_of_pairs(count);
  }
  put_register_codes(posts, v, &set + 1);
}

// Whether this is how the layer is to be multiplied. If not, `to` is 0 as before; it has room for
// dense_bytes.
inline bool prepare_nonzeros(const OpToPrepare& op, const intrt_post_record& post, const Sizes& s,
                             const StoredWeights& stored, const int32_t* bias, void* to) {
  const uint32_t offset = code_offset(op.input_never_negative);
  // Pairs full of these alone would be too many, but for rests.
  if (count_nonzeros(stored, s.group_outputs) * kStepsPerPair > 2 * s.group_outputs * stored.inputs)
    return false;
  const DenseCost dense(s, post, stored, offset);
  const size_t room = dense.bytes, most = dense.steps / kStepsPerPair;
  uint8_t* const base = static_cast<uint8_t*>(to);
  const auto set_at = [base](size_t bytes) -> SetHeader& {
    return *static_cast<SetHeader*>(static_cast<void*>(base + bytes));
  };
  size_t bytes = sizeof(NonzerosHeader), all_pairs = 0;
  const bool pays = for_each_set(s, [&](size_t first, size_t, size_t v) {
    if (bytes + bytes_before_blocks(v) > room) return false;
    SetHeader& set = set_at(bytes);
    set.posts_at = bytes_before_blocks(v);
    for (size_t block = 0; block < v && all_pairs <= most; ++block) {
      set.pairs[block] = count_pairs(s, stored, first + block * kLanes, offset, most - all_pairs);
      set.posts_at += bytes_of_pairs(set.pairs[block]);
      all_pairs += set.pairs[block];
    }
    set.bytes = set.posts_at + posts_bytes(v) + extras_bytes(post, v);
    bytes += set.bytes;
    return all_pairs <= most && bytes <= room;
  });
  if (!pays) {
    __builtin_memset(to, 0, room);
    return false;
  }
  static_cast<NonzerosHeader*>(to)->code_offset = offset;
  bytes = sizeof(NonzerosHeader);
  return for_each_set(s, [&](size_t first, size_t, size_t v) {
    SetHeader& set = set_at(bytes);
    prepare_set(op, post, s, stored, bias, offset, first, v, set);
    bytes += set.bytes;
    return true;
  });
}

// Adds the products of pairs. kShares: the two quads of a pair share sums of 16 bits.
template <bool kShares, typename Register>
inline Register add_pairs(Register sums, const uint16_t* begins, const QuadPair* pairs,
                          size_t count, const Code* codes) {
  const Register low_half = all(0x0f0f0f0f), half_byte = all(4);
  Register others = all(0);
  for (; count > 0; --count, begins += 2, ++pairs) {
    const Register places = load_weights(pairs->places);
    const Register first = picked(load_window(codes + begins[0]), bits_in_both(places, low_half));
    const Register second = picked(load_window(codes + begins[1]),
                                   bits_in_both(shift_right_unsigned(places, half_byte), low_half));
    const Register first_weights = load_weights(pairs->weights[0]),
                   second_weights = load_weights(pairs->weights[1]);
    if constexpr (kShares) {
      sums = add_up(
          sums, add_pair_sums(pair_sums(first, first_weights), pair_sums(second, second_weights)));
    } else {
      sums = dot(sums, first, first_weights);
      others = dot(others, second, second_weights);
    }
  }
  return add(sums, others);
}

template <int V>
void run_set(const SetHeader& set, const Target& target, const Code* codes, bool shares,
             size_t first, size_t outputs) {
  const uint8_t* const begin = static_cast<const uint8_t*>(static_cast<const void*>(&set));
  const int32_t* biases = static_cast<const int32_t*>(
      static_cast<const void*>(begin + sizeof set + kRegisterCodesBytes));
  const uint8_t* at = begin + bytes_before_blocks(V);
  Vector sums[V];
  for (size_t block = 0; block < V; ++block) {
    const size_t count = set.pairs[block];
    const uint16_t* begins = static_cast<const uint16_t*>(static_cast<const void*>(at));
    const QuadPair* pairs =
        static_cast<const QuadPair*>(static_cast<const void*>(at + begins_bytes(count)));
    const Vector bias = load(biases + block * kLanes);
    if constexpr (kSumsPairs)
      sums[block] = shares ? add_pairs<true>(bias, begins, pairs, count, codes)
                           : add_pairs<false>(bias, begins, pairs, count, codes);
    else
      sums[block] = add_pairs<false>(bias, begins, pairs, count, codes);
    at += bytes_of_pairs(count);
  }
  const PostLanes::RegisterCodes& codes_of = register_codes(&set + 1);
  if (codes_of.are_possible(target)) return codes_of.store(target.bytes() + first, sums);
  int32_t aside[V * kLanes];
  for (size_t block = 0; block < V; ++block) store(aside + block * kLanes, sums[block]);
  PostLanes::store_blocks<V>(
      static_cast<const PostLanes*>(static_cast<const void*>(begin + set.posts_at)), target, aside,
      1, first, outputs);
}

inline void run_nonzeros(const OpToRun& op, const intrt_post_record& post, const Sizes& s) {
  const NonzerosHeader& header = *static_cast<const NonzerosHeader*>(op.prepared);
  alignas(kBlockAlignment) Code codes[kBandCodes + kWindowCodes];
  copy_codes(codes, static_cast<const int8_t*>(op.input_data), s.channels, header.code_offset);
  fill_codes(codes + s.channels, kWindowCodes, header.code_offset);
  const Target target(op, post);
  const Extent sets = Part(s, op.slices).sets;
  const uint8_t* at = static_cast<const uint8_t*>(static_cast<const void*>(&header + 1));
  size_t number = 0;
  for_each_set(s, [&](size_t first, size_t, size_t v) {
    const SetHeader& set = *static_cast<const SetHeader*>(static_cast<const void*>(at));
    at += set.bytes;
    if (number++ >= sets.begin)
      (v == 1   ? run_set<1>
       : v == 2 ? run_set<2>
                : run_set<4>)(set, target, codes, header.code_offset == 0, first, s.group_outputs);
    return number < sets.end;
  });
}

}  // namespace
}  // namespace intrt
