// A small network of a chain of operators, and typed access to a plan's bytes, for tests that
// damage plans.
#pragma once

#include <random>

#include "intrt/arith.h"
#include "tests/support/plan_builder.h"

namespace lockstep::testing {

// Plan bytes that can be edited field by field. Offsets must be those of the original plan.
class EditablePlan {
 public:
  explicit EditablePlan(const std::vector<std::uint8_t>& bytes) : bytes_(bytes) {}

  template <typename T>
  T& at(std::size_t offset) {
    return *reinterpret_cast<T*>(bytes_.data() + offset);
  }
  intrt_plan_header& header() { return at<intrt_plan_header>(0); }
  intrt_tensor_record& tensor(std::size_t i) {
    return at<intrt_tensor_record>(header().tensors_offset + i * sizeof(intrt_tensor_record));
  }
  std::uint32_t& op_offset(std::size_t i) { return at<std::uint32_t>(header().ops_offset + 4 * i); }
  std::uint32_t& input(std::size_t i) { return at<std::uint32_t>(header().inputs_offset + 4 * i); }
  std::uint32_t& output(std::size_t i) {
    return at<std::uint32_t>(header().outputs_offset + 4 * i);
  }
  std::uint32_t& op_input(std::size_t op_, std::size_t i) {
    return at<std::uint32_t>(op(op_).inputs_offset + 4 * i);
  }
  intrt_op_record& op(std::size_t i) { return at<intrt_op_record>(op_offset(i)); }
  template <typename Params>
  Params& params(std::size_t i) {
    return at<Params>(op_offset(i) + sizeof(intrt_op_record));
  }

  const AlignedBytes& bytes() const { return bytes_; }
  AlignedBytes& sealed() {
    reseal(bytes_.data(), bytes_.size());
    return bytes_;
  }

 private:
  AlignedBytes bytes_;
};

// Tensors and operators of small_network(), by position.
enum : std::uint32_t {
  kTensorInput,
  kTensorConv,
  kTensorRelu,
  kTensorPool,
  kTensorFlat,
  kTensorAcc,
  kTensorCodes
};
enum : std::uint32_t { kOpConv, kOpRelu, kOpPool, kOpMove, kOpLinear, kOpQuantize };

// conv2d (bias, mask, a shift per channel) -> relu in place -> max_pool2d -> move into (C,H,W)
// order -> linear -> requantize. The input is declared with 4 bits only.
inline std::vector<std::uint8_t> small_network() {
  std::mt19937 random(7);
  const auto codes = [&](std::size_t count, int magnitude) {
    std::vector<std::int64_t> values(count);
    for (std::int64_t& value : values)
      value = static_cast<int>(random() % (2 * magnitude + 1)) - magnitude;
    return values;
  };
  PlanBuilder b;
  b.input({.channels = 2,
           .height = 5,
           .width = 5,
           .bits = 4,
           .name = "input",
           .flags = INTRT_TENSOR_NAMED});
  b.tensor({.channels = 3, .height = 5, .width = 5});
  b.tensor({.channels = 3,
            .height = 5,
            .width = 5,
            .name = "relu",
            .decimals = {3, 4, 5},
            .flags = INTRT_TENSOR_NAMED,
            .arena_offset = 64});
  b.tensor({.channels = 3, .height = 2, .width = 2, .decimals = {3, 4, 5}});
  b.tensor({.channels = 12, .decimals = {3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5}, .logical_rank = 1});
  b.tensor({.channels = 2, .type = INTRT_INT32, .bits = 32, .logical_rank = 1});
  b.output({.channels = 2, .name = "codes", .logical_rank = 1, .flags = INTRT_TENSOR_NAMED});

  intrt_conv2d_params conv{};
  conv.kernel_h = conv.kernel_w = 3;
  conv.stride_h = conv.stride_w = conv.dilation_h = conv.dilation_w = 1;
  conv.pad_top = conv.pad_left = conv.pad_bottom = conv.pad_right = 1;
  conv.groups = 1;
  conv.weight_type = INTRT_INT8;
  conv.weights_offset = b.weights(codes(54, 127), INTRT_INT8);
  conv.bias_offset = b.array(std::vector<std::int32_t>{100, -200, 300}, 16);
  conv.post = b.shift_post({4, 5, 6}, INTRT_ROUND_TOWARD_ZERO, -128, 127);
  conv.post.mask_offset = b.array(
      std::vector<std::uint8_t>{0xFF, 0xA5, 0x3C, 0xFF, 0x0F, 0xFF, 0xFF, 0xFF, 0x77, 0x07});
  b.op(k_conv2d, kTensorInput, kTensorConv, conv);

  intrt_requantize_params relu{};
  relu.post = b.shift_post({0}, INTRT_ROUND_FLOOR, 0, 127);
  b.op(k_requantize, kTensorConv, kTensorRelu, relu);

  intrt_max_pool2d_params pool{};
  pool.kernel_h = pool.kernel_w = pool.stride_h = pool.stride_w = 2;
  pool.dilation_h = pool.dilation_w = 1;
  b.op(k_max_pool2d, kTensorRelu, kTensorPool, pool);

  const intrt_move_piece transposed = {.input = 0,
                                       .in_first = 0,
                                       .out_first = 0,
                                       .count = {1, 1, 3, 4},
                                       .in_step = {0, 0, 1, 3},
                                       .out_step = {0, 0, 4, 1}};
  b.op(k_move, kTensorPool, kTensorFlat, b.move({transposed}));

  intrt_linear_params linear{};
  linear.weight_type = INTRT_INT16;
  linear.weights_offset = b.weights(codes(24, 2000), INTRT_INT16);
  b.op(k_linear, kTensorFlat, kTensorAcc, linear);

  intrt_requantize_params quantize{};
  quantize.post = b.shift_post({11, 12}, INTRT_ROUND_HALF_EVEN, -128, 127);
  b.op(k_requantize, kTensorAcc, kTensorCodes, quantize);
  return b.finish("small");
}

}  // namespace lockstep::testing
