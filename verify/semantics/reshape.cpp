// reshape: the elements keep their row-major order and get another shape. One size may be -1: what
// is left.
#include <fmt/format.h>

#include "compile/support/error.h"
#include "verify/semantics/move.h"

namespace lockstep::verify {

OperatorPointer make_reshape(const Node& node, const NodeParameters&, Formats inputs) {
  const std::int64_t count = inputs[0]->element_count();
  std::vector<std::int64_t> shape = node.integers("shape");
  const auto refuse = [&]() {
    throw InputError(fmt::format("layer '{}': shape {} does not fit the {} elements of its input",
                                 node.name, shape_text(node.integers("shape")), count));
  };
  std::int64_t known = 1;
  std::int64_t* free = nullptr;
  for (std::int64_t& size : shape) {
    if (size == -1) {
      free = &size;
      continue;
    }
    if (size > count / known) refuse();  // before the product can overflow
    known *= size;
  }
  if (count % known != 0 || (free == nullptr && known != count)) refuse();
  if (free != nullptr) *free = count / known;
  std::vector<MovedElement> elements;
  for (std::int64_t e = 0; e < count; ++e) elements.push_back({.element = e});
  return make_move(node, inputs, shape, std::move(elements));
}

}  // namespace lockstep::verify
