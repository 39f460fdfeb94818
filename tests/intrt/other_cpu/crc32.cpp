// zlib's function of that name, for a machine for which there is no zlib here.
#include <zlib.h>

uLong crc32(uLong crc, const Bytef* bytes, uInt size) {
  crc = ~crc & 0xFFFFFFFFu;
  for (uInt i = 0; i < size; ++i) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1u) != 0 ? 0xEDB88320u : 0u);
  }
  return ~crc & 0xFFFFFFFFu;
}
