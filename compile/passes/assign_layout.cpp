// Machines walk feature maps channel by channel within a position (H,W,C): then the products of one
// window row lie side by side. Weights and masks are put into that order here, once, at compile
// time.
#include <xtensor/xmanipulation.hpp>

#include "compile/passes/pass.h"
#include "compile/support/error.h"

namespace lockstep::passes {
namespace {

using namespace ir;

std::vector<std::uint8_t> to_physical(const std::vector<std::uint8_t>& mask, const Shape& shape) {
  std::vector<std::uint8_t> result(mask.size());
  for (std::size_t i = 0; i < mask.size(); ++i)
    result[i] = mask[static_cast<std::size_t>(logical_index(shape, static_cast<std::int64_t>(i)))];
  return result;
}

// [O, I, kh, kw] to [O, kh, kw, I].
xt::xarray<std::int32_t> channels_last(const xt::xarray<std::int32_t>& weights) {
  return xt::transpose(weights, {0, 2, 3, 1});
}

}  // namespace

Program assign_layout(Program program) {
  LOCKSTEP_ASSERT(program.layout == Layout::kLogical);
  for (Op& op : program.ops) {
    if (auto* conv = std::get_if<Conv2d>(&op.kind)) conv->weights = channels_last(conv->weights);
    if (auto* conv = std::get_if<ConvTranspose2d>(&op.kind))
      conv->weights = channels_last(conv->weights);
    if (auto* linear = std::get_if<Linear>(&op.kind)) {
      const Shape& input = program.values[op.input()].shape;
      const xt::xarray<std::int32_t> logical = linear->weights;
      for (std::size_t o = 0; o < logical.shape(0); ++o)
        for (std::size_t k = 0; k < logical.shape(1); ++k)
          linear->weights(o, k) = logical(
              o, static_cast<std::size_t>(logical_index(input, static_cast<std::int64_t>(k))));
    }
    const Shape& output = program.values[op.output].shape;
    if (Post* post = post_of(op.kind)) post->mask = to_physical(post->mask, output);
    if (auto* table = std::get_if<Table>(&op.kind)) table->mask = to_physical(table->mask, output);
  }
  program.layout = Layout::kPhysical;
  return program;
}

}  // namespace lockstep::passes
