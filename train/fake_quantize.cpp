#include "train/fake_quantize.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "compile/support/error.h"

namespace lockstep::train {
namespace {

// Channels with fewer neighbours than this are processed together, each element with its format.
constexpr std::int64_t kShortRun = 64;

// 2^exponent; exact and quick for integers.
double power_of_two(double exponent) {
  const double whole = std::trunc(exponent);
  return whole == exponent && std::abs(whole) < 1000 ? std::ldexp(1.0, static_cast<int>(whole))
                                                     : std::exp2(exponent);
}

}  // namespace

CodeRange code_range(int bits) {
  const double end = std::ldexp(1.0, bits - 1);
  return {-end, end - 1};
}

void multiply_mask(RepeatedMask mask, const float* x, float* y, std::int64_t begin,
                   std::int64_t end) {
  while (begin < end) {
    const std::int64_t at = begin % mask.period;
    const std::int64_t last = std::min(end, begin + mask.period - at);
    loops().mask(x + begin, mask.keep + at, y + begin, last - begin);
    begin = last;
  }
}

FakeQuantizer::FakeQuantizer(std::span<const float> decimals, int bits, Rounding rounding,
                             std::int64_t inner)
    : rounding_(rounding), run_length_(inner) {
  LOCKSTEP_ASSERT(bits >= 1 && bits <= 32 && !decimals.empty() && inner >= 1);
  const double lo = code_range(bits).lo, hi = code_range(bits).hi;
  limits_ = {static_cast<float>(lo), static_cast<float>(hi)};
  std::int64_t copies = 1;
  if (decimals.size() == 1)
    run_length_ = std::numeric_limits<std::int64_t>::max();
  else if (inner < kShortRun)
    copies = inner, run_length_ = 1;
  for (const float d : decimals) {
    const double inverse = power_of_two(-static_cast<double>(d));
    const auto append = [&](std::vector<float>& values, double value) {
      values.insert(values.end(), static_cast<std::size_t>(copies), static_cast<float>(value));
    };
    append(scales_, power_of_two(static_cast<double>(d)));
    append(inverses_, inverse);
    append(value_los_, lo * inverse);
    append(value_his_, hi * inverse);
  }
}

// Calls run(formats, first, last) for the pieces of [begin, end) that lie within one row of formats
// and within one repetition of a mask of `period` elements (0: no mask).
template <typename Run>
void FakeQuantizer::for_each_run(std::int64_t begin, std::int64_t end, std::int64_t period,
                                 Run run) const {
  const auto entries = static_cast<std::int64_t>(scales_.size());
  const bool one_for_all = run_length_ > 1 || entries == 1;
  while (begin < end) {
    const std::int64_t row = begin / run_length_, entry = row % entries;
    std::int64_t left = one_for_all ? run_length_ - begin % run_length_ : entries - entry;
    if (period > 0) left = std::min(left, period - begin % period);
    const std::int64_t last = begin + std::min(left, end - begin);
    run(ElementFormats{scales_.data() + entry, inverses_.data() + entry, value_los_.data() + entry,
                       value_his_.data() + entry, one_for_all},
        begin, last);
    begin = last;
  }
}

bool FakeQuantizer::forward(const Around& around, const float* x, float* y, std::int64_t begin,
                            std::int64_t end) const {
  const RepeatedMask mask = around.mask;
  CodeLimits limits = limits_;
  if (around.relu == Relu::kBefore) limits.input_lo = 0;
  if (around.relu == Relu::kAfter) limits.lo = 0;
  bool fits = true;
  for_each_run(begin, end, mask.period,
               [&](const ElementFormats& formats, std::int64_t first, std::int64_t last) {
                 const std::uint8_t* keep = mask.keep ? mask.keep + first % mask.period : nullptr;
                 fits &= loops().quantize(rounding_, formats, limits, x + first, keep, y + first,
                                          last - first);
               });
  return fits;
}

void FakeQuantizer::backward(const Around& around, const float* gy, const float* gate, float* gx,
                             std::int64_t begin, std::int64_t end) const {
  const RepeatedMask mask = around.mask;
  const bool is_gated = around.relu != Relu::kNone;
  for_each_run(begin, end, mask.period,
               [&](const ElementFormats& formats, std::int64_t first, std::int64_t last) {
                 const std::uint8_t* keep = mask.keep ? mask.keep + first % mask.period : nullptr;
                 loops().quantize_gradient(formats, gy + first, is_gated ? gate + first : nullptr,
                                           keep, gx + first, last - first);
               });
}

void FakeQuantizer::squared_error(const float* x, float* error, std::int64_t begin,
                                  std::int64_t end) const {
  forward(x, error, begin, end);
  for (std::int64_t i = begin; i < end; ++i) {
    const float difference = x[i] - error[i];
    error[i] = difference * difference;
  }
}

}  // namespace lockstep::train
