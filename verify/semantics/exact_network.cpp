#include "verify/semantics/exact_network.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "compile/support/error.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

struct Row {
  std::string_view op;
  OperatorMaker make;
};

constexpr Row kOperators[] = {
    {"conv1d", make_convolution},
    {"conv2d", make_convolution},
    {"conv_transpose1d", make_transposed_convolution},
    {"conv_transpose2d", make_transposed_convolution},
    {"linear", make_linear},
    {"batch_norm1d", make_batch_norm},
    {"batch_norm2d", make_batch_norm},
    {"relu", make_relu},
    {"relu6", make_relu6},
    {"leaky_relu", make_float_function},
    {"hard_sigmoid", make_float_function},
    {"hard_swish", make_float_function},
    {"tanh", make_float_function},
    {"sigmoid", make_float_function},
    {"gelu", make_float_function},
    {"silu", make_float_function},
    {"elu", make_float_function},
    {"softplus", make_float_function},
    {"max_pool1d", make_max_pool},
    {"max_pool2d", make_max_pool},
    {"avg_pool1d", make_avg_pool},
    {"avg_pool2d", make_avg_pool},
    {"adaptive_avg_pool1d", make_avg_pool},
    {"adaptive_avg_pool2d", make_avg_pool},
    {"add", make_add},
    {"sub", make_add},
    {"mul", make_mul},
    {"flatten", make_flatten},
    {"reshape", make_reshape},
    {"transpose", make_transpose},
    {"concat", make_concat},
    {"slice", make_slice},
    {"pad", make_pad},
    {"pixel_shuffle", make_pixel_shuffle},
    {"pixel_unshuffle", make_pixel_unshuffle},
    {"upsample", make_upsample},
    {"argmax", make_argmax},
    {"softmax", make_softmax},
    {"log_softmax", make_softmax},
    {"dropout", make_identity},
    {"identity", make_identity},
    {"quantize", make_quantize},
    {"prune", make_prune},
};

OperatorMaker find_maker(const Node& node) {
  for (const Row& row : kOperators)
    if (row.op == node.op) return row.make;
  throw InputError(
      fmt::format("layer '{}': the exact semantics know no operator '{}'", node.name, node.op));
}

Format input_format(const GraphInput& input) {
  Format format;
  format.shape = input.shape;
  format.decimals = {static_cast<int>(input.decimal)};
  format.bits = static_cast<int>(input.bits);
  format.lo = lowest_code(format.bits);
  format.hi = highest_code(format.bits);
  return format;
}

void check_input(const GraphInput& input, const Format& format, const TensorCodes& codes,
                 std::int64_t samples) {
  const std::int64_t expected = format.element_count() * samples;
  if (codes.shape != format.shape || static_cast<std::int64_t>(codes.codes.size()) != expected)
    throw InputError(fmt::format(
        "input '{}': {} codes of shape {}, but {} samples of shape {} are needed", input.name,
        codes.codes.size(), shape_text(codes.shape), samples, shape_text(format.shape)));
  if (codes.decimals != format.decimals)
    throw InputError(
        fmt::format("input '{}': the codes given are not on the declared grid, decimal {}",
                    input.name, format.decimals[0]));
  for (const std::int64_t code : codes.codes)
    if (code < format.lo || code > format.hi)
      throw InputError(
          input.raw ? fmt::format("input '{}': {}, but it takes bytes, 0 to 255", input.name, code)
                    : fmt::format("input '{}': code {}, but {} bits allow {} to {}", input.name,
                                  code, input.bits, format.lo, format.hi));
}

// The value of a raw input, whose format is `format`, from its bytes.
TensorCodes codes_of(const TensorCodes& bytes, const Format& format, const RawCodes& codes) {
  TensorCodes result;
  result.shape = format.shape;
  result.decimals = format.decimals;
  result.codes.reserve(bytes.codes.size());
  const std::int64_t channels = format.shape[0], plane = format.element_count() / channels;
  std::int64_t i = 0;
  for (const std::int64_t byte : bytes.codes)
    result.codes.push_back(codes.code(i++ / plane % channels, byte));
  return result;
}

// softmax and log_softmax keep the order of the channels, and that is all that the integer path
// keeps of them: nothing but an output may follow.
void require_output_follows(const Graph& graph, const Node& softmax) {
  std::vector<std::string_view> behind = {softmax.name};
  for (const Node& node : graph.nodes)
    for (const std::string& input : node.inputs) {
      if (std::ranges::find(behind, input) == behind.end()) continue;
      if (node.op != "identity" && node.op != "dropout")
        throw InputError(fmt::format(
            "layer '{}': {} is supported only on the way to an output, but layer '{}' ({}) reads "
            "it; remove it, or make it the last layer",
            softmax.name, softmax.op, node.name, node.op));
      behind.push_back(node.name);
    }
}

}  // namespace

ExactNetwork::ExactNetwork(const Graph& graph, const Parameters& parameters) : graph_(graph) {
  for (const GraphInput& input : graph.inputs) {
    require_countable(input.name, input.shape);
    Format& codes = inputs_[input.name] = input_format(input);
    if (!input.raw) continue;
    const Raw& raw = raw_.insert_or_assign(input.name, Raw{format_of_bytes(input), RawCodes(input)})
                         .first->second;
    const std::int64_t count = codes.element_count(), plane = count / codes.shape[0];
    for (std::int64_t e = 0; e < count; ++e) codes.ranges.push_back(raw.codes.range(e / plane));
  }
  for (const Node& node : graph.nodes) {
    const OperatorMaker make = find_maker(node);
    if (make == make_softmax) require_output_follows(graph, node);
    std::vector<const Format*> formats;
    for (const std::string& input : node.inputs) formats.push_back(&format(input));
    operators_.push_back(make(node, parameters.of(node), formats));
    index_[node.name] = operators_.size() - 1;
  }
}

const ExactOperator* ExactNetwork::find(std::string_view node) const {
  const auto found = index_.find(node);
  return found == index_.end() ? nullptr : operators_[found->second].get();
}

const Format& ExactNetwork::format(std::string_view name) const {
  const auto input = inputs_.find(name);
  if (input != inputs_.end()) return input->second;
  const ExactOperator* const node = find(name);
  LOCKSTEP_ASSERT(node != nullptr);
  return node->format();
}

const Format& ExactNetwork::fed_format(std::string_view input) const {
  const auto raw = raw_.find(input);
  return raw != raw_.end() ? raw->second.bytes : format(input);
}

const RawCodes* ExactNetwork::raw_codes(std::string_view name) const {
  const auto raw = raw_.find(name);
  return raw == raw_.end() ? nullptr : &raw->second.codes;
}

const LinearConstants* ExactNetwork::constants(std::string_view node) const {
  const ExactOperator* const found = find(node);
  return found == nullptr ? nullptr : found->constants();
}

const Format* ExactNetwork::sums(std::string_view node) const {
  const ExactOperator* const found = find(node);
  return found == nullptr ? nullptr : found->sums();
}

const Format& ExactNetwork::base_format(const ExactBase& base) const {
  if (!base.sums) return format(base.node);
  const Format* const result = sums(base.node);
  LOCKSTEP_ASSERT(result != nullptr);
  return *result;
}

std::span<const MovedElement> ExactNetwork::moves(std::string_view node) const {
  const ExactOperator* const found = find(node);
  return found == nullptr ? std::span<const MovedElement>{} : found->moves();
}

void ExactNetwork::run_node(std::string_view node, std::span<const Values> inputs,
                            std::span<std::int64_t> output) const {
  const ExactOperator* const found = find(node);
  LOCKSTEP_ASSERT(found != nullptr);
  found->run(inputs, output);
}

NodeValues ExactNetwork::evaluate(const Batch& batch, std::int64_t samples) const {
  if (batch.size() != graph_.inputs.size())
    throw InputError(fmt::format("network '{}': {} input tensors given, {} declared", graph_.name,
                                 batch.size(), graph_.inputs.size()));
  NodeValues values;
  for (std::size_t i = 0; i < graph_.inputs.size(); ++i) {
    const GraphInput& input = graph_.inputs[i];
    check_input(input, fed_format(input.name), batch[i], samples);
    const RawCodes* const raw = raw_codes(input.name);
    values[input.name] = raw == nullptr ? batch[i] : codes_of(batch[i], format(input.name), *raw);
  }
  struct Step {
    const ExactOperator* op;
    std::vector<const TensorCodes*> inputs;
    TensorCodes* output;
  };
  std::vector<Step> steps;
  for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
    const Node& node = graph_.nodes[n];
    const Format& result = operators_[n]->format();
    TensorCodes& output = values[node.name];
    output.shape = result.shape;
    output.decimals = result.decimals;
    output.real = result.real;
    output.codes.resize(static_cast<std::size_t>(result.element_count() * samples));
    std::vector<const TensorCodes*> inputs;
    for (const std::string& input : node.inputs) inputs.push_back(&values.find(input)->second);
    steps.push_back({operators_[n].get(), std::move(inputs), &output});
  }
  const auto sample_of = [](auto& tensor, std::int64_t s) {
    const auto count = static_cast<std::size_t>(tensor.element_count());
    return std::span(tensor.codes).subspan(static_cast<std::size_t>(s) * count, count);
  };
  share_range(samples, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t s = first; s < last; ++s)
      for (const Step& step : steps) {
        std::vector<Values> inputs;
        for (const TensorCodes* const input : step.inputs) inputs.push_back(sample_of(*input, s));
        step.op->run(inputs, sample_of(*step.output, s));
      }
  });
  return values;
}

std::vector<std::string> unstable_layers(const ExactNetwork& network) {
  std::vector<std::string> layers;
  for (const Node& node : network.graph().nodes) {
    const LinearConstants* const constants = network.constants(node.name);
    if (constants != nullptr && !constants->float32_is_exact) layers.push_back(node.name);
  }
  return layers;
}

void share_range(std::int64_t count, const std::function<void(std::int64_t, std::int64_t)>& body) {
  if (count < 2) {
    body(0, count);
    return;
  }
  const std::int64_t half = count / 2;
  std::thread second([&] { body(half, count); });
  body(0, half);
  second.join();
}

}  // namespace lockstep::verify
