// PREFIX_io.h: what programs around a network in C may use.
#pragma once

#include <string>
#include <string_view>

namespace lockstep::backends {

// Its text is the same for all networks but for the prefix: all that it knows of the network are
// the macros and tables of PREFIX.h, which the proof of the C compares with the plan.
std::string emit_io_header(std::string_view prefix);

}  // namespace lockstep::backends
