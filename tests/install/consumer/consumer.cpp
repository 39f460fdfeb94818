// Compiles a one-layer network through the installed headers and libraries, runs its plan, and has
// it verified.
#include <compile/compile.h>
#include <intrt/intrt.h>
#include <verify/verify.h>

#include <cstdio>
#include <cstring>
#include <new>
#include <vector>

namespace {

template <typename T>
lockstep::Tensor tensor(lockstep::Dtype dtype, std::vector<std::int64_t> shape,
                        std::vector<T> values) {
  lockstep::Tensor result{dtype, std::move(shape), {}};
  result.bytes.resize(values.size() * sizeof(T));
  std::memcpy(result.bytes.data(), values.data(), result.bytes.size());
  return result;
}

void add_quantize(lockstep::StateDict& state, const std::string& prefix, float decimal) {
  using lockstep::Dtype;
  state.add(prefix + "decimal", tensor<float>(Dtype::kFloat32, {1}, {decimal}));
  state.add(prefix + "_n_updates", tensor<std::int32_t>(Dtype::kInt32, {1}, {1}));
  state.add(prefix + "bits", tensor<std::int32_t>(Dtype::kInt32, {}, {8}));
  state.add(prefix + "_quantized", tensor<std::uint8_t>(Dtype::kBool, {1}, {1}));
}

}  // namespace

int main() {
  const lockstep::Graph graph = lockstep::parse_graph(R"({
    "format": "lockstep-graph", "version": 1, "name": "consumer",
    "inputs": [{"name": "input", "shape": [1, 2, 2], "bits": 8, "decimal": 7}],
    "nodes": [
      {"name": "conv", "op": "conv2d", "inputs": ["input"],
       "attrs": {"in_channels": 1, "out_channels": 1, "kernel_size": [1, 1], "bias": false},
       "wrap": [{"type": "quantize", "bits": 8, "channelwise": -1}]},
      {"name": "q", "op": "quantize", "inputs": ["conv"], "attrs": {"bits": 8, "channelwise": -1}}],
    "outputs": ["q"]})",
                                                      "consumer");
  lockstep::StateDict state;
  state.add("conv.weight", tensor<float>(lockstep::Dtype::kFloat32, {1, 1, 1, 1}, {-0.75F}));
  add_quantize(state, "conv.quantize.", 2);
  add_quantize(state, "q.", 7);

  const lockstep::Compiled compiled = lockstep::compile_network(graph, state, {});
  alignas(INTRT_PLAN_ALIGNMENT) static std::byte bytes[1 << 16];
  if (compiled.plan.size() > sizeof bytes) return 1;
  std::memcpy(bytes, compiled.plan.data(), compiled.plan.size());
  intrt_plan plan;
  if (intrt_open(&plan, bytes, compiled.plan.size(), nullptr) != INTRT_OK) return 1;
  alignas(INTRT_ARENA_ALIGNMENT) static std::byte arena[1 << 16];
  const std::int8_t input[4] = {-128, -1, 1, 127};
  std::memcpy(intrt_tensor_data(&plan, arena, intrt_input(&plan, 0)), input, sizeof input);
  if (intrt_run(&plan, arena, sizeof arena, nullptr) != INTRT_OK) return 1;
  std::int8_t output[4];
  std::memcpy(output, intrt_tensor_data(&plan, arena, intrt_output(&plan, 0)), sizeof output);
  // code * -3 / 4, rounded toward zero
  const std::int8_t expected[4] = {96, 0, 0, -95};
  if (std::memcmp(output, expected, sizeof expected) != 0) return 1;

  const lockstep::verify::Report report =
      lockstep::verify::verify_plan(graph, state, {}, {.plan = compiled.plan});
  const auto* unknown = std::get_if<lockstep::verify::Unknown>(&report.verdict);
  if (unknown == nullptr) return 1;
  std::printf("verdict without a float path: unknown: %s\n", unknown->reason.c_str());
  return 0;
}
