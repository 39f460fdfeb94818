/* The harness's I/O on an emulated Arm core: the emulator opens the files input.bin and output.bin
 * in its working directory. Calls and numbers: Arm's "Semihosting for AArch32 and AArch64". */
#include "harness.h"

#define SYS_OPEN 0x01u
#define SYS_CLOSE 0x02u
#define SYS_WRITE 0x05u
#define SYS_READ 0x06u
#define SYS_FLEN 0x0Cu
#define OPEN_READ_BINARY 1u
#define OPEN_WRITE_BINARY 5u

static uint32_t input_file, output_file, bytes_left;

static uint32_t call(uint32_t number, const void* arguments) {
  register uint32_t r0 __asm__("r0") = number;
  register const void* r1 __asm__("r1") = arguments;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

static uint32_t open_file(const char* name, uint32_t name_length, uint32_t mode) {
  const uint32_t arguments[3] = {(uint32_t)(uintptr_t)name, mode, name_length};
  return call(SYS_OPEN, arguments);
}

int harness_open(void) {
  input_file = open_file("input.bin", 9u, OPEN_READ_BINARY);
  output_file = open_file("output.bin", 10u, OPEN_WRITE_BINARY);
  if (input_file == UINT32_MAX || output_file == UINT32_MAX) return 0;
  bytes_left = call(SYS_FLEN, &input_file);
  return bytes_left != UINT32_MAX;
}

/* SYS_READ and SYS_WRITE return how many bytes were not moved. */
int harness_read(void* data, uint32_t bytes) {
  const uint32_t arguments[3] = {input_file, (uint32_t)(uintptr_t)data, bytes};
  if (bytes > bytes_left || call(SYS_READ, arguments) != 0u) return 0;
  bytes_left -= bytes;
  return 1;
}

int harness_write(const void* data, uint32_t bytes) {
  const uint32_t arguments[3] = {output_file, (uint32_t)(uintptr_t)data, bytes};
  return call(SYS_WRITE, arguments) == 0u;
}

int harness_close(void) { return call(SYS_CLOSE, &output_file) == 0u; }

int harness_at_end(void) { return bytes_left == 0u; }
