#include <cstdio>

#include "Arduino.h"

StubSerial Serial;

void StubSerial::begin(unsigned long) {}
void StubSerial::print(const char* text) { std::fputs(text, stdout); }
void StubSerial::println(const char* text) { std::puts(text); }
void StubSerial::println(unsigned long number) { std::printf("%lu\n", number); }

void delay(unsigned long) {}

int main() {
  setup();
  loop();
  loop();
}
