// Raw inputs: what the bytes of a camera or microphone become before a network sees them, as far as
// graph.json (parsing), the compiler and training need it. The verifier works it out by itself.
#pragma once

#include <cstdint>
#include <vector>

#include "compile/graph/fields.h"
#include "compile/graph/graph.h"

namespace lockstep {

// `fields`: the object 'raw' of an input with so many channels. InputError names the owner and the
// field for a number out of range and a list of another length.
RawBytes parse_raw_bytes(Fields& fields, std::int64_t channels);

// The code of each of the 256 bytes, of a raw input: one table for all channels (dimension 0), or
// one per channel. InputError names the input, the channel and the byte where the number of a byte
// leaves float32 or the 32-bit range of quantization.
std::vector<std::vector<std::int16_t>> codes_of_bytes(const GraphInput& input);

}  // namespace lockstep
