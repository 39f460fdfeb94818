// Random weights in every form in which conv2d and linear keep them, and what each stands for.
// Written from docs/plan-format.md; nothing here comes from the runtime.
#pragma once

#include "tests/intrt/kernel_cases.h"

namespace lockstep::testing {

enum class Storage { kDense, kSparse, kSegments };

struct StoredWeights {
  Storage storage = Storage::kDense;
  std::int64_t rows = 1, taps = 1, inputs = 1;
  std::vector<std::int64_t> stored;     // [rows][taps][inputs]
  std::vector<std::int64_t> effective;  // what each stands for
  std::vector<intrt_segment> segments;

  std::size_t at(std::int64_t row, std::int64_t tap, std::int64_t input) const {
    return static_cast<std::size_t>((row * taps + tap) * inputs + input);
  }
};

struct WeightsWanted {
  std::uint32_t type;
  std::int64_t rows, taps, inputs;
  int input_bits;
  std::int64_t largest_bias;
};

inline std::vector<intrt_segment> random_segments(Random& random, std::int64_t inputs,
                                                  int total_shift) {
  std::vector<intrt_segment> segments;
  for (std::int64_t end = 0; end < inputs;) {
    end = random.one_in(4) ? inputs : random.between(end + 1, inputs);
    const std::int64_t shift = segments.empty() ? 0 : random.between(0, std::min(total_shift, 30));
    total_shift -= static_cast<int>(shift);
    segments.push_back({static_cast<std::uint32_t>(end), static_cast<std::uint32_t>(shift)});
  }
  return segments;
}

// Sums come near the largest that is allowed.
inline StoredWeights random_weights(Random& random, Storage storage, const WeightsWanted& wanted) {
  StoredWeights w{storage, wanted.rows, wanted.taps, wanted.inputs, {}, {}, {}};
  const std::int64_t terms = w.taps * w.inputs;
  const std::int64_t w_max =
      largest_weight(wanted.type, wanted.input_bits, terms, wanted.largest_bias);
  const bool ends_only = random.one_in(3);
  const std::int64_t zeros = random.pick({std::int64_t{1}, std::int64_t{7}, std::int64_t{29}});
  std::vector<int> later(static_cast<std::size_t>(w.inputs), 0);
  // What a weight may stand for at most.
  const std::int64_t bound =
      (2147483647 - wanted.largest_bias) / (terms << (wanted.input_bits - 1));
  if (storage == Storage::kSegments) {
    int room = 0;
    while (bound >> (room + 1) != 0) ++room;
    w.segments = random_segments(random, w.inputs, static_cast<int>(random.between(0, room)));
    for (std::size_t i = 0; i < later.size(); ++i)
      for (const intrt_segment& segment : w.segments) {
        const bool starts_behind = &segment != w.segments.data() && (&segment)[-1].end > i;
        if (starts_behind) later[i] += static_cast<int>(segment.shift);
      }
  }
  for (std::int64_t k = 0; k < w.rows * terms; ++k) {
    const int shift = later[static_cast<std::size_t>(k % w.inputs)];
    const std::int64_t most = shift == 0 ? w_max : std::min(w_max, bound >> shift);
    std::int64_t value = ends_only ? random.pick({-most, most}) : random.between(-most, most);
    if (storage == Storage::kSparse && !random.one_in(1 + zeros)) value = 0;
    w.stored.push_back(value);
    w.effective.push_back(value * (std::int64_t{1} << shift));
  }
  return w;
}

// Writes them and sets the fields of a convolution or a linear operator.
template <typename Params>
void store_weights(PlanBuilder& builder, Params& p, const StoredWeights& w) {
  if (w.storage != Storage::kSparse) {
    p.weights_offset = builder.weights(w.stored, p.weight_type);
    if (w.segments.empty()) return;
    p.segment_count = static_cast<std::uint32_t>(w.segments.size());
    p.segments_offset = builder.array(w.segments);
    return;
  }
  const auto tap_bytes = static_cast<std::size_t>((w.inputs + 7) / 8);
  std::vector<std::uint8_t> nonzero(static_cast<std::size_t>(w.rows * w.taps) * tap_bytes);
  std::vector<std::uint32_t> starts = {0};
  std::vector<std::int64_t> values;
  for (std::int64_t row = 0; row < w.rows; ++row) {
    for (std::int64_t tap = 0; tap < w.taps; ++tap)
      for (std::int64_t i = 0; i < w.inputs; ++i) {
        if (w.stored[w.at(row, tap, i)] == 0) continue;
        nonzero[static_cast<std::size_t>(row * w.taps + tap) * tap_bytes +
                static_cast<std::size_t>(i / 8)] |= static_cast<std::uint8_t>(1u << i % 8);
        values.push_back(w.stored[w.at(row, tap, i)]);
      }
    starts.push_back(static_cast<std::uint32_t>(values.size()));
  }
  p.weights_offset = builder.weights(values, p.weight_type);
  p.nonzero_offset = builder.array(nonzero);
  p.starts_offset = builder.array(starts);
}

// Dense, sparse or with segments; weights of 32 bits have no segments.
inline Storage random_storage(Random& random, std::uint32_t weight_type) {
  return random.pick({Storage::kDense, Storage::kSparse,
                      weight_type == INTRT_INT32 ? Storage::kSparse : Storage::kSegments});
}

}  // namespace lockstep::testing
