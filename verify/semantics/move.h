// Operators that only move values: each says where the elements of its result come from, and this
// does the rest.
#pragma once

#include <vector>

#include "verify/semantics/operators.h"

namespace lockstep::verify {

// `elements`: one per element of `shape`. With several inputs, exact ones beside real ones become
// float32 numbers; InputError names the layer where that could round a code.
OperatorPointer make_move(const Node& node, Formats inputs, std::vector<std::int64_t> shape,
                          std::vector<MovedElement> elements);

// A tensor's row-major index of each axis, and back.
std::vector<std::int64_t> places_of(std::int64_t element, std::span<const std::int64_t> shape);
std::int64_t element_at(std::span<const std::int64_t> places, std::span<const std::int64_t> shape);

// The attribute `name`, which counts axes with the batch, as an index into `shape`. InputError
// names the layer when the tensor has not that many.
std::size_t axis_of(const Node& node, std::string_view name, std::span<const std::int64_t> shape);

}  // namespace lockstep::verify
