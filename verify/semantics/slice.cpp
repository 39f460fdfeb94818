// slice: along one axis the places start, start + step, ... below end.
#include <fmt/format.h>

#include <algorithm>

#include "compile/support/error.h"
#include "verify/semantics/move.h"

namespace lockstep::verify {

OperatorPointer make_slice(const Node& node, const NodeParameters&, Formats inputs) {
  const std::vector<std::int64_t>& from = inputs[0]->shape;
  const std::size_t axis = axis_of(node, "dim", from);
  const std::int64_t start = node.integer("start"), step = node.integer("step");
  const std::int64_t end = std::min(node.integer("end"), from[axis]);
  if (start >= end)
    throw InputError(fmt::format("layer '{}': start = {}, end = {} leaves nothing of {} places",
                                 node.name, start, node.integer("end"), from[axis]));
  std::vector<std::int64_t> shape = from;
  shape[axis] = (end - start + step - 1) / step;
  std::vector<MovedElement> elements;
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  for (std::int64_t e = 0; e < count; ++e) {
    std::vector<std::int64_t> places = places_of(e, shape);
    places[axis] = start + places[axis] * step;
    elements.push_back({.element = element_at(places, from)});
  }
  return make_move(node, inputs, shape, std::move(elements));
}

}  // namespace lockstep::verify
