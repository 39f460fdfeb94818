#include "compile/backends/c_source/io_header.h"

#include "compile/backends/c_source/c_text.h"

namespace lockstep::backends {
namespace {

// @net and @NET are the prefix.
constexpr std::string_view kText =
    R"(/* Working memory, inputs and outputs of @net.h for the program around the network, with floats where
 * it has them. Made by Lockstep; @net.c needs nothing of this. docs/generated-c.md tells more. */
#ifndef @NET_IO_H_
#define @NET_IO_H_

#include <string.h>

#include "@net.h"

/* @NET_ARENA(name); is working memory for one instance, static, of the right size and alignment. */
#if defined(__cplusplus)
#define @NET_ALIGNED_ alignas(@NET_ARENA_ALIGNMENT)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define @NET_ALIGNED_ _Alignas(@NET_ARENA_ALIGNMENT)
#else
#define @NET_ALIGNED_ __attribute__((aligned(@NET_ARENA_ALIGNMENT)))
#endif
#define @NET_ARENA(name) @NET_ALIGNED_ static uint8_t name[@NET_ARENA_BYTES]

/* @NET_CHECK_ARENA(array); does not compile where the array is too small for working memory or, with
 * GCC and Clang, not aligned for it. */
#if defined(__GNUC__)
#define @NET_ALIGNMENT_OF_(array) __alignof__(array)
#else
#define @NET_ALIGNMENT_OF_(array) @NET_ARENA_ALIGNMENT
#endif
#define @NET_CHECK_ARENA(array)                                                   \
  extern char @net_arena_is_too_small_or_not_aligned                              \
      [sizeof(array) >= @NET_ARENA_BYTES &&                                       \
               @NET_ALIGNMENT_OF_(array) % @NET_ARENA_ALIGNMENT == 0u             \
           ? 1                                                                   \
           : -1]

/* Where the codes of input or output i lie, with their type; i is a literal number. The element of
 * row y, column x and channel c has the index (y * WIDTH + x) * CHANNELS + c. */
#define @NET_INPUT(arena, i) ((@NET_INPUT##i##_TYPE *)(void *)((uint8_t *)(arena) + @NET_INPUT##i##_OFFSET))
#define @NET_OUTPUT(arena, i) \
  ((@NET_OUTPUT##i##_TYPE *)(void *)((uint8_t *)(arena) + @NET_OUTPUT##i##_OFFSET))

/* The code of a value: value * 2^decimal, rounded toward zero, and the nearest of lowest and highest
 * where it lies beyond them; so for the infinities. NaN has the code 0, or the nearest to it. It takes
 * no float instruction, whatever the compiler's options. */
static inline int32_t @net_quantize(float value, int decimal, int32_t lowest, int32_t highest) {
  uint32_t bits, magnitude;
  int32_t exponent, shift, code = 0;
  memcpy(&bits, &value, sizeof bits);
  exponent = (int32_t)(bits >> 23 & 255u);
  magnitude = bits & 0x7FFFFFu;
  if (exponent != 255 || magnitude == 0u) {
    /* The value is magnitude * 2^(exponent - 150). */
    if (exponent == 0)
      exponent = 1;
    else
      magnitude |= 0x800000u;
    shift = exponent - 150 + decimal;
    if (exponent == 255 || (shift >= 8 && magnitude != 0u))
      magnitude = 0x80000000u;
    else if (shift >= 0)
      magnitude = shift < 8 ? magnitude << shift : 0u;
    else
      magnitude = shift > -24 ? magnitude >> -shift : 0u;
    if (magnitude > 0x7FFFFFFFu)
      code = bits >> 31 != 0u ? INT32_MIN : INT32_MAX;
    else
      code = bits >> 31 != 0u ? -(int32_t)magnitude : (int32_t)magnitude;
  }
  return code < lowest ? lowest : code > highest ? highest : code;
}

/* 2^exponent, from -126 to 127 */
static inline float @net_power_(int exponent) {
  const uint32_t bits = (uint32_t)(exponent + 127) << 23;
  float power;
  memcpy(&power, &bits, sizeof power);
  return power;
}

/* The value of a code, code * 2^-decimal, -128 <= decimal <= 127: exact, but for codes of more than 24
 * bits, which are rounded to the nearest float. */
static inline float @net_dequantize(int32_t code, int decimal) {
  const int half = -decimal / 2;
  return (float)code * @net_power_(half) * @net_power_(-decimal - half);
}

/* All elements of input number `input` from values in the order height, width, channel; of an input
 * of raw bytes from the bytes' numbers, 0 to 255. */
static inline void @net_set_input(void *arena, uint32_t input, const float *values) {
  const @net_tensor *const tensor = &@net_tensors[@net_inputs[input]];
  uint8_t *const codes = (uint8_t *)arena + tensor->arena_offset;
  const uint32_t elements = tensor->height * tensor->width * tensor->channels;
  const int32_t half = (int32_t)((uint32_t)1 << (tensor->bits - 1));
  uint32_t i;
  for (i = 0; i < elements; ++i) {
    const int decimal = tensor->decimals[tensor->decimal_count == 1 ? 0u : i % tensor->channels];
    if (tensor->type == 4) {
      codes[i] = (uint8_t)@net_quantize(values[i], 0, 0, 255);
    } else if (tensor->type == 1) {
      const int8_t code = (int8_t)@net_quantize(values[i], decimal, -half, half - 1);
      memcpy(codes + i, &code, sizeof code);
    } else {
      const int16_t code = (int16_t)@net_quantize(values[i], decimal, -half, half - 1);
      memcpy(codes + i * sizeof code, &code, sizeof code);
    }
  }
}

/* The values of all elements of output number `output`, in the order height, width, channel, with
 * the offsets of those that have any. */
static inline void @net_get_output(const void *arena, uint32_t output, float *values) {
  const @net_tensor *const tensor = &@net_tensors[@net_outputs[output]];
  const uint8_t *const codes = (const uint8_t *)arena + tensor->arena_offset;
  const uint32_t elements = tensor->height * tensor->width * tensor->channels;
  uint32_t i;
  for (i = 0; i < elements; ++i) {
    const uint32_t channel = i % tensor->channels;
    const int decimal = tensor->decimals[tensor->decimal_count == 1 ? 0u : channel];
    int32_t code;
    if (tensor->type == 1) {
      int8_t narrow;
      memcpy(&narrow, codes + i, sizeof narrow);
      code = narrow;
    } else if (tensor->type == 2) {
      int16_t narrow;
      memcpy(&narrow, codes + i * sizeof narrow, sizeof narrow);
      code = narrow;
    } else if (tensor->type == 3) {
      memcpy(&code, codes + i * sizeof code, sizeof code);
    } else {
      code = codes[i];
    }
    values[i] = @net_dequantize(code, decimal);
    if (tensor->offsets != 0) {
      float offset;
      memcpy(&offset, &tensor->offsets[channel], sizeof offset);
      values[i] += offset;
    }
  }
}

#endif
)";

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

}  // namespace

std::string emit_io_header(std::string_view prefix) {
  std::string text(kText);
  replace_all(text, "@NET", upper(prefix));
  replace_all(text, "@net", prefix);
  return text;
}

}  // namespace lockstep::backends
