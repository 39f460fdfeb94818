// One sample of a tensor between a caller's memory, in PyTorch's order (C,H,W), and a run's,
// (H,W,C).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "compile/support/input_codes.h"
#include "intrt/intrt.h"
#include "lockstep/model.h"

namespace lockstep {

// An input of a network.
class InputTensor {
 public:
  InputTensor(std::uint32_t index, const intrt_tensor& tensor);

  std::uint32_t index() const { return index_; }
  std::size_t elements() const { return tensor_.element_count; }

  // Sample number `sample` of `source`, which holds it, to `data`. InputError names the first
  // element that is no input.
  void load(const ModelInput& source, std::size_t sample, void* data) const;

 private:
  template <typename Source, typename Code>
  void load_as(std::span<const Source> values, std::size_t sample, Code* data) const;
  [[noreturn]] void refuse(std::size_t element, std::size_t sample, const std::string& why) const;

  std::uint32_t index_;
  intrt_tensor tensor_;
  InputFormat format_;
  CodeRange range_;
  std::vector<double> scales_;  // one for each channel
};

// Any other tensor that can be read.
class ReadTensor {
 public:
  ReadTensor(std::uint32_t index, const intrt_tensor& tensor);

  std::uint32_t index() const { return index_; }
  std::size_t elements() const { return tensor_.element_count; }
  // To sample number `sample` of `to`, which has room for it.
  void store(const void* data, const ModelOutput& to, std::size_t sample) const;

 private:
  std::uint32_t index_;
  intrt_tensor tensor_;
  std::vector<double> scales_;
  std::vector<float> offsets_;
};

}  // namespace lockstep
