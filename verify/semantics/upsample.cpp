// upsample: each axis gets factor times as many places. "nearest" repeats values. "bilinear" (both
// axes, PyTorch's align_corners = False) weighs the two nearest along each axis: output place p
// lies at (p + 1/2) / s - 1/2 of the input, not before its first place. With s a power of two these
// are multiples of 1 / (2s), so the result is exact.
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "compile/support/error.h"
#include "verify/semantics/aligned.h"
#include "verify/semantics/index.h"
#include "verify/semantics/linear_sum.h"
#include "verify/semantics/move.h"

namespace lockstep::verify {
namespace {

// One output place along an axis: (first_weight * in[first] + second_weight * in[second]) / units.
struct Blend {
  std::int64_t first = 0, second = 0, first_weight = 0, second_weight = 0;
};
std::vector<Blend> blends(std::int64_t input, std::int64_t factor) {
  const std::int64_t units = 2 * factor;
  std::vector<Blend> result;
  for (std::int64_t p = 0; p < input * factor; ++p) {
    const std::int64_t place = std::max<std::int64_t>(2 * p + 1 - factor, 0);  // in 1 / units
    const std::int64_t first = place / units;
    result.push_back({first, std::min(first + 1, input - 1), units - place % units, place % units});
  }
  return result;
}

class Bilinear final : public ExactOperator {
 public:
  Bilinear(const Node& node, const Format& input, std::int64_t factor_y, std::int64_t factor_x)
      : aligned_(node.name, input),
        rows_(blends(input.shape[1], factor_y)),
        columns_(blends(input.shape[2], factor_x)),
        input_width_(input.shape[2]),
        input_plane_(input.shape[1] * input.shape[2]) {
    const Format& in = aligned_.format();
    const std::int64_t units = 4 * factor_y * factor_x;
    const int bits = std::countr_zero(static_cast<std::uint64_t>(units));
    format_.shape = {in.shape[0], in.shape[1] * factor_y, in.shape[2] * factor_x};
    require_countable(node.name, format_.shape);
    const std::vector<int> decimals = finest_channel_decimals(in);
    // A weighted mean lies between the smallest and the largest code of its channel.
    const std::vector<CodeRange> ranges = channel_ranges(in);
    std::vector<CodeRange> wide;
    const std::size_t plane = rows_.size() * columns_.size();
    for (std::size_t c = 0; c < decimals.size(); ++c) {
      format_.decimals.insert(format_.decimals.end(), plane, decimals[c] + bits);
      wide.insert(
          wide.end(), plane,
          {shift_code(node.name, ranges[c].lo, bits), shift_code(node.name, ranges[c].hi, bits)});
    }
    set_ranges(format_, std::move(wide));
  }

  void run(std::span<const Values> inputs, std::span<std::int64_t> output) const override {
    std::vector<std::int64_t> storage;
    const Values input = aligned_.codes(inputs[0], storage);
    std::size_t next = 0;
    for (std::int64_t c = 0; c < format_.shape[0]; ++c) {
      const std::int64_t* plane = input.data() + c * input_plane_;
      for (const Blend& row : rows_)
        for (const Blend& column : columns_)
          output[next++] = row.first_weight * along(plane + row.first * input_width_, column) +
                           row.second_weight * along(plane + row.second * input_width_, column);
    }
  }

 private:
  static std::int64_t along(const std::int64_t* row, const Blend& column) {
    return column.first_weight * row[column.first] + column.second_weight * row[column.second];
  }

  Aligned aligned_;
  std::vector<Blend> rows_, columns_;
  std::int64_t input_width_ = 0, input_plane_ = 0;
};

OperatorPointer make_nearest(const Node& node, Formats inputs,
                             const std::vector<std::int64_t>& factors) {
  const std::vector<std::int64_t>& from = inputs[0]->shape;
  std::vector<std::int64_t> shape = from;
  for (std::size_t d = 1; d < shape.size(); ++d) shape[d] *= factors[d - 1];
  require_countable(node.name, shape);
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  std::vector<MovedElement> elements;
  for (std::int64_t e = 0; e < count; ++e) {
    std::vector<std::int64_t> places = places_of(e, shape);
    for (std::size_t d = 1; d < shape.size(); ++d) places[d] /= factors[d - 1];
    elements.push_back({.element = element_at(places, from)});
  }
  return make_move(node, inputs, shape, std::move(elements));
}

}  // namespace

OperatorPointer make_upsample(const Node& node, const NodeParameters&, Formats inputs) {
  const Format& input = *inputs[0];
  std::vector<std::int64_t> factors = node.integers("scale_factor");
  const std::size_t axes = input.shape.size() - 1;
  if (axes < 1 || factors.size() > axes)
    throw InputError(fmt::format("layer '{}': scale_factor {} for an input of shape {}", node.name,
                                 shape_text(factors), shape_text(input.shape)));
  if (factors.size() < axes) factors.assign(axes, factors[0]);
  if (node.choice("mode") == "nearest") return make_nearest(node, inputs, factors);

  require_exact(input, node.inputs[0], node.name);
  if (axes != 2)
    throw InputError(fmt::format("layer '{}': bilinear takes [C, H, W], but its input has shape {}",
                                 node.name, shape_text(input.shape)));
  for (const std::int64_t factor : factors)
    if (!std::has_single_bit(static_cast<std::uint64_t>(factor)))
      throw InputError(fmt::format(
          "layer '{}': scale_factor {}, but bilinear upsampling has exact values only by powers of "
          "two (1, 2, 4, ...); use one of these, or mode \"nearest\"",
          node.name, shape_text(factors)));
  return std::make_unique<Bilinear>(node, input, factors[0], factors[1]);
}

}  // namespace lockstep::verify
