// A plan file read into memory and validated by the runtime.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "intrt/intrt.h"
#include "tools/model/plan_tensors.h"

namespace lockstep::cli {

class PlanFile {
 public:
  // InputError names the path and what the runtime found wrong.
  explicit PlanFile(const std::filesystem::path& path);
  PlanFile(const PlanFile&) = delete;  // the plan points into the bytes
  PlanFile& operator=(const PlanFile&) = delete;

  const intrt_plan* plan() const { return &plan_; }
  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  std::uint32_t arena_bytes() const { return intrt_arena_bytes(&plan_); }

  intrt_tensor tensor(std::uint32_t index) const { return intrt_tensor_info(&plan_, index); }
  intrt_tensor_record tensor_record(std::uint32_t index) const;
  const char* op_node(std::uint32_t op) const;  // its graph node; empty: none

  // `count` elements at `offset`, which an operator's record names.
  template <typename T>
  std::vector<T> array(std::uint32_t offset, std::size_t count) const {
    std::vector<T> elements(count);
    if (count > 0) std::memcpy(elements.data(), bytes_.data() + offset, count * sizeof(T));
    return elements;
  }

 private:
  std::string path_;
  std::vector<std::byte> bytes_;
  intrt_plan plan_;
};

std::string shape_text(std::span<const std::int64_t> shape);  // "(1, 28, 28)"

}  // namespace lockstep::cli
