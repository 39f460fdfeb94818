// Which elements of a graph node's value a tensor holds: all, or those of the channels that its map
// lists. A map counts channels of the height and width that the tensor has, also behind a flatten.
#pragma once

#include <cstdint>
#include <string>

#include "verify/differential/observation.h"
#include "verify/semantics/format.h"

namespace lockstep::verify {

// The channel of its node that `channel` of the tensor is.
std::int64_t graph_channel(const VisibleTensor& tensor, std::int64_t channel);

// The element of its node's value, row-major, that `element` of the tensor, in (C,H,W) order, is.
// Also of another node whose value keeps every element in its place, such as a flatten.
std::int64_t graph_element(const VisibleTensor& tensor, std::int64_t element);

// Why the map lists no channels of the value of `format`: one twice, or one that is not there.
// Empty where it does, and without a map.
std::string map_fault(const VisibleTensor& tensor, const Format& format);

// Whether graph_element of every element is one of a value of `format`: the value's height and
// width, no fault in the map, and without a map all channels.
bool is_part_of(const VisibleTensor& tensor, const Format& format);

}  // namespace lockstep::verify
