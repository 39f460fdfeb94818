// Graph and state dict together: each node takes its keys out of the state dict, and nothing may be
// left. Numbers become codes here, in doubles that hold them exactly.
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>

#include "verify/checker/files.h"
#include "verify/checker/state_file.h"

namespace lockstep::checker {
namespace {

using Shape = std::vector<Int>;

struct Format {
  std::vector<int> decimals;
  int bits = 0;
};

// The elements behind one index of `axis`.
std::size_t elements_behind(const Shape& shape, std::size_t axis) {
  return std::accumulate(shape.begin() + static_cast<std::ptrdiff_t>(axis) + 1, shape.end(),
                         std::size_t{1}, std::multiplies<>());
}

Rounding rounding_of(const Node& quantize) {
  const std::string& word = quantize.words.find("rounding")->second;
  if (word == "half_even") return Rounding::kHalfEven;
  return word == "floor" ? Rounding::kFloor : Rounding::kTowardZero;
}

// clamp(round(value * 2^decimal)), the decimal changing every `inner` values. A float32 has 24
// significant bits, and |decimal| <= 64, so the product is exact in a double.
std::vector<Int> codes_of(const std::vector<float>& values, const Format& format, std::size_t inner,
                          Rounding rounding) {
  std::vector<Int> codes;
  const double end = std::ldexp(1.0, format.bits - 1);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const int decimal = format.decimals[i / inner % format.decimals.size()];
    const double scaled = std::ldexp(static_cast<double>(values[i]), decimal);
    codes.push_back(static_cast<Int>(std::clamp(rounded(scaled, rounding), -end, end - 1)));
  }
  return codes;
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

  void bind(Node& node) {
    node_ = &node.name;
    if (node.op.starts_with("conv") || node.op == "linear") bind_linear(node);
    if (node.op.starts_with("batch_norm")) bind_batch_norm(node);
    if (node.op == "prune") node.mask = take_mask("", node);
    if (node.op != "quantize") return;
    const Int axis = node.integer("channelwise");
    const Format format = take_format("", 16, axis < 0 ? 1 : 0);
    if (axis == 0 && format.decimals.size() > 1) fail("decimal", "there is one for each sample");
    node.quantize = {format.decimals, static_cast<std::size_t>(std::max<Int>(axis, 1) - 1)};
    node.bits = format.bits;
    node.rounding = rounding_of(node);
  }
  void finish() const {
    if (!state_.empty())
      refuse("{}: key {}: no layer has such an entry", name_, shown(state_.begin()->first));
  }

 private:
  template <typename T>
  struct Taken {
    Shape shape;
    std::vector<T> values;
  };

  [[noreturn]] void fail(std::string_view entry, std::string_view reason) const {
    refuse("{}: layer '{}': '{}': {}", name_, *node_, entry, reason);
  }

  // `shape`: nothing if any will do. Each element must be a number from `least` to `most`.
  template <typename T>
  Taken<T> take(const std::string& entry, const std::optional<Shape>& shape,
                double least = -FLT_MAX, double most = FLT_MAX) {
    constexpr std::string_view kDtype = std::is_same_v<T, float> ? "float32"
                                        : sizeof(T) == 1         ? "bool"
                                        : sizeof(T) == 4         ? "int32"
                                                                 : "int64";
    const auto found = state_.extract(fmt::format("{}.{}", *node_, entry));
    if (found.empty()) fail(entry, "there is no such key, or another layer has it, too");
    const Tensor& tensor = found.mapped();
    if (is_placeholder(tensor)) fail(entry, "still the placeholder -1; the layer never saw data");
    if (tensor.dtype->name != kDtype || (shape && tensor.shape != *shape))
      fail(entry, fmt::format("it is {} of shape [{}], but it must be {} of shape [{}]",
                              tensor.dtype->name, fmt::join(tensor.shape, ", "), kDtype,
                              fmt::join(shape.value_or(tensor.shape), ", ")));
    Taken<T> taken = {tensor.shape, std::vector<T>(tensor.bytes.size() / sizeof(T))};
    if (!tensor.bytes.empty())
      std::memcpy(taken.values.data(), tensor.bytes.data(), tensor.bytes.size());
    for (const T value : taken.values)
      if (!(static_cast<double>(value) >= least && static_cast<double>(value) <= most))
        fail(entry, fmt::format("{}, but it must be {:g} to {:g}", value, least, most));
    return taken;
  }

  // `count`: of decimals; 0 if it is not known.
  Format take_format(const std::string& prefix, int most_bits, Int count) {
    Format format;
    const Taken<float> decimals = take<float>(
        prefix + "decimal", count == 0 ? std::nullopt : std::optional(Shape{count}), -64, 64);
    if (decimals.shape.size() != 1 || decimals.values.empty())
      fail(prefix + "decimal", "it must have one axis");
    for (const float decimal : decimals.values) {
      if (std::trunc(decimal) != decimal) fail(prefix + "decimal", "it must be an integer");
      format.decimals.push_back(static_cast<int>(decimal));
    }
    take<std::int32_t>(prefix + "_n_updates", {{1}}, 0);
    format.bits = take<std::int32_t>(prefix + "bits", Shape(), 2, most_bits).values[0];
    // 0: training ended before quantization began.
    take<std::uint8_t>(prefix + "_quantized", {{1}}, 1, 1);
    return format;
  }

  Mask take_mask(const std::string& prefix, const Node& prune) {
    const Taken<std::uint8_t> mask = take<std::uint8_t>(prefix + "mask", std::nullopt, 0, 1);
    if (mask.values.empty()) fail(prefix + "mask", "it has no elements");
    take<std::int32_t>(prefix + "_n_updates", {{1}}, 0);
    take<float>(prefix + "_cur_sparsity", {{1}}, 0, 1);
    return {mask.shape, mask.values, prune.integer("strict") != 0};
  }

  void bind_linear(Node& node) {
    const bool is_linear = node.op == "linear";
    const Int outputs = node.integer(is_linear ? "out_features" : "out_channels"),
              inputs = node.integer(is_linear ? "in_features" : "in_channels"),
              groups = is_linear ? 1 : node.integer("groups");
    Shape shape = {outputs, inputs / groups};
    if (node.op.starts_with("conv_transpose")) shape = {inputs, outputs / groups};
    if (!is_linear && node.op.ends_with("2d")) shape.push_back(node.list("kernel_size")[0]);
    if (!is_linear) shape.push_back(node.list("kernel_size")[1]);

    const auto quantize = std::ranges::find(node.wraps, "quantize", &Node::op),
               prune = std::ranges::find(node.wraps, "prune", &Node::op);
    if (quantize == node.wraps.end())
      fail("weight", "is not quantized: put a quantize into its 'wrap'");
    const Rounding rounding = rounding_of(*quantize);
    const Int channelwise = quantize->integer("channelwise");
    const auto axis = static_cast<std::size_t>(std::max<Int>(channelwise, 0));
    const std::vector<float> weight = take<float>("weight", shape).values;
    const Format format = take_format("quantize.", 16, channelwise < 0 ? 1 : shape[axis]);
    node.weights = {shape,
                    codes_of(weight, format, elements_behind(shape, axis), rounding),
                    {format.decimals, axis}};
    if (prune != node.wraps.end()) apply_mask(take_mask("prune.", *prune), *node.weights);

    const bool has_bias = node.integer("bias") != 0, has_codes = quantize->integer("bias_bits") > 0;
    if (has_bias) node.bias.emplace().floats = take<float>("bias", Shape{outputs}).values;
    if (has_bias && has_codes) {
      const Format bias_format = take_format("quantize_bias.", 32, outputs);
      *node.bias = {
          codes_of(node.bias->floats, bias_format, 1, rounding), bias_format.decimals, {}};
    }
    // Without a bias QSPARSE keeps these for ever.
    for (const std::string entry : {"decimal", "_n_updates", "bits", "_quantized"}) {
      if (has_bias || !has_codes) continue;
      const auto found = state_.extract(fmt::format("{}.quantize_bias.{}", *node_, entry));
      if (!found.empty() && !is_placeholder(found.mapped()))
        fail("quantize_bias." + entry, "without a bias it must be the placeholder -1");
    }
  }

  void apply_mask(const Mask& mask, Weights& weights) const {
    const Shape& shape = weights.shape;
    for (std::size_t axis = 0; axis < shape.size(); ++axis)
      if (mask.shape.size() != shape.size() ||
          (mask.shape[axis] != 1 && mask.shape[axis] != shape[axis]))
        fail("prune.mask", "its shape must be the weight's, or 1 along some axes");
    // An axis of 1 is the same everywhere.
    const auto keeps = [&](std::size_t weight) {
      std::size_t place = 0, step = 1;
      for (std::size_t axis = shape.size(); axis-- > 0; weight /= at(shape[axis])) {
        place += weight % at(shape[axis]) % at(mask.shape[axis]) * step;
        step *= at(mask.shape[axis]);
      }
      return mask.keep[place];
    };
    const std::size_t row = elements_behind(shape, 0);
    for (std::size_t i = 0; i < weights.codes.size(); ++i) {
      weights.codes[i] *= keeps(i);
      if (!mask.strict && keeps(i) != keeps(i % row))
        fail("prune.mask",
             "its rows differ, but with strict = false QSPARSE evaluates all with row "
             "0; strict = true in the graph means the whole mask");
    }
  }

  void bind_batch_norm(Node& node) {
    const Shape shape = {node.integer("num_features")};
    const std::vector<float> weight = take<float>("weight", shape).values,
                             bias = take<float>("bias", shape).values,
                             mean = take<float>("running_mean", shape).values,
                             variance = take<float>("running_var", shape, 0).values;
    take<std::int64_t>("num_batches_tracked", Shape());
    const double eps = node.numbers.find("eps")->second;
    for (std::size_t c = 0; c < weight.size(); ++c) {
      const double scale = static_cast<double>(weight[c]) / std::sqrt(variance[c] + eps);
      const double offset = static_cast<double>(bias[c]) - static_cast<double>(mean[c]) * scale;
      node.scale.push_back(static_cast<float>(scale));
      node.offset.push_back(static_cast<float>(offset));
      if (!std::isfinite(node.scale[c]) || !std::isfinite(node.offset[c]))
        fail("weight",
             fmt::format("channel {}: scale {} and offset {} leave float32", c, scale, offset));
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
  Model model = parse_graph(text, graph.string());
  const std::string name = state.string();
  Binder binder(parse_state(read_file(state, std::size_t{4} << 30), name), name);
  for (Node& node : model.nodes) binder.bind(node);
  binder.finish();
  return model;
}

}  // namespace lockstep::checker
