#include "compile/backends/c_source/functions/vector_form.h"

#include <algorithm>

#include "compile/backends/c_source/functions/scale_form.h"

namespace lockstep::backends {
namespace {

using namespace ir;

// A shift is a scale with the multiplier 1.
std::optional<Scale> as_scale(const Post& post, std::size_t channels) {
  if (const Scale* scale = post.scale()) return *scale;
  const Requantize* r = post.requantize();
  if (r == nullptr || r->rounding == Rounding::kHalfEven) return std::nullopt;
  Scale scale{.rounding = r->rounding, .channels = {}};
  for (std::size_t c = 0; c < channels; ++c) {
    ChannelScale channel;
    channel.multiplier = 1;
    channel.shift = r->shift(static_cast<std::int64_t>(c));
    channel.lo = r->lo;
    channel.hi = r->hi;
    if (channel.shift < 0) return std::nullopt;
    scale.channels.push_back(channel);
  }
  return scale;
}

// (x * m + a) / 2^s rounded up is (x * m + a + 2^s - 1) / 2^s rounded down.
ChannelScale rounded_up(ChannelScale c) {
  c.addend += (std::int64_t{1} << c.shift) - 1;
  return c;
}

}  // namespace

std::optional<VectorForm> vector_form(const Post& post,
                                      const std::vector<Accumulator>& accumulators) {
  const std::optional<Scale> scale = as_scale(post, accumulators.size());
  if (!scale || accumulators.size() != scale->channels.size()) return std::nullopt;
  const ScaleForm form = scale_form(*scale, accumulators, false);
  const ChannelScale& first = form.channels.front();
  VectorForm result{.toward_zero = form.rounding == Rounding::kTowardZero,
                    .lo = first.lo,
                    .hi = first.hi,
                    .channels = {}};
  for (std::size_t i = 0; i < accumulators.size(); ++i) {
    const ChannelScale& c = form.channels[form.channels.size() == 1 ? 0 : i];
    if (c.has_steps() || c.lo != first.lo || c.hi != first.hi) return std::nullopt;
    const std::optional<TopScale> down = top_form(c, accumulators[i]),
                                  up = top_form(rounded_up(c), accumulators[i]);
    if (!down || !up || down->scale.multiplier == INT32_MIN) return std::nullopt;
    result.channels.push_back({down->offset, down->scale.multiplier, down->scale.addend,
                               up->offset - down->offset, up->scale.addend});
  }
  return result;
}

}  // namespace lockstep::backends
