// A state dict as it lies in its file: named tensors.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "verify/checker/model.h"

namespace lockstep::checker {

struct Dtype {
  std::string_view name;  // NumPy's
  std::string_view safetensors_name;
  std::string_view storage;  // torch's
  std::size_t bytes;
};
const Dtype* find_dtype(std::string_view Dtype::*member, std::string_view text);  // null: none

struct Tensor {
  const Dtype* dtype = nullptr;
  std::vector<Int> shape;
  std::vector<std::byte> bytes;  // row-major, little endian
};
using State = std::map<std::string, Tensor>;

// BadFile begins with `name`. By content: .pt if the bytes begin like a zip archive, else
// .safetensors.
State parse_state(std::span<const std::byte> bytes, const std::string& name);
State parse_pt(std::span<const std::byte> bytes, const std::string& name);

// The bytes of a tensor. BadFile begins with `where`: a size that is negative, more than 64 axes,
// 2^53 bytes or more.
std::size_t tensor_bytes(const Dtype& dtype, std::span<const Int> shape, const std::string& where);

}  // namespace lockstep::checker
