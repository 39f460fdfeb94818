// transpose: two axes change places.
#include <utility>

#include "verify/semantics/move.h"

namespace lockstep::verify {

OperatorPointer make_transpose(const Node& node, const NodeParameters&, Formats inputs) {
  const std::vector<std::int64_t>& from = inputs[0]->shape;
  const std::size_t first = axis_of(node, "dim0", from), second = axis_of(node, "dim1", from);
  std::vector<std::int64_t> shape = from;
  std::swap(shape[first], shape[second]);
  std::vector<MovedElement> elements;
  for (std::int64_t e = 0; e < inputs[0]->element_count(); ++e) {
    std::vector<std::int64_t> places = places_of(e, shape);
    std::swap(places[first], places[second]);
    elements.push_back({.element = element_at(places, from)});
  }
  return make_move(node, inputs, shape, std::move(elements));
}

}  // namespace lockstep::verify
