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
    {"conv2d", lower_conv2d},     {"dropout", lower_dropout},   {"flatten", lower_flatten},
    {"identity", lower_identity}, {"linear", lower_linear},     {"max_pool2d", lower_max_pool2d},
    {"prune", lower_prune},       {"quantize", lower_quantize}, {"relu", lower_relu},
};

}  // namespace

LowerFunction find_lowering(std::string_view op) {
  const auto* found = std::find_if(std::begin(kOperators), std::end(kOperators),
                                   [&](const Operator& o) { return o.name == op; });
  return found == std::end(kOperators) ? nullptr : found->lower;
}

}  // namespace lockstep::ops
