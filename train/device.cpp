#include "train/device.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "compile/support/error.h"

namespace lockstep::train {
namespace {

// The number in "cuda:N"; 0 for "cuda".
std::optional<int> cuda_index(std::string_view name) {
  constexpr std::string_view kCuda = "cuda";
  if (name == kCuda) return 0;
  if (!name.starts_with("cuda:")) return std::nullopt;
  const std::string_view digits = name.substr(kCuda.size() + 1);
  int index = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (error != std::errc() || end != digits.data() + digits.size() || index < 0)
    return std::nullopt;
  return index;
}

// The same numbers every time, and products of all 24 bits: TF32 keeps 11. Operators without a
// repeatable algorithm only warn. cuBLAS repeats itself where it has a workspace of a fixed size;
// it reads the variable when it starts.
void compute_repeatably() {
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
  at::Context& context = at::globalContext();
  context.setBenchmarkCuDNN(false);
  context.setDeterministicCuDNN(true);
  context.setDeterministicAlgorithms(true, true);
  context.setAllowTF32CuDNN(false);
  context.setAllowTF32CuBLAS(false);
}

}  // namespace

torch::Device open_device(const std::string& name) {
  if (name == "cpu") return torch::kCPU;
  const std::optional<int> index = cuda_index(name);
  if (!index)
    throw InputError(fmt::format("device '{}' is unknown; there are cpu, cuda and cuda:N", name));
  const auto count =
      static_cast<int>(torch::cuda::is_available() ? torch::cuda::device_count() : 0);
  if (count == 0)
    throw InputError(fmt::format(
        "device '{}' is not available: this LibTorch has no CUDA, or this machine no GPU", name));
  if (*index >= count)
    throw InputError(
        fmt::format("device '{}' is not available; there are cuda:0 to cuda:{}", name, count - 1));
  compute_repeatably();
  return {torch::kCUDA, static_cast<torch::DeviceIndex>(*index)};
}

}  // namespace lockstep::train
