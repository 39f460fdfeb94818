#include "compile/graph/shapes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "compile/graph/op_schema.h"
#include "compile/support/error.h"

namespace lockstep {
namespace {

using Shape = std::vector<std::int64_t>;

constexpr std::int64_t kMostElements = std::int64_t{1} << 40;

// a * b of positive numbers, or kMostElements + 1 where it is more than kMostElements.
std::int64_t limited_product(std::int64_t a, std::int64_t b) {
  return b > kMostElements / a ? kMostElements + 1 : a * b;
}

std::int64_t product(const Shape& shape) {
  std::int64_t elements = 1;
  for (const std::int64_t size : shape) elements = limited_product(elements, size);
  return elements;
}

// The shapes that one node makes, with its name at hand for messages.
class NodeShape {
 public:
  NodeShape(const Node& node, const std::string& name_for_errors, std::vector<Shape> inputs)
      : node_(node), file_(name_for_errors), inputs_(std::move(inputs)) {}

  Shape infer() const {
    const Shape& in = inputs_.at(0);
    const std::string_view op = node_.op;
    if (op == "conv1d" || op == "conv2d") return convolution(in);
    if (op == "conv_transpose1d" || op == "conv_transpose2d") return transposed(in);
    if (op == "max_pool1d" || op == "max_pool2d" || op == "avg_pool1d" || op == "avg_pool2d")
      return pooling(in);
    if (op == "adaptive_avg_pool1d" || op == "adaptive_avg_pool2d") return adaptive(in);
    if (op == "upsample") return upsample(in);
    if (op == "linear") return linear(in);
    if (op == "batch_norm1d" || op == "batch_norm2d") return batch_norm(in);
    if (op == "pixel_shuffle") return pixel_shuffle(in);
    if (op == "pixel_unshuffle") return pixel_unshuffle(in);
    if (op == "flatten") return {product(in)};
    if (op == "reshape") return reshape(in);
    if (op == "transpose") return transpose(in);
    if (op == "slice") return slice(in);
    if (op == "pad") return pad(in);
    if (op == "concat") return concat();
    if (op == "add" || op == "sub" || op == "mul") return broadcast(in, inputs_.at(1));
    if (op == "argmax") return with_size(in, 0, 1);
    if (node_.quantize) require_channel_axis(in);
    return in;
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    throw InputError(fmt::format("{}: layer '{}': {}", file_, node_.name, reason));
  }

  void require_rank(const Shape& in, std::size_t least, std::size_t most) const {
    if (in.size() < least || in.size() > most)
      fail(fmt::format("{} needs an input of {} axes without the batch, but it has shape [{}]",
                       node_.op,
                       least == most ? fmt::to_string(least) : fmt::format("{} to {}", least, most),
                       fmt::join(in, ", ")));
  }

  void require_count(std::string_view attribute, std::int64_t found, std::string_view what) const {
    if (node_.integer(attribute) != found)
      fail(fmt::format("{} is {}, but its input has {} {}", attribute, node_.integer(attribute),
                       found, what));
  }

  std::int64_t attribute_at(std::string_view name, std::size_t axis) const {
    return node_.integers(name)[axis];
  }

  // How far a window reaches along `axis`: dilation * (kernel - 1) + 1.
  std::int64_t reach(std::size_t axis) const {
    const bool has_dilation = node_.attributes.contains("dilation");
    return (has_dilation ? attribute_at("dilation", axis) : 1) *
               (attribute_at("kernel_size", axis) - 1) +
           1;
  }

  // Windows along `axis` of an input of `size`.
  std::int64_t windows(std::int64_t size, std::size_t axis, bool round_up) const {
    const std::int64_t padding = attribute_at("padding", axis);
    const std::int64_t stride = attribute_at("stride", axis);
    const std::int64_t room = size + 2 * padding - reach(axis);
    if (room < 0)
      fail(fmt::format("its window reaches over {} positions, but its input has {} with padding",
                       reach(axis), size + 2 * padding));
    std::int64_t count = (room + (round_up ? stride - 1 : 0)) / stride + 1;
    if (round_up && (count - 1) * stride >= size + padding) --count;
    return count;
  }

  Shape convolution(const Shape& in) const {
    const std::size_t axes = schema_of(node_).spatial_axes;
    require_rank(in, axes + 1, axes + 1);
    require_count("in_channels", in[0], "channels");
    Shape out = {node_.integer("out_channels")};
    for (std::size_t axis = 0; axis < axes; ++axis)
      out.push_back(windows(in[axis + 1], axis, false));
    return out;
  }

  Shape transposed(const Shape& in) const {
    const std::size_t axes = schema_of(node_).spatial_axes;
    require_rank(in, axes + 1, axes + 1);
    require_count("in_channels", in[0], "channels");
    Shape out = {node_.integer("out_channels")};
    for (std::size_t axis = 0; axis < axes; ++axis) {
      const std::int64_t size = (in[axis + 1] - 1) * attribute_at("stride", axis) -
                                2 * attribute_at("padding", axis) + reach(axis) +
                                attribute_at("output_padding", axis);
      if (size < 1) fail(fmt::format("its output has {} positions along a spatial axis", size));
      out.push_back(size);
    }
    return out;
  }

  Shape pooling(const Shape& in) const {
    const std::size_t axes = schema_of(node_).spatial_axes;
    require_rank(in, axes + 1, axes + 1);
    Shape out = {in[0]};
    for (std::size_t axis = 0; axis < axes; ++axis)
      out.push_back(windows(in[axis + 1], axis, node_.flag("ceil_mode")));
    return out;
  }

  Shape adaptive(const Shape& in) const {
    const std::size_t axes = schema_of(node_).spatial_axes;
    require_rank(in, axes + 1, axes + 1);
    Shape out = {in[0]};
    for (const std::int64_t size : node_.integers("output_size")) out.push_back(size);
    return out;
  }

  Shape upsample(const Shape& in) const {
    require_rank(in, 2, 3);
    const std::vector<std::int64_t>& factors = node_.integers("scale_factor");
    const std::size_t axes = in.size() - 1;
    if (factors.size() > axes)
      fail(fmt::format("scale_factor is [{}], but its input of shape [{}] has one spatial axis",
                       fmt::join(factors, ", "), fmt::join(in, ", ")));
    if (node_.choice("mode") == "bilinear" && axes != 2)
      fail(fmt::format("mode \"bilinear\" needs an input (C, H, W), but it has shape [{}]",
                       fmt::join(in, ", ")));
    Shape out = in;
    for (std::size_t axis = 0; axis < axes; ++axis)
      out[axis + 1] *= factors[factors.size() == 1 ? 0 : axis];
    return out;
  }

  Shape linear(const Shape& in) const {
    require_count("in_features", in.back(), "elements");
    Shape out = in;
    out.back() = node_.integer("out_features");
    return out;
  }

  Shape batch_norm(const Shape& in) const {
    if (node_.op == "batch_norm1d")
      require_rank(in, 1, 2);
    else
      require_rank(in, 3, 3);
    require_count("num_features", in[0], "channels");
    return in;
  }

  Shape pixel_shuffle(const Shape& in) const {
    require_rank(in, 3, 3);
    const std::int64_t factor = node_.integer("upscale_factor");
    if (in[0] % (factor * factor) != 0)
      fail(
          fmt::format("upscale_factor is {}, so its input needs a multiple of {} channels, but "
                      "it has {}",
                      factor, factor * factor, in[0]));
    return {in[0] / (factor * factor), in[1] * factor, in[2] * factor};
  }

  Shape pixel_unshuffle(const Shape& in) const {
    require_rank(in, 3, 3);
    const std::int64_t factor = node_.integer("downscale_factor");
    if (in[1] % factor != 0 || in[2] % factor != 0)
      fail(
          fmt::format("downscale_factor is {}, which does not divide its input's {} x {} positions",
                      factor, in[1], in[2]));
    return {in[0] * factor * factor, in[1] / factor, in[2] / factor};
  }

  Shape reshape(const Shape& in) const {
    Shape out = node_.integers("shape");
    std::int64_t* inferred = nullptr;
    std::int64_t known = 1;
    for (std::int64_t& size : out)
      if (size == -1)
        inferred = &size;
      else
        known = limited_product(known, size);
    const std::int64_t elements = product(in);
    const bool fits = inferred == nullptr ? known == elements : elements % known == 0;
    if (!fits)
      fail(fmt::format("shape is [{}], which does not fit the {} elements of its input",
                       fmt::join(out, ", "), elements));
    if (inferred != nullptr) *inferred = elements / known;
    return out;
  }

  // The attribute `name`, an axis counted with the batch, as an index of a shape.
  std::size_t axis_of(std::string_view name, const Shape& in) const {
    const std::int64_t axis = node_.integer(name);
    if (axis > static_cast<std::int64_t>(in.size()))
      fail(fmt::format("{} is {}, but its input has {} axes with the batch", name, axis,
                       in.size() + 1));
    return static_cast<std::size_t>(axis) - 1;
  }

  static Shape with_size(Shape shape, std::size_t axis, std::int64_t size) {
    shape[axis] = size;
    return shape;
  }

  Shape transpose(const Shape& in) const {
    Shape out = in;
    std::swap(out[axis_of("dim0", in)], out[axis_of("dim1", in)]);
    return out;
  }

  Shape slice(const Shape& in) const {
    const std::size_t axis = axis_of("dim", in);
    const std::int64_t start = node_.integer("start");
    const std::int64_t end = std::min(node_.integer("end"), in[axis]);
    if (start >= end)
      fail(
          fmt::format("start is {} and end is {}, which leaves nothing of the {} elements of axis "
                      "{}",
                      start, node_.integer("end"), in[axis], node_.integer("dim")));
    const std::int64_t step = node_.integer("step");
    return with_size(in, axis, (end - start - 1) / step + 1);
  }

  // The padding's first pair is of the last axis. The channels are never padded.
  Shape pad(const Shape& in) const {
    const std::vector<std::int64_t>& padding = node_.integers("padding");
    const std::size_t axes = padding.size() / 2;
    if (in.size() < axes + 1)
      fail(fmt::format("padding is [{}], but its input of shape [{}] has {} spatial axes",
                       fmt::join(padding, ", "), fmt::join(in, ", "), in.size() - 1));
    Shape out = in;
    for (std::size_t i = 0; i < axes; ++i) {
      const std::size_t axis = in.size() - 1 - i;
      const std::int64_t before = padding[2 * i], after = padding[2 * i + 1];
      if (node_.choice("mode") == "reflect" && std::max(before, after) >= in[axis])
        fail(
            fmt::format("padding is [{}], but mode \"reflect\" needs less than the {} positions of "
                        "the axis",
                        fmt::join(padding, ", "), in[axis]));
      out[axis] += before + after;
    }
    return out;
  }

  Shape concat() const {
    const std::size_t axis = axis_of("dim", inputs_[0]);
    Shape out = inputs_[0];
    for (std::size_t i = 1; i < inputs_.size(); ++i) {
      const Shape& in = inputs_[i];
      if (in.size() != out.size() || with_size(in, axis, out[axis]) != out)
        fail(
            fmt::format("its inputs '{}' and '{}' have shapes [{}] and [{}]; they may differ along "
                        "axis {} only",
                        node_.inputs[0], node_.inputs[i], fmt::join(inputs_[0], ", "),
                        fmt::join(in, ", "), node_.integer("dim")));
      out[axis] += in[axis];
    }
    return out;
  }

  Shape broadcast(const Shape& a, const Shape& b) const {
    Shape out = a;
    bool fits = a.size() == b.size();
    for (std::size_t i = 0; fits && i < a.size(); ++i) {
      fits = a[i] == b[i] || a[i] == 1 || b[i] == 1;
      out[i] = std::max(a[i], b[i]);
    }
    if (!fits)
      fail(
          fmt::format("its inputs have shapes [{}] and [{}]; they must be equal, or 1 where they "
                      "differ",
                      fmt::join(a, ", "), fmt::join(b, ", ")));
    return out;
  }

  void require_channel_axis(const Shape& in) const {
    const std::int64_t axis = node_.quantize->channelwise;
    if (axis > static_cast<std::int64_t>(in.size()))
      fail(fmt::format("channelwise is {}, but its input has {} axes with the batch", axis,
                       in.size() + 1));
  }

  const Node& node_;
  const std::string& file_;
  std::vector<Shape> inputs_;
};

}  // namespace

Shapes infer_shapes(const Graph& graph, const std::string& name_for_errors) {
  Shapes shapes;
  for (const GraphInput& input : graph.inputs) shapes[input.name] = input.shape;
  for (const Node& node : graph.nodes) {
    std::vector<Shape> inputs;
    for (const std::string& name : node.inputs) inputs.push_back(shapes.at(name));
    Shape shape = NodeShape(node, name_for_errors, std::move(inputs)).infer();
    if (product(shape) > kMostElements)
      throw InputError(
          fmt::format("{}: layer '{}': its value has shape [{}], more than 2^40 "
                      "elements",
                      name_for_errors, node.name, fmt::join(shape, ", ")));
    shapes[node.name] = std::move(shape);
  }
  return shapes;
}

}  // namespace lockstep
