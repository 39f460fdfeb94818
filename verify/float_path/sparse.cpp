// What a quantize and a prune node do to a value, and their counterparts around weights; and what
// becomes of raw bytes.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <cmath>

#include "compile/support/error.h"
#include "verify/float_path/layers.h"

namespace lockstep::verify {
namespace {

using torch::Tensor;

// 2^(sign * decimal) for each decimal, shaped so that it broadcasts along `axis` of a tensor of
// rank `rank`.
Tensor powers_of_two(const std::vector<int>& decimals, int sign, std::int64_t axis,
                     std::int64_t rank) {
  std::vector<float> values;
  for (const int decimal : decimals) values.push_back(std::ldexp(1.0F, sign * decimal));
  const Tensor flat = torch::tensor(values, torch::kFloat32);
  if (decimals.size() == 1) return flat;
  std::vector<std::int64_t> shape(static_cast<std::size_t>(rank), 1);
  shape.at(static_cast<std::size_t>(axis)) = static_cast<std::int64_t>(decimals.size());
  return flat.reshape(shape);
}

// Numbers of a raw input, shaped so that they broadcast along the channels of a batch.
Tensor along_channels(const std::vector<double>& values, torch::ScalarType type,
                      std::int64_t rank) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(rank), 1);
  shape.at(1) = static_cast<std::int64_t>(values.size());
  return torch::tensor(values, torch::kFloat64).to(type).reshape(shape);
}

// Does the mask span a sample of `x`, with 1 where it is the same along an axis?
bool spans(const Tensor& mask, const Tensor& x) {
  bool fits = mask.dim() == x.dim() - 1;
  for (std::int64_t d = 0; fits && d < mask.dim(); ++d)
    fits = mask.size(d) == x.size(d + 1) || mask.size(d) == 1;
  return fits;
}

// As QSPARSE evaluates a mask of another size: as many whole copies as fit along every axis, in the
// middle, and everything around them kept. An axis that is too short for one copy keeps everything.
Tensor tiled(const Tensor& mask, const Tensor& x) {
  Tensor middle = mask;
  for (std::int64_t d = 0; d < mask.dim(); ++d) {
    const std::int64_t copies = x.size(d + 1) / mask.size(d);
    if (copies == 0) return torch::ones_like(x[0]);
    middle = torch::cat(std::vector<Tensor>(static_cast<std::size_t>(copies), middle), d);
  }
  for (std::int64_t d = 0; d < mask.dim(); ++d) {
    const std::int64_t around = x.size(d + 1) - middle.size(d), before = around / 2;
    std::vector<std::int64_t> before_shape = middle.sizes().vec(), after_shape = before_shape;
    before_shape[static_cast<std::size_t>(d)] = before;
    after_shape[static_cast<std::size_t>(d)] = around - before;
    middle = torch::cat({torch::ones(before_shape), middle, torch::ones(after_shape)}, d);
  }
  return middle;
}

Layer make_prune(const Node& node, const MaskParameters& parameters) {
  return of_one_input([name = node.name, strict = node.prune->strict,
                       mask = mask_tensor(parameters)](const Tensor& x) {
    if (spans(mask, x)) return x * mask;
    if (strict || mask.dim() != x.dim() - 1)
      throw InputError(
          fmt::format("layer '{}': the mask has shape [{}], a sample of the input [{}]", name,
                      fmt::join(mask.sizes(), ", "), fmt::join(x.sizes().slice(1), ", ")));
    return x * tiled(mask, x);
  });
}

}  // namespace

Tensor fake_quantize(const Tensor& x, const QuantizeParameters& quantize, Rounding rounding,
                     std::int64_t axis) {
  // Every product is exact: it moves an exponent.
  const Tensor scaled = x * powers_of_two(quantize.decimals, 1, axis, x.dim());
  const Tensor rounded = rounding == Rounding::kTowardZero ? torch::trunc(scaled)
                         : rounding == Rounding::kFloor    ? torch::floor(scaled)
                                                           : torch::round(scaled);  // half to even
  const double highest = std::ldexp(1.0, quantize.bits - 1);
  const Tensor codes = torch::clamp(rounded, -highest, highest - 1);
  return codes * powers_of_two(quantize.decimals, -1, axis, x.dim());
}

Tensor normalise(const Tensor& bytes, const GraphInput& input) {
  const RawBytes& raw = *input.raw;
  const Tensor scaled =
      (bytes.to(torch::kFloat64) * along_channels(raw.scale, torch::kFloat64, bytes.dim()))
          .to(torch::kFloat32);
  const Tensor moved = scaled - along_channels(raw.mean, torch::kFloat32, bytes.dim());
  const Tensor numbers = moved / along_channels(raw.std, torch::kFloat32, bytes.dim());
  const QuantizeParameters quantize = {.decimals = {static_cast<int>(input.decimal)},
                                       .bits = static_cast<int>(input.bits)};
  return fake_quantize(numbers, quantize, Rounding::kTowardZero, -1);
}

Tensor mask_tensor(const MaskParameters& mask) {
  std::vector<float> keep(mask.keep.begin(), mask.keep.end());
  return torch::tensor(keep, torch::kFloat32).reshape(mask.shape);
}

Layer make_sparse_layer(const Node& node, const NodeParameters& parameters) {
  if (node.op == "prune") return make_prune(node, *parameters.mask);
  if (node.op == "quantize")
    return of_one_input([quantize = *parameters.quantize, rounding = node.quantize->rounding,
                         axis = node.quantize->channelwise](const Tensor& x) {
      return fake_quantize(x, quantize, rounding, axis);
    });
  return {};
}

}  // namespace lockstep::verify
