/* The functions of <string.h> that the compiler or generated C may call; bare.c defines
 * them. */
#ifndef FREESTANDING_STRING_H_
#define FREESTANDING_STRING_H_

#include <stddef.h>

void* memcpy(void* restrict to, const void* restrict from, size_t bytes);
void* memmove(void* to, const void* from, size_t bytes);
void* memset(void* to, int value, size_t bytes);
int memcmp(const void* a, const void* b, size_t bytes);
size_t strlen(const char* text);

#endif
