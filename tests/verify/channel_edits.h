// Programs whose values keep some channels only, made by hand from compiled ones: the rows, columns
// and numbers of what is left are taken over, whether or not that is right.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "compile/ir/ir.h"

namespace lockstep::test {

enum class Fold : std::uint8_t {
  kNothing,
  kConstants  // what a layer multiplies a channel by that is left out and has one code, wherever
              // that lies: into its bias
};

// `kept`: by node name, which channels the value of the node keeps, in this order. Every other
// value stays whole. `program` went through the whole pipeline; ranges are derived anew.
void keep_channels(ir::Program& program,
                   const std::map<std::string, std::vector<std::int64_t>>& kept, Fold fold);

}  // namespace lockstep::test
