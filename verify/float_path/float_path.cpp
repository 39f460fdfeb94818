// The canonical float path: what LibTorch computes in eval mode, in float32, in the order of
// operations that docs/arithmetic.md gives. What a node computes is in layers.h; this runs the
// nodes, and chosen layers in double.
#include <ATen/Context.h>
#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <string_view>

#include "compile/support/error.h"
#include "verify/float_path/layers.h"
#include "verify/verify.h"

namespace lockstep::verify {
namespace {

using torch::Tensor;

Layer make_layer(const Node& node, const NodeParameters& parameters) {
  if (Layer layer = make_weighted_layer(node, parameters)) return layer;
  if (Layer layer = make_sparse_layer(node, parameters)) return layer;
  if (Layer layer = make_function_layer(node)) return layer;
  if (Layer layer = make_window_layer(node)) return layer;
  if (Layer layer = make_move_layer(node)) return layer;
  throw InputError(
      fmt::format("layer '{}': the float path knows no operator '{}'", node.name, node.op));
}

// NNPACK's convolutions transform their inputs (Winograd, Fourier) and round where a plain sum of
// products would not. Later LibTorch has a switch; an earlier one must have been built without it,
// as Debian's is.
template <typename Context>
void switch_off_nnpack(Context& context) {
  if constexpr (requires { context.setUserEnabledNNPACK(false); }) {
    context.setUserEnabledNNPACK(false);
  } else if (at::_nnpack_available()) {
    throw InputError(
        "float path: this LibTorch convolves with NNPACK, which is not exact, and cannot switch it "
        "off; use Debian's libtorch");
  }
}

// Float functions, which are float32 ones whatever their argument comes from.
bool is_float_function(const Node& node) {
  constexpr std::string_view kOps[] = {"leaky_relu", "hard_sigmoid", "hard_swish",  "tanh",
                                       "sigmoid",    "gelu",         "silu",        "elu",
                                       "softplus",   "batch_norm1d", "batch_norm2d"};
  return std::ranges::find(kOps, node.op) != std::end(kOps);
}

// What `node` reads, of a value that may be double. A mean is a float function of an exact sum
// where it divides by no power of two; then float32 holds what it sums.
Tensor as_read_by(const Node& node, const Tensor& value) {
  if (value.scalar_type() != torch::kFloat64) return value;
  const Tensor narrow = value.to(torch::kFloat32);
  if (is_float_function(node)) return narrow;
  if (node.op.find("avg_pool") != std::string::npos &&
      torch::equal(narrow.to(torch::kFloat64), value))
    return narrow;
  return value;
}

class TorchFloatPath final : public FloatPath {
 public:
  TorchFloatPath(const Graph& graph, const StateDict& state)
      : graph_(graph), parameters_(bind_parameters(graph_, state)) {
    switch_off_nnpack(at::globalContext());
    const torch::InferenceMode inference;
    for (const Node& node : graph_.nodes) layers_.push_back(make_layer(node, parameters_.of(node)));
  }

  std::vector<std::vector<float>> run(const Batch& batch, std::int64_t samples,
                                      std::span<const std::string> nodes) override {
    const torch::InferenceMode inference;
    return numbers_of<float>(evaluate(batch, samples, {}), nodes);
  }

  std::vector<std::vector<double>> run_in_double(const Batch& batch, std::int64_t samples,
                                                 std::span<const std::string> nodes,
                                                 std::span<const std::string> layers) override {
    const torch::InferenceMode inference;
    return numbers_of<double>(evaluate(batch, samples, layers), nodes);
  }

 private:
  using NodeTensors = std::map<std::string, Tensor, std::less<>>;

  // `in_double`: the layers that are.
  NodeTensors evaluate(const Batch& batch, std::int64_t samples,
                       std::span<const std::string> in_double) {
    NodeTensors values;
    for (std::size_t i = 0; i < graph_.inputs.size(); ++i)
      values[graph_.inputs[i].name] =
          graph_.inputs[i].raw ? normalise(byte_tensor(batch.at(i), samples), graph_.inputs[i])
                               : input_tensor(batch.at(i), samples);
    for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
      const Node& node = graph_.nodes[n];
      const bool is_double = std::ranges::find(in_double, node.name) != in_double.end();
      std::vector<Tensor> inputs;
      for (const std::string& name : node.inputs)
        inputs.push_back(as_read_by(node, values.at(name)));
      try {
        const Tensor value = (is_double ? double_layer(node) : layers_[n])(inputs);
        values[node.name] = node.op == "quantize" ? value.to(torch::kFloat32) : value;
      } catch (const c10::Error& error) {
        throw InputError(
            fmt::format("layer '{}': LibTorch: {}", node.name, first_line(error.msg())));
      }
    }
    return values;
  }

  const Layer& double_layer(const Node& node) {
    Layer& layer = double_layers_[node.name];
    if (!layer) layer = make_weighted_layer(node, parameters_.of(node), torch::kFloat64);
    return layer;
  }

  template <typename Number>
  static std::vector<std::vector<Number>> numbers_of(const NodeTensors& values,
                                                     std::span<const std::string> nodes) {
    std::vector<std::vector<Number>> results;
    for (const std::string& name : nodes) {
      const Tensor value = values.at(name).to(c10::CppTypeToScalarType<Number>::value).contiguous();
      const Number* data = value.template data_ptr<Number>();
      results.emplace_back(data, data + value.numel());
    }
    return results;
  }

  static Tensor empty_input(const TensorCodes& input, std::int64_t samples,
                            torch::ScalarType type) {
    std::vector<std::int64_t> shape = {samples};
    shape.insert(shape.end(), input.shape.begin(), input.shape.end());
    Tensor tensor = torch::empty(shape, type);
    LOCKSTEP_ASSERT(tensor.numel() == static_cast<std::int64_t>(input.codes.size()));
    return tensor;
  }

  static Tensor byte_tensor(const TensorCodes& input, std::int64_t samples) {
    Tensor tensor = empty_input(input, samples, torch::kUInt8);
    std::uint8_t* bytes = tensor.data_ptr<std::uint8_t>();
    for (const std::int64_t byte : input.codes) *bytes++ = static_cast<std::uint8_t>(byte);
    return tensor;
  }

  static Tensor input_tensor(const TensorCodes& input, std::int64_t samples) {
    Tensor tensor = empty_input(input, samples, torch::kFloat32);
    LOCKSTEP_ASSERT(input.decimals.size() == 1);
    const float step = std::ldexp(1.0F, -input.decimals[0]);
    float* values = tensor.data_ptr<float>();
    for (std::size_t i = 0; i < input.codes.size(); ++i)
      values[i] = static_cast<float>(input.codes[i]) * step;
    return tensor;
  }

  static std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

  Graph graph_;
  Parameters parameters_;
  std::vector<Layer> layers_;  // one per node
  std::map<std::string, Layer, std::less<>> double_layers_;
};

}  // namespace

std::unique_ptr<FloatPath> make_float_path(const Graph& graph, const StateDict& state) {
  return std::make_unique<TorchFloatPath>(graph, state);
}

}  // namespace lockstep::verify
