// What one path (the plan on one kernel variant, generated C on one target) shows of a run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lockstep::verify {

// A visible tensor, as the path itself describes it. Stored HWC, channel fastest.
struct VisibleTensor {
  std::string name;  // the graph node or input whose value it claims to hold
  std::uint32_t element_bytes = 1;
  std::uint32_t bits = 8;
  std::uint32_t logical_rank = 3;
  std::uint32_t channels = 1, height = 1, width = 1;
  std::vector<int> decimals;  // 1, or one per channel
  // The path claims that it holds exactly the value of `name`; else it is a step on the way there.
  bool named = true;
  bool bytes = false;  // raw bytes 0..255
  // Empty, or one per channel: the value is fl(code * 2^-decimal) + offset.
  std::vector<float> offsets;
  // Empty: all channels of `name`, in order. Else which of them each channel is.
  std::vector<std::uint32_t> channel_map;

  std::int64_t element_count() const {
    return std::int64_t{channels} * std::int64_t{height} * std::int64_t{width};
  }
  // Of the element at `logical` in (C,H,W) order.
  int decimal(std::int64_t logical) const;
};

struct Observations {
  std::vector<VisibleTensor> tensors;
  std::vector<std::uint32_t> outputs;  // indices into tensors
  std::vector<std::vector<std::int64_t>>
      codes;  // per tensor, sample after sample, in (C,H,W) order
  std::int64_t samples = 0;
};

// One sample from the path's memory to (C,H,W) order, and back. Little endian on both sides.
void decode_tensor(const VisibleTensor& tensor, const std::byte* data, std::int64_t* codes);
void encode_tensor(const VisibleTensor& tensor, const std::int64_t* codes, std::byte* data);

}  // namespace lockstep::verify
