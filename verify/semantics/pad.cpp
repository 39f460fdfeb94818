// pad: more places around the last one or two axes, holding 0, the mirror image without the edge
// ("reflect") or the nearest edge ("replicate").
#include <fmt/format.h>

#include <algorithm>

#include "compile/support/error.h"
#include "verify/semantics/move.h"

namespace lockstep::verify {

OperatorPointer make_pad(const Node& node, const NodeParameters&, Formats inputs) {
  const std::vector<std::int64_t>& padding = node.integers("padding");
  const std::string& mode = node.choice("mode");
  const std::vector<std::int64_t>& from = inputs[0]->shape;
  const std::size_t axes = padding.size() / 2;
  if (from.size() < axes + 1)
    throw InputError(fmt::format("layer '{}': padding {} for an input of shape {} (without batch)",
                                 node.name, shape_text(padding), shape_text(from)));
  std::vector<std::int64_t> shape = from, before(from.size(), 0);
  for (std::size_t i = 0; i < axes; ++i) {  // the last axis comes first
    const std::size_t axis = from.size() - 1 - i;
    before[axis] = padding[2 * i];
    shape[axis] += padding[2 * i] + padding[2 * i + 1];
    if (mode == "reflect" && std::max(padding[2 * i], padding[2 * i + 1]) >= from[axis])
      throw InputError(fmt::format(
          "layer '{}': reflect needs a padding below the {} places of axis "
          "{}, but it is {}",
          node.name, from[axis], axis + 1, std::max(padding[2 * i], padding[2 * i + 1])));
  }
  require_countable(node.name, shape);
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  std::vector<MovedElement> elements;
  for (std::int64_t e = 0; e < count; ++e) {
    std::vector<std::int64_t> places = places_of(e, shape);
    bool outside = false;
    for (std::size_t d = 0; d < places.size(); ++d) {
      std::int64_t place = places[d] - before[d];
      const std::int64_t last = from[d] - 1;
      outside = outside || place < 0 || place > last;
      if (mode == "reflect") {
        if (place < 0) place = -place;
        if (place > last) place = 2 * last - place;
      }
      places[d] = std::clamp<std::int64_t>(place, 0, last);
    }
    elements.push_back({.zero = outside && mode == "zeros", .element = element_at(places, from)});
  }
  return make_move(node, inputs, shape, std::move(elements));
}

}  // namespace lockstep::verify
