// A plan file read into memory and validated by the runtime; the same with the working memory to
// run it; and the way between PyTorch's axis order (C,H,W) and the runtime's (H,W,C).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "intrt/intrt.h"

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
  intrt_plan plan_{};
};

class OpenPlan : public PlanFile {
 public:
  explicit OpenPlan(const std::filesystem::path& path);

  void* data(std::uint32_t tensor) { return intrt_tensor_data(plan(), arena_.data(), tensor); }

  // Makes the kernels of a variant ready, which later runs use. InputError with the runtime's words
  // when it refuses.
  void prepare(const std::string& kernels);

  // Runs one sample, after prepare. InputError with the runtime's words when it refuses.
  void run(intrt_observer observer = nullptr, void* observer_context = nullptr);

 private:
  struct alignas(INTRT_ARENA_ALIGNMENT) Block {
    std::byte bytes[INTRT_ARENA_ALIGNMENT];
  };

  struct alignas(INTRT_PREPARED_ALIGNMENT) PreparedBlock {
    std::byte bytes[INTRT_PREPARED_ALIGNMENT];
  };

  void require(intrt_status status) const;

  std::vector<Block> arena_;
  std::vector<PreparedBlock> prepared_;
};

// Shape without the batch as PyTorch sees it: [C*H*W], [C,W] or [C,H,W].
std::vector<std::int64_t> logical_shape(const intrt_tensor& tensor);
std::string shape_text(std::span<const std::int64_t> shape);  // "(1, 28, 28)"

// The decimals along the first axis of the tensor as PyTorch sees it: one, or one per index. A
// flattened feature map has one for each element.
std::vector<int> axis_decimals(const intrt_tensor& tensor);

// What is to be added to the values of an output, per channel; mostly empty. A value is
// fl(code * 2^-decimal) + offset in float32.
std::vector<float> offsets_of(const intrt_tensor& tensor);

// Which channel of its node each channel is; empty: all of them, in order.
std::vector<int> channel_map_of(const intrt_tensor& tensor);

// The codes of one sample between the runtime's memory and (C,H,W) order; `codes` has
// tensor.element_count elements. Codes must fit the tensor's type.
void store_codes(const intrt_tensor& tensor, std::span<const std::int32_t> codes, void* data);
void load_codes(const intrt_tensor& tensor, const void* data, std::span<std::int32_t> codes);

// The kernel variant to use: `option` (--kernels), else the environment variable LOCKSTEP_KERNELS,
// where they are not empty; else the best that this CPU can run. InputError naming the variants
// when there is none of that name, or this CPU cannot run it.
std::string kernel_variant(const std::string& option);

}  // namespace lockstep::cli
