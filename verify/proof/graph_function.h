// What a graph makes of an exact integer by a chain of steps, for one element.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "verify/proof/chain.h"
#include "verify/proof/post_op.h"
#include "verify/semantics/format.h"

namespace lockstep::verify {

// Whether a function rises or falls; kUnknown: it may do both.
enum class Direction : std::uint8_t { kRising, kFalling, kUnknown };

// code * 2^-decimal.
struct ExactValue {
  std::int64_t code = 0;
  int decimal = 0;
};

// Low bits that sums always have and that a plan leaves out of its own: an argument x stands for
// x * 2^bits + low.
struct LowBits {
  int bits = 0;  // up to 30, of sums of up to 32 bits
  std::int64_t low = 0;
};

class GraphFunction {
 public:
  // `steps` must end in an exact value; `decimal`: of the argument, as the plan has it.
  GraphFunction(Steps steps, int decimal, LowBits low_bits = {});

  ExactValue apply(std::int64_t code) const;
  // The same on the grid `decimal`; nothing where that does not hold the value.
  std::optional<std::int64_t> apply(std::int64_t code, int decimal) const;
  Direction direction() const { return direction_; }
  // As shifts and clamps that end on the grid `decimal`; nothing where float functions are among
  // the steps, the grid is too coarse or low bits are left out.
  std::optional<std::vector<PostStep>> shifts(int decimal) const;
  // Of its results.
  int result_decimal() const { return result_decimal_; }

 private:
  Steps steps_;
  LowBits low_bits_;
  int decimal_, result_decimal_;  // decimal_: with the low bits
  Direction direction_ = Direction::kRising;
};

// code * 2^(to - from) where that is an integer.
std::optional<std::int64_t> on_grid(std::int64_t code, int from, int to);

}  // namespace lockstep::verify
