// pixel_shuffle: out[c, y*r + i, x*r + j] = in[c*r*r + i*r + j, y, x]; pixel_unshuffle is its
// inverse.
#include <fmt/format.h>

#include "compile/support/error.h"
#include "verify/semantics/move.h"

namespace lockstep::verify {
namespace {

// The shape of the coarse side (more channels) from that of the fine one.
std::vector<std::int64_t> coarse_shape(const std::vector<std::int64_t>& fine, std::int64_t r) {
  return {fine[0] * r * r, fine[1] / r, fine[2] / r};
}

// The element of the coarse side that belongs to place (c, y, x) of the fine one.
std::int64_t coarse_element(const std::vector<std::int64_t>& fine, std::int64_t r,
                            std::int64_t element) {
  const std::vector<std::int64_t> place = places_of(element, fine);
  const std::int64_t channel = place[0] * r * r + place[1] % r * r + place[2] % r;
  return element_at(std::vector<std::int64_t>{channel, place[1] / r, place[2] / r},
                    coarse_shape(fine, r));
}

[[noreturn]] void refuse(const Node& node, const Format& input, std::int64_t r) {
  throw InputError(fmt::format("layer '{}': input of shape {} does not fit {} by {}", node.name,
                               shape_text(input.shape), node.op, r));
}

}  // namespace

OperatorPointer make_pixel_shuffle(const Node& node, const NodeParameters&, Formats inputs) {
  const std::int64_t r = node.integer("upscale_factor");
  const std::vector<std::int64_t>& from = inputs[0]->shape;
  if (from.size() != 3 || from[0] % (r * r) != 0) refuse(node, *inputs[0], r);
  const std::vector<std::int64_t> fine = {from[0] / (r * r), from[1] * r, from[2] * r};
  std::vector<MovedElement> elements;
  for (std::int64_t e = 0; e < inputs[0]->element_count(); ++e)
    elements.push_back({.element = coarse_element(fine, r, e)});
  return make_move(node, inputs, fine, std::move(elements));
}

OperatorPointer make_pixel_unshuffle(const Node& node, const NodeParameters&, Formats inputs) {
  const std::int64_t r = node.integer("downscale_factor");
  const std::vector<std::int64_t>& fine = inputs[0]->shape;
  if (fine.size() != 3 || fine[1] % r != 0 || fine[2] % r != 0) refuse(node, *inputs[0], r);
  std::vector<MovedElement> elements(static_cast<std::size_t>(inputs[0]->element_count()));
  for (std::int64_t e = 0; e < inputs[0]->element_count(); ++e)
    elements[static_cast<std::size_t>(coarse_element(fine, r, e))].element = e;
  return make_move(node, inputs, coarse_shape(fine, r), std::move(elements));
}

}  // namespace lockstep::verify
