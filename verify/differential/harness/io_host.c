/* The harness's I/O on a host: samples come from standard input, results go to standard output. */
#include <stdio.h>

#include "harness.h"

int harness_open(void) { return 1; }

int harness_read(void* data, uint32_t bytes) { return fread(data, 1, bytes, stdin) == bytes; }

int harness_write(const void* data, uint32_t bytes) {
  return fwrite(data, 1, bytes, stdout) == bytes;
}

int harness_close(void) { return fflush(stdout) == 0; }

int harness_at_end(void) { return fgetc(stdin) == EOF; }

int main(void) { return harness_main(); }
