// What a plan says of its tensors, in PyTorch's order of axes; and whole plans.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "intrt/intrt.h"

namespace lockstep {

// InputError names the plan and what the runtime found wrong.
intrt_plan open_plan(std::span<const std::byte> bytes, const std::string& name);

// Shape without the batch as PyTorch sees it: [C*H*W], [C,W] or [C,H,W].
std::vector<std::int64_t> logical_shape(const intrt_tensor& tensor);

// The decimals along the first axis of the tensor as PyTorch sees it: one, or one per index. A
// flattened feature map has one for each element.
std::vector<int> axis_decimals(const intrt_tensor& tensor);

// What is to be added to the values of an output, per channel; mostly empty. A value is
// fl(code * 2^-decimal) + offset in float32.
std::vector<float> offsets_of(const intrt_tensor& tensor);

// Which channel of its node each channel is; empty: all of them, in order.
std::vector<int> channel_map_of(const intrt_tensor& tensor);

// The kernel variant to use: `wanted`, else the environment variable LOCKSTEP_KERNELS, where they
// are not empty; else the best that this CPU can run. InputError naming the variants when there is
// none of that name, or this CPU cannot run it.
std::string kernel_variant(const std::string& wanted);

}  // namespace lockstep
