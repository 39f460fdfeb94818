#include "compile/graph/op_schema.h"

#include <algorithm>

#include "compile/support/error.h"

namespace lockstep {
namespace {

constexpr double kMaxDim = 65536;
constexpr auto kInteger = AttributeKind::kInteger;
constexpr auto kSpatial = AttributeKind::kSpatial;
constexpr auto kFlag = AttributeKind::kFlag;
constexpr auto kNumber = AttributeKind::kNumber;

constexpr AttributeSchema required(std::string_view name, AttributeKind kind) {
  return {name, kind, AttributeDefault::kRequired, 0, 1, kMaxDim, {}, {}, {}, {}, {}, {}};
}
constexpr AttributeSchema optional(std::string_view name, AttributeKind kind, double value,
                                   double lo, double hi) {
  return {name, kind, AttributeDefault::kValue, value, lo, hi, {}, {}, {}, {}, {}, {}};
}
constexpr AttributeSchema flag(std::string_view name, bool value) {
  return {name, kFlag, AttributeDefault::kValue, value ? 1.0 : 0.0, 0, 1, {}, {}, {}, {}, {}, {}};
}
constexpr AttributeSchema like(std::string_view name, AttributeKind kind, std::string_view other) {
  return {name, kind, AttributeDefault::kOther, 0, 1, kMaxDim, other, {}, {}, {}, {}, {}};
}
constexpr AttributeSchema at_most_half_of(std::string_view other, AttributeSchema schema) {
  schema.at_most_half_of = other;
  return schema;
}
constexpr AttributeSchema divides(std::string_view a, std::string_view b, AttributeSchema schema) {
  schema.divides_a = a;
  schema.divides_b = b;
  return schema;
}

constexpr AttributeSchema below_larger(std::string_view a, std::string_view b,
                                       AttributeSchema schema) {
  schema.below_larger_a = a;
  schema.below_larger_b = b;
  return schema;
}

// Of every convolution; the number of spatial axes is in the table of operators.
constexpr AttributeSchema kConv[] = {
    required("in_channels", kInteger),
    required("out_channels", kInteger),
    required("kernel_size", kSpatial),
    optional("stride", kSpatial, 1, 1, kMaxDim),
    optional("padding", kSpatial, 0, 0, kMaxDim),
    optional("dilation", kSpatial, 1, 1, kMaxDim),
    divides("in_channels", "out_channels", optional("groups", kInteger, 1, 1, kMaxDim)),
    flag("bias", true),
};
constexpr AttributeSchema kConvTranspose[] = {
    required("in_channels", kInteger),
    required("out_channels", kInteger),
    required("kernel_size", kSpatial),
    optional("stride", kSpatial, 1, 1, kMaxDim),
    optional("padding", kSpatial, 0, 0, kMaxDim),
    optional("dilation", kSpatial, 1, 1, kMaxDim),
    below_larger("stride", "dilation", optional("output_padding", kSpatial, 0, 0, kMaxDim)),
    divides("in_channels", "out_channels", optional("groups", kInteger, 1, 1, kMaxDim)),
    flag("bias", true),
};
constexpr AttributeSchema kLinear[] = {
    required("in_features", kInteger),
    required("out_features", kInteger),
    flag("bias", true),
};
constexpr AttributeSchema kMaxPool2d[] = {
    required("kernel_size", kSpatial),
    like("stride", kSpatial, "kernel_size"),
    at_most_half_of("kernel_size", optional("padding", kSpatial, 0, 0, kMaxDim)),
    optional("dilation", kSpatial, 1, 1, kMaxDim),
    flag("ceil_mode", false),
};
constexpr AttributeSchema kAvgPool2d[] = {
    required("kernel_size", kSpatial),
    like("stride", kSpatial, "kernel_size"),
    at_most_half_of("kernel_size", optional("padding", kSpatial, 0, 0, kMaxDim)),
    flag("ceil_mode", false),
    flag("count_include_pad", true),
};
constexpr AttributeSchema kPixelShuffle[] = {
    required("upscale_factor", kInteger),
};
constexpr AttributeSchema kBatchNorm[] = {
    required("num_features", kInteger),
    optional("eps", kNumber, 1e-5, 0, 1),
    optional("momentum", kNumber, 0.1, 0, 1),
};
constexpr AttributeSchema kFlatten[] = {
    optional("start_dim", kInteger, 1, 1, 1),
    optional("end_dim", kInteger, -1, -1, -1),
};
constexpr AttributeSchema kDropout[] = {
    optional("p", kNumber, 0.5, 0, 1),
};

std::vector<std::int64_t> conv_weight_shape(const Node& node) {
  std::vector<std::int64_t> shape = {node.integer("out_channels"),
                                     node.integer("in_channels") / node.integer("groups")};
  const std::vector<std::int64_t>& kernel = node.integers("kernel_size");
  shape.insert(shape.end(), kernel.begin(), kernel.end());
  return shape;
}

std::vector<std::int64_t> conv_transpose_weight_shape(const Node& node) {
  std::vector<std::int64_t> shape = {node.integer("in_channels"),
                                     node.integer("out_channels") / node.integer("groups")};
  const std::vector<std::int64_t>& kernel = node.integers("kernel_size");
  shape.insert(shape.end(), kernel.begin(), kernel.end());
  return shape;
}

std::vector<std::int64_t> linear_weight_shape(const Node& node) {
  return {node.integer("out_features"), node.integer("in_features")};
}

constexpr auto kOperator = OpRole::kOperator;
constexpr OpSchema plain(std::string_view name, std::size_t inputs, std::size_t spatial_axes,
                         std::span<const AttributeSchema> attributes) {
  return {name, inputs, spatial_axes, attributes, kOperator, nullptr, {}, {}};
}
constexpr OpSchema batch_norm(std::string_view name) {
  return {name, 1, 0, kBatchNorm, kOperator, nullptr, {}, "num_features"};
}
constexpr auto kTransposed = conv_transpose_weight_shape;
constexpr OpSchema kSchemas[] = {
    {"conv1d", 1, 1, kConv, kOperator, conv_weight_shape, "out_channels"},
    {"conv2d", 1, 2, kConv, kOperator, conv_weight_shape, "out_channels"},
    {"conv_transpose1d", 1, 1, kConvTranspose, kOperator, kTransposed, "out_channels"},
    {"conv_transpose2d", 1, 2, kConvTranspose, kOperator, kTransposed, "out_channels"},
    {"linear", 1, 0, kLinear, kOperator, linear_weight_shape, "out_features"},
    batch_norm("batch_norm1d"),
    batch_norm("batch_norm2d"),
    plain("relu", 1, 0, {}),
    plain("max_pool2d", 1, 2, kMaxPool2d),
    plain("avg_pool2d", 1, 2, kAvgPool2d),
    plain("pixel_shuffle", 1, 0, kPixelShuffle),
    plain("flatten", 1, 0, kFlatten),
    plain("add", 2, 0, {}),
    plain("dropout", 1, 0, kDropout),
    plain("identity", 1, 0, {}),
    {"quantize", 1, 0, {}, OpRole::kQuantize, nullptr, {}},
    {"prune", 1, 0, {}, OpRole::kPrune, nullptr, {}},
};

}  // namespace

std::span<const OpSchema> op_schemas() { return kSchemas; }

const OpSchema* find_op_schema(std::string_view op) {
  const auto* const found = std::ranges::find(kSchemas, op, &OpSchema::name);
  return found == std::end(kSchemas) ? nullptr : found;
}

const OpSchema& schema_of(const Node& node) {
  const OpSchema* const schema = find_op_schema(node.op);
  LOCKSTEP_ASSERT(schema != nullptr);
  return *schema;
}

}  // namespace lockstep
