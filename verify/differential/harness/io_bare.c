/* The harness's I/O on an emulated core without an operating system: the emulator opens the files
 * input.bin and output.bin in its working directory. */
#include "harness.h"
#include "semihosting.h"

#define OPEN_READ_BINARY 1u
#define OPEN_WRITE_BINARY 5u

static uint32_t input_file, output_file, bytes_left;

static uint32_t open_file(const char* name, uint32_t name_length, uint32_t mode) {
  const uint32_t arguments[3] = {(uint32_t)(uintptr_t)name, mode, name_length};
  return semihosting(SYS_OPEN, arguments);
}

int harness_open(void) {
  input_file = open_file("input.bin", 9u, OPEN_READ_BINARY);
  output_file = open_file("output.bin", 10u, OPEN_WRITE_BINARY);
  if (input_file == UINT32_MAX || output_file == UINT32_MAX) return 0;
  bytes_left = semihosting(SYS_FLEN, &input_file);
  return bytes_left != UINT32_MAX;
}

/* SYS_READ and SYS_WRITE return how many bytes were not moved. */
int harness_read(void* data, uint32_t bytes) {
  const uint32_t arguments[3] = {input_file, (uint32_t)(uintptr_t)data, bytes};
  if (bytes > bytes_left || semihosting(SYS_READ, arguments) != 0u) return 0;
  bytes_left -= bytes;
  return 1;
}

int harness_write(const void* data, uint32_t bytes) {
  const uint32_t arguments[3] = {output_file, (uint32_t)(uintptr_t)data, bytes};
  return semihosting(SYS_WRITE, arguments) == 0u;
}

int harness_close(void) { return semihosting(SYS_CLOSE, &output_file) == 0u; }

int harness_at_end(void) { return bytes_left == 0u; }

int main(void) { return harness_main(); }
