#include "verify/checker/sums.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <numeric>

namespace lockstep::checker {

bool Sums::is_sum(const Node& node) {
  return node.weights || node.op == "add" || node.op == "sub" || node.op.starts_with("avg_pool") ||
         node.op.starts_with("adaptive_avg_pool") ||
         (node.op == "upsample" && node.words.at("mode") == "bilinear");
}

Sums::Sums(const Node& node, const std::vector<Shape>& inputs) : node_(node), inputs_(inputs) {
  const Shape& in = inputs_[0];
  if (node.weights) {
    set_convolution();
  } else if (inputs_.size() == 2) {
    const Shape& other = inputs_[1];
    const auto fits = [](Int a, Int b) { return a == b || a == 1 || b == 1; };
    if (in.rank != other.rank || !fits(in.c, other.c) || !fits(in.h, other.h) ||
        !fits(in.w, other.w))
      fail_unknown(node.name, "shapes", "its inputs have shapes that do not fit");
    output_ = {in.rank, std::max(in.c, other.c), std::max(in.h, other.h), std::max(in.w, other.w)};
    is_difference_ = node.op == "sub";
  } else if (node.op == "upsample") {
    set_bilinear();
  } else {
    set_mean();
  }
}

void Sums::set_convolution() {
  const Weights& weights = *node_.weights;
  const Shape& in = inputs_[0];
  const Decimals& decimals = weights.decimals;
  Int stride = 1;
  for (std::size_t d = decimals.axis + 1; d < weights.shape.size(); ++d) stride *= weights.shape[d];
  const auto count = static_cast<Int>(decimals.values.size());
  for (Int k = 0; k < static_cast<Int>(weights.codes.size()); ++k)
    decimals_.push_back(
        static_cast<std::int8_t>(decimals.values[static_cast<std::size_t>(k / stride % count)]));
  finest_ = -64;
  for (std::size_t k = 0; k < weights.codes.size(); ++k)
    if (weights.codes[k] != 0) finest_ = std::max(finest_, int{decimals_[k]});
  if (node_.op == "linear") {
    kind_ = Kind::kLinear;
    if (in.rank != 1 || in.c != node_.integer("in_features"))
      fail_unknown(node_.name, "shapes", "its input has another number of features");
    output_ = {1, node_.integer("out_features"), 1, 1};
    return;
  }
  kind_ = Kind::kConvolution;
  is_transposed_ = node_.op.starts_with("conv_transpose");
  const Int groups = node_.integer("groups");
  group_inputs_ = node_.integer("in_channels") / groups;
  group_outputs_ = node_.integer("out_channels") / groups;
  for (std::size_t axis = 0; axis < 2; ++axis) {
    kernel_[axis] = node_.list("kernel_size")[axis];
    stride_[axis] = node_.list("stride")[axis];
    padding_[axis] = node_.list("padding")[axis];
    dilation_[axis] = node_.list("dilation")[axis];
  }
  const std::size_t rank = node_.op.ends_with("1d") ? 2 : 3;
  if (in.rank != rank || in.c != node_.integer("in_channels"))
    fail_unknown(node_.name, "shapes", "its input has another number of channels or axes");
  std::array<Int, 2> size{};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const Int length = axis == 0 ? in.h : in.w;
    size[axis] = is_transposed_ ? (length - 1) * stride_[axis] - 2 * padding_[axis] +
                                      dilation_[axis] * (kernel_[axis] - 1) +
                                      node_.list("output_padding")[axis] + 1
                                : window_count(node_, axis, length);
    if (size[axis] < 1) fail_unknown(node_.name, "shapes", "nothing is left of its input");
  }
  output_ = {rank, node_.integer("out_channels"), size[0], size[1]};
}

Int Sums::met(std::size_t axis, Int position, Int tap) const {
  const Int size = axis == 0 ? inputs_[0].h : inputs_[0].w;
  Int place = position * stride_[axis] - padding_[axis] + tap * dilation_[axis];
  if (is_transposed_) {
    const Int scaled = position + padding_[axis] - tap * dilation_[axis];
    if (scaled < 0 || scaled % stride_[axis] != 0) return -1;
    place = scaled / stride_[axis];
  }
  return place < size ? place : -1;
}

void Sums::set_mean() {
  kind_ = Kind::kMean;
  const Shape& in = inputs_[0];
  const bool is_adaptive = node_.op.starts_with("adaptive");
  std::array<Int, 2> size{};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const Int length = axis == 0 ? in.h : in.w;
    std::vector<Span>& spans = axis == 0 ? rows_ : columns_;
    size[axis] = is_adaptive ? node_.list("output_size")[axis] : window_count(node_, axis, length);
    for (Int i = 0; i < size[axis]; ++i) {
      if (is_adaptive) {
        const Int begin = i * length / size[axis];
        const Int end = ((i + 1) * length + size[axis] - 1) / size[axis];
        spans.push_back({begin, end, end - begin, 1});
        continue;
      }
      const Int padding = node_.list("padding")[axis];
      const Int first = i * node_.list("stride")[axis] - padding;
      const Int last = std::min(first + node_.list("kernel_size")[axis], length + padding);
      const Int begin = std::max<Int>(first, 0), end = std::min(last, length);
      const bool with_padding = node_.integer("count_include_pad") != 0;
      spans.push_back({begin, end, with_padding ? last - first : end - begin, 1});
    }
  }
  output_ = {in.rank, in.c, size[0], size[1]};
  for (std::vector<Span>* const spans : {&rows_, &columns_}) {
    Int common = 1;
    for (const Span& span : *spans) {
      common = std::lcm(common, span.count);
      // float32 holds it, so that the quotient is that of each window's own sum and size.
      if (common * divisor_ > Int{1} << 24)
        fail_unknown(node_.name, "grid", "its windows have too many different sizes");
    }
    for (Span& span : *spans) span.multiplier = common / span.count;
    divisor_ *= common;
  }
  if (!std::has_single_bit(static_cast<std::uint64_t>(divisor_))) return;
  finest_ = std::countr_zero(static_cast<std::uint64_t>(divisor_));
  divisor_ = 1;
}

void Sums::set_bilinear() {
  kind_ = Kind::kBilinear;
  const Shape& in = inputs_[0];
  output_ = in;
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const Int factor = factor_[axis] = node_.list("scale_factor")[axis];
    if (in.rank != 3 || !std::has_single_bit(static_cast<std::uint64_t>(factor)))
      fail_unknown(node_.name, "grid", "bilinear upsampling is exact by powers of two only");
    const Int size = axis == 0 ? in.h : in.w, units = 2 * factor;
    for (Int p = 0; p < size * factor; ++p) {
      const Int place = std::max<Int>(2 * p + 1 - factor, 0);
      blends_[axis].push_back(
          {place / units, std::min(place / units + 1, size - 1), place % units});
    }
    finest_ += std::countr_zero(static_cast<std::uint64_t>(units));
    (axis == 0 ? output_.h : output_.w) = size * factor;
  }
}

Value Sums::bias(Int o) const {
  if (!node_.bias || node_.bias->codes.empty()) return {};
  const auto i = static_cast<std::size_t>(o);
  return {node_.bias->codes[i], node_.bias->decimals[i], 0, false};
}

Int window_count(const Node& node, std::size_t axis, Int size) {
  const auto dilation = node.integers.find("dilation");
  const Int spread = dilation == node.integers.end() ? 1 : dilation->second[axis];
  const Int padding = node.list("padding")[axis], stride = node.list("stride")[axis];
  const Int room = size + 2 * padding - spread * (node.list("kernel_size")[axis] - 1) - 1;
  if (room < 0) fail_unknown(node.name, "shapes", "its window is larger than its input");
  const Int count = room / stride + 1;
  const auto ceil_mode = node.integers.find("ceil_mode");
  const bool rounds_up = ceil_mode != node.integers.end() && ceil_mode->second[0] != 0;
  // A last window that begins inside the input may end behind its padding.
  return count + (rounds_up && room % stride != 0 && count * stride < size + padding ? 1 : 0);
}

}  // namespace lockstep::checker
