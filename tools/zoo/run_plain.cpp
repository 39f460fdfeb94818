// The zoo's operators without parameters. Those that move values say for each element of the output
// which element of which input it is.
#include <algorithm>
#include <array>
#include <limits>

#include "compile/support/error.h"
#include "tools/zoo/float_run.h"

namespace lockstep::zoo {
namespace {

using Index = std::array<std::int64_t, 3>;  // channel, row, column

Index sizes_of(const std::vector<std::int64_t>& shape) {
  if (shape.size() == 1) return {shape[0], 1, 1};
  if (shape.size() == 2) return {shape[0], 1, shape[1]};
  return {shape[0], shape[1], shape[2]};
}

// Calls `element` with each index of the output and takes its result.
template <typename Element>
Samples fill(Samples output, Element element) {
  const Index size = sizes_of(output.shape);
  output.data.resize(static_cast<std::size_t>(output.count * output.elements()));
  std::size_t at = 0;
  for (std::int64_t n = 0; n < output.count; ++n)
    for (std::int64_t c = 0; c < size[0]; ++c)
      for (std::int64_t y = 0; y < size[1]; ++y)
        for (std::int64_t x = 0; x < size[2]; ++x) output.data[at++] = element(n, Index{c, y, x});
  return output;
}

float at(const Samples& input, std::int64_t n, const Index& index) {
  const Index size = sizes_of(input.shape);
  return input.data[static_cast<std::size_t>(
      ((n * size[0] + index[0]) * size[1] + index[1]) * size[2] + index[2])];
}

float approximate_tanh(float x) {
  const float limited = std::clamp(x, -3.0F, 3.0F), square = limited * limited;
  return limited * (27.0F + square) / (27.0F + 9.0F * square);  // Pade; +-1 at +-3
}

template <typename Function>
Samples map(const Samples& input, Function function) {
  Samples output = input;
  for (float& value : output.data) value = function(value);
  return output;
}

Samples max_pool(const Node& node, const Samples& input, Samples output) {
  const Index in = sizes_of(input.shape);
  const auto& kernel = node.integers("kernel_size");
  const auto& stride = node.integers("stride");
  const auto& padding = node.integers("padding");
  return fill(std::move(output), [&](std::int64_t n, const Index& o) {
    float largest = std::numeric_limits<float>::lowest();
    for (std::int64_t ky = 0; ky < kernel[0]; ++ky)
      for (std::int64_t kx = 0; kx < kernel[1]; ++kx) {
        const std::int64_t y = o[1] * stride[0] + ky - padding[0];
        const std::int64_t x = o[2] * stride[1] + kx - padding[1];
        if (y >= 0 && y < in[1] && x >= 0 && x < in[2])
          largest = std::max(largest, at(input, n, {o[0], y, x}));
      }
    return largest;
  });
}

Samples global_average(const Node& node, const Samples& input, Samples output) {
  for (const std::int64_t size : node.integers("output_size")) LOCKSTEP_ASSERT(size == 1);
  const Index in = sizes_of(input.shape);
  return fill(std::move(output), [&](std::int64_t n, const Index& o) {
    float sum = 0;
    for (std::int64_t y = 0; y < in[1]; ++y)
      for (std::int64_t x = 0; x < in[2]; ++x) sum += at(input, n, {o[0], y, x});
    return sum / static_cast<float>(in[1] * in[2]);
  });
}

Samples pad(const Node& node, const Samples& input, Samples output) {
  LOCKSTEP_ASSERT(node.choice("mode") == "zeros");
  const auto& padding = node.integers("padding");
  const Index in = sizes_of(input.shape);
  const std::int64_t left = padding[0], top = padding.size() > 2 ? padding[2] : 0;
  return fill(std::move(output), [&](std::int64_t n, const Index& o) {
    const std::int64_t y = o[1] - top, x = o[2] - left;
    return y >= 0 && y < in[1] && x >= 0 && x < in[2] ? at(input, n, {o[0], y, x}) : 0.0F;
  });
}

Samples pixel_shuffle(const Node& node, const Samples& input, Samples output) {
  const std::int64_t r = node.integer("upscale_factor");
  return fill(std::move(output), [&](std::int64_t n, const Index& o) {
    return at(input, n, {(o[0] * r + o[1] % r) * r + o[2] % r, o[1] / r, o[2] / r});
  });
}

Samples upsample(const Node& node, const Samples& input, Samples output) {
  LOCKSTEP_ASSERT(node.choice("mode") == "nearest");
  const auto& factor = node.integers("scale_factor");
  return fill(std::move(output), [&](std::int64_t n, const Index& o) {
    return at(input, n, {o[0], o[1] / factor.front(), o[2] / factor.back()});
  });
}

Samples slice(const Node& node, const Samples& input, Samples output) {
  const std::int64_t axis = node.integer("dim") - 1;
  // Of (C, L), the second axis is the column.
  const auto place = static_cast<std::size_t>(input.shape.size() == 2 && axis == 1 ? 2 : axis);
  const std::int64_t start = node.integer("start"), step = node.integer("step");
  return fill(std::move(output), [&](std::int64_t n, Index o) {
    o[place] = start + o[place] * step;
    return at(input, n, o);
  });
}

Samples concat(const Node& node, const std::vector<const Samples*>& inputs, Samples output) {
  LOCKSTEP_ASSERT(node.integer("dim") == 1);
  return fill(std::move(output), [&](std::int64_t n, Index o) {
    std::size_t k = 0;
    while (o[0] >= inputs[k]->channels()) o[0] -= inputs[k++]->channels();
    return at(*inputs[k], n, o);
  });
}

Samples sum(const Samples& a, const Samples& b) {
  LOCKSTEP_ASSERT(a.shape == b.shape);
  Samples output = a;
  for (std::size_t i = 0; i < output.data.size(); ++i) output.data[i] += b.data[i];
  return output;
}

}  // namespace

Samples run_plain(const Node& node, const std::vector<const Samples*>& inputs,
                  std::vector<std::int64_t> shape) {
  const Samples& input = *inputs.at(0);
  const std::string_view op = node.op;
  Samples output{.shape = std::move(shape), .count = input.count, .data = {}};
  if (op == "relu") return map(input, [](float x) { return std::max(x, 0.0F); });
  if (op == "relu6") return map(input, [](float x) { return std::clamp(x, 0.0F, 6.0F); });
  if (op == "tanh") return map(input, approximate_tanh);
  if (op == "dropout" || op == "identity") return input;
  if (op == "max_pool2d") return max_pool(node, input, std::move(output));
  if (op == "adaptive_avg_pool2d") return global_average(node, input, std::move(output));
  if (op == "pad") return pad(node, input, std::move(output));
  if (op == "pixel_shuffle") return pixel_shuffle(node, input, std::move(output));
  if (op == "upsample") return upsample(node, input, std::move(output));
  if (op == "slice") return slice(node, input, std::move(output));
  if (op == "concat") return concat(node, inputs, std::move(output));
  if (op == "add") return sum(input, *inputs.at(1));
  LOCKSTEP_ASSERT(op == "flatten");
  output.data = input.data;
  return output;
}

}  // namespace lockstep::zoo
