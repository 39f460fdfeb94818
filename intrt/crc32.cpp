// zlib's CRC-32 (reflected polynomial 0xEDB88320), four bits at a time: 64 bytes of table suit a
// device.
#include <stddef.h>
#include <stdint.h>

#include "intrt/intrt.h"

namespace {

constexpr size_t kChecksumBegin = offsetof(intrt_plan_header, crc32);
constexpr size_t kChecksumEnd = kChecksumBegin + sizeof(uint32_t);

constexpr uint32_t kNibbleTable[16] = {
    0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
    0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};

}  // namespace

uint32_t intrt_plan_crc32(const void* bytes, size_t size) {
  const uint8_t* byte = static_cast<const uint8_t*>(bytes);
  uint32_t crc = 0xFFFFFFFFu;
  for (size_t i = 0; i < size; ++i) {
    if (i < kChecksumBegin || i >= kChecksumEnd) crc ^= byte[i];
    crc = (crc >> 4) ^ kNibbleTable[crc & 15u];
    crc = (crc >> 4) ^ kNibbleTable[crc & 15u];
  }
  return ~crc;
}
