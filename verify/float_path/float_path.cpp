// The canonical float path: what LibTorch computes in eval mode, in float32, in the order of
// operations that docs/arithmetic.md gives. What a node computes is in layers.h; this runs the
// nodes.
#include <ATen/Context.h>
#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>
#include <map>

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

class TorchFloatPath final : public FloatPath {
 public:
  TorchFloatPath(const Graph& graph, const StateDict& state) : graph_(graph) {
    switch_off_nnpack(at::globalContext());
    const torch::InferenceMode inference;
    const Parameters parameters = bind_parameters(graph, state);
    for (const Node& node : graph_.nodes) layers_.push_back(make_layer(node, parameters.of(node)));
  }

  std::vector<std::vector<float>> run(const Batch& batch, std::int64_t samples,
                                      std::span<const std::string> nodes) override {
    const torch::InferenceMode inference;
    std::map<std::string, Tensor, std::less<>> values;
    for (std::size_t i = 0; i < graph_.inputs.size(); ++i)
      values[graph_.inputs[i].name] =
          graph_.inputs[i].raw ? normalise(byte_tensor(batch.at(i), samples), graph_.inputs[i])
                               : input_tensor(batch.at(i), samples);
    for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
      const Node& node = graph_.nodes[n];
      std::vector<Tensor> inputs;
      for (const std::string& name : node.inputs) inputs.push_back(values.at(name));
      try {
        values[node.name] = layers_[n](inputs);
      } catch (const c10::Error& error) {
        throw InputError(
            fmt::format("layer '{}': LibTorch: {}", node.name, first_line(error.msg())));
      }
    }
    std::vector<std::vector<float>> results;
    for (const std::string& name : nodes) {
      const Tensor value = values.at(name).contiguous();
      const float* data = value.data_ptr<float>();
      results.emplace_back(data, data + value.numel());
    }
    return results;
  }

 private:
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
  std::vector<Layer> layers_;  // one per node
};

}  // namespace

std::unique_ptr<FloatPath> make_float_path(const Graph& graph, const StateDict& state) {
  return std::make_unique<TorchFloatPath>(graph, state);
}

}  // namespace lockstep::verify
