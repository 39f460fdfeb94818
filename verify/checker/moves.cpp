// The operators of a graph that only bring elements to other places.
#include <algorithm>
#include <array>
#include <functional>

#include "verify/checker/values.h"

namespace lockstep::checker {
namespace {

std::size_t at(Int i) { return static_cast<std::size_t>(i); }

}  // namespace

Elements GraphValues::concatenated(const Node& node, Shape& shape) {
  const std::size_t axis = at(node.integer("dim") - 1);
  if (axis >= shape.rank)
    fail_unknown(node.name, "shapes", "it joins along an axis that is not there");
  const auto extent = [&](Shape& s) -> Int& {
    return axis == 0 ? s.c : (axis == 1 && s.rank == 3 ? s.h : s.w);
  };
  extent(shape) = 0;
  for (const std::size_t input : node.inputs) {
    Shape other = shapes_[input];
    extent(shape) += extent(other);
    extent(other) = extent(shape);
    if (!(other == shape))
      fail_unknown(node.name, "shapes", "its inputs have shapes that do not fit");
  }
  Elements result(at(shape.count()));
  Int first = 0;
  for (const std::size_t input : node.inputs) {
    const Shape& from = shapes_[input];
    Int e = 0;
    for (Int c = 0; c < from.c; ++c)
      for (Int y = 0; y < from.h; ++y)
        for (Int x = 0; x < from.w; ++x, ++e) {
          Shape place{3, c, y, x};
          place.rank = shape.rank;
          extent(place) += first;
          result[at(shape.index(place.c, place.h, place.w))] = elements_[input][at(e)];
        }
    Shape size = from;
    first += extent(size);
  }
  return result;
}

// Operators that bring every element from one place to another. `shape` is the input's, then the
// result's.
Elements GraphValues::moved(const Node& node, Shape& shape) {
  const Shape in = shape;
  const Elements& input = elements_[node.inputs[0]];
  std::function<Int(Int, Int, Int)> source;  // element of the input, or -1: 0
  const auto axis_of = [&](Int dim) {
    return in.rank == 2 && dim == 2 ? 2 : static_cast<int>(dim) - 1;
  };
  const auto need = [&](bool holds) {
    if (!holds) fail_unknown(node.name, "shapes", "its input has a shape that does not fit");
  };
  if (node.op == "flatten" || node.op == "reshape") {
    std::vector<Int> dims = {in.count()};
    if (node.op == "reshape") {
      dims = node.list("shape");
      Int known = 1;
      for (const Int dim : dims) known *= dim == -1 ? 1 : dim;
      need(known > 0 && in.count() % known == 0);
      for (Int& dim : dims)
        if (dim == -1) dim = in.count() / known;
    }
    shape = shape_of(dims);
    need(shape.count() == in.count());
    return input;
  }
  if (node.op == "transpose") {
    const int a = axis_of(node.integer("dim0")), b = axis_of(node.integer("dim1"));
    need(node.integer("dim0") <= static_cast<Int>(in.rank) &&
         node.integer("dim1") <= static_cast<Int>(in.rank));
    std::array<Int, 3> size = {in.c, in.h, in.w};
    std::swap(size[at(a)], size[at(b)]);
    shape = {in.rank, size[0], size[1], size[2]};
    source = [=](Int c, Int y, Int x) {
      std::array<Int, 3> place = {c, y, x};
      std::swap(place[at(a)], place[at(b)]);
      return in.index(place[0], place[1], place[2]);
    };
  } else if (node.op == "slice") {
    const int axis = axis_of(node.integer("dim"));
    need(node.integer("dim") <= static_cast<Int>(in.rank));
    std::array<Int, 3> size = {in.c, in.h, in.w};
    const Int start = node.integer("start"), step = node.integer("step");
    const Int end = std::min(node.integer("end"), size[at(axis)]);
    need(start < end);
    size[at(axis)] = (end - start + step - 1) / step;
    shape = {in.rank, size[0], size[1], size[2]};
    source = [=](Int c, Int y, Int x) {
      std::array<Int, 3> place = {c, y, x};
      place[at(axis)] = start + place[at(axis)] * step;
      return in.index(place[0], place[1], place[2]);
    };
  } else if (node.op == "pad") {
    std::vector<Int> padding = node.list("padding");
    padding.resize(4, 0);
    const std::string& mode = node.words.at("mode");
    need(in.rank >= 2 && (in.rank == 3 || (padding[2] == 0 && padding[3] == 0)));
    shape = {in.rank, in.c, in.h + padding[2] + padding[3], in.w + padding[0] + padding[1]};
    if (mode == "reflect")
      need(std::max(padding[0], padding[1]) < in.w && std::max(padding[2], padding[3]) < in.h);
    const auto inside = [mode](Int i, Int size) -> Int {
      if (i >= 0 && i < size) return i;
      if (mode == "zeros") return -1;
      if (mode == "replicate") return i < 0 ? 0 : size - 1;
      return i < 0 ? -i : 2 * (size - 1) - i;
    };
    source = [=](Int c, Int y, Int x) -> Int {
      const Int row = inside(y - padding[2], in.h), column = inside(x - padding[0], in.w);
      return row < 0 || column < 0 ? -1 : in.index(c, row, column);
    };
  } else if (node.op == "pixel_shuffle") {
    const Int r = node.integer("upscale_factor");
    need(in.rank == 3 && in.c % (r * r) == 0);
    shape = {3, in.c / (r * r), in.h * r, in.w * r};
    source = [=](Int c, Int y, Int x) {
      return in.index(c * r * r + y % r * r + x % r, y / r, x / r);
    };
  } else if (node.op == "pixel_unshuffle") {
    const Int r = node.integer("downscale_factor");
    need(in.rank == 3 && in.h % r == 0 && in.w % r == 0);
    shape = {3, in.c * r * r, in.h / r, in.w / r};
    source = [=](Int c, Int y, Int x) {
      return in.index(c / (r * r), y * r + c / r % r, x * r + c % r);
    };
  } else {  // upsample, nearest
    const Int down = in.rank == 3 ? node.list("scale_factor")[0] : 1;
    const Int across = node.list("scale_factor")[1];
    need(in.rank >= 2);
    shape = {in.rank, in.c, in.h * down, in.w * across};
    source = [=](Int c, Int y, Int x) { return in.index(c, y / down, x / across); };
  }
  if (shape.count() > kMostElements) fail_unknown(node.name, "shapes", "too many elements");
  Elements result;
  result.reserve(at(shape.count()));
  for (Int c = 0; c < shape.c; ++c)
    for (Int y = 0; y < shape.h; ++y)
      for (Int x = 0; x < shape.w; ++x) {
        const Int e = source(c, y, x);
        result.push_back(e < 0 ? Element() : input[at(e)]);
      }
  return result;
}

}  // namespace lockstep::checker
