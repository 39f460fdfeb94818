#include "train/machine.h"

#include <ATen/Version.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <fmt/format.h>
#include <torch/version.h>

#include <fstream>
#include <string_view>

#include "train/blas.h"

namespace lockstep::train {
namespace {

// The kernel's name for it; empty where it gives none (as on Arm).
std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) {
      const std::size_t colon = line.find(": ");
      return colon == std::string::npos ? std::string() : line.substr(colon + 2);
    }
  return {};
}

// AVX2, say. Only the text of the configuration tells it.
std::string instruction_set() {
  constexpr std::string_view kBegin = "CPU capability usage: ";
  const std::string text = at::show_config();
  const std::size_t at = text.find(kBegin);
  if (at == std::string::npos) return "unknown instructions";
  const std::size_t begin = at + kBegin.size();
  return text.substr(begin, text.find('\n', begin) - begin);
}

}  // namespace

Machine this_machine(torch::Device device) {
  return {.device = device.is_cuda()
                        ? fmt::format("cuda, cuDNN {}", at::detail::getCUDAHooks().versionCuDNN())
                        : "cpu",
          .processor = fmt::format("{} ({})", processor_name(), instruction_set()),
          .libtorch = fmt::format("{}, {}", TORCH_VERSION, at::get_mkldnn_version()),
          .blas = blas_description()};
}

}  // namespace lockstep::train
