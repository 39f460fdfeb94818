// Which operators the compiler can lower.
#include <algorithm>
#include <iterator>

#include "compile/ops/lowering.h"

namespace lockstep::ops {
namespace {

struct Operator {
  std::string_view name;
  LowerFunction lower;
};
constexpr Operator kOperators[] = {
    {"adaptive_avg_pool1d", lower_adaptive_avg_pool1d},
    {"adaptive_avg_pool2d", lower_adaptive_avg_pool2d},
    {"add", lower_add},
    {"argmax", lower_argmax},
    {"avg_pool1d", lower_avg_pool1d},
    {"avg_pool2d", lower_avg_pool2d},
    {"batch_norm1d", lower_batch_norm1d},
    {"batch_norm2d", lower_batch_norm2d},
    {"concat", lower_concat},
    {"conv1d", lower_conv1d},
    {"conv2d", lower_conv2d},
    {"conv_transpose1d", lower_conv_transpose1d},
    {"conv_transpose2d", lower_conv_transpose2d},
    {"dropout", lower_dropout},
    {"elu", lower_elu},
    {"flatten", lower_flatten},
    {"gelu", lower_gelu},
    {"hard_sigmoid", lower_hard_sigmoid},
    {"hard_swish", lower_hard_swish},
    {"identity", lower_identity},
    {"leaky_relu", lower_leaky_relu},
    {"linear", lower_linear},
    {"log_softmax", lower_log_softmax},
    {"max_pool1d", lower_max_pool1d},
    {"max_pool2d", lower_max_pool2d},
    {"mul", lower_mul},
    {"pad", lower_pad},
    {"pixel_shuffle", lower_pixel_shuffle},
    {"pixel_unshuffle", lower_pixel_unshuffle},
    {"prune", lower_prune},
    {"quantize", lower_quantize},
    {"relu", lower_relu},
    {"relu6", lower_relu6},
    {"reshape", lower_reshape},
    {"sigmoid", lower_sigmoid},
    {"silu", lower_silu},
    {"slice", lower_slice},
    {"softmax", lower_softmax},
    {"softplus", lower_softplus},
    {"sub", lower_sub},
    {"tanh", lower_tanh},
    {"transpose", lower_transpose},
    {"upsample", lower_upsample},
};

}  // namespace

LowerFunction find_lowering(std::string_view op) {
  const auto* found = std::find_if(std::begin(kOperators), std::end(kOperators),
                                   [&](const Operator& o) { return o.name == op; });
  return found == std::end(kOperators) ? nullptr : found->lower;
}

}  // namespace lockstep::ops
