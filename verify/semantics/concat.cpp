// concat: the inputs one behind the other along one axis.
#include <fmt/format.h>

#include "compile/support/error.h"
#include "verify/semantics/move.h"

namespace lockstep::verify {

OperatorPointer make_concat(const Node& node, const NodeParameters&, Formats inputs) {
  std::vector<std::int64_t> shape = inputs[0]->shape;
  const std::size_t axis = axis_of(node, "dim", shape);
  shape[axis] = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    std::vector<std::int64_t> other = inputs[i]->shape;
    const bool same_rank = other.size() == shape.size();
    if (same_rank) shape[axis] += other[axis];
    if (same_rank) other[axis] = shape[axis];
    if (other != shape)
      throw InputError(fmt::format(
          "layer '{}': its input '{}' of shape {} and '{}' of shape {} differ in another axis than "
          "{}",
          node.name, node.inputs[0], shape_text(inputs[0]->shape), node.inputs[i],
          shape_text(inputs[i]->shape), node.integer("dim")));
    require_countable(node.name, shape);
  }
  std::vector<MovedElement> elements;
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  for (std::int64_t e = 0; e < count; ++e) {
    std::vector<std::int64_t> places = places_of(e, shape);
    std::uint32_t input = 0;
    while (places[axis] >= inputs[input]->shape[axis]) {
      places[axis] -= inputs[input]->shape[axis];
      input += 1;
    }
    elements.push_back({.input = input, .element = element_at(places, inputs[input]->shape)});
  }
  return make_move(node, inputs, shape, std::move(elements));
}

}  // namespace lockstep::verify
