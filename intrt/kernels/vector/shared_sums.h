// Where a variant sums products in 16 bits first (kSumsPairs), steps share these sums, in groups:
// as many as their weights leave room for. Either groups of one size, of steps as they follow each
// other; or steps are listed, those brought together that fit.
#pragma once

#include "intrt/kernels/vector/pair_sums.h"

namespace intrt {
namespace {

// The time of a step in a group of so many, in hundredths of that of one alone in the largest tile:
// measured in registers on Zen 3. The others, measured there in whole convolutions, are rounded:
// that of a step alone in the smaller tiles of windows whose other steps share sums; what a list
// takes, for a window and for each of its steps.
struct GroupSize {
  uint32_t steps, time;
};
constexpr GroupSize kOf8 = {8, 66}, kOf6 = {6, 68}, kOf4 = {4, 71}, kOf3 = {3, 74}, kOf2 = {2, 80};
constexpr uint32_t kAloneTime = 100, kAloneBesideGroupsTime = 107;
constexpr uint32_t kListTime = 50, kListedStepTime = 2;

// So many groups of each size, of listed steps. The others, behind these, are alone.
struct ListedGroupCounts {
  uint32_t of_8, of_6, of_4, of_2;

  bool any() const { return (of_8 | of_6 | of_4 | of_2) != 0; }
  uint64_t time(uint64_t steps) const {
    const uint64_t alone =
        steps - 8 * uint64_t{of_8} - 6 * uint64_t{of_6} - 4 * uint64_t{of_4} - 2 * uint64_t{of_2};
    return 8 * uint64_t{of_8} * kOf8.time + 6 * uint64_t{of_6} * kOf6.time +
           4 * uint64_t{of_4} * kOf4.time + 2 * uint64_t{of_2} * kOf2.time +
           alone * (any() ? kAloneBesideGroupsTime : kAloneTime);
  }
};

template <typename T>
inline void swap_numbers(T& a, T& b) {
  const T x = a;
  a = b;
  b = x;
}

// Prepared steps, in the order in which they are multiplied.
struct ListedSteps {
  Weight* weights;   // of_step for each
  uint32_t* places;  // where their codes lie
  size_t of_step;

  Weight* weights_of(size_t step) const { return weights + step * of_step; }
  void swap(size_t a, size_t b) const {
    swap_numbers(places[a], places[b]);
    for (size_t i = 0; i < of_step; ++i) swap_numbers(weights_of(a)[i], weights_of(b)[i]);
  }
};

// Blocks of outputs that are multiplied at the same time, at most.
constexpr size_t kMostBlocks = 8;

// What the positive and the negative weights of some steps add up to, pair by pair. Of weights of 8
// bits: those of up to eight steps, at most 2 * 128 each, fit 16 bits.
class GroupSums {
 public:
  // Of none. of_step: weights.
  explicit GroupSums(size_t of_step) : pairs_(of_step / 2) {
    for (size_t i = 0; i < pairs_; ++i) positive_[i] = negative_[i] = 0;
  }
  // The largest sum with one more step.
  int largest_with(const Weight* step) const {
    int16_t largest = 0;
    for (size_t i = 0; i < pairs_; ++i) {
      const int16_t positive = with(positive_[i], step[2 * i], step[2 * i + 1]),
                    negative = with(negative_[i], -step[2 * i], -step[2 * i + 1]),
                    larger = positive > negative ? positive : negative;
      largest = larger > largest ? larger : largest;
    }
    return largest;
  }
  void add(const Weight* step) {
    for (size_t i = 0; i < pairs_; ++i) {
      positive_[i] = with(positive_[i], step[2 * i], step[2 * i + 1]);
      negative_[i] = with(negative_[i], -step[2 * i], -step[2 * i + 1]);
    }
  }

 private:
  static int16_t with(int16_t sum, int a, int b) {
    return static_cast<int16_t>(sum + (a > 0 ? a : 0) + (b > 0 ? b : 0));
  }

  size_t pairs_;
  int16_t positive_[kMostBlocks * kLanes * kDepth / 2],
      negative_[kMostBlocks * kLanes * kDepth / 2];
};

// The next steps among which one is chosen. By the times above, 8 of them would take 0.3 to 0.9 %
// more in MobileNetV2, ResNet-8 and the autoencoder, 32 0.1 % more to 0.7 % less.
constexpr size_t kStepsInSight = 16;

// Of the first kStepsInSight of [begin, end), the one with which the largest sum is smallest or, if
// kLargest, largest, among those with which it is at most `most`; `end` where there is none.
template <bool kLargest>
inline size_t best_step(const ListedSteps& steps, const GroupSums& sums, size_t begin, size_t end,
                        int most) {
  const size_t last = end - begin < kStepsInSight ? end : begin + kStepsInSight;
  size_t best = end;
  int sum_of_best = 0;
  for (size_t i = begin; i < last; ++i) {
    const int sum = sums.largest_with(steps.weights_of(i));
    if (sum > most || (best != end && (kLargest ? sum <= sum_of_best : sum >= sum_of_best)))
      continue;
    best = i;
    sum_of_best = sum;
  }
  return best;
}

// Brings groups of `size` steps of [begin, end) together, each with sums of at most `most`, from
// `begin` on, which becomes the end of the last. Returns how many there are.
inline uint32_t bring_groups(const ListedSteps& steps, size_t size, size_t& begin, size_t end,
                             int most) {
  uint32_t groups = 0;
  while (end - begin >= size) {
    // The heaviest step in sight first; if there are not enough others for which it leaves room, it
    // is put behind.
    GroupSums sums(steps.of_step);
    steps.swap(begin, best_step<true>(steps, sums, begin, end, most));
    size_t members = 1;
    for (; members < size; ++members) {
      sums.add(steps.weights_of(begin + members - 1));
      const size_t best = best_step<false>(steps, sums, begin + members, end, most);
      if (best == end) break;
      steps.swap(begin + members, best);
    }
    if (members == size) {
      begin += members;
      ++groups;
    } else {
      steps.swap(begin, --end);
    }
  }
  return groups;
}

// The same for all sizes. Each of the `count` steps is not too much by itself.
inline ListedGroupCounts bring_together(const ListedSteps& steps, size_t count, int most) {
  size_t begin = 0;
  const auto groups = [&](const GroupSize& size) {
    return bring_groups(steps, size.steps, begin, count, most);
  };
  return {groups(kOf8), groups(kOf6), groups(kOf4), groups(kOf2)};
}

// Groups of one size, of steps as they follow each other. What is left behind them is alone.
struct GroupsOfOneSize {
  uint32_t size;  // 1: all are alone
  uint64_t time;
};
inline bool fit_in_order(const ListedSteps& steps, size_t count, size_t size, int most) {
  for (size_t begin = 0; begin + size <= count; begin += size) {
    const size_t last = begin + size - 1;
    GroupSums sums(steps.of_step);
    for (size_t step = begin; step < last; ++step) sums.add(steps.weights_of(step));
    if (sums.largest_with(steps.weights_of(last)) > most) return false;
  }
  return true;
}
constexpr GroupSize kSizesInOrder[] = {kOf8, kOf6, kOf4, kOf3, kOf2};
// Those that take the least time, of all for which fit(size) says that they have room.
template <typename Fit>
inline GroupsOfOneSize best_in_order(size_t count, const Fit& fit) {
  GroupsOfOneSize best = {1, uint64_t{count} * kAloneTime};
  for (const GroupSize& size : kSizesInOrder) {
    const uint64_t alone = count % size.steps,
                   time = (count - alone) * size.time + alone * kAloneBesideGroupsTime;
    if (size.steps <= count && time < best.time && fit(size.steps)) best = {size.steps, time};
  }
  return best;
}

}  // namespace
}  // namespace intrt
