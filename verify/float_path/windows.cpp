// Pooling and upsampling. A mean is the exact sum of its window and then one division; LibTorch's
// own pooling divides at other places, twice where the window has two sides.
#include <torch/torch.h>

#include <algorithm>

#include "verify/float_path/layers.h"

namespace lockstep::verify {
namespace {

using torch::Tensor;

// The positions [begin, end) of an axis that one window sums, and how many it divides by.
struct Window {
  std::int64_t begin, end, divisor;
};

// Of an average pooling along one axis of `size` positions.
struct Windows {
  std::int64_t kernel, stride, padding;
  bool ceil_mode, count_include_pad;

  std::vector<Window> over(std::int64_t size) const {
    const std::int64_t room = size + 2 * padding - kernel;
    std::int64_t count = (room + (ceil_mode ? stride - 1 : 0)) / stride + 1;
    if (ceil_mode && (count - 1) * stride >= size + padding) --count;
    std::vector<Window> windows;
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t begin = i * stride - padding;
      const std::int64_t padded_end = std::min(begin + kernel, size + padding);
      Window window = {std::max<std::int64_t>(begin, 0), std::min(padded_end, size), 0};
      window.divisor = count_include_pad ? padded_end - begin : window.end - window.begin;
      windows.push_back(window);
    }
    return windows;
  }
};

std::vector<Window> adaptive_windows(std::int64_t size, std::int64_t count) {
  std::vector<Window> windows;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t begin = i * size / count, end = ((i + 1) * size + count - 1) / count;
    windows.push_back({begin, end, end - begin});
  }
  return windows;
}

Tensor summed(const Tensor& x, std::int64_t axis, const std::vector<Window>& windows) {
  std::vector<Tensor> sums;
  for (const Window& window : windows)
    sums.push_back(x.narrow(axis, window.begin, window.end - window.begin).sum(axis, true));
  return torch::cat(sums, axis);
}

Tensor divisors(const std::vector<Window>& windows) {
  std::vector<float> values;
  for (const Window& window : windows) values.push_back(static_cast<float>(window.divisor));
  return torch::tensor(values, torch::kFloat32);
}

// `windows_of(axis, size)`: along each spatial axis, from 0.
template <typename WindowsOf>
Tensor means(const Tensor& x, const WindowsOf& windows_of) {
  Tensor sum = x, divisor = torch::ones({}, torch::kFloat32);
  for (std::int64_t axis = 2; axis < x.dim(); ++axis) {
    const std::vector<Window> windows =
        windows_of(static_cast<std::size_t>(axis) - 2, x.size(axis));
    sum = summed(sum, axis, windows);
    divisor = divisor.unsqueeze(-1) * divisors(windows);
  }
  return sum / divisor.reshape(sum.sizes().slice(2));
}

Layer avg_pool(const Node& node) {
  std::vector<Windows> axes;
  for (std::size_t axis = 0; axis < node.integers("kernel_size").size(); ++axis)
    axes.push_back({node.integers("kernel_size")[axis], node.integers("stride")[axis],
                    node.integers("padding")[axis], node.flag("ceil_mode"),
                    node.flag("count_include_pad")});
  return of_one_input([axes](const Tensor& x) {
    return means(x, [&](std::size_t axis, std::int64_t size) { return axes.at(axis).over(size); });
  });
}

Layer adaptive_avg_pool(const Node& node) {
  return of_one_input([counts = node.integers("output_size")](const Tensor& x) {
    return means(x, [&](std::size_t axis, std::int64_t size) {
      return adaptive_windows(size, counts.at(axis));
    });
  });
}

Layer max_pool(const Node& node) {
  return of_one_input([kernel = node.integers("kernel_size"), stride = node.integers("stride"),
                       padding = node.integers("padding"), dilation = node.integers("dilation"),
                       ceil_mode = node.flag("ceil_mode")](const Tensor& x) {
    return kernel.size() == 1 ? torch::max_pool1d(x, kernel, stride, padding, dilation, ceil_mode)
                              : torch::max_pool2d(x, kernel, stride, padding, dilation, ceil_mode);
  });
}

// Each position `factor` times. (LibTorch divides by the factor in float32 and misses some.)
Tensor nearest(Tensor x, const std::vector<std::int64_t>& factors) {
  for (std::int64_t axis = 2; axis < x.dim(); ++axis)
    x = x.repeat_interleave(
        factors.size() == 1 ? factors[0] : factors.at(static_cast<std::size_t>(axis) - 2), axis);
  return x;
}

// Exact where the factors are powers of two: the weights then are multiples of 1 / (2 * factor).
Tensor bilinear(const Tensor& x, const std::vector<std::int64_t>& factors) {
  const std::int64_t height = x.size(2) * factors.front(), width = x.size(3) * factors.back();
  return torch::upsample_bilinear2d(x, {height, width}, /*align_corners=*/false);
}

Layer upsample(const Node& node) {
  const bool is_nearest = node.choice("mode") == "nearest";
  return of_one_input([is_nearest, factors = node.integers("scale_factor")](const Tensor& x) {
    return is_nearest ? nearest(x, factors) : bilinear(x, factors);
  });
}

}  // namespace

Layer make_window_layer(const Node& node) {
  if (node.op == "max_pool1d" || node.op == "max_pool2d") return max_pool(node);
  if (node.op == "avg_pool1d" || node.op == "avg_pool2d") return avg_pool(node);
  if (node.op == "adaptive_avg_pool1d" || node.op == "adaptive_avg_pool2d")
    return adaptive_avg_pool(node);
  if (node.op == "upsample") return upsample(node);
  return {};
}

}  // namespace lockstep::verify
