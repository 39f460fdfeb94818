// What only moves or picks values, and so rounds nothing.
#include <torch/torch.h>

#include <algorithm>

#include "verify/float_path/layers.h"

namespace lockstep::verify {
namespace {

using torch::Tensor;

Layer reshape(const Node& node) {
  std::vector<std::int64_t> shape = node.integers("shape");
  shape.insert(shape.begin(), 0);
  return of_one_input([shape](const Tensor& x) {
    std::vector<std::int64_t> sizes = shape;
    sizes[0] = x.size(0);
    return x.reshape(sizes);
  });
}

// Which position of an axis of `size` each padded position repeats.
Tensor padded_positions(std::int64_t size, std::int64_t before, std::int64_t after, bool reflect) {
  std::vector<std::int64_t> positions;
  for (std::int64_t i = -before; i < size + after; ++i) {
    const std::int64_t mirrored = i < 0 ? -i : i >= size ? 2 * (size - 1) - i : i;
    positions.push_back(reflect ? mirrored : std::clamp<std::int64_t>(i, 0, size - 1));
  }
  return torch::tensor(positions, torch::kInt64);
}

// The list begins with the last axis.
Layer pad(const Node& node) {
  const std::vector<std::int64_t>& padding = node.integers("padding");
  if (node.choice("mode") == "zeros")
    return of_one_input(
        [padding](const Tensor& x) { return torch::constant_pad_nd(x, padding, 0); });
  return of_one_input([padding, reflect = node.choice("mode") == "reflect"](Tensor x) {
    for (std::size_t i = 0; i < padding.size(); i += 2) {
      const std::int64_t axis = x.dim() - 1 - static_cast<std::int64_t>(i / 2);
      x = x.index_select(axis, padded_positions(x.size(axis), padding[i], padding[i + 1], reflect));
    }
    return x;
  });
}

}  // namespace

Layer make_move_layer(const Node& node) {
  const std::string_view op = node.op;
  if (op == "flatten") return of_one_input([](const Tensor& x) { return torch::flatten(x, 1); });
  if (op == "reshape") return reshape(node);
  if (op == "transpose")
    return of_one_input([a = node.integer("dim0"), b = node.integer("dim1")](const Tensor& x) {
      return x.transpose(a, b).contiguous();
    });
  if (op == "slice")
    return of_one_input(
        [axis = node.integer("dim"), start = node.integer("start"), end = node.integer("end"),
         step = node.integer("step")](const Tensor& x) { return x.slice(axis, start, end, step); });
  if (op == "pad") return pad(node);
  if (op == "concat")
    return [axis = node.integer("dim")](std::span<const Tensor> inputs) {
      return torch::cat(std::vector<Tensor>(inputs.begin(), inputs.end()), axis);
    };
  if (op == "pixel_shuffle")
    return of_one_input([factor = node.integer("upscale_factor")](const Tensor& x) {
      return torch::pixel_shuffle(x, factor);
    });
  if (op == "pixel_unshuffle")
    return of_one_input([factor = node.integer("downscale_factor")](const Tensor& x) {
      return torch::pixel_unshuffle(x, factor);
    });
  // The first of equal channels, as a number.
  if (op == "argmax")
    return of_one_input(
        [](const Tensor& x) { return torch::argmax(x, 1, true).to(torch::kFloat32); });
  // softmax and log_softmax keep the order of the channels; what is compared is their input.
  if (op == "dropout" || op == "identity" || op == "softmax" || op == "log_softmax")
    return of_one_input([](const Tensor& x) { return x; });
  return {};
}

}  // namespace lockstep::verify
