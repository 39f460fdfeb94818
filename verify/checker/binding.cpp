// Graph and state dict together: each node takes its keys out of the state dict, and nothing may be
// left. Numbers become codes here, in doubles that hold them exactly.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>

#include "verify/checker/files.h"
#include "verify/checker/graph_file.h"
#include "verify/checker/state_file.h"

namespace lockstep::checker {
namespace {

using Shape = std::vector<Int>;

Int product(Shape::const_iterator first, Shape::const_iterator last) {
  return std::accumulate(first, last, Int{1}, std::multiplies<>());
}

// clamp(round(value * 2^decimal)). A float32 has 24 significant bits, and |decimal| <= 64, so the
// product is exact in a double. nearbyint() rounds half to even, unless somebody changed the mode.
Int code_of(float value, int decimal, int bits, Rounding rounding) {
  const double scaled = std::ldexp(static_cast<double>(value), decimal);
  const double whole = rounding == Rounding::kTowardZero ? std::trunc(scaled)
                       : rounding == Rounding::kFloor    ? std::floor(scaled)
                                                         : std::nearbyint(scaled);
  const double end = std::ldexp(1.0, bits - 1);
  return static_cast<Int>(std::clamp(whole, -end, end - 1));
}

Rounding rounding_of(const Node& quantize) {
  const std::string& word = quantize.words.find("rounding")->second;
  return word == "floor"       ? Rounding::kFloor
         : word == "half_even" ? Rounding::kHalfEven
                               : Rounding::kTowardZero;
}

// `keep` with each axis that the mask spans written out.
std::vector<std::uint8_t> spread(Mask mask, const Shape& shape) {
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (mask.shape[axis] == shape[axis]) continue;
    const auto inner = static_cast<std::ptrdiff_t>(
        product(mask.shape.begin() + static_cast<std::ptrdiff_t>(axis) + 1, mask.shape.end()));
    std::vector<std::uint8_t> wider;
    for (auto part = mask.keep.begin(); part != mask.keep.end(); part += inner)
      for (Int i = 0; i < shape[axis]; ++i) wider.insert(wider.end(), part, part + inner);
    mask.keep = std::move(wider);
  }
  return mask.keep;
}

// What a layer holds in training before it sees data: the int32 scalar -1.
bool is_placeholder(const Tensor& tensor) {
  const std::int32_t kNever = -1;
  return tensor.dtype->name == "int32" && tensor.shape.empty() &&
         std::memcmp(tensor.bytes.data(), &kNever, sizeof(kNever)) == 0;
}

class Binder {
 public:
  Binder(State state, const std::string& name) : state_(std::move(state)), name_(name) {}

  void bind(Node& node, const Wraps& wraps) {
    node_ = &node.name;
    if (node.op.starts_with("conv") || node.op == "linear") bind_linear(node, wraps);
    if (node.op.starts_with("batch_norm")) bind_batch_norm(node);
    if (node.op == "quantize") {
      const Int axis = node.integer("channelwise");
      const Format format = take_format("", 16, axis < 0 ? 1 : 0);
      if (axis == 0 && format.decimals.size() > 1)
        fail("decimal", "channelwise = 0 is the batch, which has no decimals");
      node.quantize = {format.decimals, static_cast<std::size_t>(std::max<Int>(axis, 1) - 1)};
      node.bits = format.bits;
      node.rounding = rounding_of(node);
    }
    if (node.op == "prune") node.mask = take_mask("", node);
  }
  void finish() const {
    if (!state_.empty())
      refuse("{}: key {}: no layer has such an entry", name_, shown(state_.begin()->first));
  }

 private:
  struct Format {
    std::vector<int> decimals;
    int bits;
  };

  [[noreturn]] void fail(std::string_view entry, std::string_view reason) const {
    refuse("{}: layer '{}': '{}': {}", name_, *node_, entry, reason);
  }

  // The elements. `shape` is what it must be; an empty one for null is any, and becomes it.
  template <typename T>
  std::vector<T> take(const std::string& entry, const Shape& shape, Shape* any = nullptr) {
    constexpr std::string_view kDtype = std::is_same_v<T, float> ? "float32"
                                        : sizeof(T) == 1         ? "bool"
                                        : sizeof(T) == 4         ? "int32"
                                                                 : "int64";
    const auto found = state_.extract(fmt::format("{}.{}", *node_, entry));
    if (found.empty()) fail(entry, "there is no such key, or another layer has it, too");
    const Tensor& tensor = found.mapped();
    if (is_placeholder(tensor))
      fail(entry, "still the placeholder -1; the layer never saw data in training");
    if (tensor.dtype->name != kDtype || (any == nullptr && tensor.shape != shape))
      fail(entry, fmt::format("{} of shape [{}], but it must be {} of shape [{}]",
                              tensor.dtype->name, fmt::join(tensor.shape, ", "), kDtype,
                              any == nullptr ? fmt::to_string(fmt::join(shape, ", ")) : "..."));
    if (any != nullptr) *any = tensor.shape;
    std::vector<T> values(tensor.bytes.size() / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    for (const T value : values)
      if (kDtype == "bool" ? value > T{1} : !std::isfinite(static_cast<double>(value)))
        fail(entry, fmt::format("the value {} is not allowed here", value));
    return values;
  }

  void take_steps(const std::string& prefix) {
    if (take<std::int32_t>(prefix + "_n_updates", {1})[0] < 0)
      fail(prefix + "_n_updates", "a negative number of steps");
  }

  // `count`: of decimals; 0 if it is not known.
  Format take_format(const std::string& prefix, int most_bits, Int count) {
    Format format;
    Shape shape;
    const std::vector<float> decimals = take<float>(prefix + "decimal", {}, &shape);
    if (shape.size() != 1 || decimals.empty() || (count != 0 && shape[0] != count))
      fail(prefix + "decimal",
           fmt::format("shape [{}], but it must be [{}]", fmt::join(shape, ", "),
                       count == 0 ? "n" : fmt::to_string(count)));
    for (const float decimal : decimals) {
      if (std::fabs(decimal) > 64 || std::trunc(decimal) != decimal)
        fail(prefix + "decimal", fmt::format("{} is no integer from -64 to 64", decimal));
      format.decimals.push_back(static_cast<int>(decimal));
    }
    take_steps(prefix);
    format.bits = take<std::int32_t>(prefix + "bits", {})[0];
    if (format.bits < 2 || format.bits > most_bits)
      fail(prefix + "bits", fmt::format("{}, but it must be 2 to {}", format.bits, most_bits));
    if (take<std::uint8_t>(prefix + "_quantized", {1})[0] == 0)
      fail(prefix + "_quantized", "training ended before quantization began (its timeout)");
    return format;
  }

  Mask take_mask(const std::string& prefix, const Node& prune) {
    Mask mask;
    mask.keep = take<std::uint8_t>(prefix + "mask", {}, &mask.shape);
    mask.strict = prune.integer("strict") != 0;
    if (mask.keep.empty()) fail(prefix + "mask", "it has no elements");
    take_steps(prefix);
    const float sparsity = take<float>(prefix + "_cur_sparsity", {1})[0];
    if (sparsity < 0 || sparsity > 1) fail(prefix + "_cur_sparsity", "it must be 0 to 1");
    return mask;
  }

  static Shape weight_shape(const Node& node) {
    if (node.op == "linear") return {node.integer("out_features"), node.integer("in_features")};
    const bool is_transposed = node.op.starts_with("conv_transpose");
    const Int groups = node.integer("groups");
    Shape shape = {node.integer(is_transposed ? "in_channels" : "out_channels"),
                   node.integer(is_transposed ? "out_channels" : "in_channels") / groups};
    const std::vector<Int>& kernel = node.list("kernel_size");
    shape.insert(shape.end(), kernel.begin() + (node.op.ends_with("1d") ? 1 : 0), kernel.end());
    return shape;
  }

  void bind_linear(Node& node, const Wraps& wraps) {
    if (!wraps.quantize) fail("weight", "is not quantized: put a quantize into its 'wrap'");
    const Node& quantize = *wraps.quantize;
    const Rounding rounding = rounding_of(quantize);
    const Shape shape = weight_shape(node);
    const std::vector<float> weight = take<float>("weight", shape);
    const Int axis = quantize.integer("channelwise"),
              outputs = node.integer(node.op == "linear" ? "out_features" : "out_channels");
    const Format format =
        take_format("quantize.", 16, axis < 0 ? 1 : shape[static_cast<std::size_t>(axis)]);
    node.weights = {shape, {}, {format.decimals, static_cast<std::size_t>(std::max<Int>(axis, 0))}};
    const auto inner = static_cast<std::size_t>(product(
        shape.begin() + static_cast<std::ptrdiff_t>(node.weights->decimals.axis) + 1, shape.end()));
    for (std::size_t i = 0; i < weight.size(); ++i)
      node.weights->codes.push_back(code_of(
          weight[i], format.decimals[i / inner % format.decimals.size()], format.bits, rounding));
    if (wraps.prune) apply_mask(*wraps.prune, *node.weights);

    const bool has_codes = quantize.integer("bias_bits") > 0;
    if (node.integer("bias") == 0) {
      if (has_codes) drop_placeholders();
      return;
    }
    const std::vector<float> bias = take<float>("bias", {outputs});
    node.bias.emplace();
    if (!has_codes) {
      node.bias->floats = bias;
      return;
    }
    const Format bias_format = take_format("quantize_bias.", 32, outputs);
    node.bias->decimals = bias_format.decimals;
    for (std::size_t i = 0; i < bias.size(); ++i)
      node.bias->codes.push_back(
          code_of(bias[i], bias_format.decimals[i], bias_format.bits, rounding));
  }

  void apply_mask(const Node& prune, Weights& weights) {
    const Mask mask = take_mask("prune.", prune);
    bool fits = mask.shape.size() == weights.shape.size();
    for (std::size_t i = 0; fits && i < mask.shape.size(); ++i)
      fits = mask.shape[i] == 1 || mask.shape[i] == weights.shape[i];
    if (!fits) fail("prune.mask", "its shape must be the weight's, or 1 along some axes");
    const std::vector<std::uint8_t> keep = spread(mask, weights.shape);
    const std::size_t row = keep.size() / static_cast<std::size_t>(weights.shape[0]);
    if (!mask.strict &&
        !std::equal(keep.begin() + static_cast<std::ptrdiff_t>(row), keep.end(), keep.begin()))
      fail("prune.mask",
           "its rows differ, but with strict = false QSPARSE evaluates every row with row 0; say "
           "strict = true in the graph to mean the whole mask");
    for (std::size_t i = 0; i < keep.size(); ++i) weights.codes[i] *= keep[i];
  }

  // bias_bits without a bias: QSPARSE keeps these for ever.
  void drop_placeholders() {
    for (const std::string entry : {"decimal", "_n_updates", "bits", "_quantized"}) {
      const auto found = state_.extract(fmt::format("{}.quantize_bias.{}", *node_, entry));
      if (!found.empty() && !is_placeholder(found.mapped()))
        fail("quantize_bias." + entry, "without a bias it must be the placeholder -1");
    }
  }

  void bind_batch_norm(Node& node) {
    const Shape shape = {node.integer("num_features")};
    const auto take_floats = [&](const char* entry) { return take<float>(entry, shape); };
    const std::vector<float> weight = take_floats("weight"), bias = take_floats("bias"),
                             mean = take_floats("running_mean"),
                             variance = take_floats("running_var");
    take<std::int64_t>("num_batches_tracked", {});
    const double eps = node.numbers.find("eps")->second;
    for (std::size_t c = 0; c < weight.size(); ++c) {
      if (variance[c] < 0) fail("running_var", fmt::format("{} of channel {}", variance[c], c));
      const double scale = static_cast<double>(weight[c]) / std::sqrt(variance[c] + eps);
      node.scale.push_back(static_cast<float>(scale));
      node.offset.push_back(
          static_cast<float>(static_cast<double>(bias[c]) - static_cast<double>(mean[c]) * scale));
      if (!std::isfinite(node.scale[c]) || !std::isfinite(node.offset[c]))
        fail("weight", fmt::format("scale and offset of channel {} are no float32 numbers", c));
    }
  }

  State state_;
  const std::string& name_;
  const std::string* node_ = nullptr;
};

}  // namespace

Model read_model(const std::filesystem::path& graph, const std::filesystem::path& state) {
  const std::vector<std::byte> graph_bytes = read_file(graph, std::size_t{16} << 20);
  const std::string_view text(reinterpret_cast<const char*>(graph_bytes.data()),
                              graph_bytes.size());
  GraphFile file = parse_graph(text, graph.string());
  const std::string name = state.string();
  Binder binder(parse_state(read_file(state, std::size_t{4} << 30), name), name);
  for (std::size_t i = 0; i < file.wraps.size(); ++i)
    binder.bind(file.model.nodes[i], file.wraps[i]);
  binder.finish();
  return std::move(file.model);
}

}  // namespace lockstep::checker
