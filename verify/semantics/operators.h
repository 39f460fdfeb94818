// What an operator is to the exact semantics: the format of its result, worked out once for a
// network, and the values of one sample. One file per operator, or per family of which one formula
// is the meaning; the table is in exact_network.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "compile/checkpoint/parameters.h"
#include "compile/graph/graph.h"
#include "verify/semantics/format.h"
#include "verify/semantics/linear_constants.h"

namespace lockstep::verify {

// The values of one tensor of one sample, row-major: codes, or real_to_bits() of real values.
using Values = std::span<const std::int64_t>;

// Where one element of the result of a moving operator comes from.
struct MovedElement {
  std::uint32_t input = 0;  // of the node's inputs
  // The value is 0 and comes from nowhere (padding); `input` and `element` tell the nearest
  // element, whose grid it has.
  bool zero = false;
  std::int64_t element = 0;  // of that input, row-major
};

class ExactOperator {
 public:
  virtual ~ExactOperator() = default;
  const Format& format() const { return format_; }
  // One sample. One entry of `inputs` per input of the node. Never overflows: the bounds of
  // `format` were proved before.
  virtual void run(std::span<const Values> inputs, std::span<std::int64_t> output) const = 0;
  // The integer weights of a linear operator; nullptr for the others.
  virtual const LinearConstants* constants() const { return nullptr; }
  // Exact format of what the operator computes before float functions of its own (ExactBase::sums);
  // nullptr where there is none.
  virtual const Format* sums() const { return nullptr; }
  // Of an operator that only moves values (concat, reshape, transpose, slice, pad, pixel_shuffle,
  // nearest upsample, ...): one entry per element of the result. Empty for the others, and for
  // flatten, dropout and identity, which leave every element where it is.
  virtual std::span<const MovedElement> moves() const { return {}; }

 protected:
  Format format_;
};

using OperatorPointer = std::unique_ptr<ExactOperator>;
// One format per input of the node; they must live as long as the operator.
using Formats = std::span<const Format* const>;
using OperatorMaker = OperatorPointer (*)(const Node&, const NodeParameters&, Formats);

// Each throws InputError with the layer's name where the network has no exact meaning. They are
// named after the operators of graph.json.
OperatorPointer make_convolution(const Node&, const NodeParameters&, Formats);  // 1d and 2d
OperatorPointer make_transposed_convolution(const Node&, const NodeParameters&, Formats);
OperatorPointer make_linear(const Node&, const NodeParameters&, Formats);
OperatorPointer make_relu(const Node&, const NodeParameters&, Formats);
OperatorPointer make_relu6(const Node&, const NodeParameters&, Formats);
OperatorPointer make_float_function(const Node&, const NodeParameters&, Formats);  // tanh, ...
OperatorPointer make_batch_norm(const Node&, const NodeParameters&, Formats);
OperatorPointer make_add(const Node&, const NodeParameters&, Formats);  // and sub
OperatorPointer make_mul(const Node&, const NodeParameters&, Formats);
OperatorPointer make_max_pool(const Node&, const NodeParameters&, Formats);
OperatorPointer make_avg_pool(const Node&, const NodeParameters&, Formats);  // and adaptive
OperatorPointer make_flatten(const Node&, const NodeParameters&, Formats);
OperatorPointer make_reshape(const Node&, const NodeParameters&, Formats);
OperatorPointer make_transpose(const Node&, const NodeParameters&, Formats);
OperatorPointer make_concat(const Node&, const NodeParameters&, Formats);
OperatorPointer make_slice(const Node&, const NodeParameters&, Formats);
OperatorPointer make_pad(const Node&, const NodeParameters&, Formats);
OperatorPointer make_pixel_shuffle(const Node&, const NodeParameters&, Formats);
OperatorPointer make_pixel_unshuffle(const Node&, const NodeParameters&, Formats);
OperatorPointer make_upsample(const Node&, const NodeParameters&, Formats);
OperatorPointer make_argmax(const Node&, const NodeParameters&, Formats);
OperatorPointer make_identity(const Node&, const NodeParameters&, Formats);
OperatorPointer make_softmax(const Node&, const NodeParameters&, Formats);  // and log_softmax
OperatorPointer make_quantize(const Node&, const NodeParameters&, Formats);
OperatorPointer make_prune(const Node&, const NodeParameters&, Formats);

// An attribute with one entry per spatial axis. With one axis, `height` is `neutral`.
struct HeightWidth {
  std::int64_t height = 0, width = 0;
  bool operator==(const HeightWidth&) const = default;
};
HeightWidth height_width(const Node& node, std::string_view attribute, std::int64_t neutral);

// Height and width of (C,H,W) or, with height 1, of (C,L). InputError names the layer for other
// ranks.
HeightWidth spatial_extent(const Node& node, std::span<const std::int64_t> shape,
                           std::size_t spatial_axes);

// The height and width that a window leaves of `input` positions, as PyTorch counts them. With
// `ceil_mode` a last window may begin inside the input and end behind its padding. InputError when
// no window fits.
struct SlidingWindow {
  HeightWidth kernel, stride, padding, dilation;
  bool ceil_mode = false;
  std::size_t axes = 2;  // spatial axes: 1 for conv1d, ..., whose window has height 1
};
SlidingWindow sliding_window(const Node& node);
HeightWidth output_extent(const Node& node, const SlidingWindow& window, HeightWidth input);

// Mask entries spread over `shape`, row-major; a mask dimension of 1 spans the whole axis.
// InputError names `layer` when the two do not fit together.
std::vector<std::uint8_t> spread_mask(const MaskParameters& mask,
                                      std::span<const std::int64_t> shape,
                                      const std::string& layer);
// The mask of a prune node over `shape`: as above, but with strict = false a mask of another size
// is repeated as often as it fits and centred, and everything outside is kept.
std::vector<std::uint8_t> prune_mask(const Node& node, const MaskParameters& mask,
                                     std::span<const std::int64_t> shape);

// The rows (or columns) begin .. end - 1 that one output row (or column) of a mean sums, and what
// the sum is multiplied by to have the common divisor of its axis.
struct MeanSpan {
  std::int64_t begin = 0, end = 0, multiplier = 1;
};
// avg_pool1d/2d and adaptive_avg_pool1d/2d: the sum of a window times both multipliers, divided by
// divisor = row_divisor * column_divisor, is the mean. One axis: rows holds one span {0, 1, 1}.
struct MeanWindows {
  std::vector<MeanSpan> rows, columns;
  std::int64_t divisor = 1;
};
MeanWindows mean_windows(const Node& node, HeightWidth input);

}  // namespace lockstep::verify
