// What all samples of one tensor have in common: shape, grids, bounds, and for values that are
// float32 numbers the functions that they come from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "verify/semantics/float_function.h"

namespace lockstep::verify {

struct CodeRange {  // inclusive
  std::int64_t lo = 0, hi = 0;
  bool operator==(const CodeRange&) const = default;
};

// The exact integers that a real value comes from.
struct ExactBase {
  std::string node;  // a node or an input
  // False: the value of `node`, which is exact. True: what `node` computes before its own float
  // functions: the sums of a linear operator with a float bias, the sums of a mean, the largest
  // codes of max pooling over real values. ExactNetwork::sums() has its format.
  bool sums = false;
  bool operator==(const ExactBase&) const = default;
};

// One element of a real tensor: chain(fl(code * 2^-decimal)), code being an element of a base.
struct RealSource {
  static constexpr std::uint32_t kNoBase = UINT32_MAX;
  std::uint32_t base = kNoBase;  // of Format::bases; kNoBase: a mask (or padding) put 0 here, and
                                 // the value is chain(0)
  std::uint32_t chain = 0;       // of Format::chains
  std::int64_t element = 0;      // of the base, row-major
  int decimal = 0;               // of that element
  CodeRange codes;               // of that element; {0, 0} without a base
  FloatRange range;              // of the value

  bool has_base() const { return base != kNoBase; }
};

// Exact: codes or accumulators, value = code * 2^-decimal. Real: float32 numbers, result of float
// functions; a sample holds real_to_bits() of each.
struct Format {
  std::vector<std::int64_t> shape;  // without the batch
  // Of an exact format.
  std::vector<int> decimals;      // 1, or one per element; {0} of a real format
  std::int64_t lo = 0, hi = 0;    // every code lies in [lo, hi], whatever the input
  int bits = 0;                   // total width of a code; 0: an accumulator, as wide as it needs
  std::vector<CodeRange> ranges;  // empty, or narrower bounds: one per element, inside [lo, hi]
  // Of a real format.
  bool real = false;
  std::vector<ExactBase> bases;
  std::vector<FloatChain> chains;
  std::vector<RealSource> sources;  // one per element

  std::int64_t element_count() const;
  int decimal(std::int64_t element) const {
    return decimals.size() == 1 ? decimals[0] : decimals[static_cast<std::size_t>(element)];
  }
  CodeRange range(std::int64_t element) const {
    return ranges.empty() ? CodeRange{lo, hi} : ranges[static_cast<std::size_t>(element)];
  }
  std::int64_t magnitude() const { return -lo > hi ? -lo : hi; }

  // Of a real format.
  const RealSource& source(std::int64_t element) const {
    return sources[static_cast<std::size_t>(element)];
  }
  const FloatChain& chain(std::int64_t element) const { return chains[source(element).chain]; }
  const ExactBase* base(std::int64_t element) const {
    return source(element).has_base() ? &bases[source(element).base] : nullptr;
  }
  // Adds the entry unless it is there; its index.
  std::uint32_t add_base(const ExactBase& base);
  std::uint32_t add_chain(const FloatChain& chain);
};

// The value of one element of a sample as a double, which holds every float32 and every code up to
// 2^53 exactly.
double value_of(const Format& format, std::int64_t element, std::int64_t code);

// One decimal per channel (dimension 0): the finest grid that occurs in it.
std::vector<int> finest_channel_decimals(const Format& format);

// One decimal per channel (dimension 0). InputError names the layer when it varies inside a
// channel.
std::vector<int> channel_decimals(const Format& format, const std::string& layer);

// `input` as a real format: itself if it is one, else with chains that are empty so far. Names are
// those of the node that `input` is the value of, and of the layer that asks.
Format as_real(const Format& input, const std::string& input_name, const std::string& layer);

// The format after a float function that acts on each element, exact or real: one step for all
// channels, or one per channel (dimension 0). `input_name`: the node that `input` is the value of.
// InputError names `layer` when a value could leave the range of float32.
Format append_steps(const Format& input, const std::string& input_name, const std::string& layer,
                    std::span<const FloatStep> steps);

// InputError with what to do, where `layer` can take only exact values and `input` is real.
void require_exact(const Format& input, const std::string& input_name, const std::string& layer);

// InputError names `layer` for more than 2^28 elements, whose values would not fit into memory.
// Called before anything is made per element of a new shape.
void require_countable(const std::string& layer, std::span<const std::int64_t> shape);

// A tensor's shape as "[1, 28, 28]".
std::string shape_text(std::span<const std::int64_t> shape);

}  // namespace lockstep::verify
