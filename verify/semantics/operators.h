// What an operator is to the exact semantics: the format of its result, worked out once for a
// network, and the integers of one sample. One file per operator; the table is in
// exact_network.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "compile/checkpoint/parameters.h"
#include "compile/graph/graph.h"
#include "verify/semantics/linear_constants.h"

namespace lockstep::verify {

// What every sample of one tensor has in common.
struct Format {
  std::vector<std::int64_t> shape;  // without the batch
  std::vector<int> decimals;        // 1, or one per element
  std::int64_t lo = 0, hi = 0;      // every code lies in [lo, hi], whatever the input
  int bits = 0;                     // total width of a code; 0: an accumulator, as wide as it needs

  std::int64_t element_count() const;
  int decimal(std::int64_t element) const {
    return decimals.size() == 1 ? decimals[0] : decimals[static_cast<std::size_t>(element)];
  }
  std::int64_t magnitude() const { return -lo > hi ? -lo : hi; }
};

// One decimal per channel (dimension 0). InputError names the layer when it varies inside a
// channel.
std::vector<int> channel_decimals(const Format& format, const std::string& layer);

class ExactOperator {
 public:
  virtual ~ExactOperator() = default;
  const Format& format() const { return format_; }
  // The codes of one sample, row-major. Never overflows: the bounds of `format` were proved before.
  virtual void run(std::span<const std::int64_t> input, std::span<std::int64_t> output) const = 0;
  // The integer weights of a linear operator; nullptr for the others.
  virtual const LinearConstants* constants() const { return nullptr; }

 protected:
  Format format_;
};

using OperatorPointer = std::unique_ptr<ExactOperator>;
using OperatorMaker = OperatorPointer (*)(const Node&, const NodeParameters&, const Format& input);

// Each throws InputError with the layer's name where the network has no exact integer meaning.
OperatorPointer make_conv2d(const Node&, const NodeParameters&, const Format& input);
OperatorPointer make_linear(const Node&, const NodeParameters&, const Format& input);
OperatorPointer make_relu(const Node&, const NodeParameters&, const Format& input);
OperatorPointer make_max_pool2d(const Node&, const NodeParameters&, const Format& input);
OperatorPointer make_flatten(const Node&, const NodeParameters&, const Format& input);
OperatorPointer make_identity(const Node&, const NodeParameters&, const Format& input);
OperatorPointer make_quantize(const Node&, const NodeParameters&, const Format& input);
OperatorPointer make_prune(const Node&, const NodeParameters&, const Format& input);

// An attribute with one entry per spatial axis (height, width); a scalar stands for both.
struct HeightWidth {
  std::int64_t height = 0, width = 0;
};
HeightWidth height_width(const Node& node, std::string_view attribute);

// The height and width that a window leaves of `input` positions, as PyTorch counts them. With
// `ceil_mode` a last window may begin inside the input and end behind its padding. InputError when
// no window fits.
struct SlidingWindow {
  HeightWidth kernel, stride, padding, dilation;
  bool ceil_mode = false;
};
SlidingWindow sliding_window(const Node& node);
HeightWidth output_extent(const Node& node, const SlidingWindow& window, HeightWidth input);

// InputError names `layer` for more than 2^28 elements, whose values would not fit into memory.
// Called before anything is made per element of a new shape.
void require_countable(const std::string& layer, std::span<const std::int64_t> shape);

// A tensor's shape as "[1, 28, 28]".
std::string shape_text(std::span<const std::int64_t> shape);

// Mask entries spread over `shape`, row-major; a mask dimension of 1 spans the whole axis.
// InputError names `layer` when the two do not fit together.
std::vector<std::uint8_t> spread_mask(const MaskParameters& mask,
                                      std::span<const std::int64_t> shape,
                                      const std::string& layer);

}  // namespace lockstep::verify
