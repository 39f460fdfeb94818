// Linear layers most of whose weights are 0, wherever these lie: the others alone are read and
// multiplied.
//
// 128 codes of the input lie in two registers, the window, which goes on by 64 at a time. A
// quad of an output is up to four of its weights for the window, and where in the window their
// codes lie. vpermi2b fetches the codes of the quads of 16 outputs, vpdpbusd multiplies. Before the
// window goes on, the weights for its first half must be done. Those for its second half fill up
// the quads of outputs that have fewer; so quads hold few zeros. A weight takes two bytes, its
// place and itself: half of what memory has to bring where three quarters are 0.
#pragma once

#include "intrt/cpu_features.h"
#include "intrt/kernels/avx512vnni/convolution.h"

namespace intrt {
namespace {

// Codes by which the window goes on.
constexpr size_t kHalfWindow = kVectorBytes;

inline size_t window_positions(size_t inputs) {
  const size_t halves = (inputs + kHalfWindow - 1) / kHalfWindow;
  return halves <= 2 ? 1 : halves - 1;
}

// Prepared memory: this header; then, for each set of blocks: a SetHeader, the posts of its blocks,
// kLanes biases for each, counts, and quads. For each position of the window and each block there
// is a count of how often kLanes quads follow: 64 bytes of places, 64 of weights.
struct alignas(kVectorBytes) NonzerosHeader {
  Bias bias;
};
struct alignas(kVectorBytes) SetHeader {
  size_t bytes;  // of header and all

  const PostLanes* posts() const {
    return static_cast<const PostLanes*>(static_cast<const void*>(this + 1));
  }
};

constexpr size_t kQuadsBytes = 2 * kVectorBytes;
inline size_t bytes_before_quads(size_t v, size_t positions) {
  return sizeof(SetHeader) + aligned(v * (sizeof(PostLanes) + 4 * kLanes)) + aligned(v * positions);
}

// The weights of one output for the window, as it goes.
class OutputWindow {
 public:
  // is_there: else all weights are 0.
  OutputWindow(const StoredWeights& stored, size_t output, bool is_there)
      : row_(stored, is_there ? output : 0), left_(is_there ? stored.inputs : 0) {
    read_half(window_);
    read_half(window_ + kHalfWindow);
  }

  static void* operator new(size_t, void* place) noexcept { return place; }

  void go_on() {
    for (size_t i = 0; i < kHalfWindow; ++i) window_[i] = window_[kHalfWindow + i];
    read_half(window_ + kHalfWindow);
  }
  // For kDepth codes; none was taken yet.
  bool has_weights(size_t code) const { return !all_zero(window_ + code, kDepth); }
  // Of those for the first `end` codes, not taken yet.
  size_t nonzeros(size_t end) const {
    size_t count = 0;
    for (size_t i = 0; i < end; ++i) count += window_[i] != 0 ? 1 : 0;
    return count;
  }
  // Takes the next four, or as many as there are. After them come zeros, at the window's begin.
  void take_quad(uint8_t* places, uint8_t* weights) {
    size_t taken = 0;
    for (size_t i = 0; i < 2 * kHalfWindow && taken < 4; ++i) {
      if (window_[i] == 0) continue;
      places[taken] = static_cast<uint8_t>(i);
      weights[taken++] = static_cast<uint8_t>(window_[i]);
      window_[i] = 0;
    }
    for (; taken < 4; ++taken) places[taken] = weights[taken] = 0;
  }
  // Of all weights read until now.
  uint32_t sum() const { return sum_; }

 private:
  void read_half(int8_t* to) {
    for (size_t i = 0; i < kHalfWindow; ++i) {
      to[i] = left_ > 0 ? static_cast<int8_t>(row_.next()) : int8_t{0};
      if (left_ > 0) --left_;
      sum_ += static_cast<uint32_t>(to[i]);
    }
  }

  StoredWeights::Row row_;
  size_t left_;
  uint32_t sum_ = 0;
  int8_t window_[2 * kHalfWindow];
};

// The windows of the outputs of a set of v blocks.
class SetWindow {
 public:
  SetWindow(const Sizes& s, const StoredWeights& stored, size_t first, size_t v)
      : positions_(window_positions(stored.inputs)), v_(v) {
    for (size_t lane = 0; lane < v * kLanes; ++lane) {
      const size_t output = first + lane;
      new (lanes() + lane) OutputWindow(stored, output, output < s.group_outputs);
    }
    count_steps(0);
    count_steps(kHalfWindow);
  }

  // Calls put(count) and then count times quads(of 16 outputs) for each position and each block,
  // for as long as put says yes.
  template <typename Put, typename Quads>
  bool for_each_block(const Put& put, const Quads& quads) {
    for (size_t position = 0; position < positions_; ++position) {
      const bool is_last = position + 1 == positions_;
      for (size_t v = 0; v < v_; ++v) {
        OutputWindow* const block = lanes() + v * kLanes;
        size_t most = 0;
        for (size_t lane = 0; lane < kLanes; ++lane) {
          const size_t left = block[lane].nonzeros(is_last ? 2 * kHalfWindow : kHalfWindow);
          most = left > most ? left : most;
        }
        const size_t count = (most + 3) / 4;
        if (!put(count)) return false;
        for (size_t i = 0; i < count; ++i) quads(block);
      }
      if (is_last) break;
      for (size_t lane = 0; lane < v_ * kLanes; ++lane) lanes()[lane].go_on();
      count_steps(kHalfWindow);
    }
    return true;
  }
  // Of the window until now: steps of the dense form whose weights are not all 0.
  size_t steps() const { return steps_; }

  OutputWindow* lanes() { return static_cast<OutputWindow*>(static_cast<void*>(bytes_)); }

 private:
  void count_steps(size_t from) {
    for (size_t code = from; code < from + kHalfWindow; code += kDepth) {
      bool is_kept = false;
      for (size_t lane = 0; lane < v_ * kLanes && !is_kept; ++lane)
        is_kept = lanes()[lane].has_weights(code);
      steps_ += is_kept ? 1 : 0;
    }
  }

  size_t positions_, v_, steps_ = 0;
  alignas(OutputWindow) uint8_t bytes_[8 * kLanes * sizeof(OutputWindow)];  // 8: most blocks
};

inline void take_quads(OutputWindow* block, uint8_t* to) {
  for (size_t lane = 0; lane < kLanes; ++lane)
    block[lane].take_quad(to + 4 * lane, to + kVectorBytes + 4 * lane);
}

// How many times kLanes quads the set has; more than `most`: some number above it.
inline size_t count_quads(SetWindow& window, size_t most) {
  size_t all = 0;
  window.for_each_block([&](size_t count) { return (all += count) <= most; },
                        [](OutputWindow* block) {
                          uint8_t quads[kQuadsBytes];
                          take_quads(block, quads);
                        });
  return all;
}

// How many times kLanes quads a layer may have whose dense form reads so many registers of weights.
// Quads are read with their places, and a count takes about as long as reading kCountVectors
// registers; that is to be at most four fifths of the dense form's. Measured with 128 x 128 to
// 4096 x 1024 weights, up to four of ten of them not 0, layers took at most as much of the dense
// form's time as this says.
constexpr size_t kCountVectors = 2;
inline size_t most_quads(const Sizes& s, size_t dense) {
  const size_t blocks = (s.group_outputs + kLanes - 1) / kLanes;
  const size_t counts = blocks * window_positions(s.channels) * kCountVectors;
  return dense * 4 / 5 > counts ? (dense * 4 / 5 - counts) / 2 : 0;
}

// Whether this is how the layer is to be multiplied; only then dense_bytes are written to `to`.
inline bool prepare_nonzeros(const OpToPrepare& op, const intrt_post_record& post, const Sizes& s,
                             const StoredWeights& stored, const int32_t* bias, void* to) {
  if (!has_avx512vbmi()) return false;
  const size_t positions = window_positions(stored.inputs),
               all_bytes = dense_bytes(op, post, s, stored);
  const Pieces pieces(s, 0);
  const size_t most = most_quads(s, (s.group_outputs + kLanes - 1) / kLanes * pieces.all_steps());
  size_t bytes = sizeof(NonzerosHeader), quads_of_all = 0, dense = 0;
  const bool may_pay = for_each_set(s, [&](size_t first, size_t, size_t v) {
    SetWindow window(s, stored, first, v);
    const size_t count = count_quads(window, most - quads_of_all);
    quads_of_all += count;
    bytes += bytes_before_quads(v, positions) + count * kQuadsBytes;
    dense += v * pieces.steps_taken(window.steps());
    return quads_of_all <= most && bytes <= all_bytes;
  });
  if (!may_pay || quads_of_all > most_quads(s, dense)) return false;

  __builtin_memset(to, 0, all_bytes);
  NonzerosHeader& header = *static_cast<NonzerosHeader*>(to);
  header.bias = Bias(op.input_never_negative);
  uint8_t* out = static_cast<uint8_t*>(static_cast<void*>(&header + 1));
  return for_each_set(s, [&](size_t first, size_t, size_t v) {
    SetHeader& set = *static_cast<SetHeader*>(static_cast<void*>(out));
    PostLanes* posts = static_cast<PostLanes*>(static_cast<void*>(&set + 1));
    for (size_t i = 0; i < v; ++i)
      new (posts + i) PostLanes(op, post, static_cast<uint32_t>(first + i * kLanes),
                                lanes_from(first + i * kLanes, s.group_outputs));
    SetWindow window(s, stored, first, v);
    uint8_t* quads = out + bytes_before_quads(v, positions);
    uint8_t* counts = quads - aligned(v * positions);
    window.for_each_block(
        [&](size_t count) {
          *counts++ = static_cast<uint8_t>(count);
          return true;
        },
        [&](OutputWindow* block) {
          take_quads(block, quads);
          quads += kQuadsBytes;
        });
    int32_t* biases = static_cast<int32_t*>(static_cast<void*>(posts + v));
    for (size_t lane = 0; lane < v * kLanes; ++lane) {
      const bool is_there = first + lane < s.group_outputs;
      biases[lane] = start_of(is_there && bias != nullptr ? bias[first + lane] : 0,
                              window.lanes()[lane].sum(), header.bias.value());
    }
    set.bytes = static_cast<size_t>(quads - out);
    out = quads;
    return true;
  });
}

// The sums of V blocks.
template <int V>
__attribute__((target("avx512vbmi"), noinline)) void sum_nonzeros(const SetHeader& set,
                                                                  const int8_t* input,
                                                                  size_t inputs, __m512i flip,
                                                                  int32_t* sums) {
  const int32_t* biases = static_cast<const int32_t*>(static_cast<const void*>(set.posts() + V));
  const size_t positions = window_positions(inputs);
  const uint8_t* quads = static_cast<const uint8_t*>(static_cast<const void*>(&set)) +
                         bytes_before_quads(V, positions);
  const uint8_t* counts = quads - aligned(V * positions);
  const auto half = [&](size_t first) {
    const size_t left = inputs > first ? inputs - first : 0;
    const __mmask64 there = left >= kHalfWindow ? ~uint64_t{0} : (uint64_t{1} << left) - 1;
    return _mm512_xor_si512(_mm512_maskz_loadu_epi8(there, input + first), flip);
  };
  __m512i acc[V];
  _Pragma("GCC unroll 8") for (int v = 0; v < V; ++v) acc[v] =
      _mm512_load_si512(biases + static_cast<size_t>(v) * kLanes);
  __m512i second = half(0);
  for (size_t position = 0; position < positions; ++position) {
    const __m512i first = second;
    second = half((position + 1) * kHalfWindow);
    _Pragma("GCC unroll 8") for (int v = 0; v < V; ++v) {
      for (size_t count = *counts++; count > 0; --count, quads += kQuadsBytes) {
        const __m512i codes = _mm512_permutex2var_epi8(first, _mm512_load_si512(quads), second);
        acc[v] = _mm512_dpbusd_epi32(acc[v], codes, _mm512_load_si512(quads + kVectorBytes));
      }
    }
  }
  _Pragma("GCC unroll 8") for (int v = 0; v < V; ++v)
      _mm512_store_si512(sums + v * static_cast<int>(kLanes), acc[v]);
}

template <int V>
void run_set(const SetHeader& set, const OpToRun& op, const PostTarget& target, size_t inputs,
             __m512i flip, size_t first, size_t outputs) {
  alignas(64) int32_t sums[(V + 3) / 4 * 4 * kLanes];
  sum_nonzeros<V>(set, static_cast<const int8_t*>(op.input_data), inputs, flip, sums);
  constexpr int kAtOnce = V < 4 ? V : 4;
  for (int v = 0; v < V; v += kAtOnce)
    PostLanes::store_blocks<kAtOnce>(set.posts() + v, target, sums + v * kLanes, 1,
                                     first + static_cast<size_t>(v) * kLanes, outputs);
}

inline void run_nonzeros(const OpToRun& op, const intrt_post_record& post, const Sizes& s) {
  const NonzerosHeader& header = *static_cast<const NonzerosHeader*>(op.prepared);
  const PostTarget target = {op, post};
  const Extent sets = Part(s, op.slices).sets;
  const __m512i flip = header.bias.flip();
  const uint8_t* at = static_cast<const uint8_t*>(static_cast<const void*>(&header + 1));
  size_t first = 0;
  for (size_t i = 0; first < s.group_outputs && i < sets.end; ++i) {
    const SetHeader& set = *static_cast<const SetHeader*>(static_cast<const void*>(at));
    const size_t v = blocks_at_once(s, s.group_outputs - first);
    if (i >= sets.begin) {
      const auto run = v == 1 ? run_set<1> : v == 2 ? run_set<2> : v == 4 ? run_set<4> : run_set<8>;
      run(set, op, target, s.channels, flip, first, s.group_outputs);
    }
    at += set.bytes;
    first += v * kLanes;
  }
}

}  // namespace
}  // namespace intrt
