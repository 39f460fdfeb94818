// Convolutions as products of matrices: the windows of a sample become columns. A linear layer is a
// convolution of one position, a transposed convolution one of the input with zeros in between.
#include <algorithm>
#include <array>
#include <functional>
#include <numeric>

#include "compile/support/error.h"
#include "tools/zoo/float_run.h"

namespace lockstep::zoo {

std::int64_t Samples::elements() const {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

namespace {

using Pair = std::array<std::int64_t, 2>;  // height, width

struct Convolution {
  std::int64_t inputs = 1, outputs = 1, groups = 1;
  Pair in = {1, 1}, out = {1, 1}, kernel = {1, 1}, stride = {1, 1}, padding = {0, 0},
       dilation = {1, 1};

  std::int64_t rows() const { return inputs / groups * kernel[0] * kernel[1]; }
  std::int64_t columns() const { return out[0] * out[1]; }
};

// One or two spatial axes; the height of one is `none`.
Pair as_pair(std::span<const std::int64_t> axes, std::int64_t none) {
  return axes.empty()       ? Pair{none, none}
         : axes.size() == 1 ? Pair{none, axes[0]}
                            : Pair{axes[0], axes[1]};
}

// Rows: channel of the group, window position. Columns: output position.
void gather_windows(const Convolution& c, const float* input, std::vector<float>& columns) {
  columns.assign(static_cast<std::size_t>(c.rows() * c.columns()), 0.0F);
  float* row = columns.data();
  for (std::int64_t i = 0; i < c.inputs / c.groups; ++i) {
    const float* const plane = input + i * c.in[0] * c.in[1];
    for (std::int64_t ky = 0; ky < c.kernel[0]; ++ky)
      for (std::int64_t kx = 0; kx < c.kernel[1]; ++kx, row += c.columns())
        for (std::int64_t y = 0; y < c.out[0]; ++y) {
          const std::int64_t in_y = y * c.stride[0] + ky * c.dilation[0] - c.padding[0];
          if (in_y < 0 || in_y >= c.in[0]) continue;
          for (std::int64_t x = 0; x < c.out[1]; ++x) {
            const std::int64_t in_x = x * c.stride[1] + kx * c.dilation[1] - c.padding[1];
            if (in_x >= 0 && in_x < c.in[1]) row[y * c.out[1] + x] = plane[in_y * c.in[1] + in_x];
          }
        }
  }
}

// out[o][p] = sum over k of weight[o][k] * columns[k][p], summed in the order of k. Blocks keep the
// sums in the nearest cache.
void multiply(const float* weight, std::int64_t outputs, const std::vector<float>& columns,
              std::int64_t rows, std::int64_t width, float* out) {
  constexpr std::int64_t kBlock = 256, kTogether = 4;
  for (std::int64_t first = 0; first < width; first += kBlock) {
    const std::int64_t size = std::min(kBlock, width - first);
    for (std::int64_t o = 0; o < outputs; o += kTogether) {
      const std::int64_t together = std::min(kTogether, outputs - o);
      std::array<std::array<float, kBlock>, kTogether> sums{};
      for (std::int64_t k = 0; k < rows; ++k) {
        const float* const column = columns.data() + k * width + first;
        for (std::int64_t r = 0; r < together; ++r) {
          const float w = weight[(o + r) * rows + k];
          float* const sum = sums[static_cast<std::size_t>(r)].data();
          for (std::int64_t p = 0; p < size; ++p) sum[p] += w * column[p];
        }
      }
      for (std::int64_t r = 0; r < together; ++r)
        std::copy_n(sums[static_cast<std::size_t>(r)].data(), size, out + (o + r) * width + first);
    }
  }
}

void convolve(const Convolution& c, const Samples& input, std::span<const float> weight,
              std::span<const float> bias, Samples& output) {
  const std::int64_t group_outputs = c.outputs / c.groups, width = c.columns();
  std::vector<float> columns;
  for (std::int64_t n = 0; n < input.count; ++n)
    for (std::int64_t g = 0; g < c.groups; ++g) {
      const std::int64_t first_input = g * (c.inputs / c.groups);
      gather_windows(c, input.data.data() + n * input.elements() + first_input * c.in[0] * c.in[1],
                     columns);
      multiply(weight.data() + g * group_outputs * c.rows(), group_outputs, columns, c.rows(),
               width, output.data.data() + (n * c.outputs + g * group_outputs) * width);
    }
  if (bias.empty()) return;
  for (std::int64_t i = 0; i < input.count * c.outputs; ++i)
    for (std::int64_t p = 0; p < width; ++p)
      output.data[static_cast<std::size_t>(i * width + p)] +=
          bias[static_cast<std::size_t>(i % c.outputs)];
}

// Zeros between the elements, as many as the stride leaves.
Samples spread(const Samples& input, const Pair& size, const Pair& stride) {
  const Pair wide = {(size[0] - 1) * stride[0] + 1, (size[1] - 1) * stride[1] + 1};
  Samples result{.shape = {input.channels(), wide[0], wide[1]}, .count = input.count, .data = {}};
  result.data.assign(static_cast<std::size_t>(input.count * result.elements()), 0.0F);
  for (std::int64_t plane = 0; plane < input.count * input.channels(); ++plane)
    for (std::int64_t y = 0; y < size[0]; ++y)
      for (std::int64_t x = 0; x < size[1]; ++x)
        result.data[static_cast<std::size_t>((plane * wide[0] + y * stride[0]) * wide[1] +
                                             x * stride[1])] =
            input.data[static_cast<std::size_t>((plane * size[0] + y) * size[1] + x)];
  return result;
}

// (in, out, window) becomes (out, in, window turned around).
std::vector<float> turned(const Convolution& c, std::span<const float> weight) {
  const std::int64_t taps = c.kernel[0] * c.kernel[1];
  std::vector<float> result(weight.size());
  for (std::int64_t i = 0; i < c.inputs; ++i)
    for (std::int64_t o = 0; o < c.outputs; ++o)
      for (std::int64_t t = 0; t < taps; ++t)
        result[static_cast<std::size_t>((o * c.inputs + i) * taps + taps - 1 - t)] =
            weight[static_cast<std::size_t>((i * c.outputs + o) * taps + t)];
  return result;
}

}  // namespace

Samples run_weighted(const Node& node, const Samples& input, std::span<const float> weight,
                     std::span<const float> bias, std::vector<std::int64_t> shape) {
  Samples output{.shape = std::move(shape), .count = input.count, .data = {}};
  output.data.resize(static_cast<std::size_t>(output.count * output.elements()));
  Convolution c{.inputs = input.channels(), .outputs = output.channels()};
  if (node.op == "linear") {
    convolve(c, input, weight, bias, output);
    return output;
  }
  c.groups = node.integer("groups");
  c.in = as_pair(std::span(input.shape).subspan(1), 1);
  c.out = as_pair(std::span(output.shape).subspan(1), 1);
  c.kernel = as_pair(node.integers("kernel_size"), 1);
  c.stride = as_pair(node.integers("stride"), 1);
  c.padding = as_pair(node.integers("padding"), 0);
  c.dilation = as_pair(node.integers("dilation"), 1);
  if (!node.op.starts_with("conv_transpose")) {
    convolve(c, input, weight, bias, output);
    return output;
  }
  LOCKSTEP_ASSERT(c.groups == 1);
  const Samples wide = spread(input, c.in, c.stride);
  for (std::size_t axis = 0; axis < 2; ++axis) {
    c.in[axis] = wide.shape[axis + 1];
    c.padding[axis] = c.dilation[axis] * (c.kernel[axis] - 1) - c.padding[axis];
    c.stride[axis] = 1;
  }
  convolve(c, wide, turned(c, weight), bias, output);
  return output;
}

}  // namespace lockstep::zoo
