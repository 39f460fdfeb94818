#include "verify/differential/observation.h"

#include <cstring>

#include "compile/support/error.h"

namespace lockstep::verify {
namespace {

template <typename T>
void decode(const VisibleTensor& tensor, const std::byte* data, std::int64_t* codes) {
  const std::size_t plane = std::size_t{tensor.height} * tensor.width;
  for (std::size_t i = 0; i < plane; ++i)
    for (std::size_t c = 0; c < tensor.channels; ++c) {
      T code;
      std::memcpy(&code, data + (i * tensor.channels + c) * sizeof(T), sizeof(T));
      codes[c * plane + i] = code;
    }
}

template <typename T>
void encode(const VisibleTensor& tensor, const std::int64_t* codes, std::byte* data) {
  const std::size_t plane = std::size_t{tensor.height} * tensor.width;
  for (std::size_t i = 0; i < plane; ++i)
    for (std::size_t c = 0; c < tensor.channels; ++c) {
      const auto code = static_cast<T>(codes[c * plane + i]);
      LOCKSTEP_ASSERT(code == codes[c * plane + i]);
      std::memcpy(data + (i * tensor.channels + c) * sizeof(T), &code, sizeof(T));
    }
}

}  // namespace

int VisibleTensor::decimal(std::int64_t logical) const {
  if (decimals.size() == 1) return decimals[0];
  return decimals[static_cast<std::size_t>(logical / (std::int64_t{height} * width))];
}

void decode_tensor(const VisibleTensor& tensor, const std::byte* data, std::int64_t* codes) {
  if (tensor.bytes) return decode<std::uint8_t>(tensor, data, codes);
  switch (tensor.element_bytes) {
    case 1:
      return decode<std::int8_t>(tensor, data, codes);
    case 2:
      return decode<std::int16_t>(tensor, data, codes);
    default:
      LOCKSTEP_ASSERT(tensor.element_bytes == 4);
      return decode<std::int32_t>(tensor, data, codes);
  }
}

void encode_tensor(const VisibleTensor& tensor, const std::int64_t* codes, std::byte* data) {
  if (tensor.bytes) return encode<std::uint8_t>(tensor, codes, data);
  switch (tensor.element_bytes) {
    case 1:
      return encode<std::int8_t>(tensor, codes, data);
    case 2:
      return encode<std::int16_t>(tensor, codes, data);
    default:
      LOCKSTEP_ASSERT(tensor.element_bytes == 4);
      return encode<std::int32_t>(tensor, codes, data);
  }
}

}  // namespace lockstep::verify
