// Codes of one tensor brought to one grid per channel: the finest that occurs there.
#pragma once

#include <string>
#include <vector>

#include "verify/semantics/format.h"

namespace lockstep::verify {

class Aligned {
 public:
  // `format` is exact. InputError names `layer` when a code could leave 64 bits.
  Aligned(const std::string& layer, const Format& format);

  // Of the codes on their channel's grid: decimals, bounds, bits.
  const Format& format() const { return format_; }
  std::int64_t code(std::int64_t element, std::int64_t code) const {
    return shifts_.empty() ? code
                           : code * (std::int64_t{1} << shifts_[static_cast<std::size_t>(element)]);
  }
  // All codes of a sample; `storage` is used where some must change.
  std::span<const std::int64_t> codes(std::span<const std::int64_t> input,
                                      std::vector<std::int64_t>& storage) const;

 private:
  Format format_;
  std::vector<int> shifts_;  // empty when every channel has one grid already
};

// Sets the bounds of `format`: `ranges`, one per element, and what they have in common.
void set_ranges(Format& format, std::vector<CodeRange> ranges);

// code * 2^shift, 0 <= shift. InputError names `layer` when it is not below 2^62 in magnitude.
std::int64_t shift_code(const std::string& layer, std::int64_t code, int shift);

}  // namespace lockstep::verify
