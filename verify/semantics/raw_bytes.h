// Raw inputs: from the bytes that a network is fed with to the codes that its graph begins with, as
// docs/arithmetic.md, "Raw bytes", has it. Shares no code with the compiler.
#pragma once

#include <cstdint>
#include <vector>

#include "compile/graph/graph.h"
#include "verify/semantics/format.h"

namespace lockstep::verify {

// What the bytes of a raw input are: codes 0 to 255 on the grid of the integers.
Format format_of_bytes(const GraphInput& input);

// How a byte becomes a number, and that a code.
class RawCodes {
 public:
  // Of a raw input. InputError names the input, the channel and a byte that quantization is not
  // defined for.
  explicit RawCodes(const GraphInput& input);

  // Of a channel (dimension 0).
  const FloatChain& functions(std::int64_t channel) const { return functions_[index(channel)]; }
  std::int64_t code(std::int64_t channel, std::int64_t byte) const {
    return codes_[index(channel)][static_cast<std::size_t>(byte)];
  }
  // The smallest and the largest code of a channel.
  CodeRange range(std::int64_t channel) const;

 private:
  std::size_t index(std::int64_t channel) const {
    return functions_.size() == 1 ? 0 : static_cast<std::size_t>(channel);
  }

  std::vector<FloatChain> functions_;             // one, or one per channel
  std::vector<std::vector<std::int64_t>> codes_;  // likewise, 256 each
};

}  // namespace lockstep::verify
