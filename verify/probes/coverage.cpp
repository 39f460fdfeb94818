#include "verify/probes/coverage.h"

#include <algorithm>
#include <cstdlib>

#include "verify/semantics/index.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

constexpr int kBiasBits = 32;
// Further than a wrong bias, or a wrong weight at any input code, moves a sum.
constexpr std::int64_t kBeyond = std::int64_t{1} << 50;

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

// The least integer that is not below dividend / divisor. Requires 0 < divisor.
std::int64_t divide_up(std::int64_t dividend, std::int64_t divisor) {
  return dividend / divisor + (dividend % divisor > 0 ? 1 : 0);
}

}  // namespace

bool LinearProbe::can_probe(const PlanOp& op, const VisibleTensor& output) {
  for (std::int64_t c = 0; c < output.channels; ++c)
    if (PlanFunction::post(op.post, c).direction() == Direction::kUnknown) return false;
  return true;
}

LinearProbe::LinearProbe(const PlanOp& op, const VisibleTensor& input, const VisibleTensor& output,
                         const ElementFacts& input_facts)
    : op_(op),
      reach_(reach_of(op_, input, output)),
      facts_(input_facts),
      channels_(output.channels),
      plane_(output.element_count() / output.channels) {
  for (std::int64_t c = 0; c < channels_; ++c)
    functions_.push_back(PlanFunction::post(op_.post, c));
  const std::int64_t numbers = reach_.fan_in + 1;
  rows_.resize(at(channels_ * numbers));
  missing_.resize(rows_.size());
  kinds_.resize(at(channels_));
  open_.assign(at(channels_), 0);
  std::int64_t largest_code = 1, largest_jump = 1;
  for (std::int64_t e = 0; e < input.element_count(); ++e)
    largest_code = std::max({largest_code, -facts_.lo[at(e)], facts_.hi[at(e)]});
  for (std::int64_t e = 0; e < output.element_count(); ++e)
    keep_.push_back(op_.post.keep.empty() ? 1 : op_.post.keep[at(physical_index(output, e))]);
  for (std::int64_t o = 0; o < channels_; ++o) {
    for (std::int64_t k = 0; k < reach_.fan_in; ++k)
      rows_[at(o * numbers + k)] = op_.weights[at(weight_index(op_, input, o, k))];
    rows_[at(o * numbers + reach_.fan_in)] = op_.bias.empty() ? 0 : op_.bias[at(o)];
    for (std::int64_t position = 0; position < plane_; ++position)
      if (keeps(o, position)) find_jumps(o, position);
    for (std::int64_t k = 0; k < numbers; ++k) {
      if (is_covered(o, k)) continue;
      open_[at(o)] += 1;
      largest_jump = std::max({largest_jump, missing(o, k, true), missing(o, k, false)});
    }
    countable_ += open_[at(o)];
  }
  uncovered_ = countable_;
  furthest_ = largest_code * largest_jump;
}

std::span<const std::int64_t> LinearProbe::row(std::int64_t channel) const {
  const std::size_t numbers = at(reach_.fan_in + 1);
  return std::span(rows_).subspan(at(channel) * numbers, numbers);
}

Surroundings LinearProbe::surroundings(std::int64_t channel, std::int64_t position) const {
  const SumRange sum = sum_range(row(channel), reach_, facts_, channel, position);
  const std::int64_t code = output_code(channel, sum.lo);
  if (code != output_code(channel, sum.hi)) return {sum.lo, sum.hi, true};
  return {
      sum.lo, sum.hi, false,
      smallest(kBeyond, [&](std::int64_t d) { return output_code(channel, sum.hi + d) != code; }),
      smallest(kBeyond, [&](std::int64_t d) { return output_code(channel, sum.lo - d) != code; })};
}

Jump LinearProbe::least_jump(std::int64_t channel, std::int64_t k, bool upwards, std::int64_t lo,
                             std::int64_t hi, const Surroundings& around) const {
  const std::int64_t number = weight(channel, k);
  const int bits = k == reach_.fan_in ? kBiasBits : op_.weight_bits;
  const std::int64_t room = upwards ? highest_code(bits) - number : number - lowest_code(bits);
  if (around.threshold) {  // some sum lies next to it, as far as intervals tell
    const std::int64_t code = std::abs(lo) > std::abs(hi) ? lo : hi;
    return room > 0 && code != 0 ? Jump{1, code} : Jump{};
  }
  // The largest and the smallest sum, which are reached, must move to a threshold: one of the
  // products below must come to be at least, or at most, this large.
  const std::int64_t largest = std::max(number * lo, number * hi) + around.above;
  const std::int64_t smallest_product = std::min(number * lo, number * hi) - around.below;
  Jump least;
  for (const std::int64_t code : {lo, hi}) {
    if (code == 0) continue;
    const std::int64_t wanted = upwards == (code > 0) ? largest : -smallest_product;
    const std::int64_t changed = divide_up(wanted, std::abs(code));  // downwards: its negative
    const std::int64_t size = upwards ? changed - number : changed + number;
    if (size <= room && (least.size == 0 || size < least.size)) least = {size, code};
  }
  return least;
}

void LinearProbe::find_jumps(std::int64_t channel, std::int64_t position) {
  const Surroundings around = surroundings(channel, position);
  Kind& kind = kinds_[at(channel)];
  (around.threshold ? kind.threshold : kind.constant) = true;
  const auto consider = [&](std::int64_t k, std::int64_t lo, std::int64_t hi) {
    Sizes& sizes = missing_[at(channel * (reach_.fan_in + 1) + k)];
    for (const bool upwards : {true, false}) {
      std::uint32_t& size = upwards ? sizes.up : sizes.down;
      if (size == 1) continue;
      const Jump jump = least_jump(channel, k, upwards, lo, hi, around);
      if (jump.size > 0 && (size == 0 || jump.size < size))
        size = static_cast<std::uint32_t>(jump.size);
    }
  };
  reach_.each(channel, position, [&](std::int64_t k, std::int64_t element) {
    consider(k, facts_.lo[at(element)], facts_.hi[at(element)]);
  });
  if (!op_.bias.empty()) consider(reach_.fan_in, 1, 1);
}

std::vector<LinearProbe::Met> LinearProbe::met(std::int64_t channel, std::int64_t position) const {
  std::vector<Met> met;
  reach_.each(channel, position, [&](std::int64_t k, std::int64_t element) {
    met.push_back({k, element});
  });
  return met;
}

std::int64_t LinearProbe::sum(std::span<const std::int64_t> codes, std::int64_t channel,
                              std::int64_t position) const {
  const std::int64_t* row = rows_.data() + channel * (reach_.fan_in + 1);
  std::int64_t sum = row[reach_.fan_in];
  reach_.each(channel, position,
              [&](std::int64_t k, std::int64_t element) { sum += row[k] * codes[at(element)]; });
  return sum;
}

Distances LinearProbe::distances(std::int64_t channel, std::int64_t accumulator) const {
  const std::int64_t code = output_code(channel, accumulator);
  return {smallest(furthest_,
                   [&](std::int64_t d) { return output_code(channel, accumulator + d) != code; }),
          smallest(furthest_,
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
  if (distance.up > furthest_ && distance.down > furthest_) return;
  reach_.each(channel, position, [&](std::int64_t k, std::int64_t element) {
    cover(channel, k, codes[at(element)], distance);
  });
  if (!op_.bias.empty()) cover(channel, reach_.fan_in, 1, distance);
}

// The number has met `code` where the sum has this distance to its thresholds.
void LinearProbe::cover(std::int64_t channel, std::int64_t k, std::int64_t code,
                        const Distances& distance) {
  Sizes& sizes = missing_[at(channel * (reach_.fan_in + 1) + k)];
  if (code == 0 || (sizes.up == 0 && sizes.down == 0)) return;
  const std::int64_t magnitude = std::abs(code);
  if ((code > 0 ? distance.up : distance.down) <= sizes.up * magnitude) sizes.up = 0;
  if ((code > 0 ? distance.down : distance.up) <= sizes.down * magnitude) sizes.down = 0;
  if (sizes.up != 0 || sizes.down != 0) return;
  open_[at(channel)] -= 1;
  uncovered_ -= 1;
}

}  // namespace lockstep::verify
