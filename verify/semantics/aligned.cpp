#include "verify/semantics/aligned.h"

#include <fmt/format.h>

#include <algorithm>

#include "compile/support/error.h"
#include "verify/semantics/index.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {

Aligned::Aligned(const std::string& layer, const Format& format) : format_(format) {
  LOCKSTEP_ASSERT(!format.real);
  if (format.decimals.size() == 1) return;
  const std::vector<int> finest = finest_channel_decimals(format);
  const std::int64_t count = format.element_count();
  const std::int64_t plane = count / format.shape[0];
  std::vector<int> shifts;
  std::vector<CodeRange> ranges;
  for (std::int64_t e = 0; e < count; ++e) {
    const int shift = finest[at(e / plane)] - format.decimal(e);
    const CodeRange range = format.range(e);
    ranges.push_back({shift_code(layer, range.lo, shift), shift_code(layer, range.hi, shift)});
    shifts.push_back(shift);
    format_.decimals[at(e)] = finest[at(e / plane)];
  }
  if (std::ranges::all_of(shifts, [](int shift) { return shift == 0; })) return;
  set_ranges(format_, std::move(ranges));
  // A code whose every value is 0 may sit on any grid.
  for (std::int64_t e = 0; e < count; ++e)
    if (format_.range(e) == CodeRange{}) shifts[at(e)] = 0;
  shifts_ = std::move(shifts);
  format_.bits = 0;
}

std::span<const std::int64_t> Aligned::codes(std::span<const std::int64_t> input,
                                             std::vector<std::int64_t>& storage) const {
  if (shifts_.empty()) return input;
  storage.resize(input.size());
  for (std::size_t i = 0; i < input.size(); ++i)
    storage[i] = code(static_cast<std::int64_t>(i), input[i]);
  return storage;
}

void set_ranges(Format& format, std::vector<CodeRange> ranges) {
  LOCKSTEP_ASSERT(!ranges.empty());
  format.lo = ranges[0].lo;
  format.hi = ranges[0].hi;
  bool equal = true;
  for (const CodeRange& range : ranges) {
    equal = equal && range == ranges[0];
    format.lo = std::min(format.lo, range.lo);
    format.hi = std::max(format.hi, range.hi);
  }
  format.ranges = equal ? std::vector<CodeRange>{} : std::move(ranges);
}

std::int64_t shift_code(const std::string& layer, std::int64_t code, int shift) {
  LOCKSTEP_ASSERT(shift >= 0);
  if (code == 0) return 0;
  const Int128 most = Int128{1} << 62;
  const Int128 wide = shift > 62 ? most : static_cast<Int128>(code) * (Int128{1} << shift);
  if (wide >= most || wide <= -most)
    throw InputError(
        fmt::format("layer '{}': the decimals of its inputs lie too far apart: its values on one "
                    "grid can leave 64 bits",
                    layer));
  return static_cast<std::int64_t>(wide);
}

}  // namespace lockstep::verify
