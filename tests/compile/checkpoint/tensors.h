// Small tensors and their comparison, for the tests of this folder.
#pragma once

#include <cstring>
#include <utility>
#include <vector>

#include "compile/checkpoint/state_dict.h"

namespace lockstep::test {

template <typename T>
Tensor make_tensor(Dtype dtype, std::vector<std::int64_t> shape, const std::vector<T>& values) {
  Tensor tensor{dtype, std::move(shape), std::vector<std::byte>(values.size() * sizeof(T))};
  if (!values.empty()) std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  return tensor;
}

inline bool same(const Tensor& a, const Tensor& b) {
  return a.dtype == b.dtype && a.shape == b.shape && a.bytes == b.bytes;
}

// The same entries in the same order.
inline bool same(const StateDict& a, const StateDict& b) {
  if (a.entries().size() != b.entries().size()) return false;
  for (std::size_t i = 0; i < a.entries().size(); ++i)
    if (a.entries()[i].first != b.entries()[i].first ||
        !same(a.entries()[i].second, b.entries()[i].second))
      return false;
  return true;
}

}  // namespace lockstep::test
