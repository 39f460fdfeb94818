// Asks the network whether it computes on this board what it should, then runs it once a second.
// This file is yours: Lockstep never overwrites it.
#include <net_io.h>
#include <string.h>

NET_ARENA(arena);

// In the order height, width, channel.
static float input[NET_INPUT0_ELEMENTS], output[NET_OUTPUT0_ELEMENTS];

void setup() {
  Serial.begin(115200);
  Serial.println(net_selftest(arena) == 0 ? "self test passed" : "self test FAILED");
}

void loop() {
  memset(arena, 0, sizeof arena);  // inputs that nobody sets are 0
  net_set_input(arena, 0, input);  // put your samples into `input`
  net_run(arena);
  net_get_output(arena, 0, output);
  uint32_t best = 0;
  for (uint32_t i = 1; i < NET_OUTPUT0_ELEMENTS; ++i)
    if (output[i] > output[best]) best = i;
  Serial.print("largest output: number ");
  Serial.println(static_cast<unsigned long>(best));
  delay(1000);
}
