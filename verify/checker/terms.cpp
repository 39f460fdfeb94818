#include "verify/checker/terms.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace lockstep::checker {
namespace {

// Of a power of two.
int log2_of(Int x) { return std::countr_zero(static_cast<std::uint64_t>(x)); }
bool is_power_of_two(Int x) { return std::has_single_bit(static_cast<std::uint64_t>(x)); }

}  // namespace

Shape shape_of(const std::vector<Int>& dims) {
  return {dims.size(), dims[0], dims.size() == 3 ? dims[1] : 1, dims.size() == 1 ? 1 : dims.back()};
}

void need_size(const std::string& layer, const Shape& shape) {
  const double count =
      static_cast<double>(shape.c) * static_cast<double>(shape.h) * static_cast<double>(shape.w);
  if (std::min({shape.c, shape.h, shape.w}) < 1)
    unknown(layer, "shapes", "nothing is left of its input");
  if (count > 0x1p28) unknown(layer, "shapes", "too many elements");
}

Runs slide_runs(Int outputs, Int inputs, const Slide& slide) {
  Runs runs(at(outputs));
  for (Int position = 0; position < outputs; ++position)
    for (Int tap = 0; tap < slide.kernel; ++tap) {
      Int place = position * slide.stride - slide.padding + tap * slide.dilation;
      if (slide.is_transposed) {
        place = position + slide.padding - tap * slide.dilation;
        if (place % slide.stride != 0) continue;
        place /= slide.stride;
      }
      if (place < 0 || place >= inputs) continue;
      Run& run = runs[at(position)];
      if (run.count == 0) run = {place, tap};
      if (run.count == 1) {
        run.place_step = place - run.place;
        run.number_step = tap - run.number;
      }
      ++run.count;
    }
  return runs;
}

bool Terms::has_sum(const Node& node) {
  return node.weights || node.op == "add" || node.op == "sub" ||
         node.op.find("avg_pool") != std::string::npos ||
         (node.op == "upsample" && node.words.at("mode") == "bilinear");
}

bool Terms::has_terms(const Node& node) {
  return has_sum(node) || node.op == "mul" || node.op.starts_with("max_pool");
}

Terms::Terms(const Node& node, const std::vector<Shape>& inputs) : node_(node), output_(inputs[0]) {
  if (inputs.size() == 2) {
    set_pair(inputs);
  } else if (node.op == "upsample") {
    set_bilinear(inputs[0]);
  } else {
    set_windows(inputs[0]);
  }
}

// Of convolutions and poolings; a linear layer is a convolution of one place.
void Terms::set_windows(const Shape& in) {
  Operand operand;
  operand.steps = {in.h * in.w, in.w, 1};
  if (node_.weights) set_weights(in, operand);
  std::array<Slide, 2> slides;
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const auto attribute = [&](const char* name, Int otherwise) {
      const auto found = node_.integers.find(name);
      return found == node_.integers.end() ? otherwise : found->second[axis];
    };
    slides[axis] = {attribute("kernel_size", 1), attribute("stride", 1), attribute("padding", 0),
                    attribute("dilation", 1), node_.op.starts_with("conv_transpose")};
    Int& size = axis == 0 ? output_.h : output_.w;
    size = size_along(axis, size, slides[axis]);
  }
  need_size(node_.name, output_);
  operand.runs = {runs_along(in.h, output_.h, slides[0]), runs_along(in.w, output_.w, slides[1])};
  operands_.push_back(std::move(operand));
  if (!is_power_of_two(divisor_)) return;
  finest_ += log2_of(divisor_);
  divisor_ = 1;
}

void Terms::set_pair(const std::vector<Shape>& inputs) {
  const Shape &a = inputs[0], &b = inputs[1];
  const auto fits = [](Int x, Int y) { return x == y || x == 1 || y == 1; };
  if (a.rank != b.rank || !fits(a.c, b.c) || !fits(a.h, b.h) || !fits(a.w, b.w))
    unknown(node_.name, "shapes", "its inputs have shapes that do not fit");
  output_ = {a.rank, std::max(a.c, b.c), std::max(a.h, b.h), std::max(a.w, b.w)};
  need_size(node_.name, output_);
  for (std::size_t i = 0; i < 2; ++i) {
    const Shape& in = inputs[i];
    operands_.push_back({i,
                         {in.h * in.w, in.w, 1},
                         {spread_runs(output_.h, in.h), spread_runs(output_.w, in.w)},
                         in.c == 1 ? output_.c : 1});
  }
  if (node_.op == "sub") operands_[1].sign = -1;
}

void Terms::set_weights(const Shape& in, Operand& operand) {
  const Weights& weights = *node_.weights;
  const std::vector<int>& decimals = weights.decimals.values;
  std::size_t stride = 1;
  for (std::size_t d = weights.decimals.axis + 1; d < weights.shape.size(); ++d)
    stride *= at(weights.shape[d]);
  finest_ = -64;
  for (std::size_t k = 0; k < weights.codes.size(); ++k) {
    const int decimal = decimals[k / stride % decimals.size()];
    decimals_.push_back(static_cast<std::int8_t>(decimal));
    if (weights.codes[k] != 0) finest_ = std::max(finest_, decimal);
  }
  const bool is_linear = node_.op == "linear";
  const std::size_t rank = is_linear ? 1 : node_.op.ends_with("1d") ? 2 : 3;
  if (in.rank != rank || in.c != node_.integer(is_linear ? "in_features" : "in_channels"))
    unknown(node_.name, "shapes", "its input has another number of channels or axes");
  output_.c = node_.integer(is_linear ? "out_features" : "out_channels");
  const Int groups = is_linear ? 1 : node_.integer("groups");
  const Int width = is_linear ? 1 : node_.list("kernel_size")[1],
            taps = is_linear ? 1 : width * node_.list("kernel_size")[0];
  operand.weights = &weights.codes;
  operand.group_inputs = in.c / groups;
  operand.group_outputs = output_.c / groups;
  const bool is_transposed = node_.op.starts_with("conv_transpose");
  operand.per_input = is_transposed ? operand.group_outputs * taps : taps;
  operand.per_output = is_transposed ? taps : operand.group_inputs * taps;
  operand.per_group = operand.group_inputs * operand.group_outputs * taps;
  operand.per_row = width;
  operand.per_column = 1;
}

void Terms::set_bilinear(const Shape& in) {
  std::array<std::array<Runs, 2>, 2> runs;  // by axis: the nearer ones, the farther ones
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const Int factor = node_.list("scale_factor")[axis], units = 2 * factor;
    if (in.rank != 3 || !is_power_of_two(factor))
      unknown(node_.name, "grid", "bilinear upsampling is exact by powers of two only");
    const Int size = axis == 0 ? in.h : in.w;
    (axis == 0 ? output_.h : output_.w) = size * factor;
    need_size(node_.name, output_);
    for (Int p = 0; p < size * factor; ++p) {
      // (near * (units - weight) + far * weight) / units
      const Int place = std::max<Int>(2 * p + 1 - factor, 0), near = place / units,
                weight = place % units;
      runs[axis][0].push_back({near, 0, 1, 0, 0, units - weight});
      runs[axis][1].push_back({std::min(near + 1, size - 1), 0, 1, 0, 0, weight});
    }
    finest_ += log2_of(units);
  }
  for (const Runs& down : runs[0])
    for (const Runs& across : runs[1])
      operands_.push_back({0, {in.h * in.w, in.w, 1}, {down, across}});
}

// How many rows (axis 0) or columns (axis 1) the result has, as PyTorch counts them.
Int Terms::size_along(std::size_t axis, Int size, const Slide& slide) const {
  if (node_.op.starts_with("adaptive")) return node_.list("output_size")[axis];
  const Int reach = slide.dilation * (slide.kernel - 1) + 1;
  if (slide.is_transposed)
    return (size - 1) * slide.stride - 2 * slide.padding + reach +
           node_.list("output_padding")[axis];
  const Int room = size + 2 * slide.padding - reach;
  if (room < 0) unknown(node_.name, "shapes", "its window is larger than its input");
  const Int count = room / slide.stride + 1;
  const bool rounds_up = node_.integers.contains("ceil_mode") && node_.integer("ceil_mode") != 0;
  // A last window that begins inside the input may end behind its padding.
  const bool has_more =
      rounds_up && room % slide.stride != 0 && count * slide.stride < size + slide.padding;
  return count + (has_more ? 1 : 0);
}

// Where windows of a mean have different sizes, with coefficients that make up for it.
Runs Terms::runs_along(Int size, Int outputs, const Slide& slide) {
  const bool is_adaptive = node_.op.starts_with("adaptive");
  if (!is_adaptive && !node_.op.starts_with("avg_pool")) return slide_runs(outputs, size, slide);
  Runs runs = is_adaptive ? Runs(at(outputs)) : slide_runs(outputs, size, slide);
  std::vector<Int> counts;
  Int common = 1;
  for (Int i = 0; i < outputs; ++i) {
    Run& run = runs[at(i)];
    const Int begin = i * size / outputs, end = ((i + 1) * size + outputs - 1) / outputs;
    if (is_adaptive) run = {begin, 0, end - begin, 1};
    const Int first = i * slide.stride - slide.padding;
    counts.push_back(is_adaptive || node_.integer("count_include_pad") == 0
                         ? run.count
                         : std::min(first + slide.kernel, size + slide.padding) - first);
    common = std::lcm(common, counts.back());
    // float32 holds it, so that the quotient is that of each window's own sum and size.
    if (common < 1 || common * divisor_ > Int{1} << 24)
      unknown(node_.name, "grid", "its windows have too many different sizes");
  }
  for (std::size_t i = 0; i < runs.size(); ++i) runs[i].coefficient = common / counts[i];
  divisor_ *= common;
  return runs;
}

Value Terms::bias(Int o) const {
  if (!node_.bias || node_.bias->codes.empty()) return {};
  return {node_.bias->codes[at(o)], node_.bias->decimals[at(o)]};
}

}  // namespace lockstep::checker
