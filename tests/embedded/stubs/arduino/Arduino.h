// Stands in for an Arduino core on the machine at hand: what the sketch uses of it.
#pragma once

struct StubSerial {
  void begin(unsigned long baud);
  void print(const char* text);
  void println(const char* text);
  void println(unsigned long number);
};
extern StubSerial Serial;

void delay(unsigned long milliseconds);

void setup();
void loop();
