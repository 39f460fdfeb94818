// avg_pool1d/2d and adaptive_avg_pool1d/2d: the mean of each window. All windows have one divisor
// N, the product of the least common multiples of the counts per axis: a window of n positions has
// its sum multiplied by N / n. Where N is a power of two the mean is the sum on a finer grid; else
// it is a float function of the sum.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <numeric>
#include <optional>

#include "compile/support/error.h"
#include "verify/semantics/aligned.h"
#include "verify/semantics/index.h"
#include "verify/semantics/operators.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

constexpr std::int64_t kLargestDivisor = std::int64_t{1} << 31;
constexpr std::int64_t kFloat32Steps = std::int64_t{1}
                                       << 24;  // float32 integers are exact up to it

bool is_adaptive(const Node& node) { return node.attributes.contains("output_size"); }

// Spans whose `multiplier` is still the number of positions that the mean divides by;
// use_common_divisor turns it into the multiplier.
std::vector<MeanSpan> sliding_spans(const Node& node, std::int64_t outputs, std::int64_t input,
                                    std::int64_t kernel, std::int64_t stride,
                                    std::int64_t padding) {
  std::vector<MeanSpan> spans;
  for (std::int64_t i = 0; i < outputs; ++i) {
    const std::int64_t first = i * stride - padding;
    const std::int64_t last = std::min(first + kernel, input + padding);
    MeanSpan span = {std::max<std::int64_t>(first, 0), std::min(last, input), last - first};
    if (!node.flag("count_include_pad")) span.multiplier = span.end - span.begin;
    spans.push_back(span);
  }
  return spans;
}

std::vector<MeanSpan> adaptive_spans(std::int64_t outputs, std::int64_t input) {
  std::vector<MeanSpan> spans;
  for (std::int64_t i = 0; i < outputs; ++i) {
    const std::int64_t begin = i * input / outputs;
    const std::int64_t end = ((i + 1) * input + outputs - 1) / outputs;
    spans.push_back({begin, end, end - begin});
  }
  return spans;
}

// Turns counts into multipliers; the common divisor.
std::int64_t use_common_divisor(const Node& node, std::vector<MeanSpan>& spans) {
  std::int64_t divisor = 1;
  for (const MeanSpan& span : spans) {
    LOCKSTEP_ASSERT(span.multiplier > 0);
    divisor = std::lcm(divisor, span.multiplier);
    if (divisor > kLargestDivisor)
      throw InputError(fmt::format(
          "layer '{}': its windows have so many different sizes that their common divisor exceeds "
          "2^31; use windows of equal size",
          node.name));
  }
  for (MeanSpan& span : spans) span.multiplier = divisor / span.multiplier;
  return divisor;
}

class AvgPool final : public ExactOperator {
 public:
  AvgPool(const Node& node, const Format& input) {
    require_exact(input, node.inputs[0], node.name);
    const std::size_t axes =
        node.integers(is_adaptive(node) ? "output_size" : "kernel_size").size();
    input_ = spatial_extent(node, input.shape, axes);
    windows_ = mean_windows(node, input_);
    Format sums;
    sums.shape = {input.shape[0]};
    if (axes == 2) sums.shape.push_back(static_cast<std::int64_t>(windows_.rows.size()));
    sums.shape.push_back(static_cast<std::int64_t>(windows_.columns.size()));
    require_countable(node.name, sums.shape);
    aligned_.emplace(node.name, input);
    set_sums(node, sums);

    const auto divisor = static_cast<std::uint64_t>(windows_.divisor);
    if (std::has_single_bit(divisor)) {
      for (int& decimal : sums.decimals) decimal += std::countr_zero(divisor);
      format_ = std::move(sums);
      return;
    }
    if (sums.magnitude() > kFloat32Steps)
      throw InputError(fmt::format(
          "layer '{}': its sums over a common divisor of {} reach {} steps, more than the 2^24 "
          "that "
          "float32 holds exactly; use smaller windows (or 2^k positions in each), or fewer bits in "
          "the quantize node before this layer",
          node.name, windows_.divisor, sums.magnitude()));
    sums_ = std::move(sums);
    const FloatStep step = mean();
    format_ = append_steps(*sums_, node.name, node.name, std::span(&step, 1));
    for (ExactBase& base : format_.bases) base.sums = true;
  }

  const Format* sums() const override { return sums_ ? &*sums_ : nullptr; }

  void run(std::span<const Values> inputs, std::span<std::int64_t> output) const override {
    std::vector<std::int64_t> storage;
    const Values input = aligned_->codes(inputs[0], storage);
    for_each_window(
        [&](std::size_t out, std::int64_t plane, const MeanSpan& row, const MeanSpan& column) {
          std::int64_t sum = 0;
          for (std::int64_t y = row.begin; y < row.end; ++y)
            for (std::int64_t x = column.begin; x < column.end; ++x)
              sum += input[at(plane + y * input_.width + x)];
          output[out] = sum * row.multiplier * column.multiplier;
        });
    if (!sums_) return;
    const FloatStep step = mean();
    for (std::size_t i = 0; i < output.size(); ++i)
      output[i] = real_to_bits(
          step.apply(enter_float(output[i], sums_->decimal(static_cast<std::int64_t>(i)))));
  }

 private:
  FloatStep mean() const { return {FloatFunction::kMean, static_cast<float>(windows_.divisor)}; }

  // body(output element, first element of the input plane, rows, columns)
  template <typename Body>
  void for_each_window(const Body& body) const {
    const std::int64_t channels = aligned_->format().shape[0];
    std::size_t next = 0;
    for (std::int64_t c = 0; c < channels; ++c)
      for (const MeanSpan& row : windows_.rows)
        for (const MeanSpan& column : windows_.columns)
          body(next++, c * input_.height * input_.width, row, column);
  }

  void set_sums(const Node& node, Format& sums) const {
    const Format& in = aligned_->format();
    const std::int64_t outputs = sums.element_count() / sums.shape[0];
    for (const int decimal : finest_channel_decimals(in))
      sums.decimals.insert(sums.decimals.end(), at(outputs), decimal);
    std::vector<CodeRange> ranges;
    for_each_window(
        [&](std::size_t, std::int64_t plane, const MeanSpan& row, const MeanSpan& column) {
          Int128 lo = 0, hi = 0;
          for (std::int64_t y = row.begin; y < row.end; ++y)
            for (std::int64_t x = column.begin; x < column.end; ++x) {
              const CodeRange range = in.range(plane + y * input_.width + x);
              lo += range.lo;
              hi += range.hi;
            }
          const Int128 multiplier = Int128{row.multiplier} * column.multiplier;
          lo *= multiplier;
          hi *= multiplier;
          const Int128 most = Int128{1} << 62;
          if (lo <= -most || hi >= most)
            throw InputError(fmt::format("layer '{}': its sums can leave 64 bits", node.name));
          ranges.push_back({static_cast<std::int64_t>(lo), static_cast<std::int64_t>(hi)});
        });
    set_ranges(sums, std::move(ranges));
  }

  HeightWidth input_;
  MeanWindows windows_;
  std::optional<Aligned> aligned_;
  std::optional<Format> sums_;  // where the mean is a float function
};

}  // namespace

MeanWindows mean_windows(const Node& node, HeightWidth input) {
  MeanWindows windows;
  if (is_adaptive(node)) {
    const HeightWidth output = height_width(node, "output_size", 1);
    windows.rows = adaptive_spans(output.height, input.height);
    windows.columns = adaptive_spans(output.width, input.width);
  } else {
    const SlidingWindow window = sliding_window(node);
    const HeightWidth output = output_extent(node, window, input);
    windows.rows = sliding_spans(node, output.height, input.height, window.kernel.height,
                                 window.stride.height, window.padding.height);
    windows.columns = sliding_spans(node, output.width, input.width, window.kernel.width,
                                    window.stride.width, window.padding.width);
  }
  windows.divisor = use_common_divisor(node, windows.rows);
  windows.divisor *= use_common_divisor(node, windows.columns);
  return windows;
}

OperatorPointer make_avg_pool(const Node& node, const NodeParameters&, Formats inputs) {
  return std::make_unique<AvgPool>(node, *inputs[0]);
}

}  // namespace lockstep::verify
