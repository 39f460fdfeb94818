// Makes a network that fails smaller while it goes on failing.
#pragma once

#include <functional>
#include <string>

#include "tests/compile/random_network.h"

namespace lockstep::test {

// Repeatedly takes away outputs, nodes, inputs, wraps, positions and channels, and simplifies
// attributes and numbers; keeps each change for which `fails` still holds. `fails` must hold for
// `network` and be false for a network that is refused.
Network minimise(Network network, const std::function<bool(const Network&)>& fails);

// The graph's JSON and every entry of the state dict, to be read by a person.
std::string describe(const Network& network);

}  // namespace lockstep::test
