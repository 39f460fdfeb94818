// Binding: each node claims the keys that QSPARSE gives it, and what nobody claims is an error.
#include "compile/checkpoint/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <string_view>

#include "compile/checkpoint/shape.h"
#include "compile/graph/op_schema.h"
#include "compile/support/error.h"
#include "compile/support/printable.h"

namespace lockstep {
namespace {

constexpr int kMaxDecimal = 64;

std::string shape_text(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

class Binder {
 public:
  Binder(const Graph& graph, const StateDict& state) : graph_(graph), state_(state) {}

  Parameters bind() {
    Parameters parameters;
    for (const Node& node : graph_.nodes) parameters.nodes.emplace(node.name, bind_node(node));
    for (const auto& [key, tensor] : state_.entries())
      if (!owner_.contains(key))
        throw InputError(fmt::format("{}key '{}': no layer of graph '{}' has such an entry", file(),
                                     printable(key), graph_.name));
    return parameters;
  }

 private:
  // "state.pt: " or, for a state dict that came from no file, nothing.
  std::string file() const { return state_.name().empty() ? "" : state_.name() + ": "; }
  [[noreturn]] void fail(const Node& node, std::string_view key, std::string_view reason) const {
    throw InputError(fmt::format("{}layer '{}': '{}': {}", file(), node.name, key, reason));
  }

  const Tensor& claim(const Node& node, const std::string& key) {
    const Tensor* const tensor = state_.find(key);
    if (tensor == nullptr) fail(node, key, "the state dict has no such key");
    const auto [owner, is_new] = owner_.emplace(key, &node);
    if (!is_new)
      fail(node, key, fmt::format("layer '{}' has this key too; rename one", owner->second->name));
    return *tensor;
  }

  void check_dtype(const Node& node, const std::string& key, const Tensor& tensor,
                   Dtype wanted) const {
    if (tensor.dtype != wanted)
      fail(node, key,
           fmt::format("dtype is {}, but it must be {}", dtype_name(tensor.dtype),
                       dtype_name(wanted)));
  }
  void check_shape(const Node& node, const std::string& key, const Tensor& tensor,
                   std::span<const std::int64_t> wanted) const {
    if (!std::ranges::equal(tensor.shape, wanted))
      fail(node, key,
           fmt::format("shape is {}, but it must be {}", shape_text(tensor.shape),
                       shape_text(wanted)));
  }
  const Tensor& claim_initialised(const Node& node, const std::string& key) {
    const Tensor& tensor = claim(node, key);
    if (is_placeholder(tensor))
      fail(node, key, "still the placeholder -1; the layer never saw data in training");
    return tensor;
  }

  std::vector<float> bind_floats(const Node& node, const std::string& key,
                                 std::span<const std::int64_t> shape) {
    const Tensor& tensor = claim(node, key);
    check_dtype(node, key, tensor, Dtype::kFloat32);
    check_shape(node, key, tensor, shape);
    std::vector<float> values = tensor.floats(key);
    for (std::size_t i = 0; i < values.size(); ++i)
      if (!std::isfinite(values[i])) fail(node, key, fmt::format("element {} is {}", i, values[i]));
    return values;
  }

  // [1] int32, not negative: QSPARSE's step counter. Its value matters to training alone.
  void bind_counter(const Node& node, const std::string& key) {
    const Tensor& tensor = claim_initialised(node, key);
    check_dtype(node, key, tensor, Dtype::kInt32);
    check_shape(node, key, tensor, std::vector<std::int64_t>{1});
    if (const std::int32_t steps = tensor.int32s(key)[0]; steps < 0)
      fail(node, key, fmt::format("{} steps", steps));
  }

  // `length`: how many decimals; nothing when the tensor's shape is not known here.
  QuantizeParameters bind_quantize(const Node& node, const std::string& prefix, int max_bits,
                                   std::optional<std::int64_t> length) {
    const std::string decimal_key = prefix + "decimal", bits_key = prefix + "bits",
                      quantized_key = prefix + "_quantized";
    QuantizeParameters result;
    result.decimals = bind_decimals(node, decimal_key, length);
    bind_counter(node, prefix + "_n_updates");

    const Tensor& bits = claim_initialised(node, bits_key);
    check_dtype(node, bits_key, bits, Dtype::kInt32);
    check_shape(node, bits_key, bits, {});
    result.bits = bits.int32s(bits_key)[0];
    if (result.bits < 2 || result.bits > max_bits)
      fail(node, bits_key,
           fmt::format("bits = {}, but 2 to {} are supported", result.bits, max_bits));

    const Tensor& quantized = claim_initialised(node, quantized_key);
    check_dtype(node, quantized_key, quantized, Dtype::kBool);
    check_shape(node, quantized_key, quantized, std::vector<std::int64_t>{1});
    if (quantized.bools(quantized_key)[0] == 0)
      fail(node, quantized_key,
           "false: training ended before this layer's quantization began (its timeout)");
    return result;
  }

  std::vector<int> bind_decimals(const Node& node, const std::string& key,
                                 std::optional<std::int64_t> length) {
    const Tensor& tensor = claim_initialised(node, key);
    check_dtype(node, key, tensor, Dtype::kFloat32);
    if (tensor.shape.size() != 1 || tensor.shape[0] == 0)
      fail(node, key,
           fmt::format("shape is {}, but it must have one axis", shape_text(tensor.shape)));
    if (length && tensor.shape[0] != *length)
      fail(node, key, fmt::format("{} decimals, but it must be {}", tensor.shape[0], *length));
    std::vector<int> decimals;
    for (const float value : tensor.floats(key)) {
      if (!(std::fabs(value) <= kMaxDecimal) || std::trunc(value) != value)
        fail(node, key,
             fmt::format("decimal {} at index {}, but it must be an integer from {} to {}", value,
                         decimals.size(), -kMaxDecimal, kMaxDecimal));
      decimals.push_back(static_cast<int>(value));
    }
    return decimals;
  }

  MaskParameters bind_prune(const Node& node, const std::string& prefix) {
    const std::string mask_key = prefix + "mask", sparsity_key = prefix + "_cur_sparsity";
    const Tensor& mask = claim_initialised(node, mask_key);
    check_dtype(node, mask_key, mask, Dtype::kBool);
    if (mask.bytes.empty())
      fail(node, mask_key,
           fmt::format("shape is {}, but a mask has at least one element", shape_text(mask.shape)));
    bind_counter(node, prefix + "_n_updates");
    const Tensor& sparsity = claim_initialised(node, sparsity_key);
    check_dtype(node, sparsity_key, sparsity, Dtype::kFloat32);
    check_shape(node, sparsity_key, sparsity, std::vector<std::int64_t>{1});
    if (const float value = sparsity.floats(sparsity_key)[0]; !(value >= 0 && value <= 1))
      fail(node, sparsity_key, fmt::format("sparsity {}, but it must be 0 to 1", value));
    return {mask.shape, mask.bools(mask_key)};
  }

  void check_broadcastable(const Node& node, const MaskParameters& mask,
                           std::span<const std::int64_t> weight_shape) const {
    bool fits = mask.shape.size() == weight_shape.size();
    for (std::size_t i = 0; fits && i < weight_shape.size(); ++i)
      fits = mask.shape[i] == 1 || mask.shape[i] == weight_shape[i];
    if (!fits)
      fail(node, state_key(node.name, "prune.mask"),
           fmt::format("shape is {}, but it must be {}, or 1 along some axes",
                       shape_text(mask.shape), shape_text(weight_shape)));
  }

  // QSPARSE evaluates a weight that was pruned with strict = false by row 0 of its mask, though it
  // trained with the whole mask; Lockstep evaluates with the whole mask. Rows that differ would
  // mean two networks.
  void check_rows_agree(const Node& node, const MaskParameters& mask) const {
    if (node.weight_prune()->strict || mask.shape[0] == 1) return;
    const std::size_t row = mask.keep.size() / static_cast<std::size_t>(mask.shape[0]);
    for (std::size_t i = row; i < mask.keep.size(); ++i)
      if (mask.keep[i] != mask.keep[i % row])
        fail(node, state_key(node.name, "prune.mask"),
             fmt::format("row {} differs from row 0, but with strict = false QSPARSE evaluates "
                         "every row with row 0; say strict = true in the graph to mean the whole "
                         "mask",
                         i / row));
  }

  // bias_bits without a bias: QSPARSE keeps the four entries, as placeholders for ever.
  void claim_unused_bias_quantize(const Node& node, const std::string& prefix) {
    for (const std::string_view entry : {"decimal", "_n_updates", "bits", "_quantized"}) {
      const std::string key = fmt::format("{}{}", prefix, entry);
      if (state_.find(key) == nullptr) continue;
      if (!is_placeholder(claim(node, key)))
        fail(node, key, "the layer has no bias, so this must be the placeholder -1");
    }
  }

  void bind_weight(const Node& node, const OpSchema& schema, NodeParameters& result) {
    result.weight_shape = schema.weight_shape(node);
    if (!checked_element_count(result.weight_shape))
      fail(node, state_key(node.name, "weight"), "the weight is too large");
    result.weight = bind_floats(node, state_key(node.name, "weight"), result.weight_shape);
    const bool has_bias = node.flag("bias");
    const std::int64_t bias_length = node.integer(schema.bias_length);
    if (has_bias)
      result.bias =
          bind_floats(node, state_key(node.name, "bias"), std::vector<std::int64_t>{bias_length});
    if (node.weight_prune() != nullptr) {
      result.weight_mask = bind_prune(node, state_key(node.name, "prune."));
      check_broadcastable(node, *result.weight_mask, result.weight_shape);
      check_rows_agree(node, *result.weight_mask);
    }
    const QuantizeSpec* const quantize = node.weight_quantize();
    if (quantize == nullptr) return;

    const std::int64_t decimals =
        quantize->channelwise < 0
            ? 1
            : result.weight_shape[static_cast<std::size_t>(quantize->channelwise)];
    result.weight_quantize = bind_quantize(node, state_key(node.name, "quantize."), 16, decimals);
    if (quantize->bias_bits < 0) return;
    const std::string bias_prefix = state_key(node.name, "quantize_bias.");
    if (has_bias)
      result.bias_quantize = bind_quantize(node, bias_prefix, 32, bias_length);
    else
      claim_unused_bias_quantize(node, bias_prefix);
  }

  BatchNormParameters bind_batch_norm(const Node& node, std::string_view channels_attribute) {
    const std::vector<std::int64_t> shape = {node.integer(channels_attribute)};
    const auto bind = [&](std::string_view entry) {
      return bind_floats(node, state_key(node.name, entry), shape);
    };
    BatchNormParameters result;
    result.weight = bind("weight");
    result.bias = bind("bias");
    result.running_mean = bind("running_mean");
    result.running_var = bind("running_var");
    for (const float variance : result.running_var)
      if (variance < 0)
        fail(node, state_key(node.name, "running_var"), fmt::format("variance {}", variance));
    const std::string count_key = state_key(node.name, "num_batches_tracked");
    const Tensor& count = claim(node, count_key);
    check_dtype(node, count_key, count, Dtype::kInt64);
    check_shape(node, count_key, count, {});
    return result;
  }

  NodeParameters bind_node(const Node& node) {
    NodeParameters result;
    const OpSchema& schema = schema_of(node);
    if (schema.weight_shape != nullptr) bind_weight(node, schema, result);
    if (!schema.normalized_channels.empty())
      result.batch_norm = bind_batch_norm(node, schema.normalized_channels);
    if (node.quantize) {
      const bool is_per_tensor = node.quantize->channelwise < 0;
      result.quantize =
          bind_quantize(node, state_key(node.name, ""), 16,
                        is_per_tensor ? std::optional<std::int64_t>(1) : std::nullopt);
    }
    if (node.prune) result.mask = bind_prune(node, state_key(node.name, ""));
    return result;
  }

  const Graph& graph_;
  const StateDict& state_;
  std::map<std::string, const Node*, std::less<>> owner_;
};

}  // namespace

const NodeParameters& Parameters::of(const Node& node) const {
  const auto found = nodes.find(node.name);
  LOCKSTEP_ASSERT(found != nodes.end());
  return found->second;
}

bool is_placeholder(const Tensor& entry) {
  return entry.dtype == Dtype::kInt32 && entry.shape.empty() && entry.int32s("entry").at(0) == -1;
}

Parameters bind_parameters(const Graph& graph, const StateDict& state) {
  return Binder(graph, state).bind();
}

}  // namespace lockstep
