#include "compile/graph/op_schema.h"

#include <algorithm>

#include "compile/support/error.h"

namespace lockstep {
namespace {

constexpr double kMaxDim = 65536;
constexpr double kMaxElements = 1099511627776;  // 2^40, of any value of a graph
constexpr std::size_t kMaxInputs = 65536;       // of a concat
constexpr auto kInteger = AttributeKind::kInteger;
constexpr auto kSpatial = AttributeKind::kSpatial;
constexpr auto kFlag = AttributeKind::kFlag;
constexpr auto kNumber = AttributeKind::kNumber;
constexpr auto kList = AttributeKind::kList;
constexpr auto kChoice = AttributeKind::kChoice;

constexpr AttributeSchema required(std::string_view name, AttributeKind kind, double lo = 1,
                                   double hi = kMaxDim) {
  return {.name = name,
          .kind = kind,
          .default_kind = AttributeDefault::kRequired,
          .lo = lo,
          .hi = hi,
          .other = {}};
}
constexpr AttributeSchema optional(std::string_view name, AttributeKind kind, double value,
                                   double lo, double hi) {
  return {.name = name,
          .kind = kind,
          .default_kind = AttributeDefault::kValue,
          .value = value,
          .lo = lo,
          .hi = hi,
          .other = {}};
}
constexpr AttributeSchema flag(std::string_view name, bool value) {
  return optional(name, kFlag, value ? 1.0 : 0.0, 0, 1);
}
constexpr AttributeSchema like(std::string_view name, AttributeKind kind, std::string_view other) {
  AttributeSchema schema = required(name, kind);
  schema.default_kind = AttributeDefault::kOther;
  schema.other = other;
  return schema;
}
constexpr AttributeSchema list(std::string_view name, std::size_t least, std::size_t most,
                               double lo, double hi) {
  AttributeSchema schema = required(name, kList, lo, hi);
  schema.least_count = least;
  schema.most_count = most;
  return schema;
}
constexpr AttributeSchema in_pairs(AttributeSchema schema) {
  schema.count_step = 2;
  return schema;
}
constexpr AttributeSchema infers_one(AttributeSchema schema) {
  schema.infers_one = true;
  return schema;
}
// The first of `choices` is the default.
constexpr AttributeSchema choice(std::string_view name, std::span<const std::string_view> choices) {
  AttributeSchema schema = optional(name, kChoice, 0, 0, static_cast<double>(choices.size() - 1));
  schema.choices = choices;
  return schema;
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
constexpr AttributeSchema kMaxPool[] = {
    required("kernel_size", kSpatial),
    like("stride", kSpatial, "kernel_size"),
    at_most_half_of("kernel_size", optional("padding", kSpatial, 0, 0, kMaxDim)),
    optional("dilation", kSpatial, 1, 1, kMaxDim),
    flag("ceil_mode", false),
};
constexpr AttributeSchema kAvgPool[] = {
    required("kernel_size", kSpatial),
    like("stride", kSpatial, "kernel_size"),
    at_most_half_of("kernel_size", optional("padding", kSpatial, 0, 0, kMaxDim)),
    flag("ceil_mode", false),
    flag("count_include_pad", true),
};
constexpr AttributeSchema kAdaptivePool[] = {
    required("output_size", kSpatial),
};
constexpr AttributeSchema kPixelShuffle[] = {
    required("upscale_factor", kInteger),
};
constexpr AttributeSchema kPixelUnshuffle[] = {
    required("downscale_factor", kInteger),
};
constexpr std::string_view kUpsampleModes[] = {"nearest", "bilinear"};
constexpr AttributeSchema kUpsample[] = {
    list("scale_factor", 1, 2, 1, 64),
    choice("mode", kUpsampleModes),
};
constexpr std::string_view kPadModes[] = {"zeros", "reflect", "replicate"};
constexpr AttributeSchema kPad[] = {
    in_pairs(list("padding", 2, 4, 0, kMaxDim)),
    choice("mode", kPadModes),
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
constexpr AttributeSchema kReshape[] = {
    infers_one(list("shape", 1, 3, 1, kMaxElements)),
};
// Axes count the batch, which no operator moves: 1 is the channels.
constexpr AttributeSchema kTranspose[] = {
    required("dim0", kInteger, 1, 3),
    required("dim1", kInteger, 1, 3),
};
constexpr AttributeSchema kSlice[] = {
    optional("dim", kInteger, 1, 1, 3),
    optional("start", kInteger, 0, 0, kMaxElements),
    optional("end", kInteger, kMaxElements, 0, kMaxElements),
    optional("step", kInteger, 1, 1, kMaxElements),
};
constexpr AttributeSchema kConcat[] = {
    optional("dim", kInteger, 1, 1, 3),
};
constexpr AttributeSchema kOverChannels[] = {
    optional("dim", kInteger, 1, 1, 1),
};
constexpr double kMaxSlope = 65536;
constexpr AttributeSchema kLeakyRelu[] = {
    optional("negative_slope", kNumber, 0.01, -kMaxSlope, kMaxSlope),
};
constexpr AttributeSchema kElu[] = {
    optional("alpha", kNumber, 1, -kMaxSlope, kMaxSlope),
};
constexpr AttributeSchema kSoftplus[] = {
    optional("beta", kNumber, 1, 0.0001, kMaxSlope),
    optional("threshold", kNumber, 20, -kMaxSlope, kMaxSlope),
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
  return {name, inputs, inputs, spatial_axes, attributes, kOperator, nullptr, {}, {}};
}
constexpr OpSchema activation(std::string_view name,
                              std::span<const AttributeSchema> attributes = {}) {
  return plain(name, 1, 0, attributes);
}
constexpr OpSchema batch_norm(std::string_view name) {
  return {name, 1, 1, 0, kBatchNorm, kOperator, nullptr, {}, "num_features"};
}
constexpr auto kTransposed = conv_transpose_weight_shape;
constexpr OpSchema kSchemas[] = {
    {"conv1d", 1, 1, 1, kConv, kOperator, conv_weight_shape, "out_channels"},
    {"conv2d", 1, 1, 2, kConv, kOperator, conv_weight_shape, "out_channels"},
    {"conv_transpose1d", 1, 1, 1, kConvTranspose, kOperator, kTransposed, "out_channels"},
    {"conv_transpose2d", 1, 1, 2, kConvTranspose, kOperator, kTransposed, "out_channels"},
    {"linear", 1, 1, 0, kLinear, kOperator, linear_weight_shape, "out_features"},
    batch_norm("batch_norm1d"),
    batch_norm("batch_norm2d"),
    activation("relu"),
    activation("relu6"),
    activation("leaky_relu", kLeakyRelu),
    activation("hard_sigmoid"),
    activation("hard_swish"),
    activation("tanh"),
    activation("sigmoid"),
    activation("silu"),
    activation("gelu"),
    activation("elu", kElu),
    activation("softplus", kSoftplus),
    plain("max_pool1d", 1, 1, kMaxPool),
    plain("max_pool2d", 1, 2, kMaxPool),
    plain("avg_pool1d", 1, 1, kAvgPool),
    plain("avg_pool2d", 1, 2, kAvgPool),
    plain("adaptive_avg_pool1d", 1, 1, kAdaptivePool),
    plain("adaptive_avg_pool2d", 1, 2, kAdaptivePool),
    plain("upsample", 1, 0, kUpsample),
    plain("pixel_shuffle", 1, 0, kPixelShuffle),
    plain("pixel_unshuffle", 1, 0, kPixelUnshuffle),
    plain("flatten", 1, 0, kFlatten),
    plain("reshape", 1, 0, kReshape),
    plain("transpose", 1, 0, kTranspose),
    plain("slice", 1, 0, kSlice),
    plain("pad", 1, 0, kPad),
    {"concat", 1, kMaxInputs, 0, kConcat, kOperator, nullptr, {}},
    plain("add", 2, 0, {}),
    plain("sub", 2, 0, {}),
    plain("mul", 2, 0, {}),
    plain("argmax", 1, 0, kOverChannels),
    plain("softmax", 1, 0, kOverChannels),
    plain("log_softmax", 1, 0, kOverChannels),
    plain("dropout", 1, 0, kDropout),
    plain("identity", 1, 0, {}),
    {"quantize", 1, 1, 0, {}, OpRole::kQuantize, nullptr, {}},
    {"prune", 1, 1, 0, {}, OpRole::kPrune, nullptr, {}},
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
