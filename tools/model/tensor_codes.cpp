#include "tools/model/tensor_codes.h"

#include <fmt/format.h>

#include <cmath>

#include "compile/support/error.h"
#include "tools/model/plan_tensors.h"

namespace lockstep {
namespace {

// Calls visit with the pointer that has the type of the tensor's elements.
template <typename Void, typename Visit>
void with_type(const intrt_tensor& tensor, Void* data, const Visit& visit) {
  constexpr bool kConst = std::is_const_v<Void>;
  const auto as = [&]<typename T>(T) {
    visit(static_cast<std::conditional_t<kConst, const T*, T*>>(data));
  };
  switch (tensor.type) {
    case INTRT_INT8:
      return as(std::int8_t{});
    case INTRT_INT16:
      return as(std::int16_t{});
    case INTRT_UINT8:
      return as(std::uint8_t{});
    default:
      LOCKSTEP_ASSERT(tensor.type == INTRT_INT32);
      return as(std::int32_t{});
  }
}

// 2^(sign * decimal) for each channel.
std::vector<double> scales_of(const intrt_tensor& tensor, int sign) {
  std::vector<double> scales;
  for (std::uint32_t c = 0; c < tensor.channels; ++c)
    scales.push_back(std::ldexp(1.0, sign * tensor.decimals[tensor.decimal_count == 1 ? 0 : c]));
  return scales;
}

}  // namespace

InputTensor::InputTensor(std::uint32_t index, const intrt_tensor& tensor)
    : index_(index),
      tensor_(tensor),
      format_{.name = tensor.name,
              .bits = static_cast<int>(tensor.bits),
              .bytes = tensor.type == INTRT_UINT8,
              .decimals = {tensor.decimals, tensor.decimals + tensor.decimal_count},
              .elements_per_channel = std::size_t{tensor.height} * tensor.width},
      range_(range_of(format_)),
      scales_(scales_of(tensor, 1)) {}

void InputTensor::refuse(std::size_t element, std::size_t sample, const std::string& why) const {
  throw InputError(fmt::format("input '{}': element {} of sample {} is {}", tensor_.name,
                               position_text(logical_shape(tensor_), element), sample, why));
}

template <typename Source, typename Code>
void InputTensor::load_as(std::span<const Source> values, std::size_t sample, Code* data) const {
  const Source* from = values.data() + sample * elements();
  const std::size_t channels = tensor_.channels, positions = format_.elements_per_channel;
  for (std::size_t c = 0; c < channels; ++c)
    for (std::size_t i = 0; i < positions; ++i) {
      const Source value = from[c * positions + i];
      std::int32_t code;
      if constexpr (std::is_same_v<Source, float>) {
        if (!quantize_number(value, scales_[c], range_, code))
          refuse(c * positions + i, sample,
                 refusal_of(value, format_.decimals[format_.decimals.size() == 1 ? 0 : c]));
      } else {
        code = value;
        if (code < range_.lo || code > range_.hi)
          refuse(c * positions + i, sample, refusal_of(code, format_));
      }
      data[i * channels + c] = static_cast<Code>(code);
    }
}

void InputTensor::load(const ModelInput& source, std::size_t sample, void* data) const {
  if (format_.bytes && std::holds_alternative<std::span<const float>>(source))
    throw InputError(
        fmt::format("input '{}': it takes raw bytes, integers from 0 to 255, which the network "
                    "normalises by itself, and was given float32",
                    tensor_.name));
  with_type(tensor_, data, [&](auto* codes) {
    std::visit([&](const auto& values) { load_as(values, sample, codes); }, source);
  });
}

ReadTensor::ReadTensor(std::uint32_t index, const intrt_tensor& tensor)
    : index_(index),
      tensor_(tensor),
      scales_(scales_of(tensor, -1)),
      offsets_(offsets_of(tensor)) {}

void ReadTensor::store(const void* data, const ModelOutput& to, std::size_t sample) const {
  const std::size_t channels = tensor_.channels;
  const std::size_t positions = std::size_t{tensor_.height} * tensor_.width;
  with_type(tensor_, data, [&](const auto* codes) {
    std::visit(
        [&]<typename T>(std::span<T> values) {
          T* into = values.data() + sample * elements();
          for (std::size_t c = 0; c < channels; ++c)
            for (std::size_t i = 0; i < positions; ++i, ++into) {
              const auto code = codes[i * channels + c];
              if constexpr (std::is_same_v<T, float>) {
                *into = static_cast<float>(static_cast<double>(code) * scales_[c]);
                if (!offsets_.empty()) *into += offsets_[c];
              } else {
                *into = static_cast<T>(code);
              }
            }
        },
        to);
  });
}

}  // namespace lockstep
