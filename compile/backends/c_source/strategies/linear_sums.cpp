// Linear layers, four output channels at a time over codes that are read where they are:
// intrt/micro/linear.h, and intrt/micro/mve.h with one position.
#include <algorithm>

#include "compile/backends/c_source/arith_text.h"
#include "compile/backends/c_source/strategies/blocks.h"
#include "compile/backends/c_source/strategies/mve_weights.h"
#include "compile/backends/c_source/strategies/packed_chunks.h"
#include "compile/backends/c_source/strategies/strategy.h"
#include "compile/backends/weights.h"

namespace lockstep::backends {
namespace {

using namespace ir;

std::int64_t rounded_up(std::int64_t x, std::int64_t unit) { return (x + unit - 1) / unit * unit; }

// The operator, if it is a linear layer whose codes are int8_t and whose sums are of one piece;
// else null.
const Linear* sums_of_codes(const Program& program, const Op& op) {
  const auto* const linear = std::get_if<Linear>(&op.kind);
  const bool fits = linear != nullptr && !linear->wide && linear->segments.empty() &&
                    program.values.at(op.input()).type() == ElementType::kInt8;
  return fits ? linear : nullptr;
}

// A linear layer's weights in blocks of four channels; what is missing has weights of 0.
struct LinearShape {
  LinearShape(const Program& program, const Op& op, const Linear& of_linear)
      : linear(of_linear),
        outputs(static_cast<std::int64_t>(linear.weights.shape(0))),
        taps(static_cast<std::int64_t>(linear.weights.shape(1))),
        ranges(program.values.at(op.input()).ranges),
        input_channels(program.values.at(op.input()).shape.c) {}

  std::int64_t blocks() const { return (outputs + 3) / 4; }
  std::int64_t channels() const { return std::min<std::int64_t>(4, outputs); }  // of a block
  std::int64_t channel(std::int64_t block, std::int64_t c) const {
    return std::clamp<std::int64_t>(outputs - 4, 0, 4 * block) + c;
  }
  std::int64_t weight(std::int64_t block, std::int64_t c, std::int64_t tap) const {
    return c < channels() && tap < taps ? linear.weights.data()[channel(block, c) * taps + tap] : 0;
  }
  const Range& codes(std::int64_t tap) const {
    return ranges[static_cast<std::size_t>(tap % input_channels)];
  }

  const Linear& linear;
  std::int64_t outputs = 0, taps = 0;
  const std::vector<Range>& ranges;  // of codes, by input channel
  std::int64_t input_channels = 0;
};

class LinearSums : public Blocks {
 public:
  LinearSums(const FunctionPlace& place, const Linear& linear)
      : Blocks(place.text, place.program, place.op_index, place.prefix),
        shape_(place.program, op_, linear) {
    one_position_ = true;
  }
  virtual ~LinearSums() = default;

  FunctionCall emit() {
    const Linear& linear = shape_.linear;
    weight_constants();
    block_constants(linear.post, linear.bias, linear.accumulators);
    open();
    open_blocks();
    sum();
    store_sums(linear.post, 0, "b", "o", "o");
    close_blocks();
    finish_output(linear.post);
    text_.line("}}");
    return call();
  }

 protected:
  virtual void weight_constants() = 0;
  // Declares and sets the sums of block b.
  virtual void sum() = 0;

  // Where the weights of block b begin, of which each block has so many numbers.
  std::string block_weights(std::int64_t numbers) const {
    return address(name_ + "_weight", shape_.blocks() == 1 ? "0" : times("b", numbers));
  }

  const LinearShape shape_;
};

// ---- SMLAD

constexpr std::int64_t kGroup = 4;  // taps

// Whether weights of two channels share a number of 16 bits, and their sums 32.
bool share_numbers(const LinearShape& shape) {
  if (!fits_bytes(shape.linear.weights)) return false;
  for (std::int64_t b = 0; b < shape.blocks(); ++b)
    for (std::int64_t c = 0; c < 4; ++c) {
      Range sum{0, 0};
      for (std::int64_t tap = 0; tap < shape.taps; ++tap) {
        const std::int64_t weight = shape.weight(b, c, tap);
        if (c % 2 == 0 && weight + 256 * shape.weight(b, c + 1, tap) < INT16_MIN) return false;
        const Range& codes = shape.codes(tap);
        const auto [least, most] = std::minmax({weight * codes.lo, weight * codes.hi});
        sum.lo += std::min<std::int64_t>(least, 0);
        sum.hi += std::max<std::int64_t>(most, 0);
      }
      if (sum.lo < -(1 << 23) || sum.hi >= 1 << 23) return false;
    }
  return true;
}

class DspLinear : public LinearSums {
 public:
  using LinearSums::LinearSums;

 protected:
  void weight_constants() override {
    std::vector<std::int64_t> ordered;
    for (std::int64_t b = 0; b < shape_.blocks(); ++b)
      for (std::int64_t first = 0; first < shape_.taps; first += kGroup)
        for (const std::int64_t odd : {0, 1})
          for (std::int64_t c = 0; c < 4; c += shares_ ? 2 : 1)
            for (const std::int64_t tap : {first + odd, first + odd + 2})
              ordered.push_back(shape_.weight(b, c, tap) +
                                (shares_ ? 256 * shape_.weight(b, c + 1, tap) : 0));
    text_.array("INTRT_ALIGNED int16_t", name_ + "_weight", ordered);
  }

  void sum() override {
    const std::int64_t groups = (shape_.taps + kGroup - 1) / kGroup;
    text_.line("int32_t sums[4];");
    text_.line("intrt_linear_dot{}(sums, {}, in, {}, {});", shares_ ? 8 : 16, start(),
               block_weights(groups * (shares_ ? 8 : 16)), groups);
  }

 private:
  const bool shares_ = share_numbers(shape_);
};

class DspLinearStrategy : public Strategy {
 public:
  std::string_view name() const override { return "four outputs, SMLAD"; }
  const char* micro_kernels() const override { return kLinearText; }

  std::optional<StrategyCost> cost(const Program& program, const Op& op,
                                   const Target& target) const override {
    const Linear* const linear = sums_of_codes(program, op);
    if (target.kernels != MicroKernels::kDsp || linear == nullptr) return std::nullopt;
    const LinearShape shape(program, op, *linear);
    const bool shares = share_numbers(shape);
    const std::int64_t groups = (shape.taps + kGroup - 1) / kGroup;
    StrategyCost cost;
    cost.instructions = shape.blocks() * (groups * (shares ? 17 : 14) + 90);
    cost.constant_bytes = shape.blocks() * (groups * (shares ? 16 : 32) + 48);
    cost.code_bytes = 250;
    return cost;
  }

  FunctionCalls emit(const FunctionPlace& place) const override {
    return {DspLinear(place, std::get<Linear>(place.program.ops.at(place.op_index).kind)).emit()};
  }
};

// ---- two weights in a word

PackedWeights packed_weights(const LinearShape& shape) {
  PackedWeights weights(shape.taps, rounded_up(shape.taps, 2));
  for (std::int64_t b = 0; b < shape.blocks(); ++b)
    weights.add_block(shape.channels(), [&](std::int64_t c, std::int64_t tap) {
      return WeightAndCode{shape.weight(b, c, tap), shape.codes(tap)};
    });
  return weights;
}

class PackedLinear : public LinearSums {
 public:
  using LinearSums::LinearSums;

 protected:
  void weight_constants() override {
    const PackedWeights packed = packed_weights(shape_);
    const std::vector<std::int64_t>& weights = packed.weights();
    std::vector<std::int64_t> words;
    for (std::size_t i = 0; i < weights.size(); i += 2)
      words.push_back(weights[i] + 65536 * weights[i + 1]);
    text_.array("int32_t", name_ + "_weight", words);
    text_.array("uint8_t", name_ + "_length", packed.lengths());
    const std::vector<std::int64_t> chunks = packed.first_chunks();
    text_.array(narrowest_type(chunks), name_ + "_chunk", chunks);
  }

  void sum() override {
    text_.line("int32_t sums[4];");
    text_.line("const int32_t chunk = {0}_chunk[b], chunks = {0}_chunk[b + 1] - chunk;", name_);
    text_.line("intrt_linear_packed(sums, {}, in, {}, &{}_length[chunk], chunks);", start(),
               block_weights(2 * rounded_up(shape_.taps, 2)), name_);
  }
};

class PackedLinearStrategy : public Strategy {
 public:
  std::string_view name() const override { return "two outputs in a word"; }
  const char* micro_kernels() const override { return kLinearText; }

  std::optional<StrategyCost> cost(const Program& program, const Op& op,
                                   const Target& target) const override {
    const Linear* const linear = sums_of_codes(program, op);
    if (target.kernels != MicroKernels::kPacked || linear == nullptr) return std::nullopt;
    const LinearShape shape(program, op, *linear);
    const PackedWeights weights = packed_weights(shape);
    if (!weights.fits()) return std::nullopt;
    const std::int64_t chunks = std::ssize(weights.lengths());
    StrategyCost cost;
    cost.instructions = shape.blocks() * (shape.taps * 5 + 120) + chunks * 18;
    cost.constant_bytes = shape.blocks() * (rounded_up(shape.taps, 2) * 8 + 50) + chunks;
    cost.code_bytes = 350;
    return cost;
  }

  FunctionCalls emit(const FunctionPlace& place) const override {
    return {
        PackedLinear(place, std::get<Linear>(place.program.ops.at(place.op_index).kind)).emit()};
  }
};

// ---- vectors

class MveLinear : public LinearSums {
 public:
  MveLinear(const FunctionPlace& place, const Linear& linear)
      : LinearSums(place, linear), kernel_(linear.weights) {
    by_position_ = true;
  }

 protected:
  void weight_constants() override {
    std::vector<std::int64_t> ordered;
    for (std::int64_t b = 0; b < shape_.blocks(); ++b)
      kernel_.append(ordered, 4, shape_.taps,
                     [&](std::int64_t c, std::int64_t tap) { return shape_.weight(b, c, tap); });
    text_.array(kernel_.type(), name_ + "_weight", ordered);
  }

  void sum() override {
    const std::int64_t taps = rounded_up(shape_.taps, 16);
    text_.line("int32_t sums[8];");
    text_.line("{}(sums, {}, in, 0, 0, {}, 0, 1, {});", kernel_.dot(), start(),
               block_weights(4 * taps), taps / 16);
  }

 private:
  const MveWeights kernel_;
};

class MveLinearStrategy : public Strategy {
 public:
  std::string_view name() const override { return "four outputs, VMLADAVA"; }
  const char* micro_kernels() const override { return kMveText; }

  std::optional<StrategyCost> cost(const Program& program, const Op& op,
                                   const Target& target) const override {
    const Linear* const linear = sums_of_codes(program, op);
    if (target.kernels != MicroKernels::kMve || linear == nullptr) return std::nullopt;
    const LinearShape shape(program, op, *linear);
    const std::int64_t groups = (shape.taps + 15) / 16;
    const std::int64_t factor = MveWeights(linear->weights).factor();
    StrategyCost cost;
    cost.instructions = shape.blocks() * (groups * factor * 10 + 45);
    cost.constant_bytes = shape.blocks() * (groups * factor * 64 + 48);
    cost.code_bytes = 300;
    return cost;
  }

  FunctionCalls emit(const FunctionPlace& place) const override {
    return {MveLinear(place, std::get<Linear>(place.program.ops.at(place.op_index).kind)).emit()};
  }
};

}  // namespace

const Strategy& dsp_linear_strategy() {
  static const DspLinearStrategy strategy;
  return strategy;
}

const Strategy& packed_linear_strategy() {
  static const PackedLinearStrategy strategy;
  return strategy;
}

const Strategy& mve_linear_strategy() {
  static const MveLinearStrategy strategy;
  return strategy;
}

}  // namespace lockstep::backends
