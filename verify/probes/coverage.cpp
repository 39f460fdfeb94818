#include "verify/probes/coverage.h"

#include <algorithm>

#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

constexpr std::uint8_t kUpwards = 1, kDownwards = 2;

// The smallest d in [1, most] for which changes(d), which stays true once it is; most + 1: none.
template <typename Changes>
std::int64_t smallest(std::int64_t most, const Changes& changes) {
  if (!changes(most)) return most + 1;
  std::int64_t lo = 0, hi = most;  // changes(hi), not changes(lo)
  while (hi - lo > 1) {
    const std::int64_t middle = lo + (hi - lo) / 2;
    (changes(middle) ? hi : lo) = middle;
  }
  return hi;
}

}  // namespace

LinearProbe::LinearProbe(PlanOp op, const VisibleTensor& input, const VisibleTensor& output,
                         const ElementFacts& input_facts)
    : op_(std::move(op)),
      reach_(reach_of(op_, input, output)),
      facts_(input_facts),
      channels_(output.channels),
      plane_(output.element_count() / output.channels) {
  const std::int64_t row = reach_.fan_in + 1;
  rows_.resize(at(channels_ * row));
  missing_.assign(rows_.size(), 0);
  open_.assign(at(channels_), 0);
  for (std::int64_t e = 0; e < input.element_count(); ++e)
    largest_code_ = std::max({largest_code_, -facts_.lo[at(e)], facts_.hi[at(e)]});
  for (std::int64_t e = 0; e < output.element_count(); ++e)
    keep_.push_back(op_.post.keep.empty() ? 1 : op_.post.keep[at(physical_index(output, e))]);
  for (std::int64_t o = 0; o < channels_; ++o) {
    for (std::int64_t k = 0; k < reach_.fan_in; ++k)
      rows_[at(o * row + k)] = op_.weights[at(weight_index(op_, input, o, k))];
    rows_[at(o * row + reach_.fan_in)] = op_.bias.empty() ? 0 : op_.bias[at(o)];
    for (std::int64_t position = 0; position < plane_; ++position)
      if (keeps(o, position)) find_countable(o, position);
    open_[at(o)] =
        row - std::count(missing_.begin() + o * row, missing_.begin() + (o + 1) * row, 0);
    countable_ += open_[at(o)];
  }
  uncovered_ = countable_;
}

void LinearProbe::find_countable(std::int64_t channel, std::int64_t position) {
  const std::int64_t row = channel * (reach_.fan_in + 1);
  std::int64_t lo = rows_[at(row + reach_.fan_in)], hi = lo;
  reach_.each(channel, position, [&](std::int64_t k, std::int64_t element) {
    const std::int64_t a = rows_[at(row + k)] * facts_.lo[at(element)];
    const std::int64_t b = rows_[at(row + k)] * facts_.hi[at(element)];
    lo += std::min(a, b);
    hi += std::max(a, b);
  });
  // `most`: the most that a step moves the sum; output codes never decrease in between.
  const auto consider = [&](std::int64_t k, std::int64_t most) {
    std::uint8_t& missing = missing_[at(row + k)];
    if (missing == 0 && most > 0 &&
        output_code(channel, lo - most) != output_code(channel, hi + most))
      missing = kUpwards | kDownwards;
  };
  reach_.each(channel, position, [&](std::int64_t k, std::int64_t element) {
    consider(k, std::max(-facts_.lo[at(element)], facts_.hi[at(element)]));
  });
  if (!op_.bias.empty()) consider(reach_.fan_in, 1);
}

std::int64_t LinearProbe::sum(std::span<const std::int64_t> codes, std::int64_t channel,
                              std::int64_t position) const {
  const std::int64_t* row = rows_.data() + channel * (reach_.fan_in + 1);
  std::int64_t sum = row[reach_.fan_in];
  reach_.each(channel, position,
              [&](std::int64_t k, std::int64_t element) { sum += row[k] * codes[at(element)]; });
  return sum;
}

std::int64_t LinearProbe::output_code(std::int64_t channel, std::int64_t accumulator) const {
  const PlanPost& post = op_.post;
  if (post.kind == INTRT_POST_NONE) return accumulator;
  const int shift = post.shifts.size() == 1 ? post.shifts[0] : post.shifts[at(channel)];
  return requantize_code(accumulator, shift, static_cast<Rounding>(post.rounding), post.lo,
                         post.hi);
}

Distances LinearProbe::distances(std::int64_t channel, std::int64_t accumulator) const {
  const std::int64_t code = output_code(channel, accumulator);
  return {smallest(largest_code_,
                   [&](std::int64_t d) { return output_code(channel, accumulator + d) != code; }),
          smallest(largest_code_,
                   [&](std::int64_t d) { return output_code(channel, accumulator - d) != code; })};
}

void LinearProbe::add(std::span<const std::int64_t> codes) {
  for (std::int64_t o = 0; o < channels_; ++o)
    for (std::int64_t position = 0; position < plane_ && open_[at(o)] > 0; ++position)
      if (keeps(o, position)) add_position(codes, o, position);
}

void LinearProbe::add_position(std::span<const std::int64_t> codes, std::int64_t channel,
                               std::int64_t position) {
  const Distances distance = distances(channel, sum(codes, channel, position));
  if (distance.up > largest_code_ && distance.down > largest_code_) return;
  reach_.each(channel, position, [&](std::int64_t k, std::int64_t element) {
    const std::int64_t code = codes[at(element)];
    if (code > 0) cover(channel, k, distance.up <= code, distance.down <= code);
    if (code < 0) cover(channel, k, distance.down <= -code, distance.up <= -code);
  });
  cover(channel, reach_.fan_in, distance.up == 1, distance.down == 1);
}

void LinearProbe::cover(std::int64_t channel, std::int64_t k, bool upwards, bool downwards) {
  std::uint8_t& missing = missing_[at(channel * (reach_.fan_in + 1) + k)];
  if (missing == 0) return;
  if (upwards) missing &= static_cast<std::uint8_t>(~kUpwards);
  if (downwards) missing &= static_cast<std::uint8_t>(~kDownwards);
  if (missing != 0) return;
  open_[at(channel)] -= 1;
  uncovered_ -= 1;
}

}  // namespace lockstep::verify
