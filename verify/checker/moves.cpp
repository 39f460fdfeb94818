// The operators of a graph that only bring elements to other places.
#include <cstdlib>
#include <functional>

#include "verify/checker/values.h"

namespace lockstep::checker {

// `shape` is the first input's, then the result's.
Elements GraphValues::moved(const Node& node, Shape& shape) const {
  using Place = std::array<Int, 3>;  // channel, row, column
  const Shape in = shape;
  Place size = in.sizes();
  std::size_t input = node.inputs[0];
  std::function<Place(Place)> find;  // of a place of the result that of `input`; a negative one: 0
  const auto need = [&](bool holds) {
    if (!holds) unknown(node.name, "shapes", "its input has a shape that does not fit");
  };
  const auto axis_of = [&](const char* name) {
    const Int dim = node.integer(name);
    need(dim <= static_cast<Int>(in.rank));
    return in.place_axis(at(dim - 1));
  };
  if (node.op == "flatten" || node.op == "reshape") {
    std::vector<Int> dims = {in.count()};
    if (node.op == "reshape") {
      dims = node.list("shape");
      Wide known = 1;
      for (const Int dim : dims) known *= dim == -1 ? 1 : dim;
      std::ranges::replace(dims, -1, static_cast<Int>(in.count() / known));
    }
    shape = shape_of(dims);
    need_size(node.name, shape);
    need(shape.count() == in.count());
    return elements_[input];
  }
  if (node.op == "concat") {
    const std::size_t axis = axis_of("dim");
    size[axis] = 0;
    std::vector<Int> sizes;
    for (const std::size_t i : node.inputs) {
      const Shape& other = shapes_[i];
      const Place others = other.sizes();
      sizes.push_back(others[axis]);
      size[axis] += others[axis];
      for (std::size_t d = 0; d < 3; ++d)
        need(other.rank == in.rank && (d == axis || others[d] == size[d]));
    }
    find = [=, &input, &node](Place p) {
      std::size_t i = 0;
      for (; p[axis] >= sizes[i]; ++i) p[axis] -= sizes[i];
      input = node.inputs[i];
      return p;
    };
  } else if (node.op == "transpose") {
    const std::size_t a = axis_of("dim0"), b = axis_of("dim1");
    std::swap(size[a], size[b]);
    find = [=](Place p) { return std::swap(p[a], p[b]), p; };
  } else if (node.op == "slice") {
    const std::size_t axis = axis_of("dim");
    const Int start = node.integer("start"), step = node.integer("step");
    const Int end = std::min(node.integer("end"), size[axis]);
    need(start < end);
    size[axis] = (end - start + step - 1) / step;
    find = [=](Place p) { return p[axis] = start + p[axis] * step, p; };
  } else if (node.op == "pad") {
    const std::vector<Int>& padding = node.list("padding");
    const std::string& mode = node.words.at("mode");
    need(in.rank >= 2 && (in.rank == 3 || (padding[2] == 0 && padding[3] == 0)));
    const Place before = {0, padding[2], padding[0]}, inside = size;
    const Place after = {0, padding[3], padding[1]};
    for (std::size_t d = 0; d < 3; ++d) {
      need(mode != "reflect" || std::max(before[d], after[d]) < size[d]);
      size[d] += before[d] + after[d];
    }
    find = [=](Place p) {
      for (std::size_t d = 0; d < 3; ++d) {
        const Int i = p[d] - before[d], last = inside[d] - 1;
        if (mode == "zeros" && (i < 0 || i > last)) return Place{-1};
        const Int mirrored = std::min(std::abs(i), 2 * last - std::abs(i));
        p[d] = mode == "reflect" ? mirrored : std::clamp<Int>(i, 0, last);
      }
      return p;
    };
  } else if (node.op == "pixel_shuffle") {
    const Int r = node.integer("upscale_factor");
    need(in.rank == 3 && in.c % (r * r) == 0);
    size = {in.c / (r * r), in.h * r, in.w * r};
    find = [=](Place p) {
      return Place{p[0] * r * r + p[1] % r * r + p[2] % r, p[1] / r, p[2] / r};
    };
  } else if (node.op == "pixel_unshuffle") {
    const Int r = node.integer("downscale_factor");
    need(in.rank == 3 && in.h % r == 0 && in.w % r == 0);
    size = {in.c * r * r, in.h / r, in.w / r};
    find = [=](Place p) {
      return Place{p[0] / (r * r), p[1] * r + p[0] / r % r, p[2] * r + p[0] % r};
    };
  } else if (node.op == "upsample") {  // nearest
    const Int down = in.rank == 3 ? node.list("scale_factor")[0] : 1;
    const Int across = node.list("scale_factor")[1];
    need(in.rank >= 2);
    size = {in.c, in.h * down, in.w * across};
    find = [=](Place p) { return Place{p[0], p[1] / down, p[2] / across}; };
  } else {
    unknown(node.name, "operators", "operator '{}' is not known", node.op);
  }
  shape = {in.rank, size[0], size[1], size[2]};
  need_size(node.name, shape);
  Elements result;
  result.reserve(at(shape.count()));
  for (Int e = 0; e < shape.count(); ++e) {
    const Place p = find(shape.place(e));
    result.push_back(p[0] < 0 ? Element()
                              : elements_[input][at(shapes_[input].index(p[0], p[1], p[2]))]);
  }
  return result;
}

}  // namespace lockstep::checker
