// onnxruntime through its C interface, loaded at run time. That interface is a table of functions
// to which newer versions only append, so the places of the functions used here are all that is
// needed of its header.
#include <dlfcn.h>
#include <fmt/format.h>

#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "compile/support/error.h"
#include "tools/bench/host/onnx_model.h"
#include "tools/bench/host/peers.h"

namespace lockstep::bench {
namespace {

namespace fs = std::filesystem;

// The version of the table that is asked for, and places in it (OrtApi of onnxruntime_c_api.h).
constexpr std::uint32_t kApiVersion = 8;
enum Place : std::size_t {
  kGetErrorMessage = 2,
  kCreateEnv = 3,
  kCreateSessionFromArray = 8,
  kRun = 9,
  kCreateSessionOptions = 10,
  kSetGraphOptimizationLevel = 23,
  kSetIntraOpThreads = 24,
  kSetInterOpThreads = 25,
  kCreateTensorWithData = 49,
  kCreateCpuMemoryInfo = 69,
};
constexpr int kLogErrors = 3, kAllOptimizations = 99, kDeviceAllocator = 0, kDefaultMemory = 0;
constexpr int kFloat = 1, kUint8 = 2;  // ONNXTensorElementDataType

struct ApiBase {
  const void* const* (*get_api)(std::uint32_t version);
  const char* (*get_version)();
};

// Calls the function at a place; all that are called so return null or an error.
template <typename... Args>
void call(const void* const* api, Place place, Args... args) {
  const auto function = reinterpret_cast<void* (*)(Args...)>(const_cast<void*>(api[place]));
  void* const error = function(args...);
  if (error == nullptr) return;
  const auto message =
      reinterpret_cast<const char* (*)(void*)>(const_cast<void*>(api[kGetErrorMessage]));
  throw InputError(fmt::format("onnxruntime: {}", message(error)));
}

// The first library of the folder that this machine can load.
void* load_from(const fs::path& folder) {
  std::string problem = "has no libonnxruntime.so";
  std::error_code error;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder, error)) {
    if (!entry.path().filename().string().starts_with("libonnxruntime.so")) continue;
    if (void* const library = dlopen(entry.path().c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
    problem = dlerror();
  }
  throw InputError(fmt::format("{}: {}", folder.string(), error ? error.message() : problem));
}

// A tensor of the caller's memory.
struct Buffer {
  std::vector<std::byte> bytes;
  void* value = nullptr;
};

}  // namespace

OnnxRuntime::OnnxRuntime(const fs::path& folder) {
  const auto get_base =
      reinterpret_cast<const ApiBase* (*)()>(dlsym(load_from(folder), "OrtGetApiBase"));
  if (get_base == nullptr) throw InputError(fmt::format("{}: {}", folder.string(), dlerror()));
  version_ = get_base()->get_version();
  api_ = get_base()->get_api(kApiVersion);
  if (api_ == nullptr)
    throw InputError(fmt::format("{}: version {} is too old", folder.string(), version_));
  call(api_, kCreateEnv, kLogErrors, "host_bench", &environment_);
}

PeerRun OnnxRuntime::peer(const PeerNetwork& network, OnnxNumbers numbers) const {
  const OnnxModel model = onnx_model(network, numbers);
  void *options = nullptr, *session = nullptr, *memory = nullptr;
  call(api_, kCreateSessionOptions, &options);
  call(api_, kSetIntraOpThreads, options, 1);
  call(api_, kSetInterOpThreads, options, 1);
  call(api_, kSetGraphOptimizationLevel, options, kAllOptimizations);
  call(api_, kCreateSessionFromArray, environment_, static_cast<const void*>(model.bytes.data()),
       model.bytes.size(), options, &session);
  call(api_, kCreateCpuMemoryInfo, kDeviceAllocator, kDefaultMemory, &memory);

  const bool is_float = numbers == OnnxNumbers::kFloat32;
  const auto tensor = [&](const PeerShape& shape, bool is_flat) {
    Buffer buffer;
    const auto count = static_cast<std::size_t>(shape.elements());
    buffer.bytes.resize(count * (is_float ? 4 : 1));
    std::mt19937 random(1);
    for (std::size_t i = 0; i < count; ++i) {
      const auto code = static_cast<std::uint8_t>(random());
      const float number = static_cast<float>(code) / 32 - 4;
      if (is_float)
        std::memcpy(buffer.bytes.data() + 4 * i, &number, 4);
      else
        buffer.bytes[i] = std::byte{code};
    }
    const std::vector<std::int64_t> sizes =
        is_flat ? std::vector<std::int64_t>{1, shape.elements()}
                : std::vector<std::int64_t>{1, shape.channels, shape.height, shape.width};
    call(api_, kCreateTensorWithData, static_cast<const void*>(memory),
         static_cast<void*>(buffer.bytes.data()), buffer.bytes.size(), sizes.data(), sizes.size(),
         is_float ? kFloat : kUint8, &buffer.value);
    return buffer;
  };
  struct State {
    OnnxModel model;
    Buffer input, output;
  };
  const auto state = std::make_shared<State>(
      State{.model = model,
            .input = tensor(network.input, model.input_is_flat),
            .output = tensor(network.shape(network.layers.size()), model.output_is_flat)});
  return [state, session, api = api_] {
    const char* const input_names[] = {state->model.input.c_str()};
    const char* const output_names[] = {state->model.output.c_str()};
    const void* const inputs[] = {state->input.value};
    void* outputs[] = {state->output.value};
    call(api, kRun, session, static_cast<const void*>(nullptr),
         static_cast<const char* const*>(input_names), static_cast<const void* const*>(inputs),
         std::size_t{1}, static_cast<const char* const*>(output_names), std::size_t{1},
         static_cast<void**>(outputs));
  };
}

}  // namespace lockstep::bench
