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

std::int64_t product(const Shape& shape) {
  std::int64_t elements = 1;
  for (const std::int64_t size : shape) elements = std::min(elements * size, kMostElements + 1);
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
    if (op == "max_pool2d" || op == "avg_pool2d") return pooling(in);
    if (op == "linear") return linear(in);
    if (op == "batch_norm1d" || op == "batch_norm2d") return batch_norm(in);
    if (op == "pixel_shuffle") return pixel_shuffle(in);
    if (op == "flatten") return {product(in)};
    if (op == "add") return add(in, inputs_.at(1));
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
    require_rank(in, 3, 3);
    const bool round_up = node_.flag("ceil_mode");
    return {in[0], windows(in[1], 0, round_up), windows(in[2], 1, round_up)};
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

  Shape add(const Shape& a, const Shape& b) const {
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
