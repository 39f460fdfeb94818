// Grows a graph node by node, in execution order. Every node is parsed and its shape inferred as it
// is added, so a mistake in a network shows at its line.
//
// Quantize and prune nodes come the way that QSPARSE's users put them: wraps on weights, and behind
// each value that an arithmetic layer will read a prune and a quantize node (settle, quantize).
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "compile/graph/graph.h"
#include "tools/zoo/zoo.h"

namespace lockstep::zoo {

using Attributes = nlohmann::ordered_json;

struct Value {
  std::string name;
  std::vector<std::int64_t> shape;  // without the batch
};

// Steps of training at which the nodes of the zoo act (recipe.cpp trains long enough).
inline constexpr std::int64_t kPruneStart = 60, kPruneInterval = 20, kPruneRepetition = 4;
inline constexpr std::int64_t kWeightTimeout = 160, kActivationTimeout = 180;
inline constexpr std::int64_t kTrainingSteps = 280;  // at least so many

struct WeightOptions {
  bool is_output = false;       // structured pruning takes input channels, for outputs must stay
  bool prune = true;            // false: not even when the network is pruned
  std::int64_t bias_bits = 16;  // -1: the bias stays float
};

class Builder {
 public:
  // The network has one input, "input".
  Builder(std::string name, std::vector<std::int64_t> input_shape, const NetworkOptions& options,
          std::int64_t input_decimal = 7);

  Value input() const;

  // Any operator without a weight.
  Value add(std::string_view op, const std::string& name, const std::vector<Value>& inputs,
            const Attributes& attributes = Attributes::object());
  // conv1d, conv2d, conv_transpose2d or linear; the input's channels are filled in.
  Value weighted(std::string_view op, const std::string& name, const Value& input,
                 Attributes attributes, const WeightOptions& options);
  Value weighted(std::string_view op, const std::string& name, const Value& input,
                 const Attributes& attributes) {
    return weighted(op, name, input, attributes, WeightOptions{});
  }
  // The batch norm of as many axes as its input has.
  Value batch_norm(const std::string& name, const Value& input);
  // A linear layer with a bias whose values are the network's answer, quantized.
  Value classifier(const std::string& name, const Value& input, std::int64_t classes);

  // Behind `value`: NAME_prune (when the network is pruned) and NAME_quantize; `value` itself in a
  // float network.
  Value settle(const Value& value) { return quantize(prune(value), value.name); }
  Value prune(const Value& value);
  Value quantize(const Value& value) { return quantize(value, value.name); }

  Graph finish(const Value& output);

 private:
  Value quantize(const Value& value, const std::string& owner);
  Value append(std::string_view op, const std::string& name, const std::vector<Value>& inputs,
               const Attributes& attributes, const Attributes& wraps);
  Attributes quantize_fields(std::int64_t channelwise, std::int64_t timeout) const;
  Attributes prune_fields(std::int64_t structured_axis) const;

  NetworkOptions options_;
  std::int64_t window_size_;
  Graph graph_;
};

}  // namespace lockstep::zoo
