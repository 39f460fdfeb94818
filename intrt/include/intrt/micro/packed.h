/* Sums of products on cores without instructions for several products: two positions share a
 * 32-bit word, so that one multiplication makes two products. Valid as C99. Generated C takes in
 * this text.
 *
 * A *panel* has one number for each tap: the code of position 0 + 65536 times that of position 1.
 * Times a weight, and summed, it holds the sum of position 0 in its low half and that of position 1
 * in its high half, as long as neither leaves 16 bits. */
#ifndef INTRT_MICRO_PACKED_H_
#define INTRT_MICRO_PACKED_H_

#include <stdint.h>

/* The taps first .. first + count - 1 of both positions: tap first + i of position p is
 * codes_p[i - begin_p] where begin_p <= i < end_p, else 0. 0 <= begin_p <= end_p <= count. */
INTRT_INLINE void intrt_packed_panel(int32_t* panel, int32_t first, int32_t count,
                                     const int8_t* codes0, int32_t begin0, int32_t end0,
                                     const int8_t* codes1, int32_t begin1, int32_t end1) {
  panel += first;
  if (begin0 == 0 && begin1 == 0 && end0 == count && end1 == count) {
    for (; count > 0; --count) *panel++ = *codes0++ + *codes1++ * 65536;
    return;
  }
  for (int32_t i = 0; i < count; ++i) {
    int32_t code0 = i >= begin0 && i < end0 ? codes0[i - begin0] : 0;
    int32_t code1 = i >= begin1 && i < end1 ? codes1[i - begin1] : 0;
    panel[i] = code0 + code1 * 65536;
  }
}

/* sums[2 * c + p] = start[c] + the products of channel c and position p, over `count` taps; the
 * weight of tap t of channel c is weights[4 * t + c]. Taps n * chunk .. (n + 1) * chunk - 1, or to
 * the last, are summed in halves of words: for each n, c and p that sum lies in -32768 .. 32767. No
 * sum leaves 32 bits on the way, in whatever order the products come. chunk >= 1. */
INTRT_ALWAYS_INLINE void intrt_packed_dot_4x2(int32_t* sums, const int32_t* start,
                                              const int32_t* panel, const int8_t* weights,
                                              int32_t count, int32_t chunk) {
  for (int32_t i = 0; i < 8; ++i) sums[i] = start[i >> 1];
  while (count > 0) {
    int32_t n = count < chunk ? count : chunk;
    uint32_t both0 = 0, both1 = 0, both2 = 0, both3 = 0;
    count -= n;
    for (; n > 0; --n) {
      uint32_t codes = (uint32_t)*panel++;
      both0 += codes * (uint32_t)weights[0];
      both1 += codes * (uint32_t)weights[1];
      both2 += codes * (uint32_t)weights[2];
      both3 += codes * (uint32_t)weights[3];
      weights += 4;
    }
#define INTRT_PACKED_ADD(c)                                        \
  {                                                                \
    int32_t low = (int16_t)(both##c & 0xffffu);                    \
    sums[2 * (c)] += low;                                          \
    sums[2 * (c) + 1] += (int32_t)(both##c - (uint32_t)low) >> 16; \
  }
    INTRT_PACKED_ADD(0) INTRT_PACKED_ADD(1) INTRT_PACKED_ADD(2) INTRT_PACKED_ADD(3)
#undef INTRT_PACKED_ADD
  }
}

#endif /* INTRT_MICRO_PACKED_H_ */
