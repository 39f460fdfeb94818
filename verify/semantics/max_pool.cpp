// max_pool2d, and max_pool1d, which is max_pool2d over one row: out[c,y,x] = the largest value of
// the window; positions outside the input do not take part. Codes compare like values on the finest
// grid of their channel. Real values of one channel come from integers by one function that never
// falls, so that their largest is the function of the largest integer.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "compile/support/error.h"
#include "verify/semantics/aligned.h"
#include "verify/semantics/index.h"

#include "verify/semantics/operators.h"

namespace lockstep::verify {
namespace {

class MaxPool final : public ExactOperator {
 public:
  MaxPool(const Node& node, const Format& input) : window_(sliding_window(node)) {
    input_ = spatial_extent(node, input.shape, window_.axes);
    output_ = output_extent(node, window_, input_);
    shape_ = {input.shape[0]};
    if (window_.axes == 2) shape_.push_back(output_.height);
    shape_.push_back(output_.width);
    require_countable(node.name, shape_);
    if (input.real) {
      pool_sources(node, input);
      return;
    }
    aligned_.emplace(node.name, input);
    const Format& in = aligned_->format();
    std::vector<CodeRange> ranges;
    for (std::int64_t e = 0; e < in.element_count(); ++e) ranges.push_back(in.range(e));
    format_ = pooled(finest_channel_decimals(in), ranges);
    format_.bits = in.bits;
  }

  const Format* sums() const override { return sums_ ? &*sums_ : nullptr; }

  void run(std::span<const Values> inputs, std::span<std::int64_t> output) const override {
    if (sums_) {
      for_each_output([&](std::size_t out, std::int64_t plane, std::int64_t y, std::int64_t x) {
        std::optional<float> most;
        for_each_position(plane, y, x, [&](std::size_t in) {
          const float value = real_from_bits(inputs[0][in]);
          most = most ? std::max(*most, value) : value;
        });
        output[out] = real_to_bits(*most);
      });
      return;
    }
    std::vector<std::int64_t> storage;
    const Values input = aligned_->codes(inputs[0], storage);
    for_each_output([&](std::size_t out, std::int64_t plane, std::int64_t y, std::int64_t x) {
      std::int64_t most = INT64_MIN;
      for_each_position(plane, y, x, [&](std::size_t in) { most = std::max(most, input[in]); });
      output[out] = most;
    });
  }

 private:
  // body(output element, first element of the input plane, y, x)
  template <typename Body>
  void for_each_output(const Body& body) const {
    std::size_t next = 0;
    for (std::int64_t c = 0; c < shape_[0]; ++c)
      for (std::int64_t y = 0; y < output_.height; ++y)
        for (std::int64_t x = 0; x < output_.width; ++x)
          body(next++, c * input_.height * input_.width, y, x);
  }
  // body(input element); at least once, because padding is at most half a window.
  template <typename Body>
  void for_each_position(std::int64_t plane, std::int64_t y, std::int64_t x,
                         const Body& body) const {
    for (std::int64_t ky = 0; ky < window_.kernel.height; ++ky) {
      const std::int64_t row =
          y * window_.stride.height + ky * window_.dilation.height - window_.padding.height;
      if (row < 0 || row >= input_.height) continue;
      for (std::int64_t kx = 0; kx < window_.kernel.width; ++kx) {
        const std::int64_t column =
            x * window_.stride.width + kx * window_.dilation.width - window_.padding.width;
        if (column < 0 || column >= input_.width) continue;
        body(at(plane + row * input_.width + column));
      }
    }
  }

  // The format of the largest codes of each window: `decimals` per channel, `ranges` per element of
  // the input.
  Format pooled(const std::vector<int>& decimals, const std::vector<CodeRange>& ranges) const {
    Format result;
    result.shape = shape_;
    std::vector<CodeRange> largest;
    for_each_output([&](std::size_t, std::int64_t plane, std::int64_t y, std::int64_t x) {
      CodeRange most = {INT64_MIN, INT64_MIN};
      for_each_position(plane, y, x, [&](std::size_t in) {
        most = {std::max(most.lo, ranges[in].lo), std::max(most.hi, ranges[in].hi)};
      });
      largest.push_back(most);
    });
    for (const int decimal : decimals)
      result.decimals.insert(result.decimals.end(), at(output_.height * output_.width), decimal);
    if (std::ranges::all_of(decimals, [&](int decimal) { return decimal == decimals[0]; }))
      result.decimals.resize(1);
    set_ranges(result, std::move(largest));
    return result;
  }

  void pool_sources(const Node& node, const Format& input) {
    const std::int64_t plane = input_.height * input_.width;
    std::vector<int> decimals;
    for (std::int64_t e = 0; e < input.element_count(); ++e) {
      const RealSource& source = input.source(e);
      if (!source.has_base()) refuse(node, "a mask or padding acts on it");
      if (source.chain != input.source(e / plane * plane).chain)
        refuse(node, "its float functions differ inside a channel");
      if (!input.chains[source.chain].monotony().never_decreases)
        refuse(node, fmt::format("a float function on the way to it ({}) may fall",
                                 input.chains[source.chain].steps.back().text()));
      if (e % plane == 0) decimals.push_back(source.decimal);
      decimals.back() = std::max(decimals.back(), source.decimal);
    }
    std::vector<CodeRange> ranges;
    for (std::int64_t e = 0; e < input.element_count(); ++e) {
      const RealSource& source = input.source(e);
      const int shift = decimals[at(e / plane)] - source.decimal;
      ranges.push_back({shift_code(node.name, source.codes.lo, shift),
                        shift_code(node.name, source.codes.hi, shift)});
    }
    sums_ = pooled(decimals, ranges);

    format_.shape = shape_;
    format_.decimals = {0};
    format_.real = true;
    format_.chains = input.chains;
    const std::uint32_t base = format_.add_base({node.name, true});
    for_each_output([&](std::size_t out, std::int64_t first, std::int64_t, std::int64_t) {
      const auto e = static_cast<std::int64_t>(out);
      const RealSource& channel = input.source(first);
      const CodeRange codes = sums_->range(e);
      const int decimal = sums_->decimal(e);
      const FloatChain& chain = input.chains[channel.chain];
      format_.sources.push_back(
          {base,
           channel.chain,
           e,
           decimal,
           codes,
           {apply_to_code(chain, codes.lo, decimal), apply_to_code(chain, codes.hi, decimal)}});
    });
  }

  [[noreturn]] static void refuse(const Node& node, const std::string& reason) {
    throw InputError(fmt::format(
        "layer '{}': its input '{}' is not quantized, and {}, so that the largest value "
        "need not come from the largest integer; put a quantize node before this layer",
        node.name, node.inputs[0], reason));
  }

  SlidingWindow window_;
  HeightWidth input_, output_;
  std::vector<std::int64_t> shape_;
  std::optional<Aligned> aligned_;  // of exact values
  std::optional<Format> sums_;      // of real values
};

}  // namespace

OperatorPointer make_max_pool(const Node& node, const NodeParameters&, Formats inputs) {
  return std::make_unique<MaxPool>(node, *inputs[0]);
}

}  // namespace lockstep::verify
