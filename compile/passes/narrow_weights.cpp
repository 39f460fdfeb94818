// A bias on a finer grid than all products of its sum, for instance what constant channels added to
// it, makes the weights of that sum multiples of 2^k: wider than they must be. The sum is
// S * 2^k + b, and a shift by s >= k that rounds down makes floor((S + floor(b / 2^k)) / 2^(s - k))
// of it. So the weights, the bias and the shift give up k bits. The same holds
// - for any rounding, where b is a multiple of 2^k;
// - for rounding toward zero, where the sum is never negative, or where the clamp makes 0 of all
//   that is.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <functional>
#include <vector>

#include "compile/passes/pass.h"

namespace lockstep::passes {
namespace {

using namespace ir;

constexpr int kNarrowBits = 8;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

// The weights of one output channel.
struct Row {
  int trailing_zeros = 31;  // of all
  int bits = 2;             // that hold each of them
};

Row row_of(const xt::xarray<std::int32_t>& weights, std::int64_t o) {
  const auto count = static_cast<std::int64_t>(weights.size() / weights.shape(0));
  Row row;
  for (std::int64_t k = 0; k < count; ++k) {
    const std::int32_t w = weights.data()[o * count + k];
    if (w == 0) continue;
    row.trailing_zeros =
        std::min(row.trailing_zeros, std::countr_zero(static_cast<std::uint32_t>(w)));
    row.bits = std::max(row.bits, bits_to_hold(w, w));
  }
  return row;
}

// Whether the sums of channel `o` may give up `bits` low bits; then also fewer.
template <typename Kind>
bool may_drop(const Kind& kind, const Requantize& post, std::int64_t o, int bits) {
  if (post.shift(o) < bits) return false;
  const std::int64_t bias = kind.bias.empty() ? 0 : kind.bias[at(o)];
  if (bias % (std::int64_t{1} << bits) == 0 || post.rounding == Rounding::kFloor) return true;
  return post.rounding == Rounding::kTowardZero &&
         (post.lo == 0 || kind.accumulators[at(o)].range.lo >= 0);
}

// The bits that are given up, 0 or more, for each channel: as many as its weights have too many,
// where all fit then; a plan has one width for the weights of a layer. Else segments may do the
// rest. So that those become no more by it, all channels that do not fit give up as many bits.
template <typename Kind>
std::vector<int> bits_to_drop(const Kind& kind, const Requantize& post, bool several_decimals) {
  const auto outputs = static_cast<std::int64_t>(kind.weights.shape(0));
  std::vector<int> excess;  // per channel
  int common = 31;
  bool all_fit = true;
  for (std::int64_t o = 0; o < outputs; ++o) {
    const Row row = row_of(kind.weights, o);
    excess.push_back(std::max(0, row.bits - kNarrowBits));
    if (excess.back() == 0) continue;
    int most = row.trailing_zeros;
    while (most > 0 && !may_drop(kind, post, o, most)) --most;
    common = std::min(common, most);
    all_fit = all_fit && excess.back() <= most;
  }
  if (all_fit) return excess;
  std::vector<int> dropped;
  for (const int bits : excess) dropped.push_back(bits > 0 && several_decimals ? common : 0);
  return dropped;
}

template <typename Kind>
bool narrow(Kind& kind, bool several_decimals) {
  Requantize* const post = kind.post.requantize();
  if (kind.wide || post == nullptr) return false;
  const std::vector<int> dropped = bits_to_drop(kind, *post, several_decimals);
  if (std::ranges::all_of(dropped, [](int bits) { return bits == 0; })) return false;
  const auto outputs = static_cast<std::int64_t>(dropped.size());
  std::vector<int> shifts;
  const std::size_t row = kind.weights.size() / at(outputs);
  for (std::int64_t o = 0; o < outputs; ++o) {
    const int bits = dropped[at(o)];
    std::int32_t* const weights = kind.weights.data() + at(o) * row;
    std::for_each(weights, weights + row, [&](std::int32_t& w) { w >>= bits; });
    if (!kind.bias.empty()) kind.bias[at(o)] >>= bits;  // rounds down
    shifts.push_back(post->shift(o) - bits);
  }
  post->shifts = std::ranges::adjacent_find(shifts, std::not_equal_to<>()) == shifts.end()
                     ? std::vector<int>{shifts[0]}
                     : std::move(shifts);
  return true;
}

}  // namespace

Program narrow_weights(Program program) {
  bool any = false;
  for (Op& op : program.ops) {
    const bool several = program.values[op.input()].decimals.size() > 1;
    if (auto* conv = std::get_if<Conv2d>(&op.kind)) any |= narrow(*conv, several);
    if (auto* conv = std::get_if<ConvTranspose2d>(&op.kind)) any |= narrow(*conv, several);
    if (auto* linear = std::get_if<Linear>(&op.kind)) any |= narrow(*linear, several);
  }
  if (any) derive_ranges(program);
  return program;
}

}  // namespace lockstep::passes
